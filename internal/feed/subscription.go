package feed

import (
	"context"
	"sort"
	"sync"

	"github.com/pgchat/pgchat/internal/chat"
)

const takeAtOnce = 64 // events in one Update

// Subscription is somebody's place in a room. Its methods are called by one goroutine.
type Subscription struct {
	room     *room
	position int64 // seq up to which it was handed events
	wake     chan struct{}
	once     sync.Once
}

// Update is what is new for a subscription.
type Update struct {
	Events   []*Event    // in order
	Live     bool        // nothing is waiting beyond them
	Cursor   chat.Cursor // what the subscriber has after them
	Presence uint64      // counts the changes of who is online
}

// Ready is signalled when Next has something.
func (s *Subscription) Ready() <-chan struct{} { return s.wake }

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns what comes after the subscriber's place: from memory at once, or, when it has fallen behind, a page of the
// table. Without Live there is more, and Ready is signalled. The error is [ErrAhead], [ErrGone], or a failure to read,
// after which Next may be called again.
func (s *Subscription) Next(ctx context.Context) (Update, error) {
	r := s.room
	r.mu.Lock()
	if r.err != nil {
		defer r.mu.Unlock()
		return Update{}, r.err
	}
	u := Update{Presence: r.presence}
	next := s.position + 1
	i := sort.Search(len(r.ring), func(i int) bool { return r.ring[i].Last >= next })
	switch {
	case s.position >= r.cursor.Seq:
	case i < len(r.ring) && (i > 0 || r.ring[0].First <= next):
		u.Events = append(u.Events, r.ring[i].from(next))
		u.Events = append(u.Events, r.ring[i+1:min(i+takeAtOnce, len(r.ring))]...)
	default:
		last := min(s.position+pageLength, r.cursor.Seq)
		if len(r.ring) > 0 {
			last = min(last, r.ring[0].First-1)
		}
		r.mu.Unlock()
		e, err := r.read(ctx, next, last)
		if err != nil {
			s.signal()
			return Update{}, err
		}
		u.Events = append(u.Events, e)
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if n := len(u.Events); n > 0 {
		s.position = u.Events[n-1].Last
	}
	u.Cursor = chat.Cursor{Seq: s.position, Rev: r.cursor.Rev}
	u.Live = s.position >= r.cursor.Seq
	if !u.Live {
		s.signal()
	}
	return u, nil
}

// Close ends the subscription; the last one closes the room.
func (s *Subscription) Close() {
	s.once.Do(func() {
		s.room.mu.Lock()
		delete(s.room.subs, s)
		s.room.mu.Unlock()
		s.room.feed.release(s.room)
	})
}

// Again signals Ready, for a subscriber who could not handle all of the latest Update.
func (s *Subscription) Again() { s.signal() }
