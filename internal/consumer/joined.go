package consumer

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
)

// room is what a connection keeps of a chat.Room: there are many connections.
type room struct {
	ID   uuid.UUID
	Slug string
}

// joined is a room that a connection has joined. What is not guarded by conn.mu is the writer's.
type joined struct {
	room    room
	sub     *feed.Subscription
	entered bool // under conn.mu; before, it is the joining goroutine's
	woken   bool // under conn.mu
	left    bool // under conn.mu
	idle    bool // under conn.mu; it counts as idle

	kept     int64   // seq of the room's oldest message, as the client knows it; 1 and less: none was removed
	history  string  // as the client knows it; "": the room's past is not sent yet
	told     *online // who is online, as the client knows it
	presence uint64
	typists  *feed.Typing  // who types, as the client knows it
	typing   bool          // the reader's: the client has said that it types, and posted nothing since
	again    time.Duration // until the next try to read
}

// join opens the room at the cursor. asOf is when it was asked whether the user may see it: where they are banned or removed meanwhile, the
// room ends as it does for those who have it open. answer, made from the subscription's cursor, leaves before anything of the room; nil:
// none.
func (c *conn) join(asOf uint64, room room, after chat.Cursor, answer func(j *joined) []byte) error {
	c.mu.Lock()
	full := len(c.rooms) >= maxRooms
	c.mu.Unlock()
	if full {
		return chat.Errorf(chat.Invalid, "A connection can join %d rooms; leave one or open another connection.", maxRooms)
	}
	j := &joined{room: room}
	var err error
	if j.sub, err = c.sockets.cfg.Feed.Subscribe(c.sockets.ctx, room.ID, after, func() { c.wake(j) }); err != nil {
		return err
	}
	c.sockets.enter(c, j)
	var first []byte
	if answer != nil {
		first = answer(j)
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		c.sockets.leave(c, j)
		return nil
	}
	c.rooms = append(c.rooms, j)
	j.entered = true
	if first != nil {
		c.answers = append(c.answers, first)
	}
	c.mu.Unlock()
	c.sockets.seeAgain(asOf, c.user.ID)
	c.wake(j)
	return nil
}

// leave closes the room.
func (c *conn) leave(j *joined) {
	c.mu.Lock()
	i := slices.Index(c.rooms, j)
	if i >= 0 {
		c.rooms = slices.Delete(c.rooms, i, i+1)
	}
	j.left = true
	c.mu.Unlock()
	if i >= 0 {
		c.sockets.leave(c, j)
	}
}

// leaveAll closes all rooms.
func (c *conn) leaveAll() {
	for _, j := range c.all() {
		c.leave(j)
	}
}

// all returns the joined rooms.
func (c *conn) all() []*joined {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.rooms)
}

// in returns the joined room at this address; nil: none.
func (c *conn) in(slug string) *joined {
	return c.find(func(r room) bool { return r.Slug == slug })
}

// at returns the joined room with this id; nil: none.
func (c *conn) at(id uuid.UUID) *joined {
	return c.find(func(r room) bool { return r.ID == id })
}

func (c *conn) find(is func(room) bool) *joined {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.rooms {
		if is(j.room) {
			return j
		}
	}
	return nil
}
