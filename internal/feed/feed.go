package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/layer"
)

const (
	openWithin  = 10 * time.Second // for LISTEN and the first read of a room
	pageLength  = 500              // messages read at once
	onlineEvery = 5 * time.Second  // at most, who is online is read anew because something may have been missed
	firstRetry  = 50 * time.Millisecond
	lastRetry   = 2 * time.Second
)

// Errors that end a subscription.
var (
	ErrAhead = errors.New("the cursor is of another history than the room, or ahead of it: the database was set back") // load the room anew
	ErrGone  = errors.New("the room does not exist any more")
)

// Now is the cursor to subscribe at for who wants only what is new.
var Now = chat.Cursor{Seq: -1}

// Feed hands rooms' events to local subscribers.
type Feed struct {
	layer    layer.Layer
	messages *chat.Messages
	log      *slog.Logger
	channel  string
	pages    singleflight.Group
	metrics  metrics

	ctx  context.Context //nolint:containedctx // the life of the feed's goroutines, ended by Stop
	stop context.CancelFunc
	wg   sync.WaitGroup

	online *layer.Pace // tells that who is online may have changed

	mu        sync.Mutex
	rooms     map[uuid.UUID]*room
	missed    bool // since the rooms were last compared with the table
	comparing bool // a goroutine does
}

// New makes a feed that hears through l and reads through messages.
func New(l layer.Layer, messages *chat.Messages, log *slog.Logger) *Feed {
	f := &Feed{layer: l, messages: messages, log: log, rooms: map[uuid.UUID]*room{}, metrics: newMetrics()}
	f.online = layer.NewPace(onlineEvery, func() {
		for _, r := range f.open() {
			r.presenceChanged()
		}
	})
	return f
}

// Start opens the feed's channel; the layer may be started before or after.
func (f *Feed) Start(ctx context.Context) error {
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.channel = f.layer.Open(f)
	return nil
}

// Stop ends the feed's goroutines; subscriptions receive nothing more.
func (f *Feed) Stop(context.Context) error {
	if f.stop == nil {
		return nil
	}
	f.layer.Close(f.channel)
	f.stop()
	f.wg.Wait()
	return nil
}

// Rooms returns how many rooms are open.
func (f *Feed) Rooms() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rooms)
}

// Subscribe opens the room at the cursor: what comes after it is handed out by Next, first of all what is there already.
// wake is called when there may be more; it must not block nor call the subscription. The error is [ErrAhead],
// [ErrGone], ctx's, or a failure to listen or read.
func (f *Feed) Subscribe(ctx context.Context, roomID uuid.UUID, after chat.Cursor, wake func()) (*Subscription, error) {
	for {
		f.mu.Lock()
		r := f.rooms[roomID]
		if r == nil {
			r = &room{feed: f, id: roomID, ready: make(chan struct{}), subs: map[*Subscription]struct{}{}}
			f.rooms[roomID] = r
			f.wg.Go(r.open)
		}
		r.refs++
		f.mu.Unlock()
		var s *Subscription
		var err error
		select {
		case <-r.ready:
			s, err = r.subscribe(ctx, after, wake)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err == nil {
			return s, nil
		}
		f.release(r)
		if !errors.Is(err, errEnded) {
			return nil, fmt.Errorf("open room %s: %w", roomID, err)
		}
	}
}

// errEnded says that what the feed had of a room is no longer so, which the cursor need not be concerned by: it is opened anew.
var errEnded = errors.New("the room was set back meanwhile")

// release gives up one use of the room; the last one closes it.
func (f *Feed) release(r *room) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.refs--; r.refs > 0 {
		return
	}
	r.close()
	f.forgetLocked(r)
}

// forgetLocked has the next one who wants the room open it anew.
func (f *Feed) forgetLocked(r *room) {
	if f.rooms[r.id] == r {
		delete(f.rooms, r.id)
		f.layer.GroupDiscard(group(r.id), f.channel)
	}
}

// Group is the group that a room's events travel in, and its PostgreSQL channel.
func group(roomID uuid.UUID) string { return "room:" + roomID.String() }

// payload is what the triggers send; see chat.messages_after_insert and chat.messages_after_update.
type payload struct {
	First    int64            `json:"first"`
	Last     int64            `json:"last"`
	Messages []payloadMessage `json:"messages"`
	RevFirst int64            `json:"rev_first"`
	RevLast  int64            `json:"rev_last"`
	Changes  []payloadMessage `json:"changes"`
	Presence bool             `json:"presence"`
	Kept     int64            `json:"first_kept"` // seq of the oldest message that is kept from now on; see chat.retain
	Gone     bool             `json:"gone"`       // the room was deleted, or the database was set back: it is compared
	Typing   []string         `json:"typing"`     // names
	Event    json.RawMessage  `json:"event"`      // see chat.group_send
}

