package unread

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/layer"
)

// Group is the group of all instances.
const Group = "activity"

const (
	tellEvery    = 250 * time.Millisecond // at most, how far rooms have come is sent from here
	roomsAtOnce  = 100                    // in one payload
	writeEvery   = 500 * time.Millisecond // at most, what was read is written
	reloadEvery  = 5 * time.Second        // at most, all memberships are read anew
	listEvery    = time.Second            // at most, pages with lists are told that those are otherwise
	workWithin   = 5 * time.Second        // for a statement
	retryAfter   = time.Second
	membersAsked = 1000 // users whose memberships are read at once
)

// Hub tells the users who watch on this instance.
type Hub struct {
	layer   layer.Layer
	reads   *chat.Reads
	log     *slog.Logger
	channel string

	ctx    context.Context //nolint:containedctx // the life of the hub's goroutines, ended by Stop
	stop   context.CancelFunc
	wg     sync.WaitGroup
	toLoad chan struct{}
	toSend chan struct{}
	send   *layer.Pace // has what was stored here told
	write  *layer.Pace // has what was read here written
	reload *layer.Pace // has everything read anew
	relist *layer.Pace // has pages with lists told that those are otherwise

	mu    sync.Mutex
	users map[uuid.UUID]*user
	rooms map[uuid.UUID]*room
	lists map[*Watch]struct{} // of pages that list rooms or members
	stale map[*user]struct{}  // whose memberships are to be read
	heard map[uuid.UUID]int64 // how far rooms have come that were told of while memberships are read; nil: none are
	moved map[uuid.UUID]bool  // rooms that have come further by what was stored here, which was not told yet
	marks map[place]chat.Mark // what was read here, not written yet
	due   struct{ send, write bool }
}

type place struct{ room, user uuid.UUID }

// user is somebody who watches here.
type user struct {
	id      uuid.UUID
	watches map[*Watch]struct{}
	rooms   map[uuid.UUID]*membership // nil: not read yet
	again   bool                      // something of theirs was told while their memberships were read
}

type membership struct {
	room     *room
	read     int64
	stamp    int32
	mentions []int64 // beyond read, ascending
}

// room is a room of somebody who watches here.
type room struct {
	id      uuid.UUID
	slug    string
	last    int64
	users   map[*user]struct{}
	waiting bool // its people were told a moment ago
	again   bool // it has moved meanwhile
}

// New makes a hub that hears through l.
func New(l layer.Layer, reads *chat.Reads, log *slog.Logger) *Hub {
	h := &Hub{
		layer: l, reads: reads, log: log, toLoad: make(chan struct{}, 1), toSend: make(chan struct{}, 1),
		users: map[uuid.UUID]*user{}, rooms: map[uuid.UUID]*room{}, lists: map[*Watch]struct{}{}, stale: map[*user]struct{}{},
		moved: map[uuid.UUID]bool{}, marks: map[place]chat.Mark{},
	}
	h.send = layer.NewPace(tellEvery, func() { h.soon(&h.due.send) })
	h.write = layer.NewPace(writeEvery, func() { h.soon(&h.due.write) })
	h.reload = layer.NewPace(reloadEvery, h.staleAll)
	h.relist = layer.NewPace(listEvery, h.tellLists)
	return h
}

// Start joins the group. The layer was started before.
func (h *Hub) Start(ctx context.Context) error {
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.channel = h.layer.Open(h)
	h.wg.Go(h.load)
	h.wg.Go(h.work)
	return h.layer.GroupAdd(ctx, Group, h.channel)
}

// Stop writes what was read and tells what was stored, and ends the hub's goroutines; watches are told nothing more.
func (h *Hub) Stop(context.Context) error {
	if h.stop == nil {
		return nil
	}
	h.layer.Close(h.channel)
	h.stop()
	h.wg.Wait()
	return nil
}

// Stored takes that a message was stored by this instance. It does not block.
func (h *Hub) Stored(roomID uuid.UUID) {
	h.mu.Lock()
	h.moved[roomID] = true
	h.mu.Unlock()
	h.send.Call()
}

// Read takes that a user has read a room. It does not block; what cannot be written is tried again.
func (h *Hub) Read(m chat.Mark) {
	at := place{m.RoomID, m.UserID}
	h.mu.Lock()
	h.marks[at] = both(h.marks[at], m)
	h.mu.Unlock()
	h.write.Call()
}

// both is one mark for two of the same user in the same room.
func both(before, after chat.Mark) chat.Mark {
	if !after.Back {
		after.Seq, after.Back = max(after.Seq, before.Seq), before.Back
	}
	return after
}

func (h *Hub) soon(due *bool) {
	h.mu.Lock()
	*due = true
	h.mu.Unlock()
	signal(h.toSend)
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// work sends and writes, until Stop and then once more.
func (h *Hub) work() {
	for {
		select {
		case <-h.toSend:
			h.mu.Lock()
			due := h.due
			h.due.send, h.due.write = false, false
			h.mu.Unlock()
			if due.send {
				h.tellMoved()
			}
			if due.write {
				h.writeMarks()
			}
		case <-h.ctx.Done():
			h.tellMoved()
			h.writeMarks()
			return
		}
	}
}

// bounded is for a statement that is finished also when the hub ends.
func (h *Hub) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(h.ctx), workWithin)
}

type heard struct {
	Room uuid.UUID `json:"room"`
	User uuid.UUID `json:"user,omitzero"`
	Seq  int64     `json:"seq,omitempty"`
}

// activity is what travels in the group; see chat.tell_activity. An empty list says: many.
type activity struct {
	Moved     []heard `json:"moved,omitempty"`     // rooms, and how far they have come
	Read      []heard `json:"read,omitempty"`      // who has read how far
	Mentioned []heard `json:"mentioned,omitempty"` // who is addressed by which message
	Members   []heard `json:"members,omitempty"`   // whose memberships have changed, or how they want a room
	Rooms     []heard `json:"rooms,omitempty"`     // rooms whose name or the like has changed
}

func (h *Hub) tellMoved() {
	h.mu.Lock()
	moved := h.moved
	h.moved = map[uuid.UUID]bool{}
	h.mu.Unlock()
	rooms := slices.Collect(maps.Keys(moved))
	for part := range slices.Chunk(rooms, roomsAtOnce) {
		ctx, cancel := h.bounded()
		err := h.reads.TellMoved(ctx, part)
		cancel()
		if err != nil {
			h.log.Debug("how far rooms have come was not told", "rooms", len(part), "error", err)
			h.mu.Lock()
			for _, id := range part {
				h.moved[id] = true
			}
			h.mu.Unlock()
			h.later(h.send)
		}
	}
}

func (h *Hub) writeMarks() {
	h.mu.Lock()
	marks := h.marks
	h.marks = map[place]chat.Mark{}
	h.mu.Unlock()
	if len(marks) == 0 {
		return
	}
	ctx, cancel := h.bounded()
	defer cancel()
	if err := h.reads.Mark(ctx, slices.Collect(maps.Values(marks))); err != nil {
		h.log.Debug("what was read was not written", "marks", len(marks), "error", err)
		h.mu.Lock()
		for at, m := range marks {
			if newer, ok := h.marks[at]; ok {
				m = both(m, newer)
			}
			h.marks[at] = m
		}
		h.mu.Unlock()
		h.later(h.write)
	}
}

// later has a pace called when the database may be back.
func (h *Hub) later(p *layer.Pace) {
	if h.ctx.Err() == nil {
		time.AfterFunc(retryAfter, p.Call)
	}
}
