package chat

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Reads keeps how far users have read, of what there is to read.
type Reads struct{ queries *store.Queries }

// NewReads keeps it through pool.
func NewReads(pool *pgxpool.Pool) *Reads { return &Reads{queries: store.New(pool)} }

// Mark is that a user has read a room up to a message.
type Mark struct {
	RoomID, UserID uuid.UUID
	Seq            int64 // 0: nothing is read
	Back           bool  // also where they had read further: what comes after is unread again
}

// Membership is a room as one of its members has it.
type Membership struct {
	UserID, RoomID uuid.UUID
	Slug           string  // the room's
	Stamp          int32   // as Room.Stamp
	Last           int64   // seq of the room's newest message
	Read           int64   // seq up to which the member has read
	Mentions       []int64 // the first 100 messages beyond that address them, by seq
}

// Of returns the memberships of the users.
func (r *Reads) Of(ctx context.Context, userIDs []uuid.UUID) ([]Membership, error) {
	rows, err := r.queries.MembershipsOf(ctx, userIDs)
	if err != nil {
		return nil, fmt.Errorf("read the memberships of %d users: %w", len(userIDs), err)
	}
	found := make([]Membership, 0, len(rows))
	for _, row := range rows {
		found = append(found, Membership{UserID: row.UserID, RoomID: row.RoomID, Slug: row.Slug, Stamp: row.Stamp, Last: row.LastSeq, Read: row.LastReadSeq, Mentions: row.Mentions})
	}
	return found, nil
}

// Mark stores how far the users have read, in one statement. No two marks are of the same user in the same room. Who is not a
// member, or has read further, keeps what they have; nobody has read more than there is.
func (r *Reads) Mark(ctx context.Context, marks []Mark) error {
	var arg store.MarkReadParams
	for _, m := range marks {
		arg.RoomIds, arg.UserIds = append(arg.RoomIds, m.RoomID), append(arg.UserIds, m.UserID)
		arg.Seqs, arg.Back = append(arg.Seqs, m.Seq), append(arg.Back, m.Back)
	}
	if err := r.queries.MarkRead(ctx, arg); err != nil {
		return fmt.Errorf("store how far %d users have read: %w", len(marks), err)
	}
	return nil
}

// TellMoved tells all instances how far the rooms have come. At most 100 fit into a notification; of more it says "many".
func (r *Reads) TellMoved(ctx context.Context, roomIDs []uuid.UUID) error {
	if err := r.queries.TellMoved(ctx, roomIDs); err != nil {
		return fmt.Errorf("tell how far %d rooms have come: %w", len(roomIDs), err)
	}
	return nil
}
