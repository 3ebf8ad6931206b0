package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// ListenerName is the application_name of listeners in pg_stat_activity.
const ListenerName = "pgchat listener"

const (
	answerWithin = 5 * time.Second // for the server to answer a LISTEN
	firstRetry   = 50 * time.Millisecond
	lastRetry    = 5 * time.Second
)

// listen is the listener: until ctx ends it connects, again and again where it must, polls while no connection hears, and
// tells the receivers that they may have missed something once LISTEN is in force again.
func (l *Layer) listen(ctx context.Context) {
	defer close(l.done)
	var s *session
	wait, told := firstRetry, false
	listening := func() {
		l.metrics.connects.Inc()
		l.setState(nil, nil)
		if told { // who was added before listens from the beginning
			l.groups.Missed()
		}
		told = true
	}
	for ctx.Err() == nil {
		began := time.Now()
		var err error
		if s == nil {
			s, err = l.connect(ctx)
		}
		if err == nil {
			err = s.run(ctx, listening)
			s = nil
		}
		if errors.Is(err, ErrNoEcho) {
			told = true
			s = l.poll(ctx, err)
			continue
		}
		l.setState(err, nil)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		l.log.Warn("the listener lost its connection and connects again", "error", err, "in", wait.String())
		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter
		case <-ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
}
