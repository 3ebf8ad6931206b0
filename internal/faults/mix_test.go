package faults

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// mix breaks things, alone and several at once, for the time given; after each turn messages must flow again.
func (w *world) mix(t *testing.T, random *rand.Rand, faults []named, during time.Duration) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during+2*time.Minute)
	defer cancel()
	broken := map[string]int{}
	for began := time.Now(); time.Since(began) < during; {
		turn := []named{faults[random.IntN(len(faults))]}
		for random.IntN(3) == 0 && len(turn) < 3 {
			if more := faults[random.IntN(len(faults))]; !slices.Contains(turn, more) {
				turn = append(turn, more)
			}
		}
		var names []string
		for _, f := range turn {
			names = append(names, f.name)
			broken[f.name]++
			f.fault.Break(ctx, random)
			pause(ctx, 0, f.lasts(random)) // the next one comes while this one is broken
		}
		slices.SortStableFunc(turn, func(a, b named) int { return a.order - b.order })
		for _, f := range turn {
			f.fault.Mend(ctx)
		}
		if !w.flows(t, 20) {
			t.Fatalf("after %q messages do not flow", names)
		}
		if testing.Verbose() {
			t.Logf("%5.1fs %q", time.Since(began).Seconds(), names)
		}
	}
	return broken
}

// roundOfEverything has a world of its own and everything that can be broken at any time.
func roundOfEverything(t *testing.T, random *rand.Rand, during time.Duration) counts {
	bin, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	db := startDatabase(t, postgresBin(t), folder(t), queueOf(t))
	db.migrate(t)
	w := newWorld(t, random, db, plan{instances: 2, members: 10, rooms: 3, pace: 120 * time.Millisecond, bin: bin})
	w.start(t)
	w.flows(t, 20)
	pen := rand.New(rand.NewPCG(random.Uint64(), 0))
	editing, stop := context.WithCancel(t.Context())
	edited := make(chan struct{})
	go func() {
		defer close(edited)
		w.edit(editing, pen)
	}()
	broken := w.mix(t, random, w.all(), during)
	stop()
	<-edited
	w.settle(t)
	c := w.counted()
	c.faults = broken
	return c
}
