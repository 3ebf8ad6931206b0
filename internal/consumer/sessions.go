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
func (p *Pages) Receive(_, payload string) {
	var activity struct {
		SignedOut []uuid.UUID `json:"signed_out"` // empty: many, look at all
	}
	if err := json.Unmarshal([]byte(payload), &activity); err != nil || activity.SignedOut == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(activity.SignedOut) == 0 {
		p.checkAll = true
	}
	for _, user := range activity.SignedOut {
		p.check[user] = true
	}
	p.wakeChecker()
}

// Missed implements [layer.Receiver].
func (p *Pages) Missed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkAll = true
	p.wakeChecker()
}

func (p *Pages) wakeChecker() {
	select {
	case p.checkSoon <- struct{}{}:
	default:
	}
}

// checkSessions closes the connections whose session has ended, until ctx ends: all are looked at in one query every
// minute, those of a user at once when a session of theirs was deleted.
func (p *Pages) checkSessions(ctx context.Context) {
	defer close(p.checked)
	every := time.NewTicker(checkEvery)
	defer every.Stop()
	for {
		all := false
		select {
		case <-p.checkSoon:
		case <-every.C:
			all = true
		case <-ctx.Done():
			return
		}
		byToken := p.toCheck(all)
		if len(byToken) == 0 {
			continue
		}
		tokens := make([]string, 0, len(byToken))
		for token := range byToken {
			tokens = append(tokens, token)
		}
		reading, cancel := context.WithTimeout(ctx, writeWithin)
		ended, err := p.cfg.Sessions.Ended(reading, tokens)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				p.cfg.Log.Warn("sessions cannot be checked; the next time is in a minute", "error", err)
			}
			continue
		}
		for _, token := range ended {
			for _, c := range byToken[token] {
				c.end(closeFrame{CloseSignedOut, "signed out"})
			}
		}
	}
}

// toCheck takes what is asked for: the connections by their session's token.
func (p *Pages) toCheck(all bool) map[string][]*pageConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	byToken := map[string][]*pageConn{}
	for c := range p.conns {
		if all || p.checkAll || p.check[c.user.ID] {
			byToken[c.token] = append(byToken[c.token], c)
		}
	}
	p.checkAll = false
	clear(p.check)
	return byToken
}
