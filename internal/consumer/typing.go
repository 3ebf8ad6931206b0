package consumer

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/layer"
)

const (
	typingEvery  = time.Second // at most, who types in a room is sent from here
	typingRate   = 2           // frames a second that one connection may send
	typingBurst  = 10
	typingAtOnce = 50  // names in one payload; 32 characters each of 4 bytes fit into a notification, so that none is ever stored
	typingPeople = 100 // online in a room; with more, who types is not told: it would never be quiet
)

// typists is who has typed here in a room since it was last sent.
type typists struct {
	names map[string]struct{}
	tell  *layer.Pace
}

// typing takes that the user types. It is the reader's.
func (c *conn) typing(j *joined) error {
	if c.typingLimit == nil {
		c.typingLimit = rate.NewLimiter(typingRate, typingBurst)
	}
	if !c.typingLimit.Allow() {
		return chat.Errorf(chat.RateLimited, "You say too often that you are typing: every 3 seconds is enough.")
	}
	j.typing = true
	c.sockets.typing(j.room.ID, c.user.Name)
	return nil
}

func (s *Sockets) typing(roomID uuid.UUID, name string) {
	s.mu.Lock()
	r := s.rooms[roomID]
	if r == nil || r.latest == nil || len(r.latest.people) > typingPeople {
		s.mu.Unlock()
		return
	}
	if r.typists == nil {
		t := &typists{names: map[string]struct{}{}}
		t.tell = layer.NewPace(typingEvery, func() { s.tellTyping(roomID, t) })
		r.typists = t
	}
	t := r.typists
	t.names[name] = struct{}{}
	s.mu.Unlock()
	t.tell.Call()
}

// typedOut takes that the user has sent what they were typing: what waits to be sent would come after the message.
func (s *Sockets) typedOut(roomID uuid.UUID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[roomID]; r != nil && r.typists != nil {
		delete(r.typists.names, name)
	}
}

// tellTyping sends, in a goroutine of its own, who has typed.
func (s *Sockets) tellTyping(roomID uuid.UUID, t *typists) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(t.names) == 0 || s.ctx.Err() != nil {
		return
	}
	names := slices.Sorted(maps.Keys(t.names))
	clear(t.names)
	s.telling.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
		defer cancel()
		for part := range slices.Chunk(names, typingAtOnce) {
			if err := s.cfg.Feed.TellTyping(ctx, roomID, part); err != nil && s.ctx.Err() == nil {
				s.cfg.Log.Debug("who is typing was not sent", "room", roomID, "error", err)
			}
		}
	})
}
