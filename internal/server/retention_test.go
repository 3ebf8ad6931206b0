package server_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
)

// ages has the room general hold n messages, the last of an hour ago, each other a day older than the next.
func (s *site) ages(t *testing.T, n int) {
	t.Helper()
	s.exec(t, `insert into chat.messages (room_id, author_id, body, created_at)
		select r.id, u.id, 'message ' || i, now() - interval '1 hour' - ($1::int - i) * interval '1 day'
		from chat.rooms r, chat.users u, generate_series(1, $1::int) i where r.slug = 'general' and u.name = 'ada' order by i`, n)
}

// retains has a server remove what is too old.
func (s *site) retains(t *testing.T, want int64) {
	t.Helper()
	n, err := chat.Retain(t.Context(), s.pool, slog.New(slog.DiscardHandler))
	if err != nil || n != want {
		t.Errorf("%d messages were removed, want %d, error %v", n, want, err)
	}
}

func TestOwnersSayForHowLongMessagesAreKeptAndConfirmIt(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	s.ages(t, 200)
	const path = "/rooms/general/retention"
	days := func() int { return s.count(t, `select coalesce(keep_days, 0) from chat.rooms where slug = 'general'`) }
	s.do(t, ada, "GET", "/rooms/general/settings", nil).want(t, 200, "How long messages are kept", `value="forever" checked`)
	s.do(t, eve, "POST", path, form("keep", "days", "keep_days", "30", "confirm", "true")).want(t, 403, "Only the room")
	for _, wrong := range []string{"", "x", "0", "-3", "1.5"} {
		s.do(t, ada, "POST", path, form("keep", "days", "keep_days", wrong)).want(t, 422, "Say for how many days", `id="name" name="name" value="general"`)
	}
	s.do(t, ada, "POST", path, form("keep", "days", "keep_days", "36501")).want(t, 422, "1 to 36500 days")
	// What would be removed is said, and nothing is until it is confirmed.
	s.do(t, ada, "POST", path, form("keep", "days", "keep_days", "10")).want(t, 422, "This removes 190 messages that are older than 10 days", "nobody can bring them back",
		`<input type="hidden" name="keep_days" value="10"><input type="hidden" name="confirm" value="true">`)
	if days() != 0 {
		t.Fatal("it was set without being confirmed")
	}
	s.do(t, ada, "POST", path, form("keep_days", "10", "confirm", "true")).want(t, 303)
	s.do(t, ada, "GET", "/rooms/general/settings", nil).want(t, 200, `value="days" checked`, `name="keep_days" value="10"`)
	s.do(t, eve, "GET", "/rooms/general/settings", nil).want(t, 200, "Messages of this room are removed after 10 days.")
	s.do(t, eve, "GET", "/rooms/general?at=1", nil).want(t, 200, "begins", "Messages of this room are removed after 10 days.")
	s.do(t, eve, "GET", "/rooms/general", nil).want(t, 200, "ada has messages removed after 10 days")
	// More days remove nothing, fewer do.
	s.do(t, ada, "POST", path, form("keep", "days", "keep_days", "20")).want(t, 303)
	s.do(t, ada, "POST", path, form("keep", "days", "keep_days", "1")).want(t, 422, "199 messages that are older than a day")
	s.do(t, ada, "POST", path, form("keep", "days", "keep_days", "20")).want(t, 303)
	s.do(t, ada, "POST", path, form("keep", "forever", "keep_days", "20")).want(t, 303)
	if days() != 0 {
		t.Errorf("kept for %d days, want for ever", days())
	}
	if n := s.count(t, `select count(*) from chat.audit_log where table_name = 'rooms' and actor = 'ada' and new ? 'keep_days'`); n != 3 {
		t.Errorf("noted %d times", n)
	}

	// Programs do the same.
	admin, member := s.token(t, "ada"), s.token(t, "eve")
	for _, c := range []struct{ token, body, want string }{
		{member, `{"keep_days":10}`, "403 "},
		{admin, `{}`, `422 {"type":"error","code":"invalid","message":"keep_days is for how many days`},
		{admin, `{"keep_days":"ten"}`, "422 "},
		{admin, `{"keep_days":250}`, `422 {"type":"error","code":"invalid","message":"This removes messages that are older than 250 days, of which there are none at the moment`},
		{admin, `{"keep_days":10,"confirm":true}`, `"keep_days":10,`},
	} {
		if got := s.sendJSON(t, c.token, path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
	}
	s.retains(t, 190)
	if got := s.sendJSON(t, admin, path, `{"keep_days":null}`); !strings.HasPrefix(got, "200 ") || strings.Contains(got, "keep_days") || !strings.Contains(got, `"first":191,`) {
		t.Errorf("for ever: %s", got)
	}
}

func TestWhatIsNoLongerKeptIsSaidWhereItIsLookedFor(t *testing.T) {
	s := start(t, true)
	ada, eve := s.signUp(t, "ada"), s.signUp(t, "eve")
	s.ages(t, 200)
	s.exec(t, `update chat.members set last_read_seq = 5 from chat.users u where u.id = user_id and u.name = 'eve'`)
	s.exec(t, `select chat.post('general', 'ada', 'a reply to what goes', reply_to => 3), chat.pin('general', 195, 'ada'), chat.pin('general', 7, 'ada')`)
	s.index(t)
	s.exec(t, `update chat.rooms set keep_days = 10 where slug = 'general'`)
	s.retains(t, 190)

	const removed = "Messages of this room are removed after 10 days."
	for query, want := range map[string]string{
		"": "191 to 201, 11", "?at=100": "191 to 201, 11", "?at=191": "191 to 201, 11", "?at=999": "191 to 201, 11", "?before=21": "none",
		"?before=193": "191 to 192, 2", "?after=0": "191 to 201, 11", "?after=124": "191 to 201, 11", "?date=1999-01-01": "191 to 201, 11",
	} {
		a := s.do(t, ada, "GET", "/rooms/general"+query, nil)
		if got := a.seqs(); a.status != 200 || got != want && query != "?before=21" {
			t.Errorf("%s: %d, messages %s, want %s", query, a.status, got, want)
		}
		if strings.Contains(a.body, "begins") || strings.Contains(a.body, "Show older") || !strings.Contains(a.body, removed) {
			t.Errorf("%s does not say where the room begins", query)
		}
	}
	s.do(t, ada, "GET", "/rooms/general?at=100", nil).want(t, 200, "Message 100 is no longer here. "+removed+" This is the oldest one.", `class="message found`)
	s.do(t, ada, "GET", "/rooms/general?date=2001-01-01", nil).want(t, 200, `role="status">`+removed)
	s.do(t, ada, "GET", "/rooms/general?thread=3", nil).want(t, 404, "Message 3 is no longer here. "+removed)
	s.do(t, ada, "GET", "/rooms/general?thread=201", nil).want(t, 404, "The message that began this thread is no longer here. "+removed)
	s.do(t, ada, "GET", "/rooms/general?thread=999", nil).want(t, 404, "There is no message 999")
	s.do(t, ada, "GET", "/rooms/general", nil).want(t, 200, "a removed message", `data-pins="195 "`, `data-first="191"`)
	s.do(t, eve, "GET", "/sidebar", nil).want(t, 200, `data-read="190"`)
	// Unread from what is gone on is unread from the oldest on.
	s.do(t, eve, "POST", "/rooms/general/read", form("seq", "3", "back", "true")).want(t, 303)
	if n := s.count(t, `select last_read_seq from chat.members m join chat.users u on u.id = m.user_id where u.name = 'eve'`); n != 190 {
		t.Errorf("eve has read up to %d, want 190", n)
	}
	if f := s.search(t, ada, "message"); len(f.Messages) != 10 {
		t.Errorf("found %d messages, want the 10 that are kept", len(f.Messages))
	}
	for query, want := range map[string]string{
		"": "191 to 201", "around=5": "191 to 201", "after=0&limit=2": "191 to 192", "before=193": "191 to 192", "before=20": "none", "thread=3": "201 to 201",
	} {
		a := s.do(t, ada, "GET", "/rooms/general/messages?"+query, nil, "Accept", "application/json")
		a.want(t, 200, `"first":191,`)
		if all := seqsOf(a.body); all != want {
			t.Errorf("%s: a program got %s, want %s", query, all, want)
		}
	}

	// All of it is too old.
	s.exec(t, `begin; set local session_replication_role = replica; update chat.messages set created_at = created_at - interval '1 year'; update chat.search_documents set created_at = created_at - interval '1 year'; commit`)
	s.retains(t, 11)
	s.do(t, ada, "GET", "/rooms/general", nil).want(t, 200, removed, `data-cursor="201.`)
	s.do(t, ada, "GET", "/rooms/general?at=100", nil).want(t, 200, "Message 100 is no longer here. "+removed)
	s.do(t, ada, "GET", "/rooms/general?date=2001-01-01", nil).want(t, 200, "Nothing was said on that day or later")
	if got := s.sendJSON(t, s.token(t, "ada"), "/rooms/general/messages", `{"body":"the first again"}`); !strings.Contains(got, `"seq":202,`) {
		t.Errorf("posted: %s", got)
	}
	if got := s.do(t, ada, "GET", "/rooms/general?at=202", nil).seqs(); got != "202 to 202, 1" {
		t.Errorf("there is %s", got)
	}
}

// seqsOf is the first and the last seq of the messages in a program's answer.
func seqsOf(body string) string {
	parts := strings.Split(body, `{"seq":`)[1:]
	if len(parts) == 0 {
		return "none"
	}
	number := func(part string) string { n, _, _ := strings.Cut(part, ","); return n }
	return fmt.Sprintf("%s to %s", number(parts[0]), number(parts[len(parts)-1]))
}

// Whoever has the room open, on any server, is told what goes; who comes back with an old cursor is told before what is left.
func TestOpenRoomsAreToldWhatIsNoLongerKept(t *testing.T) {
	one, two := startTwo(t)
	ada := one.signUp(t, "ada")
	one.ages(t, 200)
	ws, _, err := one.dial(ada, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	general := one.open(t, ws, "general", "200.0")
	token := two.token(t, "ada")
	program := two.program(t, token)
	send(t, program, `{"type":"join","room":"general","after":"200.0"}`)
	next := func(kind string) map[string]any {
		t.Helper()
		for {
			if f := readJSON(t, program); f["type"] == kind {
				return f
			}
		}
	}
	next("joined")
	one.exec(t, `update chat.rooms set keep_days = 10 where slug = 'general'`)
	one.retains(t, 190)
	if f := read(t, ws, "removed"); f.Room != general || f.First != 191 {
		t.Errorf("the page was told %+v", f)
	}
	if f := next("removed"); f["room"] != "general" || f["first"] != 191.0 {
		t.Errorf("the program was told %v", f)
	}
	// Each once, and nothing else of it: the next thing is what is said then.
	one.exec(t, `select chat.post('general', 'ada', 'said after')`)
	if f := read(t, ws, "messages"); f.First != 201 {
		t.Errorf("the page got %+v", f)
	}
	next("messages")

	for after, want := range map[string]string{"3.0": "[removed 191 191 192 193 194 195 196 197 198 199 200 201]", "195.0": "[removed 191 196 197 198 199 200 201]", "201.0": "[removed 191]", "": "[removed 191]"} {
		back := two.program(t, token)
		send(t, back, `{"type":"join","room":"general"`+map[bool]string{true: `,"after":"` + after + `"`}[after != ""]+`}`)
		var got []any
		for f := readJSON(t, back); f["type"] != "left"; f = readJSON(t, back) {
			switch f["type"] {
			case "removed":
				got = append(got, "removed", f["first"])
			case "messages":
				for _, m := range f["messages"].([]any) {
					got = append(got, m.(map[string]any)["seq"])
				}
			}
			if len(got) == strings.Count(want, " ")+1 {
				send(t, back, `{"type":"leave","room":"general"}`)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("after %q came %v, want %v", after, got, want)
		}
	}
	// A page that was away for long is not sent what it can scroll to.
	browser := client(t)
	two.do(t, browser, "POST", "/sign-in", form("name", "ada", "password", password)).want(t, 303)
	away, _, err := two.dial(browser, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = away.Close() }()
	send(t, away, `{"type":"open","room":"`+general+`","cursor":"3.0","most":200}`)
	if f := read(t, away, "removed"); f.First != 191 {
		t.Errorf("the page that was away was told %+v", f)
	}
	articles := 0
	for last := int64(0); last < 201; {
		f := read(t, away, "messages")
		last, articles = f.Last, articles+strings.Count(f.Content, "<article")
	}
	if articles != 11 {
		t.Errorf("the page that was away got %d messages", articles)
	}
}
