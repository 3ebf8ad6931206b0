package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

// linkCut closes what goes over a link and lets nobody connect.
type linkCut struct {
	of     []*link
	victim *link
}

func (f *linkCut) Break(_ context.Context, random *rand.Rand) {
	f.victim = f.of[random.IntN(len(f.of))]
	f.victim.cut()
}

func (f *linkCut) Mend(ctx context.Context) {
	for ctx.Err() == nil && f.victim.join() != nil {
		pause(ctx, 20*time.Millisecond, 50*time.Millisecond) // somebody has the port for a moment
	}
}

// linkPoisoned lets a link drop, delay or throttle what passes.
type linkPoisoned struct {
	of               []*link
	kind, attributes string
	victim           *link
}

func (f *linkPoisoned) Break(_ context.Context, random *rand.Rand) {
	f.victim = f.of[random.IntN(len(f.of))]
	_ = f.victim.poison(f.kind, f.attributes)
}

func (f *linkPoisoned) Mend(ctx context.Context) { f.victim.heal(ctx, f.kind) }
