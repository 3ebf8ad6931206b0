package server_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestRepliesByTheForm(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	const room = "/rooms/general"
	for _, sql := range []string{
		`select chat.post('general', 'ada', 'what **is** it?')`,
		`insert into chat.users (name) values ('eve')`, `insert into chat.rooms (slug, name, kind, created_by) select 'secret', 'secret', 'private', id from chat.users where name = 'eve'`,
		`select chat.post('secret', 'eve', 'one')`, `select chat.post('secret', 'eve', 'two')`,
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.do(t, ada, "GET", room+"?reply=1", nil).want(t, 200, `name="reply_to" value="1"`, `<span class="quoted">what is it?</span>`)
	if a := s.do(t, ada, "GET", room+"?reply=2", nil); !strings.Contains(a.body, `name="reply_to" disabled`) {
		t.Errorf("a message that is not there is answered: %s", a.body)
	}
	s.do(t, ada, "GET", room+"?reply=x", nil).want(t, 422)
	post := func(to string) answer {
		return s.do(t, ada, "POST", room+"/messages", url.Values{"id": {uuid.NewString()}, "body": {"it is <b>this</b>"}, "reply_to": {to}})
	}
	// Of what it cannot answer nothing is posted, and what was typed is kept.
	for _, to := range []string{"x", "0", "-1", "1.5"} {
		post(to).want(t, 422, "does not say which message it answers", "it is &lt;b&gt;this&lt;/b&gt;</textarea>")
	}
	post("2").want(t, 404, "no message in this room", "it is &lt;b&gt;this&lt;/b&gt;</textarea>", `name="reply_to" disabled`)
	if a := post("1"); a.status != 303 || a.location != room {
		t.Fatalf("got %d to %q", a.status, a.location)
	}
	s.do(t, ada, "GET", room, nil).want(t, 200, `<a class="quote of-first" href="?at=1"`, `<b>ada</b> <span class="quoted">what is it?</span>`)
	for _, step := range []struct{ sql, want string }{
		{`update chat.messages set body = '<i>&amp;' where seq = 1`, `<span class="quoted">&lt;i&gt;&amp;</span>`},
		{`update chat.messages set deleted_at = now() where seq = 1`, `<span class="quoted gone">a removed message</span>`},
	} {
		if _, err := s.pool.Exec(t.Context(), step.sql); err != nil {
			t.Fatal(err)
		}
		s.do(t, ada, "GET", room, nil).want(t, 200, step.want)
	}
}

func TestAProgramHearsOfRepliesAndCatchesUpOnThem(t *testing.T) {
	s := start(t, true)
	s.signUp(t, "ada")
	token := s.token(t, "ada")
	ws := s.program(t, token)
	send(t, ws, `{"type":"join","room":"general"}`)
	next := func(kind string) map[string]any {
		t.Helper()
		for {
			if f := readJSON(t, ws); f["type"] == kind {
				return f
			}
		}
	}
	next("joined")
	for _, sql := range []string{`select chat.post('general', 'ada', 'one')`, `select chat.post('general', 'ada', 'two', reply_to => 1)`, `select chat.post('general', 'ada', 'three', reply_to => 2)`} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	message := func(f map[string]any, i int) string {
		m := f["messages"].([]any)[i].(map[string]any)
		return fmt.Sprint(m["seq"], m["reply_to"], m["thread"], m["replies"])
	}
	next("messages")
	for _, want := range []string{"2 1 1 <nil>", "1 <nil> <nil> 1", "3 2 1 <nil>", "1 <nil> <nil> 2"} {
		kind := "messages"
		if strings.HasPrefix(want, "1") {
			kind = "changes"
		}
		if got := message(next(kind), 0); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for frame, code := range map[string]string{
		`"reply_to":-1`: "invalid", `"reply_to":9`: "not_found", `"reply_to":"1"`: "bad_frame",
	} {
		send(t, ws, `{"type":"post","room":"general","id":"`+uuid.NewString()+`","body":"x",`+frame+`}`)
		if f := next("error"); f["code"] != code {
			t.Errorf("%s: got %v, want %s", frame, f, code)
		}
	}
	// Who was away is told the same.
	ws = s.program(t, token)
	send(t, ws, `{"type":"join","room":"general","after":"1.0"}`)
	var replies []string
	for last := ""; last != "1 <nil> <nil> 2"; {
		f := readJSON(t, ws)
		list, _ := f["messages"].([]any) // other frames have none
		for i := range list {
			if last = message(f, i); f["type"] == "messages" {
				replies = append(replies, last)
			}
		}
	}
	if got := strings.Join(replies, "|"); got != "2 1 1 <nil>|3 2 1 <nil>" {
		t.Errorf("got %s", got)
	}
}

func TestAReplyMayHaveFiles(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.exec(t, `select chat.post('general', 'ada', 'may I see it?')`)
	s.sendForm(t, ada, "/rooms/general/messages", []part{{field: "id", content: uuid.NewString()}, {field: "body"}, {field: "reply_to", content: "1"}, {field: "file", name: "it.txt", content: "this"}})
	s.do(t, ada, "GET", "/rooms/general", nil).want(t, 200, `<span class="quoted">may I see it?</span>`, "it.txt")
	if n := s.count(t, `select count(*) from chat.messages m join chat.replies r using (room_id, seq) where m.extra ? 'files' and r.reply_to = 1`); n != 1 {
		t.Errorf("%d messages with both", n)
	}
}

func TestAThreadByTheForm(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	const room = "/rooms/general"
	s.exec(t, `select chat.post('general', 'ada', 'first')`)
	s.exec(t, `select chat.post('general', 'ada', 'aside')`)
	s.exec(t, `select chat.post('general', 'ada', 'reply ' || g, reply_to => 1) from generate_series(1, 103) g`)
	only := func(a answer, has, hasNot string) {
		t.Helper()
		a.want(t, 200, has)
		if strings.Contains(a.body, hasNot) {
			t.Errorf("%q is in %s", hasNot, a.body)
		}
	}
	fragment := []string{"HX-Request", "true"}
	only(s.do(t, ada, "GET", room+"?thread=1", nil, fragment...), "<p>reply 103</p>", "<p>aside</p>")
	only(s.do(t, ada, "GET", room+"?thread=1", nil, fragment...), `href="?thread=1&amp;earlier=6"`, "<p>reply 3</p>")
	only(s.do(t, ada, "GET", room+"?thread=1&earlier=6", nil, fragment...), "<p>reply 3</p>", "<p>reply 4</p>")
	only(s.do(t, ada, "GET", room+"?thread=5", nil, fragment...), `data-thread="1"`, "<p>aside</p>")
	only(s.do(t, ada, "GET", room+"?thread=2", nil, fragment...), "No replies yet", "<p>reply")
	s.do(t, ada, "GET", room+"?thread=1", nil).want(t, 200, `id="thread-body"`, `id="body"`, "103 replies")
	s.do(t, ada, "GET", room+"?thread=x", nil).want(t, 422)
	s.do(t, ada, "GET", room+"?thread=999", nil).want(t, 404)
	// The same message may stand in the log and in the thread: no id twice.
	body := s.do(t, ada, "GET", room+"?thread=1", nil).body
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if seen[id[1]] {
			t.Errorf("the id %s is there twice", id[1])
		}
		seen[id[1]] = true
	}
	post := func(text string) answer {
		return s.do(t, ada, "POST", room+"/messages", url.Values{"id": {uuid.NewString()}, "body": {text}, "reply_to": {"1"}, "thread": {"1"}})
	}
	post(" ").want(t, 422, `id="thread-error" role="alert">A message needs some text.`)
	if a := post("by the form"); a.status != 303 || a.location != room+"?thread=1" {
		t.Errorf("got %d to %q", a.status, a.location)
	}
	only(s.do(t, ada, "GET", room+"?thread=1", nil, fragment...), "<p>by the form</p>", "reply 4<")
	// Of a private room nobody else sees a thread.
	s.exec(t, `insert into chat.users (name) values ('eve')`)
	s.exec(t, `insert into chat.rooms (slug, name, kind, created_by) select 'secret', 'secret', 'private', id from chat.users where name = 'eve'`)
	s.exec(t, `select chat.post('secret', 'eve', 'one')`)
	s.do(t, ada, "GET", "/rooms/secret?thread=1", nil, fragment...).want(t, 404)
	s.do(t, ada, "GET", "/rooms/secret/messages?thread=1", nil, "Accept", "application/json").want(t, 404)
	s.do(t, ada, "GET", room+"/messages?thread=1&after=3", nil, "Accept", "application/json").want(t, 422)
}
