// Package layertest is what every channel layer must keep: the documentation of package layer as one suite that runs on all
// of them, in one process or across two. Only tests import it.
package layertest

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/layer"
)

// Start returns n started layers that share their groups and end with the test; they may be the same one.
type Start func(t *testing.T, n int) []layer.Layer

// Run runs the suite.
func Run(t *testing.T, start Start) {
	two := func(t *testing.T) (a, b layer.Layer) {
		l := start(t, 2)
		return l[0], l[1]
	}
	t.Run("groups", func(t *testing.T) { groups(t, two) })
	t.Run("order", func(t *testing.T) { order(t, two, start) })
	t.Run("membership", func(t *testing.T) { membership(t, two) })
	t.Run("size", func(t *testing.T) { size(t, two) })
	t.Run("mailbox", func(t *testing.T) { mailbox(t, two) })
	t.Run("a stopped layer says so", func(t *testing.T) {
		a, _ := two(t)
		channel := a.Open(NewInbox())
		must(t, a.Stop(t.Context()))
		must(t, a.Stop(t.Context()))
		if err := a.GroupSend(t.Context(), "g", "x"); !errors.Is(err, layer.ErrStopped) {
			t.Errorf("GroupSend: got %v, want ErrStopped", err)
		}
		if err := a.Send(t.Context(), channel, "x"); !errors.Is(err, layer.ErrStopped) {
			t.Errorf("Send: got %v, want ErrStopped", err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// join opens a channel for a new inbox in the group.
func join(t *testing.T, l layer.Layer, group string) *Inbox {
	t.Helper()
	in := NewInbox()
	must(t, l.GroupAdd(t.Context(), group, l.Open(in)))
	return in
}

func groups(t *testing.T, two func(*testing.T) (a, b layer.Layer)) {
	t.Run("other groups and discarded channels receive nothing", func(t *testing.T) {
		a, b := two(t)
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
		a, _ := two(t)
		in := NewInbox()
		c := a.Open(in)
		for _, g := range []string{"x", "y", "x"} {
			must(t, a.GroupAdd(t.Context(), g, c))
		}
		// Between groups there is no order, so each is waited for.
		must(t, a.GroupSend(t.Context(), "x", "1"))
		in.Want(t, "x 1")
		must(t, a.GroupSend(t.Context(), "y", "2"))
		in.Want(t, "y 2")
		must(t, a.GroupSend(t.Context(), "x", "3"))
		in.Want(t, "x 3")
	})
	t.Run("names are taken as they are", func(t *testing.T) {
		a, b := two(t)
		for _, group := range []string{`Quote"d`, "UPPER lower", "semi;colon--", "élan 🐘", strings.Repeat("n", layer.MaxName)} {
			in := join(t, b, group)
			must(t, a.GroupSend(t.Context(), group, "x"))
			in.Want(t, group+" x")
		}
	})
	t.Run("names past the limits are refused", func(t *testing.T) {
		a, _ := two(t)
		c := a.Open(NewInbox())
		for _, group := range []string{"", "nul\x00", "no text \xff", strings.Repeat("é", layer.MaxName/2+1)} {
			if a.GroupAdd(t.Context(), group, c) == nil || a.GroupSend(t.Context(), group, "x") == nil {
				t.Errorf("group %q was not refused", group)
			}
		}
	})
}
