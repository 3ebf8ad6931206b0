package server_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestOneLimitForAllThatAUserPostsAndChanges(t *testing.T) {
	const atOnce = 8
	s := startLimited(t, true, chat.FileLimits{Each: fileLimit, InAll: fileLimit}, chat.NewPostLimiter(0.001, atOnce)) // nothing comes back during the test
	const tooFast = "You are sending too fast. Wait a few seconds and send it again."
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	first := uuid.NewString()
	at := "/rooms/general/messages/" + first

	// By connection, by another one, by form, by script and by program: each counts.
	page, _, err := s.dial(ada, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	general := s.open(t, page, "general", "0.0")
	send(t, page, `{"type":"post","room":"`+general+`","id":"`+first+`","body":"one"}`)
	read(t, page, "ack")
	token := s.token(t, "ada")
	program := s.program(t, token)
	send(t, program, `{"type":"edit","room":"general","id":"`+first+`","body":"one, edited"}`)
	if f := readJSON(t, program); f["type"] != "ack" {
		t.Fatalf("got %v", f)
	}
	s.do(t, ada, "POST", "/rooms/general/messages", form("id", uuid.NewString(), "body", "two")).want(t, 303)
	s.do(t, ada, "POST", at+"/reactions", form("emoji", "👍"), "HX-Request", "true").want(t, 204)
	s.do(t, ada, "POST", at+"/pin", form("on", "true")).want(t, 303)
	s.do(t, ada, "POST", at+"/delete", form()).want(t, 303)
	s.do(t, ada, "POST", "/status", form("text", "busy", "ends", "never")).want(t, 303)
	if got := s.sendJSON(t, token, "/rooms/general/messages", `{"body":"three"}`); !strings.HasPrefix(got, "201 ") {
		t.Fatalf("the last that is allowed: %s", got)
	}

	// Then none goes through, on whatever way, and each is told in the same words.
	send(t, page, `{"type":"post","room":"`+general+`","id":"`+uuid.NewString()+`","body":"four"}`)
	if f := read(t, page, "error"); f.Code != "rate_limited" || f.Message != tooFast {
		t.Errorf("a page's connection: got %+v", f)
	}
	send(t, program, `{"type":"react","room":"general","id":"`+first+`","emoji":"👍"}`)
	if f := readJSON(t, program); f["code"] != "rate_limited" || f["message"] != tooFast {
		t.Errorf("a program's connection: got %v", f)
	}
	if got, want := s.sendJSON(t, token, "/rooms/general/messages", `{"body":"four"}`), `429 {"type":"error","code":"rate_limited","message":"`+tooFast+`"}`; strings.TrimSpace(got) != want {
		t.Errorf("a program: got %s, want %s", got, want)
	}
	for _, path := range []string{at + "/edit", at + "/delete", at + "/undelete", at + "/reactions", at + "/pin", "/rooms/general/reactions", "/status/dnd"} {
		s.do(t, ada, "POST", path, form("body", "four", "emoji", "👍", "reaction", first+" 👍", "on", "true"), "HX-Request", "true").want(t, 429, tooFast)
	}
	// Nor what makes lines in rooms, rooms and files.
	for _, path := range []string{
		"/rooms", "/direct", "/rooms/general/join", "/rooms/general/settings", "/rooms/general/archive", "/rooms/general/leave", "/rooms/general/members",
		"/rooms/general/members/" + s.id(t, "eve") + "/remove", "/rooms/general/members/" + s.id(t, "eve") + "/owner",
	} {
		s.do(t, ada, "POST", path, form("name", "four", "topic", "four", "names", "eve", "user", s.id(t, "eve"), "owner", "true", "archived", "true")).want(t, 429, tooFast)
	}
	s.sendForm(t, ada, "/rooms/general/files", []part{{"file", "notes.txt", "hello"}}).want(t, 429, tooFast)
	// A form keeps what was written, the composer's where it can be sent again.
	s.do(t, ada, "POST", at+"/edit", form("body", "a long edit")).want(t, 429, tooFast, `readonly>a long edit</textarea>`)
	s.do(t, ada, "POST", "/status", form("text", "in a hurry", "ends", "never")).want(t, 429, tooFast, `value="in a hurry"`)
	id := uuid.NewString()
	refused := s.do(t, ada, "POST", "/rooms/general/messages", form("id", id, "body", "a long message"))
	refused.want(t, 429, tooFast, `>a long message</textarea>`, id)
	if _, composer, _ := strings.Cut(refused.body, `id="composer"`); !strings.Contains(composer, `role="alert">`+tooFast) {
		t.Errorf("the composer does not say why: %.2000s", composer)
	}
	s.sendForm(t, ada, "/rooms/general/messages", []part{{"id", "", id}, {"body", "", "a long message"}, {"file", "notes.txt", "hello"}}).want(t, 429, tooFast, `>a long message</textarea>`)

	// When to come again is told; what was refused does not count; others are not slowed down.
	if a := s.do(t, ada, "POST", at+"/pin", form()); a.status != 429 || len(a.retryAfter) < 3 || len(a.retryAfter) > 4 { // up to 1000 s
		t.Errorf("status %d, Retry-After %q", a.status, a.retryAfter)
	}
	s.do(t, eve, "POST", "/rooms/general/messages", form("id", uuid.NewString(), "body", "hello")).want(t, 303)
	var bodies string
	if err := s.pool.QueryRow(t.Context(), `select string_agg(body, ', ' order by seq) from chat.messages`).Scan(&bodies); err != nil || bodies != "one, edited, two, three, hello" {
		t.Errorf("stored: %s (%v)", bodies, err)
	}
}
