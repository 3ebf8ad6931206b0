package consumer

import (
	"context"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/presence"
)

const (
	lookMost   = 200                    // people that a page may look at
	lookAtOnce = 1000                   // people whom a query reads
	lookEvery  = 100 * time.Millisecond // at most, it is read how people are
	idleRate   = 1                      // frames a second that say whether somebody is there
	idleBurst  = 10
)

// setIdleTo takes whether somebody uses the client. It is the reader's.
func (c *conn) setIdleTo(idle bool) error {
	if c.idleLimit == nil {
		c.idleLimit = rate.NewLimiter(idleRate, idleBurst)
	}
	if !c.idleLimit.Allow() {
		return chat.Errorf(chat.RateLimited, "You say too often whether somebody is there.")
	}
	c.mu.Lock()
	c.idle = idle
	c.mu.Unlock()
	for _, j := range c.all() {
		c.setIdle(j)
	}
	if c.nowhere != nil {
		c.setIdle(c.nowhere)
	}
	return nil
}

// outside has a page that shows no room count as online all the same, or no longer. It is the reader's.
func (c *conn) outside(is bool) {
	if is == (c.nowhere != nil) {
		return
	}
	if is {
		c.nowhere = &joined{}
		c.sockets.cfg.Presence.Join(uuid.Nil, c.user.ID)
		c.setIdle(c.nowhere)
		return
	}
	c.sockets.leavePresence(c, c.nowhere)
	c.nowhere = nil
}

// leavePresence counts the connection out of a room.
func (s *Sockets) leavePresence(c *conn, j *joined) {
	c.mu.Lock()
	if j.idle {
		s.cfg.Presence.Idle(j.room.ID, c.user.ID, false)
	}
	j.idle, j.left = false, true
	c.mu.Unlock()
	s.cfg.Presence.Leave(j.room.ID, c.user.ID)
}

// setIdle has the room count the connection as idle, or not.
func (c *conn) setIdle(j *joined) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !j.left && j.idle != c.idle {
		j.idle = c.idle
		c.sockets.cfg.Presence.Idle(j.room.ID, c.user.ID, c.idle)
	}
}

// lookAt has the page told how these people are, wherever they are, now and when it changes. It is the reader's.
func (c *conn) lookAt(users []uuid.UUID) error {
	if len(users) > lookMost {
		return chat.Errorf(chat.Invalid, "A page can look at %d people.", lookMost)
	}
	c.mu.Lock()
	before := c.people
	c.people = make(map[uuid.UUID]presence.Person, len(users))
	for _, id := range users {
		c.people[id] = before[id]
	}
	c.mu.Unlock()
	c.sockets.mu.Lock()
	defer c.sockets.mu.Unlock()
	c.sockets.lookLocked(c, users)
	for _, id := range users {
		if _, known := before[id]; !known {
			c.sockets.staleLocked(id)
		}
	}
	return nil
}

func (s *Sockets) lookLocked(c *conn, users []uuid.UUID) {
	for _, id := range c.looksAt {
		delete(s.looked[id], c)
		if len(s.looked[id]) == 0 {
			delete(s.looked, id)
		}
	}
	c.looksAt = users
	if _, open := s.conns[c]; !open {
		c.looksAt = nil
	}
	for _, id := range c.looksAt {
		if s.looked[id] == nil {
			s.looked[id] = map[*conn]struct{}{}
		}
		s.looked[id][c] = struct{}{}
	}
}

func (s *Sockets) staleLocked(user uuid.UUID) {
	if s.looked[user] == nil {
		return
	}
	s.stale[user] = struct{}{}
	select {
	case s.toRead <- struct{}{}:
	default:
	}
}

func (s *Sockets) allStaleLocked() {
	for user := range s.looked {
		s.staleLocked(user)
	}
}

// readPeople reads how people are of whom that may have changed, all in one query, and those of whom it changes meanwhile in the
// next.
func (s *Sockets) readPeople() {
	wait := lookEvery
	for {
		select {
		case <-s.toRead:
		case <-s.ctx.Done():
			return
		}
		for ids := s.takeStale(); len(ids) > 0; ids = s.takeStale() {
			ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
			people, err := s.cfg.Presence.People(ctx, ids)
			cancel()
			if err != nil {
				s.cfg.Log.Debug("how people are cannot be read; it is tried again", "people", len(ids), "error", err)
				s.mu.Lock()
				for _, id := range ids {
					s.staleLocked(id)
				}
				s.mu.Unlock()
				wait = min(2*wait, lastRetry)
				break
			}
			wait = lookEvery
			s.tellPeople(people)
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Sockets) takeStale() []uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]uuid.UUID, 0, min(len(s.stale), lookAtOnce))
	for id := range s.stale {
		if len(ids) == lookAtOnce {
			break
		}
		ids = append(ids, id)
		delete(s.stale, id)
	}
	return ids
}

func (s *Sockets) tellPeople(people map[uuid.UUID]presence.Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range people {
		for c := range s.looked[id] {
			c.learn(p)
		}
	}
}

// learn has the client told how somebody is, if it does not know.
func (c *conn) learn(p presence.Person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, looked := c.people[p.UserID]
	if !looked || known == p || c.ended {
		return
	}
	c.people[p.UserID] = p
	if c.news == nil {
		c.news = map[uuid.UUID]struct{}{}
	}
	c.news[p.UserID] = struct{}{}
	c.startLocked()
}

func (c *conn) takeNewsLocked() (news []presence.Person) {
	for id := range c.news {
		if p, looked := c.people[id]; looked {
			news = append(news, p)
		}
	}
	c.news = nil
	return news
}

// shortly is how people are as pages are told, by user: whether they are online (1) or away (2), what they say, and their name.
func shortly(people []presence.Person) map[uuid.UUID][3]any {
	told := make(map[uuid.UUID][3]any, len(people))
	for _, p := range people {
		state := 0
		if p.Online {
			state = 1
		}
		if p.Away {
			state = 2
		}
		told[p.UserID] = [3]any{state, p.Status, p.Name}
	}
	return told
}

func pagePeople(people []presence.Person) []byte {
	return frame(pageOut{Type: "people", People: shortly(people)})
}
