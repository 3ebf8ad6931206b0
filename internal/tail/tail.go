package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/unread"
)

const (
	openAtOnce = 16              // rooms that are subscribed to at the same time
	lookBack   = 100             // messages of a room that are known from the start, so that what changes of them can be told
	handedOut  = 200             // items of the past at once
	listEvery  = time.Second     // at most, the rooms are listed because there may be a new one
	retryAfter = 2 * time.Second // what could not be read is tried again
)

// Parts are what a tail stands on; the layer and the feed run already.
type Parts struct {
	Layer    layer.Layer
	Feed     *feed.Feed
	Messages *chat.Messages
	Rooms    *chat.Rooms
	Presence *presence.Presence // need not have been started
	Log      *slog.Logger
}

// Options say what to follow, and from where.
type Options struct {
	Rooms  []string               // slugs or names; none: the public rooms, also those that are made later
	All    bool                   // with none: private rooms and direct conversations as well
	After  map[string]chat.Cursor // by room: from where it is followed
	Last   int                    // so many of each room's newest messages first
	Since  time.Time              // what was said and happened since first; zero: nothing
	Online bool                   // who comes online and goes, too
}

// Tail follows rooms. Its methods but Run are called after Run has ended, or by what Run calls.
type Tail struct {
	Parts
	options Options
	channel string
	known   memory
	rooms   map[uuid.UUID]*followed
	passed  map[uuid.UUID]bool // rooms that there were when they were not wanted
	list    *layer.Pace

	woken  chan struct{} // has an element while there may be something to do
	mu     sync.Mutex
	ready  map[uuid.UUID]bool // rooms that may have something new
	seen   map[uuid.UUID]bool // every room that there was, followed or not
	relist bool               // there may be a new room
}

// New makes a tail.
func New(parts Parts, options Options) *Tail {
	t := &Tail{
		Parts: parts, options: options, rooms: map[uuid.UUID]*followed{}, passed: map[uuid.UUID]bool{},
		woken: make(chan struct{}, 1), ready: map[uuid.UUID]bool{}, seen: map[uuid.UUID]bool{},
	}
	t.list = layer.NewPace(listEvery, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.relist = true
		t.wakeLocked()
	})
	return t
}

