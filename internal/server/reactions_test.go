package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestWhoMayReactToAMessage(t *testing.T) {
	s := start(t, true)
	ada, eve, bob := s.signUp(t, "ada"), s.signUp(t, "eve"), s.signUp(t, "bob") // ada is the administrator
	s.do(t, eve, "POST", "/rooms", form("name", "Talk", "private", "true")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/talk/members", form("names", "bob")).want(t, 303)
	id := uuid.NewString()
	s.do(t, eve, "POST", "/rooms/talk/messages", form("id", id, "body", "hello")).want(t, 303)
	at := "/rooms/talk/messages/" + id + "/reactions"
	has := func(want string) {
		t.Helper()
		var got string
		if err := s.pool.QueryRow(t.Context(), `select coalesce(string_agg(r->>'emoji' || (r->>'count'), ' '), '') from chat.messages m, jsonb_array_elements(m.extra->'reactions') r where m.id = $1`, id).Scan(&got); err != nil || got != want {
			t.Errorf("it has %q (%v), want %q", got, err, want)
		}
	}
	s.do(t, bob, "POST", at, form("emoji", "👍", "on", "true"), "HX-Request", "true").want(t, 204)
	s.do(t, bob, "POST", at, form("emoji", "👍", "on", "true")).want(t, 303)
	has("👍1")
	s.do(t, eve, "POST", at, form("emoji", "👍")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/talk/reactions", form("reaction", id+" 🎉")).want(t, 303)
	has("👍2 🎉1")
	s.do(t, eve, "GET", at, nil).want(t, 200, `"reactions":[{"emoji":"👍","count":2,"by":["bob","eve"]},{"emoji":"🎉","count":1,"by":["eve"]}]`)
	s.do(t, bob, "GET", "/rooms/talk", nil).want(t, 200, `data-by="bob eve "`, `aria-label="👍 2, bob and eve"`)
	s.do(t, eve, "POST", "/rooms/talk/reactions", form("reaction", id+" 👍")).want(t, 303)
	s.do(t, eve, "POST", at, form("emoji", "🎉", "on", "false")).want(t, 303)
	s.do(t, eve, "POST", at, form("emoji", "🎉", "on", "false")).want(t, 303)
	has("👍1")

	for _, emoji := range []string{"", "x", "<b>", "👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍👍", "\x00", strings.Repeat("long", 1000)} {
		s.do(t, bob, "POST", at, form("emoji", emoji), "HX-Request", "true").want(t, 422, "emoji")
	}
	s.do(t, bob, "POST", at, form("emoji", "👍", "on", "perhaps"), "HX-Request", "true").want(t, 422, "true")
	s.do(t, bob, "POST", "/rooms/talk/messages/x/reactions", form("emoji", "👍")).want(t, 422)
	s.do(t, bob, "POST", "/rooms/talk/messages/"+uuid.NewString()+"/reactions", form("emoji", "👍")).want(t, 404)
	s.do(t, bob, "POST", "/rooms/general/messages/"+id+"/reactions", form("emoji", "👍")).want(t, 404)
	for i := range 19 {
		s.do(t, eve, "POST", at, form("emoji", string(rune(0x1F600+i)))).want(t, 303)
	}
	s.do(t, eve, "POST", at, form("emoji", "🚀"), "HX-Request", "true").want(t, 422, "at most 20")

	// Who is not in a private room, not even an administrator, knows nothing of it; who looks in from outside changes nothing.
	for _, c := range []string{"POST", "GET"} {
		s.do(t, ada, c, at, form("emoji", "👍")).want(t, 404)
	}
	s.do(t, eve, "POST", "/rooms", form("name", "Open")).want(t, 303)
	open := uuid.NewString()
	s.do(t, eve, "POST", "/rooms/open/messages", form("id", open, "body", "hello")).want(t, 303)
	for _, c := range []struct{ who, want string }{{"ada", "not a member"}, {"bob", "not a member"}} {
		by := ada
		if c.who == "bob" {
			by = bob
		}
		s.do(t, by, "POST", fmt.Sprintf("/rooms/open/messages/%s/reactions", open), form("emoji", "👍"), "HX-Request", "true").want(t, 403, c.want)
	}
	s.do(t, eve, "POST", "/rooms/talk/messages/"+id+"/delete", form()).want(t, 303)
	s.do(t, bob, "POST", at, form("emoji", "👍"), "HX-Request", "true").want(t, 403, "was deleted")
	s.do(t, eve, "GET", at, nil).want(t, 200, `"reactions":[]`)
	s.do(t, eve, "POST", "/rooms/talk/messages/"+id+"/undelete", form()).want(t, 303)
	s.do(t, eve, "POST", "/rooms/talk/archive", form("archived", "true")).want(t, 303)
	s.do(t, bob, "POST", at, form("emoji", "👍", "on", "false"), "HX-Request", "true").want(t, 403, "archived")
}
