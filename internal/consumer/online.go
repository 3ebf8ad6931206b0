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
	n      uint64            // its number: by a pointer each would hold all that came before it
	people []presence.Person // by name
	page   func() []byte     // the frame for pages
	since  sync.Map          // the frames for programs and pages that knew another, by since
}

// since is what a client knew, by its number, and the kind of client.
type since struct {
	told uint64
	page bool
}

// frameSince returns the frame that tells a client what has changed since told, made once for all who knew that; nil: none.
func (o *online) frameSince(told *online, page bool, make func(told *online) []byte) []byte {
	first, _ := o.since.LoadOrStore(since{told.n, page}, sync.OnceValue(func() []byte { return make(told) }))
	return first.(func() []byte)() //nolint:forcetypeassert // only stored here
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
		now := &online{n: s.readings.Add(1), people: people}
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

// changed returns the names that are in now and not in before, and the other way round, who was renamed with both; and who is
// otherwise than before, or has come and is not plainly online.
func changed(before, now []presence.Person) (came, went []string, differ []presence.Person) {
	there := make(map[uuid.UUID]presence.Person, len(before))
	for _, p := range before {
		there[p.UserID] = p
	}
	came, went = []string{}, []string{}
	for _, p := range now {
		known, ok := there[p.UserID]
		if ok && known.Name == p.Name {
			delete(there, p.UserID)
		} else {
			came, ok = append(came, p.Name), false
		}
		if ok && known != p || !ok && !plain(p) {
			differ = append(differ, p)
		}
	}
	for _, p := range before {
		if _, gone := there[p.UserID]; gone {
			went = append(went, p.Name)
		}
	}
	return came, went, differ
}

// plain reports whether there is nothing to tell of somebody but that they are online.
func plain(p presence.Person) bool { return !p.Away && !p.Status.Says() && p.Status.Quiet.IsZero() }
