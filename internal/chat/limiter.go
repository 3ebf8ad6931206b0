package chat

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// maxKeys is how many keys a Limiter remembers apart; with more, some have their burst again too early.
const maxKeys = 10_000

// Limiter slows down who does something too often: for each key so many a second, and so many at once. It is safe for use by
// many goroutines.
type Limiter[K comparable] struct {
	perSecond rate.Limit
	burst     int
	message   string
	recovery  time.Duration // after which a key has its whole burst again and need not be remembered

	mu         sync.Mutex
	new, older map[K]*rate.Limiter // of the keys that came since turned, and of those that came in the time before
	turned     time.Time
}

// NewLimiter makes a limiter that refuses with the message. With a rate of 0 there is no limit.
func NewLimiter[K comparable](perSecond float64, burst int, message string) *Limiter[K] {
	l := &Limiter[K]{perSecond: rate.Limit(perSecond), burst: burst, message: message, new: map[K]*rate.Limiter{}}
	if perSecond > 0 {
		l.recovery = time.Duration(float64(burst) / perSecond * float64(time.Second))
	}
	return l
}

// NewPostLimiter limits, by user, what is posted and changed: over WebSockets and HTTP together.
func NewPostLimiter(perSecond float64, burst int) *Limiter[uuid.UUID] {
	return NewLimiter[uuid.UUID](perSecond, burst, "You are sending too fast. Wait a few seconds and send it again.")
}

// Allow counts one more of the key. Where that is too much, it is not counted: the error says so, and wait is the time after which
// it is not.
func (l *Limiter[K]) Allow(key K) (wait time.Duration, err error) {
	if l.perSecond == 0 {
		return 0, nil
	}
	now := time.Now()
	r := l.of(key, now).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, Errorf(RateLimited, "%s", l.message)
	}
	return 0, nil
}

func (l *Limiter[K]) of(key K, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.turned) >= l.recovery || len(l.new) >= maxKeys {
		l.new, l.older, l.turned = map[K]*rate.Limiter{}, l.new, now
	}
	found := l.new[key]
	if found == nil {
		if found = l.older[key]; found == nil {
			found = rate.NewLimiter(l.perSecond, l.burst)
		}
		l.new[key] = found
	}
	return found
}
