package consumer

import (
	"context"
	"encoding/json"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

const (
	checkEvery = time.Minute     // whether sessions have expired
	pingParts  = 100             // into which pinging all is divided
	trimAfter  = 1000            // connections that have come
	missEvery  = 5 * time.Second // at most, sessions are looked at because something may have been missed
)

// Receive implements [layer.Receiver]: the connections of users whose sessions have ended are looked at.
func (s *Sockets) Receive(_, payload string) {
	// An empty list: many, look at all.
	var activity struct {
		SignedOut []uuid.UUID `json:"signed_out"`
		Members   []struct{ User uuid.UUID }
		Rooms     []struct{ Room uuid.UUID }
		Status    []struct{ User uuid.UUID }

		Disconnect    []uuid.UUID
		Announcements bool
	}
	if err := json.Unmarshal([]byte(payload), &activity); err != nil || activity.SignedOut == nil && activity.Members == nil && activity.Rooms == nil && activity.Status == nil && activity.Disconnect == nil && !activity.Announcements {
		return
	}
	if activity.Announcements {
		s.announceSoon()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if activity.Disconnect != nil {
		for c := range s.conns {
			if slices.Contains(activity.Disconnect, c.user.ID) {
				c.end(websocket.CloseServiceRestart, "disconnected by an administrator")
			}
		}
		return
	}
	if activity.Status != nil {
		if len(activity.Status) == 0 {
			s.allStaleLocked()
		}
		for _, p := range activity.Status {
			s.staleLocked(p.User)
		}
		return
	}
	if activity.SignedOut != nil && len(activity.SignedOut) == 0 {
		s.checkAll = true
	}
	for _, user := range activity.SignedOut {
		s.check[user] = true
	}
	if activity.Members != nil && len(activity.Members) == 0 || activity.Rooms != nil && len(activity.Rooms) == 0 {
		s.seeAll = true
	}
	for _, m := range activity.Members {
		s.see[m.User] = true
	}
	for _, r := range activity.Rooms {
		s.see[r.Room] = true
	}
	if activity.Members != nil || activity.Rooms != nil {
		s.sights++
	}
	s.checkSoon()
}

// asOf is to be called before it is asked whether somebody may see a room, and what it returned to be given to [conn.join].
func (s *Sockets) asOf() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sights
}

// seeAgain has it looked at again what the user may see, where something was told since asOf: checkRooms did not know then that the
// connection has the room.
func (s *Sockets) seeAgain(asOf uint64, userID uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sights != asOf {
		s.see[userID] = true
		s.checkSoon()
	}
}

// Missed implements [layer.Receiver].
func (s *Sockets) Missed() { s.missed.Call() }

func (s *Sockets) checkAllSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkAll, s.seeAll = true, true
	s.sights++
	s.announceSoon()
	s.allStaleLocked()
	s.checkSoon()
}

func (s *Sockets) checkSoon() {
	select {
	case s.soon <- struct{}{}:
	default:
	}
}

// look pings every connection now and then, and closes those whose session has ended: all are looked at in one query
// every minute, those of a user at once when a session of theirs was deleted.
func (s *Sockets) look() {
	defer close(s.ended)
	check, ping := time.NewTicker(checkEvery), time.NewTicker(pingEvery/pingParts)
	defer check.Stop()
	defer ping.Stop()
	defer s.announceStop()
	var toPing []*conn
	for {
		select {
		case <-ping.C:
			toPing = s.pingSome(toPing)
		case <-s.soon:
			s.checkSessions(false)
			s.checkRooms()
		case <-s.toAnnounce:
			s.announce()
		case <-check.C:
			s.checkSessions(true)
			s.trim()
		case <-s.ctx.Done():
			return
		}
	}
}

// pingSome pings the next of the connections, so many that all have their turn within pingEvery: thousands of pings at once
// would be thousands of writers at once. It returns those whose turn is still to come.
func (s *Sockets) pingSome(left []*conn) []*conn {
	if len(left) == 0 {
		left = s.all()
	}
	for range min(len(left), s.Connections()/pingParts+1) {
		left[0].sendPing()
		left = left[1:]
	}
	return left
}

// trim gives memory back to the system, once, when many connections have come and no more are coming: what their
// handshakes left behind would stay with the process, half as much again as they need (docs/performance.md).
func (s *Sockets) trim() {
	s.mu.Lock()
	came := s.came
	rush := came-s.trimmed >= trimAfter
	calm := came == s.cameBefore
	s.cameBefore = came
	if rush && calm {
		s.trimmed = came
	}
	s.mu.Unlock()
	if rush && calm {
		debug.FreeOSMemory()
	}
}

func (s *Sockets) checkSessions(all bool) {
	sessions, tokens := map[string][]*conn{}, map[string][]*conn{}
	for _, c := range s.toCheck(all) {
		if c.proof.Token != "" {
			tokens[c.proof.Token] = append(tokens[c.proof.Token], c)
		} else {
			sessions[c.proof.Session] = append(sessions[c.proof.Session], c)
		}
	}
	s.closeEnded(sessions, s.cfg.Sessions.Ended)
	s.closeEnded(tokens, s.cfg.Tokens.Ended)
}

func (s *Sockets) closeEnded(conns map[string][]*conn, ended func(context.Context, []string) ([]string, error)) {
	if len(conns) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
	defer cancel()
	gone, err := ended(ctx, slices.Collect(maps.Keys(conns)))
	if err != nil && s.ctx.Err() == nil {
		s.cfg.Log.Warn("sessions cannot be checked; the next time is in a minute", "error", err)
	}
	for _, secret := range gone {
		for _, c := range conns[secret] {
			c.end(CloseSignedOut, "signed out")
		}
	}
}

// checkRooms takes rooms away from connections of users who may not see them any more.
func (s *Sockets) checkRooms() {
	var conns []*conn
	var joins []*joined
	var users, rooms []uuid.UUID
	s.mu.Lock()
	all, see := s.seeAll, s.see
	s.seeAll, s.see = false, map[uuid.UUID]bool{}
	for c := range s.conns {
		if len(see) == 0 && !all {
			break
		}
		for _, j := range c.all() {
			if all || see[c.user.ID] || see[j.room.ID] {
				conns, joins, users, rooms = append(conns, c), append(joins, j), append(users, c.user.ID), append(rooms, j.room.ID)
			}
		}
	}
	s.mu.Unlock()
	if len(conns) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
	defer cancel()
	hidden, err := s.cfg.Rooms.Hidden(ctx, users, rooms)
	if err != nil {
		if s.ctx.Err() == nil {
			s.cfg.Log.Warn("who may see which room cannot be checked; it is tried again", "error", err)
			time.AfterFunc(missEvery, s.checkAllSoon)
		}
		return
	}
	for i, banned := range hidden {
		why := errHidden
		if banned {
			why = errBanned
		}
		conns[i].dialect.ended(conns[i], joins[i], why)
	}
}

// toCheck takes what is asked for.
func (s *Sockets) toCheck(all bool) (conns []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if all || s.checkAll || s.check[c.user.ID] {
			conns = append(conns, c)
		}
	}
	s.checkAll = false
	clear(s.check)
	return conns
}
