package feed

import (
	"context"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

// A connection that is lost between LISTEN and the room's first reading: the comparison after it may know more.
func TestARoomThatIsNotReadyRemembersHowFarTheTableIs(t *testing.T) {
	r := &room{}
	r.compare(standing{}, chat.Head{Cursor: chat.Cursor{Seq: 6, Rev: 2}}, chat.Cursor{Seq: 6, Rev: 2}, true)
	r.compare(standing{}, chat.Head{Cursor: chat.Cursor{Seq: 5, Rev: 3}}, chat.Cursor{Seq: 5, Rev: 3}, true)
	r.compare(standing{}, chat.Head{}, chat.Cursor{}, false) // its own reading will tell
	if want := (chat.Cursor{Seq: 6, Rev: 3}); r.target != want || r.err != nil {
		t.Errorf("got target %v, error %v; want %v", r.target, r.err, want)
	}
}

// After a lost connection the database may be another state's: what comes before it was compared is read from it then.
func TestNothingIsDeliveredBeforeTheTableWasComparedAfterALoss(t *testing.T) {
	r := &room{feed: &Feed{metrics: newMetrics()}, isReady: true, cursor: chat.Cursor{Seq: 5, History: "a"}}
	next := payload{First: 6, Last: 6, Messages: []payloadMessage{{Seq: 6}}}
	r.miss()
	r.receive(next)
	if len(r.ring) != 0 || r.target.Seq != 6 {
		t.Errorf("delivered %d events, knows of message %d; want none, and 6", len(r.ring), r.target.Seq)
	}
	before := r.stands()
	r.miss() // once more, while the table is asked
	end, stop := context.WithCancel(t.Context())
	stop()
	r.feed.ctx = end // nothing is read
	r.compare(before, chat.Head{Cursor: chat.Cursor{Seq: 5, History: "b"}}, chat.Cursor{Seq: 5}, true)
	if r.receive(next); len(r.ring) != 0 {
		t.Error("delivered after a comparison from before the second loss")
	}
	r.compare(r.stands(), chat.Head{Cursor: chat.Cursor{Seq: 5, History: "b"}}, chat.Cursor{Seq: 5}, true)
	if r.receive(next); len(r.ring) != 1 || r.ring[0].after.History != "b" {
		t.Errorf("delivered %d events after the comparison, want 1 of the new history", len(r.ring))
	}
}
