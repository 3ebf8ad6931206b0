package layertest

import (
	"testing"

	"github.com/pgchat/pgchat/internal/layer"
)

func membership(t *testing.T, two func(*testing.T) (a, b layer.Layer)) {
	t.Run("a channel is reached from every instance, a closed one by none", func(t *testing.T) {
		a, b := two(t)
		in, gone := NewInbox(), NewInbox()
		c, closed := a.Open(in), a.Open(gone)
		must(t, a.GroupAdd(t.Context(), "g", closed))
		a.Close(closed)
		must(t, b.Send(t.Context(), closed, "lost"))
		must(t, b.GroupSend(t.Context(), "g", "lost"))
		must(t, b.Send(t.Context(), c, "one"))
		in.Want(t, " one")
		must(t, a.Send(t.Context(), c, "two"))
		in.Want(t, " two")
		gone.Empty(t)
		if err := a.GroupAdd(t.Context(), "g", closed); err == nil {
			t.Error("a closed channel was added to a group")
		}
	})
	t.Run("names of channels are never given twice", func(t *testing.T) {
		a, b := two(t)
		seen := map[string]bool{}
		for range 20 {
			for _, l := range []layer.Layer{a, b} {
				c := l.Open(NewInbox())
				if seen[c] {
					t.Fatalf("channel %s was given twice", c)
				}
				seen[c] = true
				l.Close(c)
			}
		}
	})
	t.Run("membership ends with its instance", func(t *testing.T) {
		a, b := two(t)
		if a == b {
			t.Skip("this layer has one instance")
		}
		here, there := join(t, a, "g"), NewInbox()
		channel := b.Open(there)
		must(t, b.GroupAdd(t.Context(), "g", channel))
		must(t, a.GroupSend(t.Context(), "g", "both"))
		here.Want(t, "g both")
		there.Want(t, "g both")
		must(t, b.Stop(t.Context()))
		must(t, a.Send(t.Context(), channel, "lost"))
		must(t, a.GroupSend(t.Context(), "g", "one"))
		here.Want(t, "g one")
		there.Empty(t)
	})
}

// Empty fails the test where something has arrived.
func (i *Inbox) Empty(t testing.TB) {
	t.Helper()
	select {
	case got := <-i.Payloads:
		t.Errorf("received %s, want nothing", short(got))
	default:
	}
}
