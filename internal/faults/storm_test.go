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
		lost   func() int64 // how many lose their connection
	}{
		{"storm after a killed instance", func() { w.instances[0].signal(syscall.SIGKILL) }, func() int64 { return w.on(w.instances[0].listen) }},
		{"storm after a cut network", func() { (&everybodyDropped{w}).Break(t.Context(), random) }, func() int64 { return members }},
	} {
		began, back := time.Now(), w.connects()+storm.lost()
		storm.broken()
		faults[storm.name]++
		w.everybodyIn(t, back)
		t.Logf("%s: everybody is back after %s", storm.name, time.Since(began).Round(time.Millisecond))
		w.flows(t, 10)
	}
	w.settle(t)
	c := w.counted()
	c.faults = faults
	return c
}

// on is how many members are connected to this address: not each instance has the same number, since who is not let in at
// once tries the next.
func (w *world) on(address string) (n int64) {
	for _, m := range w.members {
		if m.addresses[int(m.address.Load())%len(m.addresses)] == address {
			n++
		}
	}
	return n
}

// everybodyIn waits until there have been so many connections and everybody has joined every room.
func (w *world) everybodyIn(t *testing.T, connects int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	in := 0 // so many of the first have
	if w.until(ctx, func() bool {
		if w.connects() < connects {
			return false
		}
		for in < len(w.members) && w.members[in].joined() {
			in++
		}
		return in == len(w.members)
	}) {
		return
	}
	all := 0
	for _, m := range w.members {
		if m.joined() {
			all++
		}
	}
	t.Fatalf("%d of %d have joined, by %d connections where %d were awaited; the first who has not is member %d", all, len(w.members), w.connects(), connects, in)
}

// joined reports whether the member is in every room.
func (m *member) joined() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.ledger.rooms {
		if !v.joined {
			return false
		}
	}
	return true
}
