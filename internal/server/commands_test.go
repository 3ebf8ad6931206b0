package server_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestCommandsDoWhatTheySayOrSayWhatIsWrong(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	s.signUp(t, "bob")
	s.do(t, ada, "POST", "/rooms", form("name", "Secret", "private", "yes")).want(t, 303)
	say := func(body string) answer {
		return s.do(t, ada, "POST", "/rooms/secret/messages", form("id", uuid.NewString(), "body", body), "HX-Request", "true")
	}
	say("/help").want(t, 200, "/topic Release on Friday — ", "/invite @ada @bob — ", "//word")
	say("/topic Release on Friday").want(t, 200, "The topic is changed")
	s.do(t, ada, "GET", "/rooms/secret", nil).want(t, 200, "Release on Friday")
	say("/topic").want(t, 422, "Say the topic")
	say("/topic "+strings.Repeat("x", 300)).want(t, 422, "at most 250 characters")
	say("/invite").want(t, 422, "Say who")
	say("/invite @eve, nobody").want(t, 404, "no user called nobody")
	s.do(t, eve, "GET", "/rooms/secret", nil).want(t, 404)
	say("/Invite @eve").want(t, 200, "members of the room now")
	s.do(t, eve, "GET", "/rooms/secret", nil).want(t, 200)
	s.do(t, eve, "POST", "/rooms/secret/messages", form("id", uuid.NewString(), "body", "/topic Mine"), "HX-Request", "true").want(t, 403, "Only the room")
	say("/me").want(t, 422, "/me waves")
	say("/frobnicate now").want(t, 422, "no command /frobnicate", "//frobnicate")
	for said, stored := range map[string]string{
		"/etc/hosts is a file": "/etc/hosts is a file", "//topic is a command": "/topic is a command", "/ME  waves": "/me waves", "// a comment": "// a comment",
	} {
		say(said).want(t, 204)
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.messages where body = $1`, stored).Scan(&n); err != nil || n != 1 {
			t.Errorf("%q was stored as %q %d times, want once (%v)", said, stored, n, err)
		}
	}
	s.do(t, ada, "GET", "/rooms/secret", nil).want(t, 200, `<div class="body action">ada <p>waves</p></div>`)

	// The same from a form without a script.
	plain := func(body string) answer {
		return s.do(t, ada, "POST", "/rooms/secret/messages", form("id", uuid.NewString(), "body", body))
	}
	plain("/help").want(t, 200, "/me waves — ")
	plain("/topic Later").want(t, 200, "The topic is changed", `title="Later"`)
	plain("/invite nobody").want(t, 404, "no user called nobody", ">/invite nobody</textarea>")
	plain("/oops").want(t, 422, "no command /oops", ">/oops</textarea>")
}

func TestWordsAreCompletedByWhatTheReaderMaySee(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	s.signUp(t, "edgar")
	s.do(t, ada, "POST", "/rooms", form("name", "Secret plans", "private", "yes")).want(t, 303)
	s.do(t, ada, "POST", "/rooms/secret-plans/members", form("names", "edgar")).want(t, 303)
	get := func(word string) answer { return s.do(t, ada, "GET", "/rooms/secret-plans/complete?word="+word, nil) }
	get("%40e").want(t, 200, `[{"text":"@edgar"},{"text":"@eve","note":"not a member: is not told"},{"text":"@everyone","note":"all members"}]`)
	get("%40HE").want(t, 200, `[{"text":"@here","note":"who is online"}]`)
	get("%23pl").want(t, 200, `[{"text":"#secret-plans","note":"Secret plans"}]`)
	s.do(t, eve, "GET", "/rooms/general/complete?word=%23pl", nil).want(t, 200, `[]`)
	s.do(t, eve, "GET", "/rooms/secret-plans/complete?word=%40e", nil).want(t, 404)
	get("/to").want(t, 200, `"/topic"`)
	get("nothing").want(t, 200, `[]`)
	get("%40%00").want(t, 200, `[]`)
	s.do(t, client(t), "POST", "/sign-up", form("name", "Everyone", "password", "correct horse battery")).want(t, 422, "addresses all members")
}
