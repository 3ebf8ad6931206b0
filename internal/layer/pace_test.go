package layer_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgchat/pgchat/internal/layer"
)

func TestPaceDoesItAtOnceThenOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done, began := []time.Duration{}, time.Now()
		var mu sync.Mutex
		p := layer.NewPace(5*time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, time.Since(began))
		})
		for range 24 { // 0 s to 11.5 s
			p.Call()
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		p.Call()
		mu.Lock()
		defer mu.Unlock()
		want := []time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second, 72 * time.Second}
		if !slices.Equal(done, want) {
			t.Errorf("done at %v, want %v", done, want)
		}
	})
}
