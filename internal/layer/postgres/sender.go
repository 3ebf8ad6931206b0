package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/store"
)

const (
	batchLength = 500     // notifications in one statement
	batchBytes  = 4 << 20 // after which no further one joins them
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
	var held *note
	for {
		batch, bytes := make([]note, 0, 8), 0
		if held != nil {
			batch, held = append(batch, *held), nil
		} else {
			select {
			case n := <-l.outbox:
				batch = append(batch, n)
			case <-ctx.Done():
				return
			}
		}
		// PostgreSQL sends what is said twice in one transaction once, so the second waits for the next.
		seen := map[[2]string]bool{{batch[0].name, batch[0].payload}: true}
	collect:
		for bytes = len(batch[0].payload); len(batch) < batchLength && bytes < batchBytes; {
			select {
			case n := <-l.outbox:
				said := [2]string{n.name, n.payload}
				if seen[said] {
					held = &n
					break collect
				}
				seen[said] = true
				batch, bytes = append(batch, n), bytes+len(n.payload)
			default:
				break collect
			}
		}
		l.metrics.batch.Observe(float64(len(batch)))
		err := l.queries.Notify(ctx, notification(batch))
		for _, n := range batch {
			n.sent <- err
		}
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
