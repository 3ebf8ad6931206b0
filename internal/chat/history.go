package chat

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/store"
)

// After returns at most limit messages of the room that come after seq after, oldest first.
func (m *Messages) After(ctx context.Context, roomID uuid.UUID, after int64, limit int) ([]Message, error) {
	return m.Between(ctx, roomID, after+1, after+int64(limit))
}

// Around returns at most limit messages of the room, about half of them before seq at, oldest first.
func (m *Messages) Around(ctx context.Context, roomID uuid.UUID, at int64, limit int) ([]Message, error) {
	first := max(1, at-int64(limit)/2)
	return m.Between(ctx, roomID, first, first+int64(limit)-1)
}

// FirstSince returns the seq of the room's first message that was stored at t or later; 0: none.
func (m *Messages) FirstSince(ctx context.Context, roomID uuid.UUID, t time.Time) (int64, error) {
	seq, err := m.queries.FirstMessageSince(ctx, store.FirstMessageSinceParams{RoomID: roomID, Since: t})
	if err != nil {
		return 0, fmt.Errorf("find the first message of room %s since %s: %w", roomID, t, err)
	}
	found, err := m.Between(ctx, roomID, seq, seq)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return seq, nil
}
