package faults

import (
	"math/rand/v2"
	"testing"
	"time"
)

// rounds are what is broken, each in a world of its own. Those that last draw faults for the time given.
var rounds = []struct {
	name string
	run  func(t *testing.T, random *rand.Rand, during time.Duration) counts
}{
	{"everything", roundOfEverything},
	{"failover", roundOfFailover},
	{"clocks", roundOfClocks},
	{"outages", roundOfOutages},
	{"storm", roundOfStorm},
	{"slow reader", roundOfSlowReader},
}

// TestFaults runs each round once, or again and again for as long as -faults.for says, always from other dice.
func TestFaults(t *testing.T) {
	random := dice(t)
	during := 25 * time.Second
	if *forFlag > 0 {
		during = time.Minute
	}
	var all counts
	began, n := time.Now(), 0
	for again := true; again && !t.Failed(); again = time.Since(began) < *forFlag {
		for _, r := range rounds {
			own := rand.New(rand.NewPCG(random.Uint64(), 2))
			t.Run(r.name, func(t *testing.T) {
				c := r.run(t, own, during)
				t.Log(c)
				all.add(c)
			})
			n++
		}
	}
	t.Logf("%d rounds in %s: %s", n, time.Since(began).Round(time.Second), all)
}
