package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

// happened waits for the next event of the room, as a line.
func happened(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	f := until(t, ws, "event")
	return strings.TrimSpace(fmt.Sprintln(f["after"], f["kind"], f["actor"], f["subject"], f["from"], f["to"], f["people"]))
}

func TestWhatHappensToARoomIsALineInIt(t *testing.T) {
	s := start(t, true)
	ada, bob := s.signUp(t, "ada"), s.signUp(t, "bob")
	s.do(t, ada, "POST", "/rooms", form("name", "Plans", "private", "true")).want(t, 303)
	ws := s.program(t, s.token(t, "ada"))
	send(t, ws, `{"type":"join","room":"plans"}`)
	if f := until(t, ws, "joined"); !strings.HasPrefix(fmt.Sprint(f["cursor"]), "0.0.") {
		t.Errorf("a room that was just made has %v", f) // that its maker is in it is no news
	}
	for _, step := range []struct {
		do   func()
		want []string // as the program is told
		page []string // as the room's page has it
	}{
		{func() { s.do(t, ada, "POST", "/rooms/plans/members", form("names", "bob")).want(t, 303) }, []string{"0 joined ada bob <nil> <nil> <nil>"}, []string{"ada added bob"}},
		{
			func() {
				s.do(t, ada, "POST", "/rooms/plans/messages", form("id", uuid.NewString(), "body", "one")).want(t, 303)
				s.do(t, ada, "POST", "/rooms/plans/settings", form("name", "Big plans", "topic", "<b>all</b>")).want(t, 303)
			},
			[]string{"1 renamed ada <nil> Plans Big plans <nil>", "1 topic ada <nil> <nil> <b>all</b> <nil>"},
			[]string{"ada renamed the room to Big plans", "ada changed the topic to: &lt;b&gt;all&lt;/b&gt;"},
		},
		{func() { s.do(t, ada, "POST", "/rooms/plans/settings", form("name", "Big plans")).want(t, 303) }, []string{"1 topic ada <nil> <b>all</b> <nil> <nil>"}, []string{"ada removed the topic"}},
		{func() { s.do(t, ada, "POST", "/rooms/plans/archive", form("archived", "true")).want(t, 303) }, []string{"1 archived ada <nil> <nil> <nil> <nil>"}, []string{"ada archived the room"}},
		{func() { s.sql(t, `update chat.rooms set archived_at = null where slug = 'plans'`) }, []string{"1 restored <nil> <nil> <nil> <nil> <nil>"}, []string{"The room was restored"}},
		{func() { s.do(t, bob, "POST", "/rooms/plans/leave", form()).want(t, 303) }, []string{"1 left bob bob <nil> <nil> <nil>"}, []string{"bob left"}},
		{func() { s.sql(t, `update chat.rooms set kind = 'public' where slug = 'plans'`) }, []string{"1 public <nil> <nil> <nil> <nil> <nil>"}, []string{"The room was made public"}},
		{func() { s.do(t, bob, "POST", "/rooms/plans/join", form()).want(t, 303) }, []string{"1 joined bob bob <nil> <nil> <nil>"}, []string{"bob joined"}},
		{func() {
			s.sql(t, `begin; set local chat.actor = 'Ada'; delete from chat.members where user_id = (select id from chat.users where name = 'bob') and room_id = (select id from chat.rooms where slug = 'plans'); commit`)
		}, []string{"1 left ada bob <nil> <nil> <nil>"}, []string{"ada removed bob"}},
		{func() {
			s.sql(t, `insert into chat.users (name) select 'user-' || g from generate_series(1, 25) g`)
			s.sql(t, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'plans' and u.name like 'user-%'`)
		}, []string{"1 joined <nil> <nil> <nil> <nil> 25"}, []string{"25 people were added"}},
		{func() {
			// Too many to want to know who comes, and then nothing more; the topic is told all the same.
			s.sql(t, `insert into chat.users (name) select 'more-' || g from generate_series(1, 100) g`)
			s.sql(t, `insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'plans' and u.name like 'more-%'`)
			s.do(t, bob, "POST", "/rooms/plans/join", form()).want(t, 303)
			s.sql(t, `update chat.rooms set topic = 'many'`)
		}, []string{"1 topic <nil> <nil> <nil> many <nil>"}, []string{"The topic was changed to: many"}},
	} {
		step.do()
		var told []string
		for range step.want {
			told = append(told, happened(t, ws))
		}
		if !slices.Equal(told, step.want) {
			t.Errorf("told %q, want %q", told, step.want)
		}
		s.do(t, ada, "GET", "/rooms/plans", nil).want(t, 200, step.page...)
	}
	// In a room that everybody is in, nobody joins; a topic is told once for each room.
	var lines string
	if err := s.pool.QueryRow(t.Context(), `select string_agg(r.slug || ' ' || e.kind, ', ') from chat.room_events e join chat.rooms r on r.id = e.room_id where r.slug <> 'plans'`).Scan(&lines); err != nil || lines != "general topic" {
		t.Errorf("other rooms have %q (%v)", lines, err)
	}
	// They count for nothing that is to be read.
	var unread int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.members m join chat.room_heads h using (room_id) join chat.users u on u.id = m.user_id where u.name = 'bob' and h.last_seq > m.last_read_seq`).Scan(&unread); err != nil || unread != 0 {
		t.Errorf("%d rooms are unread (%v)", unread, err)
	}

	// Who was away catches up by the cursor, on changes of both kinds in order.
	s.sql(t, `update chat.messages set body = 'two' where room_id = (select id from chat.rooms where slug = 'plans')`)
	s.sql(t, `update chat.rooms set topic = 'end' where slug = 'plans'`)
	back := s.program(t, s.token(t, "bob"))
	send(t, back, `{"type":"join","room":"plans","after":"1.11"}`)
	var revs []any
	for len(revs) < 3 {
		if f := readJSON(t, back); f["type"] == "event" || f["type"] == "changes" {
			revs = append(revs, f["rev"])
		}
	}
	if !slices.Equal(revs, []any{12.0, 13.0, 14.0}) {
		t.Errorf("caught up on %v", revs)
	}
	page, _, err := s.dial(ada, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	send(t, page, `{"type":"open","room":"`+s.roomID(t, "plans")+`","cursor":"1.13"}`)
	if f := read(t, page, "lines"); !strings.Contains(f.Lines, "The topic was changed to: end") || strings.Contains(f.Lines, "many") {
		t.Errorf("the page got %s", f.Lines)
	}
	read(t, page, "changed")
}

func TestAnEventIsAsTheProtocolsDocumentSays(t *testing.T) {
	s := start(t, true)
	ws := s.member(t, "ada")
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(regexp.MustCompile(`\{"type":"event".*`).Find(text), &want); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.sql(t, `insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'x' from chat.rooms r, chat.users u`)
	}
	s.sql(t, `update chat.rooms set topic = 'What is new'`)
	if got := until(t, ws, "event"); !like(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (s *site) sql(t *testing.T, sql string) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestLinesStandOnThePageOfTheMessageThatTheyPrecede(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	post := func(n int) {
		s.sql(t, fmt.Sprintf(`insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'x' from chat.rooms r, chat.users u, generate_series(1, %d)`, n))
	}
	topic := func(text string) { s.sql(t, `update chat.rooms set topic = '`+text+`'`) }
	topic("at the start")
	post(60)
	topic("at 60")
	post(50)
	topic("at the end")
	has := func(path string, want ...string) {
		t.Helper()
		a := s.do(t, ada, "GET", "/rooms/general"+path, nil, "HX-Request", "true")
		for _, text := range []string{"at the start", "at 60", "at the end"} {
			if got := strings.Contains(a.body, "to: "+text); got != slices.Contains(want, text) {
				t.Errorf("%s: %s is there: %t", path, text, got)
			}
		}
	}
	has("?before=61", []string{}...)
	has("?before=62", "at 60")
	has("?before=51", "at the start")
	has("?after=60", "at 60", "at the end")
	has("?before=111", "at 60", "at the end")
	if a := s.do(t, ada, "GET", "/rooms/general", nil); strings.Index(a.body, "to: at 60") > strings.Index(a.body, `data-seq="61"`) || strings.Index(a.body, "to: at the end") < strings.Index(a.body, `data-seq="110"`) {
		t.Error("the lines stand elsewhere")
	}
}
