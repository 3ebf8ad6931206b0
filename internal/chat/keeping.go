package chat

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// MaxKeepDays is the most days that a room may be told to keep its messages; without such a number it keeps them for ever.
const MaxKeepDays = 36500

// retainMost is how many messages are removed at once: some 50 ms of work.
const retainMost = 1000

// Older returns how many messages of the room are older than so many days.
func (r *Rooms) Older(ctx context.Context, roomID uuid.UUID, days int) (int64, error) {
	n, err := r.queries.OlderMessages(ctx, store.OlderMessagesParams{RoomID: roomID, Days: int32(min(days, MaxKeepDays))}) //nolint:gosec // bounded
	if err != nil {
		return 0, fmt.Errorf("count the messages of room %s that are older than %d days: %w", roomID, days, err)
	}
	return n, nil
}

// Keep has the room keep its messages for so many days, 0: for ever. Older ones are removed soon, for good: where more may go than before, only
// if the user has confirmed it. The error may be an [Error] of code Forbidden, or of Invalid about the field "keep_days", or "confirm", which says
// what would be removed.
func (r *Rooms) Keep(ctx context.Context, user User, room Room, days int, confirmed bool) error {
	if !room.May(user) {
		return errNotOwner
	}
	if days < 0 || days > MaxKeepDays {
		return wrong("keep_days", "Messages are kept for 1 to %d days, or for ever.", MaxKeepDays)
	}
	if days > 0 && (room.KeepDays == 0 || days < room.KeepDays) && !confirmed {
		n, err := r.Older(ctx, room.ID, days)
		if err != nil {
			return err
		}
		return wrong("confirm", "This removes %s, with files, reactions and pins, soon and for good: nobody can bring them back. "+
			"From then on each message is removed when it is %s old. Confirm that you want it.", olderThan(n, days), daysOf(days))
	}
	arg := store.KeepMessagesParams{Actor: user.ID, ID: room.ID, Days: int32(days)}
	err := briefly(ctx, r.pool, func(q *store.Queries) error { return q.KeepMessages(ctx, arg) })
	if err != nil {
		return fmt.Errorf("have room %s keep its messages for %d days: %w", room.ID, days, err)
	}
	return nil
}

// olderThan says how many messages go.
func olderThan(n int64, days int) string {
	switch n {
	case 0:
		return "messages that are older than " + daysOf(days) + ", of which there are none at the moment"
	case 1:
		return "1 message that is older than " + daysOf(days)
	}
	return fmt.Sprintf("%d messages that are older than %s", n, daysOf(days))
}

func daysOf(n int) string {
	if n == 1 {
		return "a day"
	}
	return fmt.Sprintf("%d days", n)
}

// Retain removes what rooms do not keep any longer, in small batches, one after the other until there is nothing more or another instance is
// at it, and returns how many messages that were. Between two it rests as long as the last one took. What was done when ctx ends, or an error
// is met, is done.
func Retain(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (all int64, err error) {
	queries := store.New(pool)
	for {
		began := time.Now()
		batch, err := queries.Retain(ctx, retainMost)
		if err != nil {
			return all, fmt.Errorf("remove messages that are too old: %w", err)
		}
		if batch.Removed == 0 {
			return all, nil
		}
		took := time.Since(began)
		log.Debug("messages that were too old were removed", "room", batch.Room, "number", batch.Removed, "oldest", batch.Oldest, "took", took)
		all += batch.Removed
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return all, nil
		}
	}
}