// Run follows the rooms until ctx ends, which is no error, or hand returns one. hand takes what happened, in order; what it returned an
// error for is not counted as handed out. following is called once, when everything from then on will come.
func (t *Tail) Run(ctx context.Context, following func(), hand func([]Item) error) error {
	err := t.run(ctx, following, hand)
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

func (t *Tail) run(ctx context.Context, following func(), hand func([]Item) error) error {
	t.channel = t.Layer.Open(t)
	defer t.Layer.Close(t.channel)
	// Listening first: a room that is made after the list was read is heard of.
	if len(t.options.Rooms) == 0 {
		if err := t.Layer.GroupAdd(ctx, unread.Group, t.channel); err != nil {
			return err
		}
	}
	defer func() {
		for _, r := range t.rooms {
			r.sub.Close()
		}
	}()
	rooms, err := t.choose(ctx)
	if err != nil {
		return err
	}
	if err := t.open(ctx, rooms, t.begins(rooms)); err != nil {
		return err
	}
	if err := t.handPast(ctx, rooms, hand); err != nil {
		return err
	}
	following()
	for {
		select {
		case <-t.woken:
		case <-ctx.Done():
			return nil
		}
		ready, relist := t.takeReady()
		if relist {
			t.look(ctx)
		}
		for _, id := range ready {
			if r := t.rooms[id]; r != nil {
				if err := t.take(ctx, r, hand); err != nil {
					return err
				}
			}
		}
		if len(t.options.Rooms) > 0 && len(t.rooms) == 0 {
			return errors.New("there is no room any more to follow")
		}
	}
}

// choose returns the rooms to follow as they are now.
func (t *Tail) choose(ctx context.Context) ([]chat.Room, error) {
	all, err := t.Rooms.All(ctx)
	if err != nil {
		return nil, err
	}
	t.see(all)
	var chosen []chat.Room
	for _, r := range all {
		if len(t.options.Rooms) == 0 && t.wants(r) {
			chosen = append(chosen, r)
		}
	}
	for _, name := range t.options.Rooms {
		r, err := find(all, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chosen, func(c chat.Room) bool { return c.ID == r.ID }) {
			chosen = append(chosen, r)
		}
	}
	return chosen, t.checkAfter(chosen)
}

func (t *Tail) wants(r chat.Room) bool { return t.options.All || r.Kind == chat.Public }

// checkAfter refuses cursors of rooms that are not followed.
func (t *Tail) checkAfter(chosen []chat.Room) error {
	for named, at := range t.options.After {
		if _, err := find(chosen, named); err != nil {
			return fmt.Errorf("--after %s=%s: that room is not followed: name it, or leave its cursor out", named, at)
		}
	}
	return nil
}

// begins returns from where each of the rooms is followed.
func (t *Tail) begins(rooms []chat.Room) map[uuid.UUID]chat.Cursor {
	at := make(map[uuid.UUID]chat.Cursor, len(rooms))
	for _, r := range rooms {
		at[r.ID] = r.Head()
		if len(t.options.After) > 0 && len(t.options.Rooms) == 0 {
			at[r.ID] = chat.Cursor{} // unless it is named it was made since
		}
	}
	for named, after := range t.options.After {
		if r, err := find(rooms, named); err == nil {
			at[r.ID] = after
		}
	}
	return at
}

// open follows the rooms, each from its cursor on.
func (t *Tail) open(ctx context.Context, rooms []chat.Room, at map[uuid.UUID]chat.Cursor) error {
	var mu sync.Mutex
	var opening errgroup.Group
	opening.SetLimit(openAtOnce)
	for _, r := range rooms {
		opening.Go(func() error {
			after := at[r.ID]
			before, err := t.Messages.Page(ctx, r.ID, after.Seq+1, lookBack)
			if err != nil {
				return err
			}
			sub, err := t.Feed.Subscribe(ctx, r.ID, after, func() { t.wake(r.ID) })
			switch {
			case errors.Is(err, feed.ErrAhead):
				return fmt.Errorf("--after %s=%s is ahead of the room, which is at %s: the cursor is another database's, or this one was set back",
					r.Slug, after, r.Head())
			case err != nil:
				return fmt.Errorf("follow room %s: %w", r.Slug, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range before {
				if m.Rev <= after.Rev { // else it has changed since, from what is not known
					t.known.know(m)
				}
			}
			t.rooms[r.ID] = &followed{Room: r, sub: sub, cursor: sub.Cursor(), kept: min(r.FirstSeq, sub.Cursor().Seq+1)}
			return nil
		})
	}
	err := opening.Wait()
	for _, r := range rooms {
		t.wake(r.ID)
	}
	return err
}

// handPast hands out what was before the rooms' heads, where that is wanted.
func (t *Tail) handPast(ctx context.Context, rooms []chat.Room, hand func([]Item) error) error {
	var pasts []iter.Seq2[Item, error]
	for _, r := range rooms {
		first := max(r.FirstSeq, r.LastSeq-int64(t.options.Last)+1)
		switch {
		case !t.options.Since.IsZero():
			var err error
			if first, err = t.Messages.FirstSince(ctx, r.ID, t.options.Since); err != nil {
				return err
			}
			if first == 0 {
				first = r.LastSeq + 1
			}
		case t.options.Last == 0:
			continue
		}
		pasts = append(pasts, past(ctx, t.Messages, r, first, t.options.Since))
	}
	var items []Item
	err := merged(pasts, func(i Item) error {
		if i.Message != nil {
			t.known.know(*i.Message)
		}
		if items = append(items, i); len(items) < handedOut {
			return nil
		}
		defer func() { items = items[:0] }()
		return hand(items)
	})
	if err == nil && len(items) > 0 {
		err = hand(items)
	}
	return err
}

// look follows rooms that were made, or have become public, since the rooms were listed.
func (t *Tail) look(ctx context.Context) {
	all, err := t.Rooms.All(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.Log.Warn("the rooms cannot be listed and are tried again", "error", err)
			time.AfterFunc(retryAfter, t.list.Call)
		}
		return
	}
	var fresh []chat.Room
	at := map[uuid.UUID]chat.Cursor{}
	for _, r := range all {
		if t.rooms[r.ID] == nil && t.wants(r) {
			fresh = append(fresh, r)
			if t.passed[r.ID] { // what was said before was not for all
				at[r.ID] = r.Head()
			}
		}
	}
	t.see(all)
	if err := t.open(ctx, fresh, at); err != nil && ctx.Err() == nil {
		t.Log.Warn("a new room cannot be followed and is tried again", "error", err)
		time.AfterFunc(retryAfter, t.list.Call)
	}
}

// see notes which rooms there are, and which of them are not wanted.
func (t *Tail) see(all []chat.Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range all {
		t.seen[r.ID] = true
		if !t.wants(r) {
			t.passed[r.ID] = true
		}
	}
}

// Cursors returns of each room that is followed, by slug, the cursor of what was handed out.
func (t *Tail) Cursors() map[string]chat.Cursor {
	cursors := make(map[string]chat.Cursor, len(t.rooms))
	for _, r := range t.rooms {
		cursors[r.Slug] = r.cursor
	}
	return cursors
}

// Receive implements [layer.Receiver]: it hears of rooms that are not known.
func (t *Tail) Receive(_, payload string) {
	var told struct {
		Moved, Members, Rooms []struct {
			Room uuid.UUID `json:"room"`
		}
	}
	if json.Unmarshal([]byte(payload), &told) != nil || told.Members != nil || told.Rooms != nil || told.Moved != nil && len(told.Moved) == 0 {
		t.list.Call()
		return
	}
	t.mu.Lock()
	unknown := false
	for _, m := range told.Moved {
		unknown = unknown || !t.seen[m.Room]
	}
	t.mu.Unlock()
	if unknown {
		t.list.Call()
	}
}

// Missed implements [layer.Receiver].
func (t *Tail) Missed() { t.list.Call() }

func (t *Tail) wake(id uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready[id] = true
	t.wakeLocked()
}

func (t *Tail) wakeLocked() {
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

func (t *Tail) takeReady() (rooms []uuid.UUID, relist bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.ready {
		rooms = append(rooms, id)
	}
	clear(t.ready)
	relist, t.relist = t.relist, false
	return rooms, relist
}
