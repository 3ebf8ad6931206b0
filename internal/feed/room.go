package feed

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	ringLength = 256     // events kept for those who come back
	ringBytes  = 1 << 20 // and at most so many bytes of them
)

// room is an open room: how far it has delivered, its latest events, and who takes them.
type room struct {
	feed *Feed
	id   uuid.UUID
	refs int // under feed.mu

	ready chan struct{} // closed when cursor is known or err is set

	mu       sync.Mutex
	err      error // why it delivers nothing more
	closed   bool
	isReady  bool
	cursor   chat.Cursor // up to which it has delivered
	target   int64       // the highest seq that it knows to exist
	filling  bool        // a goroutine reads what is between
	ring     []*Event    // contiguous, the last one ends at cursor.Seq
	bytes    int
	presence uint64 // counts changes of who is online
	subs     map[*Subscription]struct{}
}

// open listens, then reads the head.
func (r *room) open() {
	ctx, cancel := context.WithTimeout(r.feed.ctx, openWithin)
	defer cancel()
	err := r.feed.layer.GroupAdd(ctx, group(r.id), r.feed.channel)
	var head chat.Cursor
	if err == nil {
		head, err = r.readHead(ctx)
	}
	if err != nil {
		// The next one who wants the room tries anew.
		r.feed.mu.Lock()
		if r.feed.rooms[r.id] == r {
			delete(r.feed.rooms, r.id)
			r.feed.layer.GroupDiscard(group(r.id), r.feed.channel)
		}
		r.feed.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.cursor, r.isReady = err, head, true
	close(r.ready)
	r.fillLocked()
}

func (r *room) readHead(ctx context.Context) (chat.Cursor, error) {
	heads, err := r.feed.messages.Heads(ctx, r.id)
	if err != nil {
		return chat.Cursor{}, err
	}
	head, ok := heads[r.id]
	if !ok {
		return chat.Cursor{}, ErrGone
	}
	return head, nil
}

func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *room) subscribe(ctx context.Context, after chat.Cursor) (*Subscription, error) {
	r.mu.Lock()
	err, cursor := r.err, r.cursor
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if after.Seq > cursor.Seq {
		// Another instance was quicker, or the database was set back: the table tells.
		head, err := r.readHead(ctx)
		if err != nil {
			return nil, err
		}
		if after.Seq > head.Seq {
			return nil, ErrAhead
		}
		r.compare(head, true)
	}
	s := &Subscription{room: r, position: after.Seq, wake: make(chan struct{}, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs[s] = struct{}{}
	s.signal()
	return s, nil
}

func (r *room) receive(p payload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = max(r.target, p.Last)
	if !r.isReady || r.filling || r.err != nil {
		return
	}
	next := r.cursor.Seq + 1
	if p.Last < next {
		return
	}
	if p.First > next || len(p.Messages) == 0 {
		r.fillLocked()
		return
	}
	e := &Event{First: next, Last: p.Last, Cursor: chat.Cursor{Seq: p.Last, Rev: r.cursor.Rev}}
	for _, m := range p.Messages {
		if m.Seq >= next {
			e.Messages = append(e.Messages, chat.Message{
				RoomID: r.id, Seq: m.Seq, ID: m.ID, AuthorID: m.AuthorID, Author: m.Author, Body: m.Body, CreatedAt: m.CreatedAt,
			})
		}
	}
	r.deliverLocked(e)
}

// compare learns how far the table is.
func (r *room) compare(head chat.Cursor, exists bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.isReady || r.err != nil:
		return
	case !exists:
		r.failLocked(ErrGone)
	case head.Seq < r.cursor.Seq:
		r.failLocked(ErrAhead)
	default:
		r.target = max(r.target, head.Seq)
		r.fillLocked()
	}
}

func (r *room) failLocked(err error) {
	r.err = err
	for s := range r.subs {
		s.signal()
	}
}

func (r *room) presenceChanged() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.presence++
	for s := range r.subs {
		s.signal()
	}
}

// fillLocked starts to read what is missing up to target, unless that is under way.
func (r *room) fillLocked() {
	if r.filling || r.closed || r.err != nil || r.cursor.Seq >= r.target || r.feed.ctx.Err() != nil {
		return
	}
	r.filling = true
	r.feed.wg.Go(r.fill)
}

func (r *room) fill() {
	for {
		r.mu.Lock()
		if r.closed || r.err != nil || r.cursor.Seq >= r.target {
			r.filling = false
			r.mu.Unlock()
			return
		}
		first, last := r.cursor.Seq+1, min(r.target, r.cursor.Seq+pageLength)
		r.mu.Unlock()
		e, err := retry(r.feed.ctx, func() (*Event, error) { return r.read(r.feed.ctx, first, last) })
		r.mu.Lock()
		if err != nil {
			r.filling = false
			r.mu.Unlock()
			return
		}
		r.deliverLocked(e)
		r.mu.Unlock()
	}
}

// read reads a stretch of the table, once for all who want the same one at the same time.
func (r *room) read(ctx context.Context, first, last int64) (*Event, error) {
	r.mu.Lock()
	cursor := chat.Cursor{Seq: last, Rev: r.cursor.Rev}
	r.mu.Unlock()
	key := fmt.Sprintf("%s %d %d", r.id, first, last)
	result := r.feed.pages.DoChan(key, func() (any, error) {
		messages, err := r.feed.messages.Between(r.feed.ctx, r.id, first, last)
		return &Event{First: first, Last: last, Messages: messages, Cursor: cursor}, err
	})
	select {
	case got := <-result:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*Event), nil //nolint:forcetypeassert // made above
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *room) deliverLocked(e *Event) {
	r.cursor.Seq = e.Last
	r.ring = append(r.ring, e)
	r.bytes += e.bytes()
	drop := 0
	for len(r.ring)-drop > ringLength || (r.bytes > ringBytes && len(r.ring)-drop > 1) {
		r.bytes -= r.ring[drop].bytes()
		drop++
	}
	if drop > 0 {
		// A new array: the dropped events must not be held by the old one.
		r.ring = append(make([]*Event, 0, len(r.ring)), r.ring[drop:]...)
	}
	for s := range r.subs {
		s.signal()
	}
}
