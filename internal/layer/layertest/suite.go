// Package layertest is what every channel layer must keep: one suite that runs on all of them. Only tests import it.
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

// Inbox is a receiver whose test waits for what arrives.
type Inbox struct {
	Payloads chan string // "group payload"
	Misses   chan struct{}
}

// NewInbox makes one that holds as much as tests send.
func NewInbox() *Inbox {
	return &Inbox{Payloads: make(chan string, 10_000), Misses: make(chan struct{}, 1000)}
}

// Receive implements [layer.Receiver].
func (i *Inbox) Receive(group, payload string) { i.Payloads <- group + " " + payload }

// Missed implements [layer.Receiver].
func (i *Inbox) Missed() { i.Misses <- struct{}{} }

// Want fails the test unless exactly these arrive next, in this order.
func (i *Inbox) Want(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-i.Payloads:
			if got != w {
				t.Fatalf("received %q, want %q", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q did not arrive", w)
		}
	}
}

// Run runs the suite. start returns two started layers that share their groups; they may be the same one.
func Run(t *testing.T, start func(t *testing.T) (a, b layer.Layer)) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a group's channels on every instance receive in order", func(t *testing.T) {
		a, b := start(t)
		ada, bob := NewInbox(), NewInbox()
		must(t, a.GroupAdd(t.Context(), "room:1", a.Open(ada)))
		must(t, b.GroupAdd(t.Context(), "room:1", b.Open(bob)))
		var want []string
		for i := range 100 {
			must(t, a.GroupSend(t.Context(), "room:1", fmt.Sprint(i)))
			want = append(want, fmt.Sprintf("room:1 %d", i))
		}
		ada.Want(t, want...)
		bob.Want(t, want...)
	})
	t.Run("other groups and discarded channels receive nothing", func(t *testing.T) {
		a, b := start(t)
		in, out, other := NewInbox(), NewInbox(), NewInbox()
		cin, cout, cother := b.Open(in), b.Open(out), b.Open(other)
		must(t, b.GroupAdd(t.Context(), "g", cin))
		must(t, b.GroupAdd(t.Context(), "g", cout))
		must(t, b.GroupAdd(t.Context(), "other", cother))
		b.GroupDiscard("g", cout)
		must(t, a.GroupSend(t.Context(), "g", "hello"))
		in.Want(t, "g hello")
		for _, c := range []string{cout, cother} {
			must(t, a.Send(t.Context(), c, "end"))
		}
		out.Want(t, " end")
		other.Want(t, " end")
	})
	t.Run("a channel in two groups receives from both, once each, and may be added twice", func(t *testing.T) {
		a, _ := start(t)
		in := NewInbox()
		c := a.Open(in)
		for _, g := range []string{"x", "y", "x"} {
			must(t, a.GroupAdd(t.Context(), g, c))
		}
		must(t, a.GroupSend(t.Context(), "x", "1"))
		must(t, a.GroupSend(t.Context(), "y", "2"))
		must(t, a.GroupSend(t.Context(), "x", "3"))
		in.Want(t, "x 1", "y 2", "x 3")
	})
	t.Run("a channel is reached from every instance, a closed one by none", func(t *testing.T) {
		a, b := start(t)
		in, gone := NewInbox(), NewInbox()
		c, closed := a.Open(in), a.Open(gone)
		must(t, a.GroupAdd(t.Context(), "g", closed))
		a.Close(closed)
		must(t, b.Send(t.Context(), closed, "lost"))
		must(t, b.GroupSend(t.Context(), "g", "lost"))
		must(t, b.Send(t.Context(), c, "one"))
		must(t, a.Send(t.Context(), c, "two"))
		in.Want(t, " one", " two")
		if len(gone.Payloads) > 0 {
			t.Errorf("the closed channel received %q", <-gone.Payloads)
		}
	})
	t.Run("names are taken as they are", func(t *testing.T) {
		a, b := start(t)
		for _, group := range []string{`Quote"d`, "UPPER lower", "semi;colon--", "élan 🐘", strings.Repeat("n", layer.MaxName)} {
			in := NewInbox()
			must(t, b.GroupAdd(t.Context(), group, b.Open(in)))
			must(t, a.GroupSend(t.Context(), group, "x"))
			in.Want(t, group+" x")
		}
	})
	t.Run("names and payloads past the limits are refused", func(t *testing.T) {
		a, _ := start(t)
		in := NewInbox()
		c := a.Open(in)
		for _, group := range []string{"", "nul\x00", strings.Repeat("é", layer.MaxName/2+1)} {
			if a.GroupAdd(t.Context(), group, c) == nil || a.GroupSend(t.Context(), group, "x") == nil {
				t.Errorf("group %q was not refused", group)
			}
		}
		must(t, a.GroupAdd(t.Context(), "g", c))
		if a.GroupSend(t.Context(), "g", strings.Repeat("x", layer.MaxPayload+1)) == nil {
			t.Error("a payload of 8000 bytes was not refused")
		}
		largest := strings.Repeat("x", layer.MaxPayload)
		must(t, a.GroupSend(t.Context(), "g", largest))
		in.Want(t, "g "+largest)
	})
	t.Run("many senders at once lose nothing and keep each sender's order", func(t *testing.T) {
		a, b := start(t)
		in := NewInbox()
		must(t, a.GroupAdd(t.Context(), "g", a.Open(in)))
		const senders, each = 8, 50
		// The last payload may arrive before its sender's call has returned, which the test's end would cancel.
		var sending sync.WaitGroup
		defer sending.Wait()
		for s := range senders {
			sending.Go(func() {
				for i := range each {
					if err := b.GroupSend(t.Context(), "g", fmt.Sprintf("%d %d", s, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := make([]int, senders)
		for range senders * each {
			select {
			case got := <-in.Payloads:
				var s, i int
				if _, err := fmt.Sscanf(got, "g %d %d", &s, &i); err != nil || next[s] != i {
					t.Fatalf("received %q, want number %d of sender %d (%v)", got, next[s], s, err)
				}
				next[s]++
			case <-time.After(20 * time.Second):
				t.Fatalf("received %v", next)
			}
		}
		if slices.Max(next) != each || slices.Min(next) != each {
			t.Errorf("received %v", next)
		}
	})
	t.Run("a stopped layer says so", func(t *testing.T) {
		a, _ := start(t)
		must(t, a.Stop(t.Context()))
		must(t, a.Stop(t.Context()))
	})
}
