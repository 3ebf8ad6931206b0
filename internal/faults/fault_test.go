package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

// fault is one thing that can be broken. Break and Mend are called in turns, by one goroutine; while it is broken others
// may be, too. What cannot be broken at the moment, because something else is, is left alone.
type fault interface {
	Break(ctx context.Context, random *rand.Rand)
	Mend(ctx context.Context)
}

// named is a fault of the mix.
type named struct {
	name  string
	least time.Duration // how long it lasts, drawn between
	most  time.Duration
	fault fault
}

// all are the faults that can be broken in a world at any time.
func (w *world) all() []named {
	const short = 50 * time.Millisecond
	return []named{
		{"instance killed", 0, time.Second, &instanceKilled{w: w}},
		{"instance restarted", 0, short, &instanceRestarted{w: w}},
		{"instance frozen", short, 3 * time.Second, &instanceFrozen{w: w}},
		{"backend killed", 0, short, &backendKilled{w: w}},
		{"backends terminated", 0, short, &backendsTerminated{w: w}},
		{"backends frozen", short, 2 * time.Second, &backendsFrozen{w: w}},
		{"listeners terminated", 0, short, &backendsTerminated{w: w, listeners: true}},
		{"PostgreSQL stopped at once", 0, 3 * time.Second, &postgresStopped{w: w}},
		{"PostgreSQL killed", 0, time.Second, &postgresStopped{w: w, kill: true}},
		{"PostgreSQL restarted", 0, short, &postgresRestarted{w: w}},
		{"PostgreSQL read-only", short, 2 * time.Second, &readOnly{w: w}},
		{"notifications held back", short, 2 * time.Second, &queueHeld{w: w}},
		{"database link cut", 0, 2 * time.Second, &linkCut{of: w.pgLinks}},
		{"database link half-open", time.Second, 8 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "timeout", attributes: `{"timeout":0}`}},
		{"database link delayed", short, 3 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "latency", attributes: `{"latency":60,"jitter":50}`}},
		{"database link throttled", short, 3 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "bandwidth", attributes: `{"rate":20}`}},
		{"client link cut", 0, 2 * time.Second, &linkCut{of: w.links}},
		{"client link half-open", short, 4 * time.Second, &linkPoisoned{of: w.links, kind: "timeout", attributes: `{"timeout":0}`}},
		{"client link delayed", short, 3 * time.Second, &linkPoisoned{of: w.links, kind: "latency", attributes: `{"latency":150,"jitter":100}`}},
		{"client link throttled", short, 3 * time.Second, &linkPoisoned{of: w.links, kind: "bandwidth", attributes: `{"rate":20}`}},
		{"slow reader", short, 5 * time.Second, &slowReader{w: w}},
		{"everybody back at once", 0, short, &everybodyDropped{w: w}},
	}
}

// lasts draws for how long the fault lasts.
func (n named) lasts(random *rand.Rand) time.Duration {
	return n.least + time.Duration(random.Int64N(int64(n.most-n.least)))
}
