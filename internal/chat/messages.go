package chat

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Messages reads what was said, and changes it. The [Writer] adds to it.
type Messages struct {
	pool    *pgxpool.Pool
	queries *store.Queries
}

// NewMessages reads and writes through pool.
func NewMessages(pool *pgxpool.Pool) *Messages {
	return &Messages{pool: pool, queries: store.New(pool)}
}

// Page returns at most limit messages of the room that come before seq before (0: the newest), oldest first.
func (m *Messages) Page(ctx context.Context, roomID uuid.UUID, before int64, limit int) ([]Message, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := m.queries.NewestMessages(ctx, store.NewestMessagesParams{
		RoomID: roomID, Before: before, MaxRows: int32(min(limit, 1000)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("read a page of room %s: %w", roomID, err)
	}
	page := make([]Message, 0, len(rows))
	for _, r := range slices.Backward(rows) {
		page = append(page, Message(r))
	}
	return page, nil
}

// Between returns the room's messages from seq first to seq last, both included, oldest first.
func (m *Messages) Between(ctx context.Context, roomID uuid.UUID, first, last int64) ([]Message, error) {
	rows, err := m.queries.MessagesBetween(ctx, store.MessagesBetweenParams{RoomID: roomID, First: first, Last: last})
	if err != nil {
		return nil, fmt.Errorf("read messages %d to %d of room %s: %w", first, last, roomID, err)
	}
	found := make([]Message, 0, len(rows))
	for _, r := range rows {
		found = append(found, Message(r))
	}
	return found, nil
}

// Changed returns the room's messages, as they now are, whose latest change has a rev above after and at most upTo,
// ascending by rev, at most limit of them. A message that changed twice appears under its latest rev alone.
func (m *Messages) Changed(ctx context.Context, roomID uuid.UUID, after, upTo int64, limit int) ([]Message, error) {
	rows, err := m.queries.ChangedMessages(ctx, store.ChangedMessagesParams{
		RoomID: roomID, After: after, UpTo: upTo, MaxRows: int32(min(limit, 1000)), //nolint:gosec // bounded
	})
	if err != nil {
		return nil, fmt.Errorf("read changes %d to %d of room %s: %w", after+1, upTo, roomID, err)
	}
	found := make([]Message, 0, len(rows))
	for _, r := range rows {
		found = append(found, Message(r))
	}
	return found, nil
}

// Head is how far a room has come, and where it begins.
type Head struct {
	Cursor
	First int64 // seq of the oldest message that is kept; Seq + 1: none is
}

// Heads returns how far each of the rooms has come; rooms that do not exist are missing from it.
func (m *Messages) Heads(ctx context.Context, roomIDs ...uuid.UUID) (map[uuid.UUID]Head, error) {
	rows, err := m.queries.Heads(ctx, roomIDs)
	if err != nil {
		return nil, fmt.Errorf("read the heads of %d rooms: %w", len(roomIDs), err)
	}
	heads := make(map[uuid.UUID]Head, len(rows))
	for _, r := range rows {
		heads[r.RoomID] = Head{Cursor: Cursor{Seq: r.LastSeq, Rev: r.LastRev, History: r.History}, First: r.FirstSeq}
	}
	return heads, nil
}

// Reaches returns how far cursors of a history hold in the current one, in each of the rooms: up to there both have the same. Rooms
// that do not exist, and all of them where the history is unknown, are missing from it.
func (m *Messages) Reaches(ctx context.Context, history string, roomIDs ...uuid.UUID) (map[uuid.UUID]Cursor, error) {
	rows, err := m.queries.Reaches(ctx, store.ReachesParams{History: history, RoomIds: roomIDs})
	if err != nil {
		return nil, fmt.Errorf("read how far history %s reaches in %d rooms: %w", history, len(roomIDs), err)
	}
	reaches := make(map[uuid.UUID]Cursor, len(rows))
	for _, r := range rows {
		reaches[r.RoomID] = Cursor{Seq: r.Seq, Rev: r.Rev}
	}
	return reaches, nil
}
