package bench

import (
	"math"
	"time"
)

const (
	perDecade = 100 // buckets for each factor of ten: a quantile is at most 2.4 % off
	decades   = 8   // from 1 µs to 100 s
)

// histogram counts durations.
type histogram [perDecade * decades]uint32

func (h *histogram) add(d time.Duration) {
	i := 0
	if us := float64(d) / 1e3; us > 1 {
		i = min(int(math.Log10(us)*perDecade), len(h)-1)
	}
	h[i]++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile returns in milliseconds what a share q of the durations stays below; 0 where there are none.
func (h *histogram) quantile(q float64) float64 {
	var total, seen uint64
	for _, n := range h {
		total += uint64(n)
	}
	if total == 0 {
		return 0
	}
	want := uint64(math.Ceil(q * float64(total)))
	for i, n := range h {
		if seen += uint64(n); seen >= want && seen > 0 {
			return math.Pow(10, float64(i+1)/perDecade) / 1e3
		}
	}
	return 0
}
