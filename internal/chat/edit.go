package chat

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/store"
)

// Edit gives a message of the user's own another body and returns its seq. The error may be an [Error] of code NotFound,
// Forbidden, or Invalid about the field "body".
func (m *Messages) Edit(ctx context.Context, userID, roomID, id uuid.UUID, body string) (int64, error) {
	body, err := CheckBody(body)
	if err != nil {
		return 0, err
	}
	return m.change(ctx, userID, roomID, id, func(q *store.Queries, found store.MessageForChangeRow) error {
		switch {
		case found.AuthorID != userID:
			return Errorf(Forbidden, "Only who has written a message can edit it.")
		case found.Deleted:
			return Errorf(Forbidden, "The message was deleted. Bring it back before you edit it.")
		}
		return q.SetMessageBody(ctx, store.SetMessageBodyParams{RoomID: roomID, Seq: found.Seq, Body: body, UserID: userID})
	})
}

// Delete removes a message from sight, or with deleted false brings it back: one's own, or as an owner of the room or an
// administrator that of others. What those have removed its author cannot bring back. The error is as Edit's.
func (m *Messages) Delete(ctx context.Context, userID, roomID, id uuid.UUID, deleted bool) (int64, error) {
	return m.change(ctx, userID, roomID, id, func(q *store.Queries, found store.MessageForChangeRow) error {
		switch {
		case found.AuthorID != userID && !found.Moderates:
			return Errorf(Forbidden, "Only who has written a message, the room's owners and administrators can delete it.")
		case !deleted && found.Erased:
			return Errorf(Forbidden, "The message was erased: nothing of it is left to be brought back.")
		case !deleted && found.Deleted && !found.DeletedByUser && !found.Moderates:
			return Errorf(Forbidden, "The message was removed by an owner of the room or an administrator: you cannot bring it back.")
		case found.Deleted == deleted:
			return nil
		}
		return q.SetMessageDeleted(ctx, store.SetMessageDeletedParams{RoomID: roomID, Seq: found.Seq, Deleted: deleted, UserID: userID})
	})
}

// change locks the message, judges whether the user may change anything in its room, and lets apply do it.
func (m *Messages) change(ctx context.Context, userID, roomID, id uuid.UUID, apply func(*store.Queries, store.MessageForChangeRow) error) (seq int64, err error) {
	err = briefly(ctx, m.pool, func(q *store.Queries) error {
		found, err := q.MessageForChange(ctx, store.MessageForChangeParams{UserID: &userID, RoomID: roomID, ID: id})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return Errorf(NotFound, "There is no such message.")
		case err != nil:
			return fmt.Errorf("find message %s: %w", id, err)
		case found.Banned:
			return refusalOf(ctx, m.queries, userID, &roomID)
		case !found.Member && !found.Moderates:
			return Errorf(Forbidden, "You are not a member of this room.")
		case found.Archived:
			return Errorf(Forbidden, "This room is archived: nothing in it can be changed.")
		}
		seq = found.Seq
		return apply(q, found)
	})
	if err != nil && !errors.As(err, new(*Error)) {
		err = fmt.Errorf("change message %s: %w", id, err)
	}
	return seq, err
}
