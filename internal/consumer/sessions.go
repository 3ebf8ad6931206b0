package consumer

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Activity is the group of all instances: whose sessions have ended travels in it.
const Activity = "activity"

const checkEvery = time.Minute // whether sessions have expired

// Receive implements [layer.Receiver]: the connections of users whose sessions have ended are looked at.
func (s *Sockets) Receive(_, payload string) {
	var activity struct {
		SignedOut []uuid.UUID `json:"signed_out"` // empty: many, look at all
	}
	if err := json.Unmarshal([]byte(payload), &activity); err != nil || activity.SignedOut == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(activity.SignedOut) == 0 {
		s.checkAll = true
	}
	for _, user := range activity.SignedOut {
		s.check[user] = true
	}
	s.checkSoon()
}

// Missed implements [layer.Receiver].
func (s *Sockets) Missed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkAll = true
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
	check, ping := time.NewTicker(checkEvery), time.NewTicker(pingEvery)
	defer check.Stop()
	defer ping.Stop()
	for {
		select {
		case <-ping.C:
			for _, c := range s.all() {
				c.sendPing()
			}
		case <-s.soon:
			s.checkSessions(false)
		case <-check.C:
			s.checkSessions(true)
		case <-s.ctx.Done():
			return
		}
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