type payloadMessage struct {
	Seq       int64      `json:"seq"`
	ID        uuid.UUID  `json:"id"`
	AuthorID  uuid.UUID  `json:"author_id"`
	Author    string     `json:"author"`
	Body      string     `json:"body"`
	CreatedAt time.Time  `json:"created_at"`
	Rev       int64      `json:"rev"`
	EditedAt  *time.Time `json:"edited_at"`
	DeletedAt *time.Time `json:"deleted_at"`
	Extra     rawObject  `json:"extra"`
}

// rawObject is a JSON object as it stands; nil for null.
type rawObject []byte

func (o *rawObject) UnmarshalJSON(text []byte) error {
	if string(text) != "null" {
		*o = slices.Clone(text)
	}
	return nil
}

// Receive implements [layer.Receiver].
func (f *Feed) Receive(name, text string) {
	roomID, err := uuid.Parse(strings.TrimPrefix(name, "room:"))
	if err != nil {
		return
	}
	f.mu.Lock()
	r := f.rooms[roomID]
	f.mu.Unlock()
	if r == nil {
		return
	}
	var p payload
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		// Anyone who may connect may NOTIFY; what cannot be read says at least that something may have happened.
		f.log.Warn("a notification cannot be read; the table is asked", "room", roomID, "error", err)
		f.recheck(r)
		return
	}
	if p.Gone {
		f.recheck(r)
	}
	if p.Presence {
		r.presenceChanged()
	}
	if len(p.Typing) > 0 {
		r.typed(p.Typing)
	}
	if p.Event != nil {
		r.signal(p.Event)
	}
	if p.Kept > 0 {
		r.keeps(p.Kept)
	}
	if p.Last > 0 || p.RevLast > 0 {
		r.receive(p)
	}
}

// Missed implements [layer.Receiver]: every open room is compared with the table, in one query; once more if it comes
// while that is under way.
func (f *Feed) Missed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missed = true
	for _, r := range f.rooms {
		r.miss()
	}
	if f.comparing || f.ctx.Err() != nil {
		return
	}
	f.comparing = true
	f.wg.Go(func() {
		for f.takeMissed() {
			f.compare(f.open()...)
			f.online.Call()
		}
	})
}

func (f *Feed) takeMissed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.comparing = f.missed && f.ctx.Err() == nil
	f.missed = false
	return f.comparing
}

func (f *Feed) open() []*room {
	f.mu.Lock()
	defer f.mu.Unlock()
	rooms := make([]*room, 0, len(f.rooms))
	for _, r := range f.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

func (f *Feed) recheck(r *room) {
	if f.ctx.Err() == nil {
		f.wg.Go(func() {
			f.compare(r)
			r.presenceChanged()
		})
	}
}

// compare compares the rooms with the table, in one query, and in one more for each history before the current one.
func (f *Feed) compare(rooms ...*room) {
	if len(rooms) == 0 {
		return
	}
	ids, before := make([]uuid.UUID, len(rooms)), make([]standing, len(rooms))
	for i, r := range rooms {
		ids[i], before[i] = r.id, r.stands()
	}
	heads, err := retry(f.ctx, func() (map[uuid.UUID]chat.Head, error) { return f.messages.Heads(f.ctx, ids...) })
	if err != nil {
		return
	}
	reaches := map[string]map[uuid.UUID]chat.Cursor{}
	for i, r := range rooms {
		head, ok := heads[r.id]
		holds := head.Cursor
		if was := before[i].History; was != "" && was != head.History {
			if reaches[was] == nil {
				if reaches[was], err = retry(f.ctx, func() (map[uuid.UUID]chat.Cursor, error) { return f.messages.Reaches(f.ctx, was, ids...) }); err != nil {
					return
				}
			}
			holds = reaches[was][r.id]
		}
		f.compared(r, before[i], head, holds, ok)
	}
}

// compared has the room learn how far the table is; one that ends is forgotten.
func (f *Feed) compared(r *room, before standing, head chat.Head, holds chat.Cursor, exists bool) {
	if r.compare(before, head, holds, exists) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLocked(r)
}

// Current returns the cursor in the current history; ErrAhead where it holds in it no more.
func (f *Feed) Current(ctx context.Context, roomID uuid.UUID, at, head chat.Cursor) (chat.Cursor, error) {
	holds := head
	if at.History != "" && at.History != head.History {
		reaches, err := f.messages.Reaches(ctx, at.History, roomID)
		if err != nil {
			return at, err
		}
		holds = reaches[roomID]
	}
	if !within(at, holds) {
		return at, ErrAhead
	}
	at.History = head.History
	return at, nil
}

// within reports whether a cursor is not beyond another.
func within(at, end chat.Cursor) bool { return at.Seq <= end.Seq && at.Rev <= end.Rev }

// retry calls read until it succeeds or ctx ends.
func retry[T any](ctx context.Context, read func() (T, error)) (T, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		got, err := read()
		if err == nil || ctx.Err() != nil {
			return got, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
