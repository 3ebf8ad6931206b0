package consumer

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/presence"
)

// online is who was online in a room at one time, shared by all connections.
type online struct {
	people []presence.Person // by name
	page   func() []byte     // the frame for pages
	since  sync.Map          // the frames for programs, by the online that they knew
}

// roomOnline is the latest reading of a room's presence.
type roomOnline struct {
	connections int // local ones that have joined the room
	state       uint64
	latest      *online
	typists     *typists // nil: nobody has typed here
}

// online reads who is online in the room, once for all connections that want to know at this state of its presence.
func (s *Sockets) online(roomID uuid.UUID, state uint64) (*online, error) {
	s.mu.Lock()
	if r := s.rooms[roomID]; r != nil && r.latest != nil && r.state >= state {
		defer s.mu.Unlock()
		return r.latest, nil
	}
	s.mu.Unlock()
	got, err, _ := s.people.Do(fmt.Sprintf("%s %d", roomID, state), func() (any, error) {
		ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
		defer cancel()
		people, err := s.cfg.Presence.Online(ctx, roomID)
		if err != nil {
			return nil, err
		}
		now := &online{people: people}
		now.page = sync.OnceValue(func() []byte { return pageOnline(roomID, s.cfg.RenderPeople(people), len(people)) })
		s.mu.Lock()
		defer s.mu.Unlock()
		if r := s.rooms[roomID]; r != nil && state >= r.state {
			r.state, r.latest = state, now
		}
		return now, nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*online), nil //nolint:forcetypeassert // made above
}

// changed returns the names that are in now and not in before, and the other way round.
func changed(before, now []presence.Person) (came, went []string) {
	there := make(map[uuid.UUID]bool, len(before))
	for _, p := range before {
		there[p.UserID] = true
	}
	came, went = []string{}, []string{}
	for _, p := range now {
		if !there[p.UserID] {
			came = append(came, p.Name)
		}
		delete(there, p.UserID)
	}
	for _, p := range before {
		if there[p.UserID] {
			went = append(went, p.Name)
		}
	}
	return came, went
}
