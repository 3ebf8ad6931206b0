package layertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgchat/pgchat/internal/layer"
)

func mailbox(t *testing.T, two func(*testing.T) (a, b layer.Layer)) {
	t.Run("a full mailbox drops the oldest, and costs the others nothing", func(t *testing.T) {
		a, b := two(t)
		box := layer.NewMailbox(3, 0)
		must(t, b.GroupAdd(t.Context(), "g", b.Open(box)))
		in := join(t, b, "g")
		const sent = 20
		for i := range sent {
			must(t, a.GroupSend(t.Context(), "g", fmt.Sprint(i)))
		}
		for i := range sent {
			in.Want(t, fmt.Sprintf("g %d", i))
		}
		// The inbox may have the last event a moment before the mailbox has.
		for taken := 1; ; taken++ {
			e, err := box.Next(t.Context())
			must(t, err)
			if first := taken == 1; first && !e.Missed {
				t.Errorf("%+v does not say that something was missed before", e)
			}
			if e.Payload == fmt.Sprint(sent-1) {
				if dropped := int(box.Dropped()); taken+dropped != sent || taken > 4 {
					t.Errorf("%d were taken and %d dropped, want %d together", taken, dropped, sent)
				}
				return
			}
		}
	})
	t.Run("what is not taken in time is not handed out", func(t *testing.T) {
		a, b := two(t)
		box := layer.NewMailbox(10, time.Nanosecond)
		must(t, b.GroupAdd(t.Context(), "g", b.Open(box)))
		in := join(t, b, "g")
		for _, payload := range []string{"old", "end"} {
			must(t, a.GroupSend(t.Context(), "g", payload))
			in.Want(t, "g "+payload)
		}
		if e, err := box.Next(t.Context()); err != nil || e != (layer.Event{Missed: true}) {
			t.Errorf("got %+v, error %v; want to be told that something was missed", e, err)
		}
	})
}
