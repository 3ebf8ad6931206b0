package chat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/store"
)

// ThreadOf returns the seq of the first message of the thread that a message belongs to: its own where it answers no other.
func (m *Messages) ThreadOf(ctx context.Context, roomID uuid.UUID, seq int64) (int64, error) {
	thread, err := m.queries.ThreadOf(ctx, store.ThreadOfParams{RoomID: roomID, Seq: seq})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return seq, nil
	case err != nil:
		return 0, fmt.Errorf("find the thread of message %d of room %s: %w", seq, roomID, err)
	}
	return thread, nil
}

// Replies returns at most limit replies of a thread, known by the seq of its first message, that come before seq before (0: the newest),
// oldest first.
func (m *Messages) Replies(ctx context.Context, roomID uuid.UUID, thread, before int64, limit int) ([]Message, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := m.queries.ThreadReplies(ctx, store.ThreadRepliesParams{
		RoomID: roomID, Thread: thread, Before: before, MaxRows: int32(min(limit, 1000)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("read thread %d of room %s: %w", thread, roomID, err)
	}
	replies := make([]Message, 0, len(rows))
	for _, r := range slices.Backward(rows) {
		replies = append(replies, Message(r))
	}
	return replies, nil
}
