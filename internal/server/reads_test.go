package server_test

import (
	"strings"
	"testing"
)

func TestARoomIsReadByAForm(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	if _, err := s.pool.Exec(t.Context(), `select chat.post('general', 'eve', 'message ' || g) from generate_series(1, 5) g`); err != nil {
		t.Fatal(err)
	}
	secret := s.token(t, "ada")
	program := s.program(t, secret)
	send(t, program, `{"type":"watch"}`)
	readAt := func(want float64) { // told to the user's other connections
		t.Helper()
		for {
			for _, room := range until(t, program, "unread")["rooms"].([]any) {
				if room.(map[string]any)["read"] == want {
					return
				}
			}
		}
	}
	readAt(0)
	s.do(t, ada, "GET", "/rooms/general", nil).want(t, 200, "5 unread messages", "Mark as read", `name="seq" value="5"`)
	if a := s.do(t, ada, "POST", "/rooms/general/read", form("seq", "5")); a.status != 303 || a.location != "/rooms/general" {
		t.Errorf("status %d, sent to %s", a.status, a.location)
	}
	readAt(5)
	if a := s.do(t, ada, "GET", "/rooms/general", nil); strings.Contains(a.body, "Mark as read") {
		t.Error("what was read is unread")
	}

	// It goes back only where that is said, and never beyond what there is.
	s.do(t, ada, "POST", "/rooms/general/read", form("seq", "2")).want(t, 303)
	s.do(t, ada, "GET", "/rooms/general?at=5", nil).want(t, 200, "Unread from here", `name="seq" value="4"`)
	s.do(t, ada, "POST", "/rooms/general/read", form("seq", "4", "back", "true")).want(t, 303)
	readAt(4)
	s.do(t, ada, "GET", "/rooms/general", nil).want(t, 200, "1 unread message<")
	if got := s.sendJSON(t, secret, "/rooms/general/read", `{"seq":9}`); !strings.Contains(got, `"seq":5,"read":5`) {
		t.Errorf("a program is told %s", got)
	}
	for _, seq := range []string{"", "x", "-1", "99999999999999999999"} {
		s.do(t, ada, "POST", "/rooms/general/read", form("seq", seq)).want(t, 422, "the number of a message")
	}

	// Who is no member reads nothing, and is told no more than in the page.
	s.do(t, eve, "POST", "/rooms", form("name", "Open")).want(t, 303)
	s.do(t, eve, "POST", "/rooms", form("name", "Plans", "private", "true")).want(t, 303)
	s.do(t, ada, "POST", "/rooms/open/read", form("seq", "1")).want(t, 403, "not a member")
	s.do(t, ada, "POST", "/rooms/plans/read", form("seq", "1")).want(t, 404)
	s.do(t, client(t), "POST", "/rooms/general/read", form("seq", "1")).want(t, 303)
}
