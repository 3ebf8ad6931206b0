package feed

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

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

	mu      sync.Mutex
	err     error // why it delivers nothing more
	closed  bool
	isReady bool
	cursor  chat.Cursor // up to which it has delivered
	target  chat.Cursor // the highest numbers that it was told of
	since   chat.Cursor // the highest of them that it was told of since a goroutine began to read what is between
	filling bool        // one does
	kept    int64       // seq of the oldest message that is kept, as far as it knows

	// While missed is beyond compared, the database may have been set back: nothing is delivered.
	missed, compared uint64 // how often notifications may have been lost, and how many of these times the table was asked after

	ring  []*Event    // its latest events, in the order of delivery
	first int64       // number of the first of them
	base  chat.Cursor // what was delivered before them
	bytes int

	presence uint64 // counts changes of who is online
	telling  bool   // a change of who is online is told soon
	typing   typists
	subs     map[*Subscription]struct{}
}

// open listens, then reads the head.
func (r *room) open() {
	ctx, cancel := context.WithTimeout(r.feed.ctx, openWithin)
	defer cancel()
	err := r.feed.layer.GroupAdd(ctx, group(r.id), r.feed.channel)
	var head chat.Head
	if err == nil {
		head, err = r.readHead(ctx)
	}
	if err != nil {
		r.feed.mu.Lock()
		r.feed.forgetLocked(r)
		r.feed.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.cursor, r.base, r.isReady = err, head.Cursor, head.Cursor, true
	r.keepsLocked(head.First)
	close(r.ready)
	if r.missed > r.compared {
		r.feed.recheck(r)
	}
	r.fillLocked()
}

func (r *room) readHead(ctx context.Context) (chat.Head, error) {
	heads, err := r.feed.messages.Heads(ctx, r.id)
	if err != nil {
		return chat.Head{}, err
	}
	head, ok := heads[r.id]
	if !ok {
		return chat.Head{}, ErrGone
	}
	return head, nil
}

func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// standing is up to where a room has delivered, and how often it has missed something.
type standing struct {
	chat.Cursor
	missed uint64
}

func (r *room) stands() standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return standing{r.cursor, r.missed}
}

func (r *room) miss() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
}

