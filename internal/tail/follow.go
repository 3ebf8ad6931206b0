package tail

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

// followed is a room that is followed.
type followed struct {
	chat.Room
	sub      *feed.Subscription
	cursor   chat.Cursor // of what was handed out
	kept     int64       // seq from which on the room keeps messages, as was handed out
	people   []string    // who were online; nil: not looked at yet
	presence uint64
}

// take hands out what is new in a room.
func (t *Tail) take(ctx context.Context, r *followed, hand func([]Item) error) error {
	u, err := r.sub.Next(ctx)
	switch {
	case errors.Is(err, feed.ErrGone):
		return t.leave(r, Gone, hand)
	case errors.Is(err, feed.ErrAhead):
		return t.restart(ctx, r, hand)
	case err != nil:
		t.tryAgain(ctx, r, err)
		return nil
	}
	items, hidden := t.items(r, u.Events)
	if u.Kept > r.kept {
		r.kept = u.Kept
		items = append([]Item{{Room: r.Room, Cursor: r.cursor, First: u.Kept}}, items...)
	}
	if len(items) > 0 {
		if err := hand(items); err != nil {
			return err
		}
	}
	r.cursor = u.Cursor
	if hidden {
		t.passed[r.ID] = true
		return t.leave(r, Hidden, hand)
	}
	if !u.Live {
		t.wake(r.ID)
		return nil
	}
	if t.options.Online && (r.people == nil || r.presence != u.Presence) {
		return t.lookWho(ctx, r, u.Presence, hand)
	}
	return nil
}

// items makes of events what is handed out; hidden: the room has become one that is not wanted.
func (t *Tail) items(r *followed, events []*feed.Event) (items []Item, hidden bool) {
	at := r.cursor
	for _, e := range events {
		for _, m := range e.Messages {
			at.Seq = m.Seq
			t.known.know(m)
			items = append(items, Item{Room: r.Room, Cursor: at, Message: &m})
		}
		changes, lines := e.Changes, e.Lines
		for len(changes)+len(lines) > 0 {
			if len(lines) == 0 || len(changes) > 0 && changes[0].Rev < lines[0].Rev {
				m := changes[0]
				changes = changes[1:]
				if m.Rev <= at.Rev { // events of changes overlap
					continue
				}
				at.Rev = m.Rev
				if what, news := t.known.changed(m); news {
					items = append(items, Item{Room: r.Room, Cursor: at, Message: &m, Changed: true, Changes: what})
				}
				continue
			}
			l := lines[0]
			lines = lines[1:]
			if l.Rev <= at.Rev {
				continue
			}
			at.Rev = l.Rev
			items = append(items, Item{Room: r.Room, Cursor: at, Line: &l})
			if l.Kind == "private" && len(t.options.Rooms) == 0 && !t.options.All {
				return items, true
			}
		}
		at.Seq, at.Rev = max(at.Seq, e.Last), max(at.Rev, e.RevLast)
	}
	return items, false
}

// leave follows the room no longer.
func (t *Tail) leave(r *followed, why End, hand func([]Item) error) error {
	r.sub.Close()
	delete(t.rooms, r.ID)
	return hand([]Item{{Room: r.Room, Cursor: r.cursor, End: why}})
}

// restart follows a room that was set back from where it now is.
func (t *Tail) restart(ctx context.Context, r *followed, hand func([]Item) error) error {
	r.sub.Close()
	sub, err := t.Feed.Subscribe(ctx, r.ID, feed.Now, func() { t.wake(r.ID) })
	switch {
	case errors.Is(err, feed.ErrGone):
		return t.leave(r, Gone, hand)
	case err != nil:
		t.tryAgain(ctx, r, err)
		return nil
	}
	r.sub, r.cursor, r.people = sub, sub.Cursor(), nil
	t.wake(r.ID)
	return hand([]Item{{Room: r.Room, Cursor: r.cursor, End: SetBack}})
}

// tryAgain has what could not be read read in a moment.
func (t *Tail) tryAgain(ctx context.Context, r *followed, why error) {
	if ctx.Err() == nil {
		t.Log.Warn("a room cannot be read and is tried again", "room", r.Slug, "error", why)
		time.AfterFunc(retryAfter, func() { t.wake(r.ID) })
	}
}

// lookWho hands out who has come online and who has gone.
func (t *Tail) lookWho(ctx context.Context, r *followed, presence uint64, hand func([]Item) error) error {
	online, err := t.Presence.Online(ctx, r.ID)
	if err != nil {
		t.tryAgain(ctx, r, err)
		return nil
	}
	now := make([]string, 0, len(online))
	for _, p := range online {
		now = append(now, p.Name)
	}
	before := r.people
	r.people, r.presence = now, presence
	who := Online{People: len(now), Came: without(now, before), Went: without(before, now), CheckedAt: time.Now()}
	if len(who.Came)+len(who.Went) == 0 {
		return nil
	}
	return hand([]Item{{Room: r.Room, Cursor: r.cursor, Online: &who}})
}

// without returns the names that are not among the others.
func without(names, others []string) []string {
	left := []string{}
	for _, name := range names {
		if !slices.Contains(others, name) {
			left = append(left, name)
		}
	}
	return left
}
