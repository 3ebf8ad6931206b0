package chat

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Announcement is a notice to everybody.
type Announcement struct {
	ID    uuid.UUID
	Text  string
	At    time.Time // since when
	Until time.Time // Forever: until it is withdrawn
}

// Equal reports whether both are the same.
func (a Announcement) Equal(b Announcement) bool {
	return a.ID == b.ID && a.Text == b.Text && a.At.Equal(b.At) && a.Until.Equal(b.Until)
}

// Announcements are the notices to everybody. They are rows that DBAs write.
type Announcements struct{ queries *store.Queries }

// NewAnnouncements reads them through pool.
func NewAnnouncements(pool *pgxpool.Pool) *Announcements {
	return &Announcements{queries: store.New(pool)}
}

// Current returns what is announced at the moment, the oldest first, and after how long the next of it ends, by the database's clock; 0: none
// does.
func (a *Announcements) Current(ctx context.Context) (list []Announcement, next time.Duration, err error) {
	rows, err := a.queries.Announcements(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read what is announced: %w", err)
	}
	for _, r := range rows {
		list = append(list, Announcement{ID: r.ID, Text: r.Text, At: r.CreatedAt, Until: r.Until})
		left := time.Duration(r.SecondsLeft*float64(time.Second)) + time.Millisecond
		if r.Until.Before(Forever()) && (next == 0 || left < next) {
			next = left
		}
	}
	return list, next, nil
}
