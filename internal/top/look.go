package top

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Look is what the database said at one time.
type Look struct {
	At             time.Time    `json:"at"`
	Database       string       `json:"database"`
	Server         string       `json:"postgresql"` // its version
	Queue          Queue        `json:"notify_queue"`
	Connections    int          `json:"connections"` // sessions of the database
	MaxConnections int          `json:"max_connections"`
	Active         int          `json:"active"`              // sessions that execute a statement, this one among them
	Listeners      int          `json:"listeners"`           // sessions that pgchat listens on
	Online         int          `json:"online"`              // people
	Transaction    *Transaction `json:"longest_transaction"` // nil: none
	Instances      []Instance   `json:"instances"`           // by name
	Rooms          []Room       `json:"rooms"`
	Opened         *Opened      `json:"-"` // the room that is looked at; nil: none
}

// Queue is PostgreSQL's queue of notifications, as chat.notify_queue has it.
type Queue struct {
	UsedPercent float64 `json:"used_percent"`
	PID         int     `json:"pid,omitempty"` // of the session that most probably holds it back; 0: none
	Application string  `json:"application,omitempty"`
	Seconds     float64 `json:"seconds,omitempty"` // that session's transaction takes
}

// Transaction is the oldest one of the database.
type Transaction struct {
	PID         int     `json:"pid"`
	User        string  `json:"user"`
	Application string  `json:"application"`
	State       string  `json:"state"`
	Seconds     float64 `json:"seconds"`
}

// Instance is a server, by its latest heartbeat.
type Instance struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Alive       bool     `json:"alive"`
	Up          float64  `json:"up"`          // seconds since it started
	Heartbeat   float64  `json:"heartbeat"`   // seconds since its latest one
	Connections int      `json:"connections"` // open ones
	Rooms       int      `json:"rooms"`       // that are open there
	Listener    string   `json:"listener"`    // "hears", "polls" or "lost"; "": not told yet
	Lag         *float64 `json:"lag"`         // seconds that a notification takes to reach it; nil: none was timed
	Waiting     int      `json:"waiting"`     // messages that wait to be stored
}

// Room is a room and how far it has come.
type Room struct {
	ID       uuid.UUID  `json:"id"`
	Name     string     `json:"room"` // its slug; of a direct conversation its people
	Kind     string     `json:"kind"`
	Seq      int64      `json:"seq"`
	Rev      int64      `json:"rev"`
	Online   int        `json:"online"`
	Last     *time.Time `json:"last,omitempty"`      // when its newest message was stored; nil: there is none, or it was not asked for
	Messages float64    `json:"messages_per_second"` // as [Model] has it
	Changes  float64    `json:"changes_per_second"`
}

// Opened is what one room is looked at for.
type Opened struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"`
	Topic    string    `json:"topic"`
	Archived bool      `json:"archived"`
	Members  int       `json:"members"`
	People   []string  `json:"people"` // who are there, the first 100
	Said     []Said    `json:"said"`   // the newest messages, in order
}

// Said is a message.
type Said struct {
	Seq    int64     `json:"seq"`
	Author string    `json:"author"`
	Body   *string   `json:"body"` // how it begins; nil: it was deleted
	At     time.Time `json:"at"`
}

// Source looks.
type Source struct{ queries *store.Queries }

// NewSource asks through pool.
func NewSource(pool *pgxpool.Pool) *Source { return &Source{store.New(pool)} }

const lookWithin = 10 * time.Second

// Look asks, in one statement. Of the rooms shown it tells when something was said last; opened, which may be nil, it looks into.
func (s *Source) Look(ctx context.Context, shown []uuid.UUID, opened *uuid.UUID) (Look, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	row, err := s.queries.Overview(ctx, store.OverviewParams{Shown: shown, Opened: opened})
	if err != nil {
		return Look{}, fmt.Errorf("look at the chat: %w", err)
	}
	l := Look{
		At: row.At, Database: row.Database, Server: row.Server, Connections: int(row.Connections),
		MaxConnections: int(row.MaxConnections), Active: int(row.Active), Listeners: int(row.Listeners), Online: int(row.Online),
	}
	for _, part := range []struct {
		text []byte
		to   any
	}{{row.Queue, &l.Queue}, {row.Transaction, &l.Transaction}, {row.Instances, &l.Instances}, {row.Rooms, &l.Rooms}, {row.Opened, &l.Opened}} {
		if err := json.Unmarshal(part.text, part.to); err != nil {
			return Look{}, fmt.Errorf("look at the chat: %w", err)
		}
	}
	return l, nil
}
