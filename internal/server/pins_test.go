package server_test

import (
	"testing"

	"github.com/google/uuid"
)

func TestWhoMayPinAMessage(t *testing.T) {
	s := start(t, true)
	ada, eve, bob := s.signUp(t, "ada"), s.signUp(t, "eve"), s.signUp(t, "bob") // ada is the administrator
	s.do(t, eve, "POST", "/rooms", form("name", "Talk", "private", "true")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/talk/members", form("names", "bob")).want(t, 303)
	id := uuid.NewString()
	s.do(t, eve, "POST", "/rooms/talk/messages", form("id", id, "body", "hello")).want(t, 303)
	at := "/rooms/talk/messages/" + id + "/pin"
	pinned := func(want int) {
		t.Helper()
		var got int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.messages where extra ? 'pinned'`).Scan(&got); err != nil || got != want {
			t.Errorf("%d are pinned (%v), want %d", got, err, want)
		}
	}
	s.do(t, bob, "POST", at, form("on", "true"), "HX-Request", "true").want(t, 204)
	s.do(t, eve, "POST", at, form("on", "true")).want(t, 303)
	pinned(1)
	s.do(t, bob, "GET", "/rooms/talk", nil).want(t, 200, "Pinned by bob", `data-pins="1 "`)
	s.do(t, eve, "GET", "/rooms/talk/pins", nil).want(t, 200, "hello", "Pinned by bob", "?at=1")
	s.do(t, eve, "GET", "/rooms/talk/pins", nil, "Accept", "application/json").want(t, 200, `"type":"pins"`, `"pinned":{"by":"bob","at":"`)
	s.do(t, eve, "POST", at, form()).want(t, 303)
	pinned(0)
	s.do(t, eve, "POST", at, form("on", "perhaps"), "HX-Request", "true").want(t, 422)
	for _, c := range []string{"POST", "GET"} {
		s.do(t, ada, c, map[string]string{"POST": at, "GET": "/rooms/talk/pins"}[c], form("on", "true")).want(t, 404)
	}
	s.do(t, client(t), "GET", "/rooms/talk/pins", nil).want(t, 303)

	// 100 and no more; those that are deleted are not counted.
	if _, err := s.pool.Exec(t.Context(), `select chat.post('talk', 'eve', g::text), chat.pin('talk', g, 'eve') from generate_series(2, 101) g`); err != nil {
		t.Fatal(err)
	}
	pinned(100)
	s.do(t, bob, "POST", at, form("on", "true"), "HX-Request", "true").want(t, 422, "at most 100")
	if _, err := s.pool.Exec(t.Context(), `update chat.messages set deleted_at = now() where seq = 50`); err != nil {
		t.Fatal(err)
	}
	s.do(t, bob, "POST", at, form("on", "true"), "HX-Request", "true").want(t, 204)
	s.do(t, eve, "POST", "/rooms/talk/archive", form("archived", "true")).want(t, 303)
	s.do(t, bob, "POST", at, form("on", "false"), "HX-Request", "true").want(t, 403, "archived")
}
