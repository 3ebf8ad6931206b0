package feed

import (
	"context"
	"sync"

	"github.com/pgchat/pgchat/internal/chat"
)

const takeAtOnce = 64 // events in one Update

// Subscription is somebody's place in a room. Next and Close are called by one goroutine at a time.
type Subscription struct {
	room  *room
	at    chat.Cursor // what it was handed
	next  int64       // the number of the room's event that comes next
	since int64       // the number of the first event after it began
	wake  func()
	once  sync.Once
}

// Update is what is new for a subscription.
type Update struct {
	Events   []*Event    // in order
	Live     bool        // nothing is waiting beyond them
	Cursor   chat.Cursor // what the subscriber has after them
	Presence uint64      // counts the changes of who is online
	Typing   *Typing     // nil: nobody
	Kept     int64       // seq of the room's oldest message that is kept; what came before it is to be dropped, before the events are taken
}

// Next returns what comes after the subscriber's place: from memory at once, or, when it has fallen behind, a page of the
// table. Without Live there is more: call it again. The error is [ErrAhead], [ErrGone], or a failure to read, after
// which Next may be called again.
func (s *Subscription) Next(ctx context.Context) (Update, error) {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return Update{}, r.err
	}
	u := Update{Presence: r.presence, Typing: r.typing.told, Kept: r.kept}
	if behind := r.base; s.at.Seq < behind.Seq || s.at.Rev < behind.Rev {
		r.mu.Unlock()
		r.feed.metrics.catchUps.Inc()
		e, err := r.readPage(ctx, s.at, behind, u.Kept)
		r.mu.Lock()
		if err != nil {
			return Update{}, err
		}
		u.Events, s.at = append(u.Events, e), e.moves(s.at)
	} else {
		i := int(max(0, s.next-r.first))
		for ; i < len(r.ring) && len(u.Events) < takeAtOnce; i++ {
			if r.ring[i].Signal != nil && r.first+int64(i) < s.since {
				continue // it was for who was there
			}
			if e := r.ring[i].beyond(s.at); e != nil {
				u.Events, s.at = append(u.Events, e), e.moves(s.at)
			}
		}
		s.next = r.first + int64(i)
	}
	s.at.History = r.cursor.History
	u.Cursor = s.at
	u.Live = s.at.Seq >= r.cursor.Seq && s.at.Rev >= r.cursor.Rev
	return u, nil
}

// Cursor returns what the subscriber was handed. Like Next it is called by one goroutine at a time.
func (s *Subscription) Cursor() chat.Cursor { return s.at }

// Close ends the subscription; the last one closes the room.
func (s *Subscription) Close() {
	s.once.Do(func() {
		s.room.mu.Lock()
		delete(s.room.subs, s)
		s.room.mu.Unlock()
		s.room.feed.release(s.room)
	})
}
