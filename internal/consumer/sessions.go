package consumer

import (
	"context"
	"encoding/json"
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
	byToken := s.toCheck(all)
	if len(byToken) == 0 {
		return
	}
	tokens := make([]string, 0, len(byToken))
	for token := range byToken {
		tokens = append(tokens, token)
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
	defer cancel()
	ended, err := s.cfg.Sessions.Ended(ctx, tokens)
	if err != nil {
		if s.ctx.Err() == nil {
			s.cfg.Log.Warn("sessions cannot be checked; the next time is in a minute", "error", err)
		}
		return
	}
	for _, token := range ended {
		for _, c := range byToken[token] {
			c.end(CloseSignedOut, "signed out")
		}
	}
}

// toCheck takes what is asked for: the connections by their session's token.
func (s *Sockets) toCheck(all bool) map[string][]*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	byToken := map[string][]*conn{}
	for c := range s.conns {
		if all || s.checkAll || s.check[c.user.ID] {
			byToken[c.proof.Session] = append(byToken[c.proof.Session], c)
		}
	}
	s.checkAll = false
	clear(s.check)
	return byToken
}
