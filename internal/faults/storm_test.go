package faults

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// roundOfStorm has 1,000 members lose their connections at one moment and come back at once, once because their instance
// was killed, once because all were cut, while some go on posting.
func roundOfStorm(t *testing.T, random *rand.Rand, _ time.Duration) counts {
	const members, posters = 1000, 8
	bin, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	db := startDatabase(t, postgresBin(t), folder(t))
	db.migrate(t)
	w := newWorld(t, random, db, plan{instances: 2, members: members, rooms: 1, pace: time.Second, bin: bin, direct: true})
	for i, m := range w.members {
		m.stays = true
		m.quiet.Store(i >= posters)
	}
	w.start(t)
	w.everybodyIn(t, members)
	w.flows(t, 10)
	faults := map[string]int{}
	for _, storm := range []struct {
		name   string
		broken func()
		back   int64 // how many lose their connection
	}{
		{"storm after a killed instance", func() { w.instances[0].signal(syscall.SIGKILL) }, members / 2},
		{"storm after a cut network", func() { (&everybodyDropped{w}).Break(t.Context(), random) }, members},
	} {
		began, before := time.Now(), w.connects()
		storm.broken()
		faults[storm.name]++
		w.everybodyIn(t, before+storm.back)
		t.Logf("%s: everybody is back after %s", storm.name, time.Since(began).Round(time.Millisecond))
		w.flows(t, 10)
	}
	w.settle(t)
	c := w.counted()
	c.faults = faults
	return c
}

// everybodyIn waits until there have been so many connections and everybody has joined every room.
func (w *world) everybodyIn(t *testing.T, connects int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	in := 0
	if !w.until(ctx, func() bool {
		if w.connects() < connects {
			return false
		}
		for ; in < len(w.members); in++ {
			m := w.members[in]
			m.mu.Lock()
			for _, v := range m.ledger.rooms {
				if !v.joined {
					m.mu.Unlock()
					return false
				}
			}
			m.mu.Unlock()
		}
		return true
	}) {
		t.Fatalf("%d of %d have joined", in, len(w.members))
	}
}
