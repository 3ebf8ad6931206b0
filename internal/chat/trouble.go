package chat

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	probeEvery  = 250 * time.Millisecond // while nothing can be stored
	probeWithin = 2 * time.Second
	fullFor     = 15 * time.Second // after its last refusal a full disk is thought to have room again
)

// trouble is why nothing can be stored.
type trouble struct {
	err   *Error
	probe bool // posts are refused until a probe succeeds; else each is tried, and is its own probe
	since time.Time
}

// Ready returns nil while posts can be stored, as far as the writer knows, else why they cannot.
func (w *Writer) Ready() error {
	t := w.trouble.Load()
	if t == nil || !t.probe && time.Since(t.since) > fullFor {
		return nil
	}
	return t.err
}

// probe finds out whether posts can be stored again: whether the database can be reached, takes writes, and sends
// notifications. A queue of notifications that was full remains full until it is asked how full it is, even when nobody
// holds it back any more; the probe does.
func (w *Writer) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	err := w.queries.AdvanceNotifications(ctx)
	if err == nil {
		err = w.queries.ProbeWriting(ctx)
	}
	if isReadOnly(err) {
		// The next connection may find the server that takes writes now.
		w.pool.Reset()
	}
	switch t := troubleOf(err); {
	case err == nil:
		w.trouble.Store(nil)
	case t != nil:
		w.trouble.Store(t)
	}
}

func isReadOnly(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "25006"
}

// troubleOf returns what a failure says of all posts; nil where another one may be stored.
func troubleOf(err error) *trouble {
	if err == nil {
		return nil
	}
	t := func(probe bool, message string) *trouble {
		return &trouble{&Error{Code: Unavailable, Message: message}, probe, time.Now()}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "25006":
			return t(true, "The message was not stored: the database is read-only. Keep it and send it again when the database takes writes.")
		case "53100":
			// Whether there is room only a message can tell.
			return t(false, "The message was not stored: the database's disk is full. Keep it and send it again when there is room.")
		case "54000":
			return t(true, "The message was not stored: the database's queue of notifications is full. Send it again in a moment.")
		}
	}
	if passing(err) {
		return t(true, "The message could not be stored: the database cannot be reached. Send it again in a moment.")
	}
	return nil
}

// passing tells failures of the connection or of a server that starts, stops or is overloaded, after which the same
// statement may succeed in a moment, from refusals that would be repeated.
func passing(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	switch pg.Code[:2] {
	case "08", "40", "57": // connection, rolled back (deadlock), operator intervention
		return true
	}
	return pg.Code == "53300" // too many connections
}
