package feed

import (
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

// A connection that is lost between LISTEN and the room's first reading: the comparison after it may know more.
func TestARoomThatIsNotReadyRemembersHowFarTheTableIs(t *testing.T) {
	r := &room{}
	r.compare(chat.Cursor{}, chat.Cursor{Seq: 6, Rev: 2}, chat.Cursor{Seq: 6, Rev: 2}, true)
	r.compare(chat.Cursor{}, chat.Cursor{Seq: 5, Rev: 3}, chat.Cursor{Seq: 5, Rev: 3}, true)
	r.compare(chat.Cursor{}, chat.Cursor{}, chat.Cursor{}, false) // its own reading will tell
	if want := (chat.Cursor{Seq: 6, Rev: 3}); r.target != want || r.err != nil {
		t.Errorf("got target %v, error %v; want %v", r.target, r.err, want)
	}
}