func (r *room) subscribe(ctx context.Context, after chat.Cursor, wake func()) (*Subscription, error) {
	r.mu.Lock()
	err, cursor := r.err, r.cursor
	r.mu.Unlock()
	switch {
	case errors.Is(err, ErrAhead):
		return nil, errEnded
	case err != nil:
		return nil, err
	}
	if !within(after, cursor) || after.History != "" && after.History != cursor.History {
		// Another instance was quicker, or the database was set back: the table tells.
		head, err := r.readHead(ctx)
		if err == nil {
			after, err = r.feed.Current(ctx, r.id, after, head.Cursor)
		}
		if err != nil {
			return nil, err
		}
		r.feed.compare(r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, errEnded
	}
	s := &Subscription{room: r, at: after, since: r.first + int64(len(r.ring)), wake: wake}
	if after == Now {
		s.at, s.next = r.cursor, s.since
	}
	s.at.History = r.cursor.History
	r.subs[s] = struct{}{}
	return s, nil
}

// toldLocked learns of numbers that exist, if it is true.
func (r *room) toldLocked(c chat.Cursor) {
	r.target = chat.Cursor{Seq: max(r.target.Seq, c.Seq), Rev: max(r.target.Rev, c.Rev)}
	r.since = chat.Cursor{Seq: max(r.since.Seq, c.Seq), Rev: max(r.since.Rev, c.Rev)}
}

func (r *room) receive(p payload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.toldLocked(chat.Cursor{Seq: p.Last, Rev: p.RevLast})
	if !r.isReady || r.filling || r.err != nil || r.missed > r.compared {
		return
	}
	if next := r.cursor.Seq + 1; p.Last >= next {
		if p.First > next || len(p.Messages) == 0 {
			r.fillLocked()
			return
		}
		r.deliverLocked((&Event{First: p.First, Last: p.Last, Messages: r.messages(p.Messages)}).beyond(r.cursor))
	}
	if next := r.cursor.Rev + 1; p.RevLast >= next {
		if p.RevFirst > next || len(p.Changes) == 0 {
			r.fillLocked()
			return
		}
		e := &Event{RevFirst: p.RevFirst, RevLast: p.RevLast, Changes: r.messages(p.Changes)}
		if r.aheadLocked(e) {
			r.fillLocked()
			return
		}
		r.deliverLocked(e)
	}
}

// keeps learns that the room's older messages were removed.
func (r *room) keeps(first int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepsLocked(first)
}

// keepsLocked has the ring hand out nothing of what is no longer kept.
func (r *room) keepsLocked(first int64) {
	if first <= r.kept {
		return
	}
	r.kept = first
	for i, e := range r.ring {
		r.ring[i] = e.since(first)
		r.bytes += r.ring[i].bytes() - e.bytes()
	}
	r.wakeLocked()
}

// signal hands on what was sent to the room.
func (r *room) signal(event json.RawMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isReady && r.err == nil {
		r.deliverLocked(&Event{Signal: event})
	}
}

// aheadLocked reports whether the event changes messages, or follows some, that were not delivered yet, because the notification of them was
// lost or is still under way; they are wanted first.
func (r *room) aheadLocked(e *Event) bool {
	for _, m := range e.Changes {
		r.toldLocked(chat.Cursor{Seq: m.Seq})
	}
	for _, l := range e.Lines {
		r.toldLocked(chat.Cursor{Seq: l.After})
	}
	return len(e.Changes)+len(e.Lines) > 0 && r.target.Seq > r.cursor.Seq
}

func (r *room) messages(carried []payloadMessage) []chat.Message {
	messages := make([]chat.Message, len(carried))
	for i, m := range carried {
		messages[i] = chat.Message{
			RoomID: r.id, Seq: m.Seq, ID: m.ID, AuthorID: m.AuthorID, Author: m.Author, Body: m.Body, CreatedAt: m.CreatedAt,
			Rev: m.Rev, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt, Extra: m.Extra,
		}
	}
	return messages
}

// compare learns how far the table is. before is what the room had delivered when the table was asked: meanwhile it may
// have come further than the answer. Up to holds the table has what the room has. It reports false when the room ends.
func (r *room) compare(before standing, head chat.Head, holds chat.Cursor, exists bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
	case !r.isReady:
		// What it read may be older: it fills up to here when it is ready.
		r.toldLocked(head.Cursor)
	case !exists:
		r.failLocked(ErrGone)
	case !within(before.Cursor, holds):
		r.failLocked(ErrAhead)
	default:
		r.compared = max(r.compared, before.missed)
		r.keepsLocked(head.First)
		if r.cursor.History != head.History {
			r.cursor.History = head.History
			r.wakeLocked()
		}
		r.toldLocked(head.Cursor)
		r.fillLocked()
	}
	return r.err == nil
}

func (r *room) failLocked(err error) {
	r.feed.metrics.failures.Inc()
	r.err = err
	r.wakeLocked()
}

func (r *room) wakeLocked() {
	for s := range r.subs {
		s.wake()
	}
}

// presenceChanged tells the subscribers, at once in a small room; where many listen, and each would be told of each, what
// changes within a moment is told together.
func (r *room) presenceChanged() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.presence++
	var wait time.Duration
	switch n := len(r.subs); {
	case n >= 500:
		wait = 2 * time.Second
	case n >= 50:
		wait = 250 * time.Millisecond
	default:
		r.wakeLocked()
		return
	}
	if r.telling {
		return
	}
	r.telling = true
	time.AfterFunc(wait, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.telling = false
		r.wakeLocked()
	})
}

func (r *room) deliverLocked(e *Event) {
	r.feed.metrics.events.Inc()
	if len(r.typing.until) > 0 {
		r.typing.ended(e.Messages)
	}
	e = e.since(r.kept) // it may have been read before they were removed
	r.cursor = e.moves(r.cursor)
	e.after = r.cursor
	r.ring = append(r.ring, e)
	r.bytes += e.bytes()
	drop := 0
	for len(r.ring)-drop > ringLength || (r.bytes > ringBytes && len(r.ring)-drop > 1) {
		r.bytes -= r.ring[drop].bytes()
		r.base = r.ring[drop].after
		drop++
	}
	if drop > 0 {
		// A new array: the dropped events must not be held by the old one.
		r.ring = append(make([]*Event, 0, ringLength+64), r.ring[drop:]...)
		r.first += int64(drop)
	}
	r.wakeLocked()
}
