package postgres

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	maxNotification = 7999             // bytes that NOTIFY takes
	reference       = "event:"         // and an id: the payload of a notification that names an event in chat.events
	fetchWithin     = 10 * time.Second // for such an event to be read
	maxBehind       = 10_000           // notifications of one channel that wait for it
)

// stored returns the event that the notification names.
func stored(payload string) (id uuid.UUID, ok bool) {
	text, ok := strings.CutPrefix(payload, reference)
	if !ok {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// behind is what waits, in order, for an event that is being fetched.
type behind struct {
	payloads []string
	lost     bool // there were too many
}

// fetched is an event that was read, or could not be.
type fetched struct {
	name, payload string
	err           error
}

// dispatch takes a notification.
func (l *Layer) dispatch(name, payload string) {
	l.metrics.notifications.Inc()
	if len(l.behind) > 0 {
		if b := l.behind[name]; b != nil {
			if len(b.payloads) == maxBehind {
				b.payloads, b.lost = nil, true
			}
			b.payloads = append(b.payloads, payload)
			return
		}
	}
	l.handOut(name, payload)
}

// handOut gives the payload to the receivers, or begins to fetch the event that it names.
func (l *Layer) handOut(name, payload string) {
	if id, ok := stored(payload); !ok {
		l.deliver(name, payload)
	} else if name == l.inbox || l.groups.Wanted(name) {
		l.behind[name] = &behind{}
		l.working.Go(func() { l.fetch(name, id) })
	}
}

func (l *Layer) fetch(name string, id uuid.UUID) {
	ctx, cancel := context.WithTimeout(l.life, fetchWithin)
	defer cancel()
	payload, err := l.queries.Event(ctx, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetched = append(l.fetched, fetched{name, payload, err})
	l.wakeLocked()
}

// arrived hands out an event that was fetched, and what waited for it up to the next one that must be.
func (l *Layer) arrived(f fetched) {
	b := l.behind[f.name]
	delete(l.behind, f.name)
	if f.err == nil {
		l.deliver(f.name, f.payload)
	} else {
		l.log.Warn("a large event was lost", "channel", f.name, "error", f.err)
	}
	if f.err != nil || b.lost {
		l.groups.Missed()
	}
	for i, payload := range b.payloads {
		l.handOut(f.name, payload)
		if next := l.behind[f.name]; next != nil {
			next.payloads = b.payloads[i+1:]
			return
		}
	}
}

func (l *Layer) deliver(name, payload string) {
	if name != l.inbox {
		l.groups.ToGroup(name, payload)
		return
	}
	if sent, ok := strings.CutPrefix(payload, heartbeat); ok {
		if at, err := strconv.ParseInt(sent, 10, 64); err == nil {
			l.heard = time.Now()
			lag := time.Since(time.Unix(0, at))
			l.metrics.lag.Observe(lag.Seconds())
			l.setLag(lag)
		}
		return
	}
	var letter envelope
	if err := json.Unmarshal([]byte(payload), &letter); err == nil {
		l.groups.ToChannel(letter.Channel, letter.Payload)
	}
}
