package faults

import (
	"context"
	"math/rand/v2"
)

// slowReader has a member take nothing for a while, though much comes.
type slowReader struct {
	w      *world
	victim *member
}

func (f *slowReader) Break(_ context.Context, random *rand.Rand) {
	f.victim = f.w.members[random.IntN(len(f.w.members))]
	f.victim.stall.Store(true)
}
func (f *slowReader) Mend(context.Context) { f.victim.stall.Store(false) }

// everybodyDropped ends all connections at one moment; everybody comes back at once.
type everybodyDropped struct{ w *world }

func (f *everybodyDropped) Break(context.Context, *rand.Rand) {
	for _, m := range f.w.members {
		m.drop()
	}
}
func (f *everybodyDropped) Mend(context.Context) {}
