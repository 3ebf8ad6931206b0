package postgres

import (
	"context"
	"time"
)

// Beat sends a heartbeat.
func (l *Layer) Beat(ctx context.Context) error { return l.beatOnce(ctx) }

// Intervals are the times that a test shortens; 0: as they are.
type Intervals struct{ Heartbeat, Quiet, Echo, Poll, Again time.Duration }

// Shorten sets them; before Start.
func (l *Layer) Shorten(to Intervals) {
	set := func(at *time.Duration, to time.Duration) {
		if to > 0 {
			*at = to
		}
	}
	set(&l.intervals.heartbeat, to.Heartbeat)
	set(&l.intervals.quiet, to.Quiet)
	set(&l.intervals.echo, to.Echo)
	set(&l.intervals.poll, to.Poll)
	set(&l.intervals.again, to.Again)
}
