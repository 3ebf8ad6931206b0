package layertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/layer"
)

func size(t *testing.T, two func(*testing.T) (a, b layer.Layer)) {
	t.Run("events arrive however large", func(t *testing.T) {
		a, b := two(t)
		in := NewInbox()
		c := b.Open(in)
		must(t, b.GroupAdd(t.Context(), "g", c))
		for _, n := range []int{0, 7999, 8000, 100 << 10, layer.MaxPayload} {
			payload := strings.Repeat("x", n)
			must(t, a.GroupSend(t.Context(), "g", payload))
			in.Want(t, "g "+payload)
			must(t, a.Send(t.Context(), c, payload))
			in.Want(t, " "+payload)
		}
		// Bytes count, not characters.
		wide := strings.Repeat("é", 4000)
		must(t, a.GroupSend(t.Context(), "g", wide))
		in.Want(t, "g "+wide)
	})
	t.Run("what is too large or no text is refused", func(t *testing.T) {
		a, _ := two(t)
		c := a.Open(NewInbox())
		for _, payload := range []string{strings.Repeat("x", layer.MaxPayload+1), "nul\x00", "no text \xff"} {
			if a.GroupSend(t.Context(), "g", payload) == nil || a.Send(t.Context(), c, payload) == nil {
				t.Errorf("a payload of %d bytes was not refused: %s", len(payload), short(payload))
			}
		}
	})
	t.Run("large and small keep their order", func(t *testing.T) {
		a, b := two(t)
		in := NewInbox()
		c := b.Open(in)
		must(t, b.GroupAdd(t.Context(), "g", c))
		payload := func(i int) string {
			if i%3 == 0 || i%7 == 0 {
				return fmt.Sprint(i, strings.Repeat(" large", 2000))
			}
			return fmt.Sprint(i)
		}
		for i := range 60 {
			must(t, a.GroupSend(t.Context(), "g", payload(i)))
		}
		for i := range 60 {
			in.Want(t, "g "+payload(i))
		}
		for i := range 60 {
			must(t, a.Send(t.Context(), c, payload(i)))
		}
		for i := range 60 {
			in.Want(t, " "+payload(i))
		}
	})
	t.Run("a payload means nothing to the layer", func(t *testing.T) {
		a, b := two(t)
		in := NewInbox()
		c := b.Open(in)
		must(t, b.GroupAdd(t.Context(), "g", c))
		for _, payload := range []string{"event:" + uuid.NewString(), "event:", "heartbeat 1", "echo", "{}", `{"to":"x"}`} {
			must(t, a.GroupSend(t.Context(), "g", payload))
			in.Want(t, "g "+payload)
			must(t, a.Send(t.Context(), c, payload))
			in.Want(t, " "+payload)
		}
	})
}
