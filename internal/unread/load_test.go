package unread

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/layer/memory"
)

// What is told while memberships are read may be newer than what was read.
func TestWhatIsToldMeanwhileCounts(t *testing.T) {
	h := New(memory.New(), nil, slog.New(slog.DiscardHandler))
	user, room, woken := uuid.New(), uuid.New(), 0
	w := h.Watch(user, func() { woken++ })
	if _, some := w.Next(); some {
		t.Error("something is told before anything was read")
	}
	found := []chat.Membership{{UserID: user, RoomID: room, Slug: "a", Last: 5, Read: 3}, {UserID: uuid.New(), RoomID: room, Last: 5}}
	want := func(what string, room Room, stale bool) {
		t.Helper()
		c, some := w.Next()
		if got := c.Rooms; !some || len(got) != 1 || got[found[0].RoomID] != room {
			t.Errorf("%s: told %+v, want %+v", what, c, room)
		}
		if _, is := h.stale[w.user]; is != stale {
			t.Errorf("%s: to be read once more: %v, want %v", what, is, stale)
		}
	}
	users := h.takeStale()
	h.Receive(Group, `{"moved":[{"room":"`+room.String()+`","seq":6}]}`)
	h.loaded(users, found, nil)
	want("a room that moved", Room{Slug: "a", Last: 6, Read: 3}, false)
	if woken != 1 {
		t.Errorf("woken %d times, want once", woken)
	}

	h.staleAll()
	users = h.takeStale()
	h.Receive(Group, `{"read":[{"room":"`+room.String()+`","user":"`+user.String()+`","seq":4}]}`)
	h.loaded(users, found, nil)
	want("read meanwhile", Room{Slug: "a", Last: 5, Read: 3}, true)
	found[0].Read = 4
	h.loaded(h.takeStale(), found, nil)
	want("read anew", Room{Slug: "a", Last: 5, Read: 4}, false)

	// What cannot be read is tried again, and what is known stays.
	h.staleAll()
	h.loaded(h.takeStale(), nil, errors.New("no database"))
	h.Receive(Group, `{"mentioned":[{"room":"`+room.String()+`","user":"`+user.String()+`","seq":9}]}`)
	want("no database", Room{Slug: "a", Last: 9, Read: 4, Mentions: 1}, true) // a mention tells how far the room has come, too

	// Who goes while their memberships are read leaves nothing behind.
	users = h.takeStale()
	w.Close()
	h.loaded(users, found, nil)
	if len(h.users)+len(h.rooms)+len(h.stale) != 0 {
		t.Errorf("%d users, %d rooms, %d stale are left", len(h.users), len(h.rooms), len(h.stale))
	}
}
