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
		r.mu.Unlock()
		r.feed.metrics.gaps.Inc()
		e, err := retry(r.feed.ctx, func() (*Event, error) { return r.readPage(r.feed.ctx, from, to, kept) })
		r.mu.Lock()
		if err != nil {
			r.filling = false
			r.mu.Unlock()
			return
		}
		if e.moves(from) == from {
			r.notSoLocked(to)
		} else if r.missed == r.compared && !r.aheadLocked(e) { // else the messages are read first, and then the changes once more
			r.deliverLocked(e)
		}
		r.mu.Unlock()
	}
}

// notSoLocked takes that the table has nothing of what the room was told to be there next: whoever may connect may NOTIFY.
func (r *room) notSoLocked(told chat.Cursor) {
	switch {
	case r.target != told: // it has been told something else since
	case r.cursor.Seq < told.Seq:
		r.target.Seq = r.cursor.Seq
	default:
		r.target.Rev = r.cursor.Rev
	}
}

// readPage reads what comes after one cursor, at most up to another and to what there is, from the table: messages first, of those that are
// kept, then changes; once for all who want the same at the same time.
func (r *room) readPage(ctx context.Context, from, to chat.Cursor, kept int64) (*Event, error) {
	key := fmt.Sprint(r.id, from, to, kept)
	result := r.feed.pages.DoChan(key, func() (any, error) {
		if from.Seq < to.Seq {
			first := max(from.Seq+1, kept) // of those before it nothing is left to be read
			e := &Event{First: from.Seq + 1, Last: min(to.Seq, first+pageLength-1)}
			var err error
			e.Messages, err = r.feed.messages.Between(r.feed.ctx, r.id, first, e.Last)
			if err == nil && int64(len(e.Messages)) <= e.Last-first {
				var head chat.Cursor
				head, err = r.headOr(to)
				e.Last = max(from.Seq, min(e.Last, head.Seq))
			}
			return e, err
		}
		e := &Event{RevFirst: from.Rev + 1, RevLast: to.Rev}
		var err error
		e.Changes, err = r.feed.messages.Changed(r.feed.ctx, r.id, from.Rev, to.Rev, pageLength)
		if len(e.Changes) == pageLength {
			e.RevLast = e.Changes[pageLength-1].Rev
		}
		if err != nil {
			return e, err
		}
		e.Lines, err = r.feed.messages.LinesSince(r.feed.ctx, r.id, from.Rev, e.RevLast, pageLength)
		if len(e.Lines) == pageLength { // what comes after them is read the next time
			e.RevLast = e.Lines[pageLength-1].Rev
			e.Changes = slices.DeleteFunc(e.Changes, func(m chat.Message) bool { return m.Rev > e.RevLast })
		}
		if err != nil {
			return e, err
		}
		head, err := r.headOr(to)
		e.RevLast = min(e.RevLast, head.Rev)
		return e, err
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

// headOr is how far the table is; as far as it is told to be where the room is gone, which others find out.
func (r *room) headOr(told chat.Cursor) (chat.Cursor, error) {
	heads, err := r.feed.messages.Heads(r.feed.ctx, r.id)
	if head, exists := heads[r.id]; exists {
		return head.Cursor, err
	}
	return told, err
}
