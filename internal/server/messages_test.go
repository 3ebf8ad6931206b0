package server_test

import (
	"testing"

	"github.com/google/uuid"
)

func TestWhoMayChangeAMessage(t *testing.T) {
	s := start(t, true)
	ada, eve, bob := s.signUp(t, "ada"), s.signUp(t, "eve"), s.signUp(t, "bob") // ada is the administrator
	s.do(t, eve, "POST", "/rooms", form("name", "Talk")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/talk/members", form("names", "bob")).want(t, 303)
	id := uuid.NewString()
	s.do(t, bob, "POST", "/rooms/talk/messages", form("id", id, "body", "helo")).want(t, 303)
	at := "/rooms/talk/messages/" + id
	state := func(want string) {
		t.Helper()
		var got string
		if err := s.pool.QueryRow(t.Context(), `select body || case when deleted_at is null then '' else ' deleted' end from chat.messages where id = $1`, id).Scan(&got); err != nil || got != want {
			t.Errorf("it is %q (%v), want %q", got, err, want)
		}
	}
	s.do(t, bob, "POST", at+"/edit", form("body", "hello")).want(t, 303)
	state("hello")
	s.do(t, bob, "POST", at+"/edit", form("body", " "), "HX-Request", "true").want(t, 422, "needs some text")
	s.do(t, eve, "POST", at+"/edit", form("body", "bye")).want(t, 403, "Only who has written")
	s.do(t, ada, "POST", at+"/edit", form("body", "bye")).want(t, 403)
	s.do(t, bob, "POST", "/rooms/talk/messages/"+uuid.NewString()+"/edit", form("body", "bye")).want(t, 404, "no such message")
	s.do(t, bob, "POST", "/rooms/general/messages/"+id+"/edit", form("body", "bye")).want(t, 404)
	s.do(t, bob, "POST", "/rooms/talk/messages/x/edit", form("body", "bye")).want(t, 422)
	s.do(t, client(t), "POST", at+"/delete", form()).want(t, 303)
	state("hello")

	// Its author, then who moderates; what those have removed stays removed for its author.
	s.do(t, bob, "POST", at+"/delete", form(), "HX-Request", "true").want(t, 204)
	state("hello deleted")
	s.do(t, bob, "POST", at+"/edit", form("body", "bye")).want(t, 403, "Bring it back")
	s.do(t, bob, "POST", at+"/undelete", form()).want(t, 303)
	state("hello")
	s.do(t, eve, "POST", at+"/delete", form()).want(t, 303)
	s.do(t, bob, "POST", at+"/undelete", form()).want(t, 403, "was removed by an owner")
	state("hello deleted")
	s.do(t, ada, "POST", at+"/undelete", form()).want(t, 303)
	state("hello")
	own := uuid.NewString()
	s.do(t, eve, "POST", "/rooms/talk/messages", form("id", own, "body", "the owner's")).want(t, 303)
	s.do(t, bob, "POST", "/rooms/talk/messages/"+own+"/delete", form()).want(t, 403, "Only who has written")
	s.do(t, eve, "POST", "/rooms/talk/archive", form("archived", "true")).want(t, 303)
	s.do(t, bob, "POST", at+"/delete", form()).want(t, 403, "archived")
	state("hello")
}
