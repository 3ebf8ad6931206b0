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
	order int // of mending: sessions that are frozen keep PostgreSQL from starting, which others are mended in
}

// all are the faults that can be broken in a world at any time.
func (w *world) all() []named {
	const short = 50 * time.Millisecond
	return []named{
		{"instance killed", 0, time.Second, &instanceKilled{w: w}, 2},
		{"instance restarted", 0, short, &instanceRestarted{w: w}, 2},
		{"instance frozen", short, 3 * time.Second, &instanceFrozen{w: w}, 2},
		{"backend killed", 0, short, &backendKilled{w: w}, 2},
		{"backends terminated", 0, short, &backendsTerminated{w: w}, 2},
		{"backends frozen", short, 2 * time.Second, &backendsFrozen{w: w}, 0},
		{"listeners terminated", 0, short, &backendsTerminated{w: w, listeners: true}, 2},
		{"PostgreSQL stopped at once", 0, 3 * time.Second, &postgresStopped{w: w}, 1},
		{"PostgreSQL killed", 0, time.Second, &postgresStopped{w: w, kill: true}, 1},
		{"PostgreSQL restarted", 0, short, &postgresRestarted{w: w}, 1},
		{"PostgreSQL read-only", short, 2 * time.Second, &readOnly{w: w}, 2},
		{"notifications held back", short, 2 * time.Second, &queueHeld{w: w}, 2},
		{"database link cut", 0, 2 * time.Second, &linkCut{of: w.pgLinks}, 2},
		{"database link half-open", time.Second, 8 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "timeout", attributes: `{"timeout":0}`}, 2},
		{"database link delayed", short, 3 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "latency", attributes: `{"latency":60,"jitter":50}`}, 2},
		{"database link throttled", short, 3 * time.Second, &linkPoisoned{of: w.pgLinks, kind: "bandwidth", attributes: `{"rate":20}`}, 2},
		{"client link cut", 0, 2 * time.Second, &linkCut{of: w.links}, 2},
		{"client link half-open", short, 4 * time.Second, &linkPoisoned{of: w.links, kind: "timeout", attributes: `{"timeout":0}`}, 2},
		{"client link delayed", short, 3 * time.Second, &linkPoisoned{of: w.links, kind: "latency", attributes: `{"latency":150,"jitter":100}`}, 2},
		{"client link throttled", short, 3 * time.Second, &linkPoisoned{of: w.links, kind: "bandwidth", attributes: `{"rate":20}`}, 2},
		{"slow reader", short, 5 * time.Second, &slowReader{w: w}, 2},
		{"everybody back at once", 0, short, &everybodyDropped{w: w}, 2},
	}
}

// lasts draws for how long the fault lasts.
func (n named) lasts(random *rand.Rand) time.Duration {
	return n.least + time.Duration(random.Int64N(int64(n.most-n.least)))
}
