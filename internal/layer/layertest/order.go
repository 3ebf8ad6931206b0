package layertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgchat/pgchat/internal/layer"
)

func order(t *testing.T, two func(*testing.T) (a, b layer.Layer), start Start) {
	t.Run("a group's channels on every instance receive in order", func(t *testing.T) {
		a, b := two(t)
		ada, bob := join(t, a, "room:1"), join(t, b, "room:1")
		var want []string
		for i := range 100 {
			must(t, a.GroupSend(t.Context(), "room:1", fmt.Sprint(i)))
			want = append(want, fmt.Sprintf("room:1 %d", i))
		}
		ada.Want(t, want...)
		bob.Want(t, want...)
	})
	t.Run("many instances reach one another", func(t *testing.T) {
		const instances = 5
		layers := start(t, instances)
		inboxes := make([]*Inbox, instances)
		for i, l := range layers {
			inboxes[i] = join(t, l, "g")
		}
		for i, l := range layers {
			must(t, l.GroupSend(t.Context(), "g", fmt.Sprint(i)))
			for _, in := range inboxes {
				in.Want(t, fmt.Sprintf("g %d", i))
			}
		}
	})
	t.Run("what is said twice at once arrives twice", func(t *testing.T) {
		a, b := two(t)
		in := join(t, b, "g")
		var sending sync.WaitGroup
		defer sending.Wait()
		for range 40 {
			sending.Go(func() {
				if err := a.GroupSend(t.Context(), "g", "the same"); err != nil {
					t.Error(err)
				}
			})
		}
		for range 40 {
			in.Want(t, "g the same")
		}
	})
	t.Run("many senders at once lose nothing, keep each sender's order, and all receivers see the same", func(t *testing.T) {
		a, b := two(t)
		here, there := join(t, a, "g"), join(t, b, "g")
		const senders, each = 8, 50
		// The last payload may arrive before its sender's call has returned, which the test's end would cancel.
		var sending sync.WaitGroup
		defer sending.Wait()
		for s := range senders {
			sending.Go(func() {
				from := []layer.Layer{a, b}[s%2]
				for i := range each {
					payload := fmt.Sprintf("%d %d", s, i)
					if i%10 == 3 {
						payload += strings.Repeat(" ", 9000) // overtaken by none
					}
					if err := from.GroupSend(t.Context(), "g", payload); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := make([]int, senders)
		for range senders * each {
			select {
			case got := <-here.Payloads:
				var s, i int
				if _, err := fmt.Sscanf(got, "g %d %d", &s, &i); err != nil || next[s] != i {
					t.Fatalf("received %s, want number %d of sender %d (%v)", short(got), next[s], s, err)
				}
				next[s]++
				there.Want(t, got)
			case <-time.After(within):
				t.Fatalf("received %v", next)
			}
		}
		if slices.Max(next) != each || slices.Min(next) != each {
			t.Errorf("received %v", next)
		}
	})
}
