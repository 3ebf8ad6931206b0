package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/store"
)

// Pin says that a message is pinned in its room.
type Pin struct {
	By string    `json:"by"` // the name of who pinned it; "": somebody since removed
	At time.Time `json:"at"`
}

// Pin turns whether a message is pinned in its room, and returns the message's seq. Every member may, whoever has pinned it. The
// error may be an [Error] of code NotFound, Forbidden, or Invalid: the room has 100 pins.
func (m *Messages) Pin(ctx context.Context, userID, roomID, id uuid.UUID, turn Turn) (int64, error) {
	seq, err := m.change(ctx, userID, roomID, id, func(q *store.Queries, found store.MessageForChangeRow) error {
		if err := attachable(found); err != nil {
			return err
		}
		if turn != On {
			n, err := q.RemovePin(ctx, store.RemovePinParams{RoomID: roomID, Seq: found.Seq})
			if err != nil || n > 0 || turn == Off {
				return err
			}
		}
		_, err := q.AddPin(ctx, store.AddPinParams{RoomID: roomID, Seq: found.Seq, UserID: userID})
		return err
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "pins_most" {
		return 0, Errorf(Invalid, "A room has at most 100 pinned messages. Unpin one that is no longer needed.")
	}
	return seq, err
}

// Pinned returns the room's pinned messages, those pinned last first.
func (m *Messages) Pinned(ctx context.Context, roomID uuid.UUID) ([]Message, error) {
	rows, err := m.queries.PinnedMessages(ctx, roomID)
	if err != nil {
		return nil, fmt.Errorf("read the pins of room %s: %w", roomID, err)
	}
	found := make([]Message, 0, len(rows))
	for _, r := range rows {
		found = append(found, Message(r))
	}
	return found, nil
}

// PinnedSeqs returns the seqs of the room's pinned messages, ascending.
func (m *Messages) PinnedSeqs(ctx context.Context, roomID uuid.UUID) ([]int64, error) {
	seqs, err := m.queries.PinnedSeqs(ctx, roomID)
	if err != nil {
		return nil, fmt.Errorf("read which messages are pinned in room %s: %w", roomID, err)
	}
	return seqs, nil
}
