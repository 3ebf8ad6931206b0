package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/pgchat/pgchat/internal/store"
)

func (p *Presence) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	err := p.queries.RegisterInstance(ctx, store.RegisterInstanceParams{ID: p.instance.ID, Name: p.instance.Name, Version: p.instance.Version})
	if err != nil {
		return fmt.Errorf("register the instance: %w", err)
	}
	return nil
}

// beat renews the lease. An instance that was swept, or lost with the unlogged tables in a crash of PostgreSQL, registers
// again and writes all it holds.
func (p *Presence) beat(ctx context.Context) error {
	beating, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	n, err := p.queries.Heartbeat(beating, p.heartbeat())
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	if n == 0 {
		if err := p.restore(ctx); err != nil {
			return err
		}
	}
	// What could not be written before is written now.
	return p.flush(ctx)
}

func (p *Presence) heartbeat() store.HeartbeatParams {
	p.mu.Lock()
	figures := p.figures
	p.mu.Unlock()
	arg := store.HeartbeatParams{ID: p.instance.ID}
	if figures == nil {
		return arg
	}
	f := figures()
	arg.Connections, arg.Rooms, arg.Listener, arg.Queue = int32(f.Connections), int32(f.Rooms), f.Listener, int32(f.Queue) //nolint:gosec // far from it
	arg.Batches, arg.Messages, arg.LargestBatch = int32(f.Batches), int32(f.Messages), int32(f.LargestBatch)               //nolint:gosec // far from it
	if f.ListenerPID != 0 {
		pid := int32(f.ListenerPID) //nolint:gosec // a process id
		arg.ListenerPid = &pid
	}
	if f.Lag > 0 {
		lag := f.Lag.Seconds()
		arg.LagSeconds = &lag
	}
	return arg
}

func (p *Presence) restore(ctx context.Context) error {
	if err := p.register(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, h := range p.held {
		h.told = offline
		p.held[at] = h
		p.changed[at] = struct{}{}
		all := p.people[at.user]
		all.told = offline
		p.people[at.user] = all
	}
	return nil
}

// sweep removes instances whose lease has ended and returns when to look again: when the next lease may end.
func (p *Presence) sweep(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	dead, err := p.queries.SweepInstances(ctx, p.instance.Lease.Seconds())
	if err != nil {
		return p.instance.Heartbeat, fmt.Errorf("sweep instances: %w", err)
	}
	for _, d := range dead {
		p.log.Warn("an instance died; its presence has ended", "instance", d.Name, "rooms", d.Rooms)
	}
	seconds, err := p.queries.NextLeaseEnd(ctx, p.instance.Lease.Seconds())
	if err != nil {
		return p.instance.Heartbeat, fmt.Errorf("read the next lease's end: %w", err)
	}
	if seconds < 0 {
		return p.instance.Heartbeat, nil
	}
	next := time.Duration(seconds*float64(time.Second)) + 10*time.Millisecond
	return min(max(next, 10*time.Millisecond), p.instance.Heartbeat), nil
}
