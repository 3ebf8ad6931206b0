package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/store"
)

// Reaction is an emoji with which people have reacted to a message.
type Reaction struct {
	Emoji string   `json:"emoji"`
	Count int      `json:"count"`
	By    []string `json:"by"` // names of who did, in the order in which they did; of many only the first
}

// Others is how many have reacted whose names are not in By.
func (r Reaction) Others() int { return r.Count - len(r.By) }

// Turn is what becomes of a reaction.
type Turn int

// What a reaction can be turned to.
const (
	Toggle Turn = iota // taken back where it is there, else added
	On
	Off
)

// React turns the user's reaction to a message and returns the message's seq. The error may be an [Error] of code NotFound,
// Forbidden, or Invalid about the field "emoji".
func (m *Messages) React(ctx context.Context, userID, roomID, id uuid.UUID, emoji string, turn Turn) (int64, error) {
	emoji = strings.TrimSpace(emoji)
	if !utf8.ValidString(emoji) || emoji == "" || strings.ContainsRune(emoji, 0) {
		return 0, wrong("emoji", "A reaction is an emoji, such as 👍.")
	}
	seq, err := m.change(ctx, userID, roomID, id, func(q *store.Queries, found store.MessageForChangeRow) error {
		if err := attachable(found); err != nil {
			return err
		}
		if turn != On {
			n, err := q.RemoveReaction(ctx, store.RemoveReactionParams{RoomID: roomID, Seq: found.Seq, Emoji: emoji, UserID: userID})
			if err != nil || n > 0 || turn == Off {
				return err
			}
		}
		_, err := q.AddReaction(ctx, store.AddReactionParams{RoomID: roomID, Seq: found.Seq, Emoji: emoji, UserID: userID})
		return err
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.ConstraintName {
		case "reactions_emoji_check":
			return 0, wrong("emoji", "%q is not an emoji. A reaction is one, such as 👍.", shortened(emoji))
		case "reactions_most":
			return 0, wrong("emoji", "A message has at most 20 different reactions, and this one has them. Use one of those.")
		}
	}
	return seq, err
}

// attachable refuses what only members do, and only to what shows.
func attachable(found store.MessageForChangeRow) error {
	switch {
	case !found.Member:
		return Errorf(Forbidden, "You are not a member of this room.")
	case found.Deleted:
		return Errorf(Forbidden, "The message was deleted.")
	}
	return nil
}

// Reactions returns the reactions to a message that the user may see, with all names.
func (m *Messages) Reactions(ctx context.Context, userID, roomID, id uuid.UUID) ([]Reaction, error) {
	rows, err := m.queries.Reactions(ctx, store.ReactionsParams{UserID: userID, RoomID: roomID, ID: id})
	if err != nil {
		return nil, fmt.Errorf("read the reactions to message %s: %w", id, err)
	}
	found := []Reaction{}
	for _, row := range rows {
		i := slices.IndexFunc(found, func(r Reaction) bool { return r.Emoji == row.Emoji })
		if i < 0 {
			i, found = len(found), append(found, Reaction{Emoji: row.Emoji})
		}
		found[i].Count++
		found[i].By = append(found[i].By, row.Name)
	}
	return found, nil
}

// shortened is a text as an error names it.
func shortened(text string) string {
	if letters := []rune(text); len(letters) > 20 {
		return string(letters[:20]) + "…"
	}
	return text
}
