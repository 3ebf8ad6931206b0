package server

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	triesAtOnce  = 10
	triesEvery   = 6 * time.Second
	maxAddresses = 10_000
)

// limits slows down who tries many passwords or makes many accounts from one address.
type limits struct {
	mu        sync.Mutex
	addresses map[string]*rate.Limiter
}

func newLimits() *limits { return &limits{addresses: map[string]*rate.Limiter{}} }

func (l *limits) allow(address string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.addresses[address]
	if limiter == nil {
		if len(l.addresses) >= maxAddresses {
			// Those that have recovered all their tries need not be remembered.
			for a, other := range l.addresses {
				if other.Tokens() >= triesAtOnce {
					delete(l.addresses, a)
				}
			}
			if len(l.addresses) >= maxAddresses {
				clear(l.addresses)
			}
		}
		limiter = rate.NewLimiter(rate.Every(triesEvery), triesAtOnce)
		l.addresses[address] = limiter
	}
	if !limiter.Allow() {
		return chat.Errorf(chat.RateLimited, "Too many tries. Wait a minute and try again.")
	}
	return nil
}
