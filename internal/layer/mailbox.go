package layer

import (
	"context"
	"sync"
	"time"
)

// Event is what [Mailbox.Next] returns.
type Event struct {
	Group   string // "": it was sent to the channel itself
	Payload string
	// Missed says that events before this one may have been lost: on the way, because the mailbox was full, or because
	// they had expired. An event that says so alone has neither group nor payload.
	Missed bool
}

// Mailbox is a [Receiver] with a queue, for who takes events in a goroutine of its own. It holds at most capacity events:
// when it is full the oldest is dropped. An event that was not taken within its expiry is not handed out.
type Mailbox struct {
	expiry time.Duration
	filled chan struct{} // has an element while there may be something

	mu      sync.Mutex
	ring    []letter
	first   int // in ring
	length  int
	missed  bool
	dropped uint64
}

type letter struct {
	group, payload string
	arrived        time.Time
}

// NewMailbox makes a mailbox; capacity is at least 1, and with an expiry of 0 events do not expire.
func NewMailbox(capacity int, expiry time.Duration) *Mailbox {
	return &Mailbox{expiry: expiry, ring: make([]letter, max(1, capacity)), filled: make(chan struct{}, 1)}
}

// Receive implements [Receiver].
func (m *Mailbox) Receive(group, payload string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.length == len(m.ring) {
		m.dropLocked()
	}
	m.ring[(m.first+m.length)%len(m.ring)] = letter{group, payload, time.Now()}
	m.length++
	m.tell()
}

// Missed implements [Receiver].
func (m *Mailbox) Missed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.missed = true
	m.tell()
}

// Next waits for the next event; it is called by one goroutine at a time. The error is ctx's.
func (m *Mailbox) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok := m.take(); ok {
			return e, nil
		}
		select {
		case <-m.filled:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Dropped returns how many events were dropped or had expired.
func (m *Mailbox) Dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

func (m *Mailbox) take() (Event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.expiry > 0 && m.length > 0 && time.Since(m.ring[m.first].arrived) >= m.expiry {
		m.dropLocked()
	}
	e := Event{Missed: m.missed}
	m.missed = false
	if m.length > 0 {
		l := m.removeLocked()
		e.Group, e.Payload = l.group, l.payload
		return e, true
	}
	return e, e.Missed
}

func (m *Mailbox) dropLocked() {
	m.removeLocked()
	m.dropped++
	m.missed = true
}

func (m *Mailbox) removeLocked() letter {
	l := m.ring[m.first]
	m.ring[m.first] = letter{} // its payload is not held any longer
	m.first = (m.first + 1) % len(m.ring)
	m.length--
	return l
}

func (m *Mailbox) tell() {
	select {
	case m.filled <- struct{}{}:
	default:
	}
}
