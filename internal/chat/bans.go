package chat

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/store"
)

// refusal is the [Error] of code Banned that says until when and why the user is banned from the room, or from all of the chat; nil: they
// are not. Without a room only the latter counts.
func refusal(ctx context.Context, q *store.Queries, where store.BanFromParams) error {
	ban, err := q.BanFrom(ctx, where)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a ban: %w", err)
	}
	from, until, why := "", "", "No reason was given."
	if ban.Room != "" {
		from = " from #" + ban.Room
	}
	if ban.Until.Before(Forever()) {
		until = " until " + ban.Until.UTC().Format("2 January 2006, 15:04:05") + " UTC"
	}
	if ban.Reason != "" {
		why = "The reason: " + ban.Reason
	}
	return Errorf(Banned, "You are banned%s%s. %s", from, until, why)
}

// refusalOr is refusal's error; err where there is no ban.
func refusalOr(ctx context.Context, q *store.Queries, where store.BanFromParams, err error) error {
	if banned := refusal(ctx, q, where); banned != nil {
		return banned
	}
	return err
}

// refusalOf is refusal's error for who was just found to be banned; where the ban has ended meanwhile, one that says to try again.
func refusalOf(ctx context.Context, q *store.Queries, userID uuid.UUID, roomID *uuid.UUID) error {
	return refusalOr(ctx, q, store.BanFromParams{UserID: userID, RoomID: roomID}, Errorf(Unavailable, "You were banned until now. Try again."))
}
