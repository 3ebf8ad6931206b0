package feed

import (
	"context"
	"fmt"
	"slices"

	"github.com/pgchat/pgchat/internal/chat"
)

// fillLocked starts to read what is missing up to target, unless that is under way.
func (r *room) fillLocked() {
	if r.filling || r.closed || r.err != nil || r.missed > r.compared || !r.lacksLocked() || r.feed.ctx.Err() != nil {
		return
	}
	r.filling = true
	r.feed.wg.Go(r.fill)
}

func (r *room) lacksLocked() bool { return r.cursor.Seq < r.target.Seq || r.cursor.Rev < r.target.Rev }

func (r *room) fill() {
	for {
		r.mu.Lock()
		if r.closed || r.err != nil || r.missed > r.compared || !r.lacksLocked() {
			r.filling = false
			r.mu.Unlock()
			return
		}
		from, to, kept := r.cursor, r.target, r.kept
		r.since = chat.Cursor{}
		r.mu.Unlock()
		r.feed.metrics.gaps.Inc()
		e, err := retry(r.feed.ctx, func() (*Event, error) { return r.readPage(r.feed.ctx, from, to, kept) })
		r.mu.Lock()
		if err != nil {
			r.filling = false
			r.mu.Unlock()
			return
		}
		switch {
		case e.moves(from) != from:
			if r.missed == r.compared && !r.aheadLocked(e) { // else the messages are read first, and then the changes once more
				r.deliverLocked(e)
			}
		// The table has nothing of what the room was told to be there next: whoever may connect may NOTIFY. What it was told meanwhile may
		// have come after it was read.
		case from.Seq < to.Seq:
			r.target.Seq = r.since.Seq
		default:
			r.target.Rev = r.since.Rev
		}
		r.mu.Unlock()
	}
}

// readPage reads what comes after one cursor, at most up to another and to what there is, from the table: messages first, of those that are
// kept, then changes; once for all who want the same at the same time.
func (r *room) readPage(ctx context.Context, from, to chat.Cursor, kept int64) (*Event, error) {
	key := fmt.Sprint(r.id, from, to, kept)
	result := r.feed.pages.DoChan(key, func() (any, error) {
		if from.Seq < to.Seq {
			return r.readMessages(from.Seq, to, kept)
		}
		return r.readChanges(from.Rev, to)
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

func (r *room) readMessages(after int64, to chat.Cursor, kept int64) (*Event, error) {
	first := max(after+1, kept) // of those before it nothing is left to be read
	e := &Event{First: after + 1, Last: min(to.Seq, first+pageLength-1)}
	var err error
	if e.Messages, err = r.feed.messages.Between(r.feed.ctx, r.id, first, e.Last); err != nil {
		return nil, err
	}
	if n := len(e.Messages); n > 0 && e.Messages[n-1].Seq == e.Last {
		return e, nil
	}
	// The room ends before: only what is there when its end has been read is surely up to it.
	head, err := r.headOr(to)
	if err != nil {
		return nil, err
	}
	e.Last = max(after, min(e.Last, head.Seq))
	e.Messages, err = r.feed.messages.Between(r.feed.ctx, r.id, first, e.Last)
	return e, err
}

func (r *room) readChanges(after int64, to chat.Cursor) (*Event, error) {
	head, err := r.headOr(to) // before what is up to it
	if err != nil {
		return nil, err
	}
	e := &Event{RevFirst: after + 1, RevLast: max(after, min(to.Rev, head.Rev))}
	if e.Changes, err = r.feed.messages.Changed(r.feed.ctx, r.id, after, e.RevLast, pageLength); err != nil {
		return nil, err
	}
	if len(e.Changes) == pageLength {
		e.RevLast = e.Changes[pageLength-1].Rev
	}
	if e.Lines, err = r.feed.messages.LinesSince(r.feed.ctx, r.id, after, e.RevLast, pageLength); err != nil {
		return nil, err
	}
	if len(e.Lines) == pageLength { // what comes after them is read the next time
		e.RevLast = e.Lines[pageLength-1].Rev
		e.Changes = slices.DeleteFunc(e.Changes, func(m chat.Message) bool { return m.Rev > e.RevLast })
	}
	return e, nil
}

// headOr is how far the table is; as far as it is told to be where the room is gone, which others find out.
func (r *room) headOr(told chat.Cursor) (chat.Cursor, error) {
	heads, err := r.feed.messages.Heads(r.feed.ctx, r.id)
	if head, exists := heads[r.id]; exists {
		return head.Cursor, err
	}
	return told, err
}
