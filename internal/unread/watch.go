package unread

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Watch is one page of a user.
type Watch struct {
	hub     *Hub
	user    *user
	wake    func()
	changed map[uuid.UUID]struct{}
	all     bool // every room
	relist  bool // what the page lists may be otherwise
}

// Room is a room as one user has it.
type Room struct {
	Slug     string
	Stamp    int32 // as chat.Room's
	Last     int64 // seq of its newest message
	Read     int64 // seq up to which the user has read
	Mentions int   // messages beyond that address the user
}

// Changes is what a page does not know yet.
type Changes struct {
	Rooms map[uuid.UUID]Room // as they now are
	All   bool               // these are all rooms that the user is a member of
	Lists bool               // rooms or members of rooms, whosever, may be otherwise; see [Watch.Lists]
}

// Watch has a page of the user told, first of all rooms that they are a member of. wake is called when there is something
// to be taken by Next; it must not block nor call the watch.
func (h *Hub) Watch(userID uuid.UUID, wake func()) *Watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[userID]
	if u == nil {
		u = &user{id: userID, watches: map[*Watch]struct{}{}}
		h.users[userID] = u
		h.staleLocked(u)
	}
	w := &Watch{hub: h, user: u, wake: wake, changed: map[uuid.UUID]struct{}{}, all: true}
	u.watches[w] = struct{}{}
	if u.rooms != nil {
		wake()
	}
	return w
}

// Close ends the watch.
func (w *Watch) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	delete(w.user.watches, w)
	delete(w.hub.lists, w)
	if len(w.user.watches) == 0 && w.hub.users[w.user.id] == w.user {
		w.hub.forgetRoomsLocked(w.user)
		delete(w.hub.users, w.user.id)
		delete(w.hub.stale, w.user)
	}
}

// Lists has the page told also when rooms or members of rooms are otherwise, whosever they are; first of all at once, since something
// may have changed after the page was made.
func (w *Watch) Lists() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	w.hub.lists[w] = struct{}{}
	w.relist = true
	w.wake()
}

// tellLists has the pages with lists told.
func (h *Hub) tellLists() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.lists {
		w.relist = true
		w.wake()
	}
}

// Next takes what has changed; nothing, and false, where nothing has or the user's rooms are not read yet.
func (w *Watch) Next() (Changes, bool) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.user.rooms == nil {
		return Changes{}, false
	}
	c := Changes{Rooms: map[uuid.UUID]Room{}, All: w.all, Lists: w.relist}
	for id, m := range w.user.rooms {
		if _, changed := w.changed[id]; w.all || changed {
			c.Rooms[id] = Room{Slug: m.room.slug, Stamp: m.stamp, Last: m.room.last, Read: m.read, Mentions: len(m.mentions)}
		}
	}
	clear(w.changed)
	some := w.all || w.relist || len(c.Rooms) > 0
	w.all, w.relist = false, false
	return c, some
}

// Receive implements [layer.Receiver].
func (h *Hub) Receive(_, payload string) {
	var told activity
	if err := json.Unmarshal([]byte(payload), &told); err != nil {
		h.log.Warn("a notification cannot be read; the tables are asked", "group", Group, "error", err)
		h.reload.Call()
		return
	}
	for _, list := range [][]heard{told.Moved, told.Read, told.Mentioned, told.Members, told.Rooms} {
		if list != nil && len(list) == 0 {
			h.reload.Call()
		}
	}
	if told.Members != nil || told.Rooms != nil {
		h.relist.Call()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range slices.Concat(told.Moved, told.Mentioned) { // of what a server stored it is told later how far the room has come
		if h.heard != nil {
			h.heard[m.Room] = max(h.heard[m.Room], m.Seq)
		}
		if r := h.rooms[m.Room]; r != nil && m.Seq > r.last {
			r.last = m.Seq
			h.movedLocked(r)
		}
	}
	for _, m := range told.Read {
		h.readLocked(m)
	}
	for _, m := range told.Mentioned {
		h.mentionedLocked(m)
	}
	for _, m := range told.Members {
		if u := h.users[m.User]; u != nil {
			h.staleLocked(u)
		}
	}
	for _, m := range told.Rooms {
		if r := h.rooms[m.Room]; r != nil {
			for u := range r.users {
				h.staleLocked(u)
			}
		}
	}
}

// Missed implements [layer.Receiver].
func (h *Hub) Missed() { h.reload.Call() }

// movedLocked tells the room's people how far it has come, now or a moment after they were told last: the more they are, the
// longer, since each is a frame.
func (h *Hub) movedLocked(r *room) {
	if r.waiting {
		r.again = true
		return
	}
	wait := 250 * time.Millisecond
	switch n := len(r.users); {
	case n >= 500:
		wait = 5 * time.Second
	case n >= 50:
		wait = time.Second
	}
	r.waiting = true
	time.AfterFunc(wait, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		r.waiting = false
		if r.again {
			r.again = false
			h.movedLocked(r)
		}
	})
	for u := range r.users {
		u.changedLocked(r.id)
	}
}

func (u *user) changedLocked(roomID uuid.UUID) {
	for w := range u.watches {
		w.changed[roomID] = struct{}{}
		w.wake()
	}
}

func (h *Hub) readLocked(m heard) {
	u := h.users[m.User]
	if u == nil {
		return
	}
	at := u.rooms[m.Room]
	if at == nil || m.Seq < at.read { // which messages address them is known beyond what is read only
		h.staleLocked(u)
		return
	}
	u.again = true
	at.read = m.Seq
	at.mentions = slices.DeleteFunc(at.mentions, func(seq int64) bool { return seq <= m.Seq })
	u.changedLocked(m.Room)
}

func (h *Hub) mentionedLocked(m heard) {
	u := h.users[m.User]
	if u == nil {
		return
	}
	at := u.rooms[m.Room]
	if at == nil {
		h.staleLocked(u)
		return
	}
	u.again = true
	if m.Seq > at.read && !slices.Contains(at.mentions, m.Seq) {
		at.mentions = append(at.mentions, m.Seq)
		u.changedLocked(m.Room)
	}
}
