package consumer

import (
	"errors"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestFramesThatCannotBeUnderstoodSayWhy(t *testing.T) {
	for _, data := range []string{``, `x`, `[]`, `{}`, `{"type":"shout"}`, `{"type":1}`, `{"type":"post","body":1}`, "{\"type\":\"\xff\"}"} {
		var e *chat.Error
		if _, err := parse([]byte(data)); !errors.As(err, &e) || e.Code != chat.BadFrame || e.Message == "" {
			t.Errorf("%q: got %v, want a bad_frame", data, err)
		}
	}
	in, err := parse([]byte(`{"type":"post","id":"x","body":"hi","headers":{"HX-Request":"true"}}`))
	if err != nil || in.ID != "x" || in.Body != "hi" {
		t.Errorf("a post with htmx's headers: %+v, %v", in, err)
	}
	for _, id := range []string{"", "x", "00000000-0000-0000-0000-000000000000"} {
		if _, err := parseID(id); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}
