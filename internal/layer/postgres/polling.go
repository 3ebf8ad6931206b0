package postgres

import (
	"context"
	"time"
)

// poll stands in for a connection that hears: it tells the receivers every so often that they may have missed something,
// until there is such a connection, which it returns; nil: ctx has ended.
func (l *Layer) poll(ctx context.Context, why error) *session {
	l.log.Warn("no live events: the listener polls instead, and messages come late by that", "error", why, "every", l.intervals.poll.String())
	defer func() {
		if ctx.Err() == nil {
			l.log.Info("the listener hears again and polls no longer")
		}
	}()
	trying, stop := context.WithCancel(ctx)
	found := make(chan *session, 1)
	go l.findListener(trying, found)
	defer stop()
	every := time.NewTicker(l.intervals.poll)
	defer every.Stop()
	l.applied(l.groups.Names())
	l.setState(nil, why)
	for {
		waiting, cancel := context.WithCancel(ctx)
		if !l.interruptible(cancel) {
			cancel()
		}
		select {
		case <-waiting.Done():
		case <-every.C:
			l.groups.Missed()
		case s := <-found:
			cancel()
			l.interruptible(nil)
			return s
		}
		cancel()
		l.interruptible(nil)
		if ctx.Err() != nil {
			if s := <-found; s != nil {
				s.close()
			}
			return nil
		}
		w := l.takeWork()
		l.applied(w.changed)
		for _, answer := range w.asked {
			answer <- nil
		}
		for _, f := range w.fetched {
			l.arrived(f)
		}
	}
}

// findListener tries for a connection that hears until it has one or ctx ends.
func (l *Layer) findListener(ctx context.Context, found chan<- *session) {
	defer close(found)
	again := time.NewTicker(l.intervals.again)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		s, err := l.connect(ctx)
		if err == nil {
			found <- s
			return
		}
		l.log.Debug("the listener still polls", "error", err)
	}
}
