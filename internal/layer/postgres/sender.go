package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/store"
)

const (
	batchLength = 500     // notifications in one statement
	batchBytes  = 4 << 20 // after which no further one joins them
	sendWithin  = 10 * time.Second
)

// note is a notification on its way out.
type note struct {
	name, payload string
	sent          chan error
}

// notify hands the notification to the sender and returns when it is committed.
func (l *Layer) notify(ctx context.Context, name, payload string) error {
	l.mu.Lock()
	running := l.isStarted
	l.mu.Unlock()
	if !running {
		return layer.ErrStopped
	}
	n := note{name, payload, make(chan error, 1)}
	select {
	case l.outbox <- n:
	case <-l.done:
		return layer.ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("notify %s: %w", name, ctx.Err())
	}
	select {
	case err := <-n.sent:
		if err != nil {
			err = fmt.Errorf("notify %s: %w", name, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("notify %s: %w", name, ctx.Err())
	}
}

// send commits what there is to send: while one statement is under way those who want to send wait, in order, and then
// leave together.
func (l *Layer) send(ctx context.Context) {
	var next *note // taken already
	for {
		if next == nil {
			select {
			case n := <-l.outbox:
				next = &n
			case <-ctx.Done():
				return
			}
		}
		var batch []note
		batch, next = l.collect(*next)
		err := l.commit(ctx, batch)
		for _, n := range batch {
			n.sent <- err
		}
	}
}

// collect takes what waits. PostgreSQL sends what is said twice in one transaction once, so the second ends the batch and is
// returned for the next one.
func (l *Layer) collect(first note) (batch []note, next *note) {
	batch = append(batch, first)
	seen := map[[2]string]bool{{first.name, first.payload}: true}
	for bytes := len(first.payload); len(batch) < batchLength && bytes < batchBytes; {
		select {
		case n := <-l.outbox:
			said := [2]string{n.name, n.payload}
			if seen[said] {
				return batch, &n
			}
			seen[said] = true
			batch, bytes = append(batch, n), bytes+len(n.payload)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

func (l *Layer) commit(ctx context.Context, batch []note) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	l.metrics.batch.Observe(float64(len(batch)))
	err := l.queries.Notify(ctx, notification(batch))
	l.free(ctx, err)
	return err
}

// free lets a full queue of notifications be used again, where that is why something was not sent: it remains full, even when
// nobody holds it back any more, until it is asked how full it is. The next try tells.
func (l *Layer) free(ctx context.Context, why error) {
	var refused *pgconn.PgError
	if errors.As(why, &refused) && refused.Code == "54000" {
		_ = l.queries.AdvanceNotifications(ctx)
	}
}

// notification makes one statement of the notes. Those that no notification holds are stored as events.
func notification(notes []note) store.NotifyParams {
	p := store.NotifyParams{
		Channels: make([]string, len(notes)), Payloads: make([]string, len(notes)),
		EventIds: []uuid.UUID{}, EventPayloads: []string{},
	}
	for i, n := range notes {
		p.Channels[i], p.Payloads[i] = n.name, n.payload
		if _, looksStored := stored(n.payload); looksStored || len(n.payload) > maxNotification {
			id := uuid.New()
			p.Payloads[i] = reference + id.String()
			p.EventIds, p.EventPayloads = append(p.EventIds, id), append(p.EventPayloads, n.payload)
		}
	}
	return p
}
