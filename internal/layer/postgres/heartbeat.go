package postgres

import (
	"context"
	"strconv"
	"time"
)

const heartbeat = "heartbeat " // and the time in nanoseconds

// beat sends the time to this instance itself, by which the listener knows that it hears and how long notifications take,
// and deletes expired events: no WAL is written where there are none.
func (l *Layer) beat(ctx context.Context) {
	every := time.NewTicker(l.intervals.heartbeat)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		if err := l.beatOnce(ctx); err != nil && ctx.Err() == nil {
			l.log.Debug("the listener's heartbeat was not sent", "error", err)
		}
	}
}

func (l *Layer) beatOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.intervals.heartbeat)
	defer cancel()
	if err := l.notify(ctx, l.inbox, heartbeat+strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
		return err
	}
	return l.queries.DeleteExpiredEvents(ctx)
}
