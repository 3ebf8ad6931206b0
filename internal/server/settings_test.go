package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// id of a user.
func (s *site) id(t *testing.T, name string) (id string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select id from chat.users where name = $1`, name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func TestAPrivateRoomIsItsMembersAlone(t *testing.T) {
	s := start(t, true)
	ada, eve, bob := s.signUp(t, "ada"), s.signUp(t, "eve"), s.signUp(t, "bob")
	if _, err := s.pool.Exec(t.Context(), `update chat.users set role = 'member'`); err != nil {
		t.Fatal(err)
	}
	s.do(t, eve, "POST", "/rooms", form("name", "Secret", "private", "true")).want(t, 303)
	secret := func(path string) []string { return []string{"GET", "/rooms/secret" + path} }
	for _, request := range [][]string{
		secret(""), secret("?before=5"), secret("/settings"),
		{"POST", "/rooms/secret/messages"},
		{"POST", "/rooms/secret/join"},
		{"POST", "/rooms/secret/members"},
		{"POST", "/rooms/secret/archive"},
		{"POST", "/rooms/secret/leave"},
		{"POST", "/rooms/secret/preferences"},
		{"POST", "/rooms/secret/members/" + s.id(t, "ada") + "/owner"},
	} {
		s.do(t, ada, request[0], request[1], form("names", "ada", "archived", "true", "owner", "true")).want(t, 404, "no such room")
	}
	for _, page := range []string{"/rooms", "/sidebar", "/switcher", "/rooms/general"} {
		if a := s.do(t, ada, "GET", page, nil); strings.Contains(a.body, "Secret") {
			t.Errorf("%s tells of the room", page)
		}
	}
	ws, _, err := s.dial(ada, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	send(t, ws, `{"type":"open","room":"`+s.roomID(t, "secret")+`","cursor":"0.0"}`)
	read(t, ws, "gone")
	program := s.program(t, s.token(t, "ada"))
	send(t, program, `{"type":"join","room":"secret"}`)
	if f := readJSON(t, program); f["code"] != "not_found" {
		t.Errorf("a program got %v, want not_found", f)
	}

	// Who is added sees it, also as a member who owns nothing.
	s.do(t, eve, "POST", "/rooms/secret/members", form("names", "@Ada, nobody")).want(t, 404, "no user called nobody", `value="@Ada, nobody"`)
	s.do(t, eve, "POST", "/rooms/secret/members", form("names", " ")).want(t, 422, "Say who")
	s.do(t, eve, "POST", "/rooms/secret/members", form("names", "@Ada,bob")).want(t, 303)
	s.do(t, ada, "GET", "/rooms/secret", nil).want(t, 200, "Secret")
	s.do(t, ada, "GET", "/rooms/secret/settings", nil).want(t, 200, "3 members", "Add people", "Leave")
	s.do(t, ada, "POST", "/rooms/secret/settings", form("name", "Mine")).want(t, 403, "Only the room")
	s.do(t, ada, "POST", "/rooms/secret/archive", form("archived", "true")).want(t, 403)
	s.do(t, ada, "POST", "/rooms/secret/members/"+s.id(t, "bob")+"/remove", form()).want(t, 403)
	s.do(t, ada, "POST", "/rooms/secret/members/nonsense/remove", form()).want(t, 422)

	// Put out of it, a page and a program that have it open lose it at once.
	s.open(t, ws, "secret", "0.0")
	send(t, program, `{"type":"join","room":"secret"}`)
	for readJSON(t, program)["type"] != "joined" {
	}
	s.do(t, eve, "POST", "/rooms/secret/members/"+s.id(t, "ada")+"/remove", form()).want(t, 303)
	if f := read(t, ws, "gone"); f.Message != "You are no longer in this room" {
		t.Errorf("the page was told %+v", f)
	}
	for f := readJSON(t, program); f["reason"] != "removed"; f = readJSON(t, program) {
	}
	s.do(t, ada, "GET", "/rooms/secret", nil).want(t, 404)

	// A public room that becomes private, by SQL, is lost to who is not in it.
	s.do(t, eve, "POST", "/rooms", form("name", "Open")).want(t, 303)
	s.open(t, ws, "open", "0.0")
	if _, err := s.pool.Exec(t.Context(), `update chat.rooms set kind = 'private' where slug = 'open'`); err != nil {
		t.Fatal(err)
	}
	read(t, ws, "gone")

	// An owner may do all of it; the room keeps one.
	s.do(t, eve, "POST", "/rooms/secret/settings", form("name", "", "topic", "t")).want(t, 422, "needs a name")
	s.do(t, eve, "POST", "/rooms/secret/settings", form("name", "General")).want(t, 409, "There is a room called General")
	s.do(t, eve, "POST", "/rooms/secret/settings", form("name", "Renamed", "topic", "what for")).want(t, 303)
	s.do(t, bob, "GET", "/rooms/secret", nil).want(t, 200, "Renamed", "what for")
	s.do(t, eve, "POST", "/rooms/secret/members/"+s.id(t, "eve")+"/owner", form("owner", "false")).want(t, 403, "no owner")
	s.do(t, eve, "POST", "/rooms/secret/members/"+s.id(t, "bob")+"/owner", form("owner", "true")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/secret/archive", form("archived", "true")).want(t, 303)
	s.do(t, bob, "GET", "/rooms/secret", nil).want(t, 200, "archived")
	s.do(t, bob, "POST", "/rooms/secret/members", form("names", "ada")).want(t, 403, "archived")
	s.do(t, bob, "POST", "/rooms/secret/archive", form("archived", "false")).want(t, 303)
	s.do(t, eve, "POST", "/rooms/secret/leave", form()).want(t, 303)
	s.do(t, eve, "GET", "/rooms/secret", nil).want(t, 404)
	s.do(t, bob, "POST", "/rooms/general/leave", form()).want(t, 403, "Everybody belongs")
}

func TestADirectConversationIsTheSameForTheSamePeople(t *testing.T) {
	s := start(t, true)
	ada, eve, bob := s.signUp(t, "ada"), s.signUp(t, "eve"), s.signUp(t, "bob")
	begin := func(c *http.Client, names ...string) string {
		t.Helper()
		f := url.Values{}
		for _, name := range names {
			f.Add("user", s.id(t, name))
		}
		a := s.do(t, c, "POST", "/direct", f)
		a.want(t, 303)
		return a.location
	}
	both := begin(ada, "eve")
	if again, back := begin(ada, "eve", "ada"), begin(eve, "ada"); again != both || back != both {
		t.Errorf("begun at %s, then %s and %s", both, again, back)
	}
	three, own := begin(ada, "eve", "bob"), begin(ada, "ada")
	if three == both || own == both || own == three {
		t.Errorf("two %s, three %s, one %s", both, three, own)
	}
	s.do(t, ada, "GET", both, nil).want(t, 200, "<title>eve · pgchat", "Message to eve")
	s.do(t, eve, "GET", both, nil).want(t, 200, "<title>ada · pgchat")
	s.do(t, eve, "GET", three, nil).want(t, 200, "<title>ada, bob · pgchat")
	s.do(t, ada, "GET", own, nil).want(t, 200, "<title>you · pgchat")
	s.do(t, bob, "GET", both, nil).want(t, 404)
	s.do(t, eve, "POST", both+"/leave", form()).want(t, 403, "mute")
	s.do(t, ada, "POST", both+"/members", form("names", "bob")).want(t, 403, "Nobody joins")
	s.do(t, ada, "POST", both+"/settings", form("name", "x")).want(t, 403)
	s.do(t, ada, "GET", both+"/settings", nil).want(t, 200, "2 members")

	s.do(t, ada, "GET", "/direct/new?q=EV", nil).want(t, 200, "eve")
	s.do(t, ada, "GET", "/direct/new?q=zzz", nil).want(t, 200, "nobody whose name")
	s.do(t, ada, "POST", "/direct", form()).want(t, 422, "Choose somebody")
	s.do(t, ada, "POST", "/direct", form("user", "x")).want(t, 422)
	s.do(t, ada, "POST", "/direct", form("user", "0192f8a0-5e1c-7c3a-9b1e-0123456789ab")).want(t, 404, "not here any more")
	many := url.Values{}
	for _, name := range []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"} {
		if _, err := s.pool.Exec(t.Context(), `insert into chat.users (name) values ($1)`, name); err != nil {
			t.Fatal(err)
		}
		many.Add("user", s.id(t, name))
	}
	s.do(t, ada, "POST", "/direct", many).want(t, 422, "at most 9 people")
}

func TestHowAMemberWantsARoom(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.do(t, ada, "POST", "/rooms/general/preferences", form("starred", "true")).want(t, 303)
	s.do(t, ada, "POST", "/rooms/general/preferences", form("notify", "nothing")).want(t, 303)
	s.do(t, ada, "GET", "/rooms/general/settings", nil).want(t, 200, `value="nothing" checked`)
	s.do(t, ada, "GET", "/sidebar", nil).want(t, 200, "data-starred", `data-notify="nothing"`)
	// The settings' form sends both; what is not ticked is not sent, but for what stands behind it.
	both := url.Values{"notify": {"nothing"}, "starred": {"false"}}
	if a := s.do(t, ada, "POST", "/rooms/general/preferences", both); a.location != "/rooms/general/settings" {
		t.Errorf("the settings' form led to %q with %d", a.location, a.status)
	}
	s.do(t, ada, "GET", "/rooms/general/settings", nil).want(t, 200, `name="starred" value="true">`)
	both["starred"] = []string{"true", "false"}
	s.do(t, ada, "POST", "/rooms/general/preferences", both).want(t, 303)
	s.do(t, ada, "GET", "/rooms/general/settings", nil).want(t, 200, `name="starred" value="true" checked>`)
	s.do(t, ada, "POST", "/rooms/general/preferences", form("notify", "often")).want(t, 422, "all messages, of mentions, or of nothing")
	s.do(t, s.signUp(t, "eve"), "GET", "/sidebar", nil).want(t, 200, `data-notify="mentions"`)
	if _, err := s.pool.Exec(t.Context(), `insert into chat.rooms (slug, name) values ('other', 'other')`); err != nil {
		t.Fatal(err)
	}
	s.do(t, ada, "POST", "/rooms/other/preferences", form("starred", "true")).want(t, 403, "not a member")
	if ws, status, _ := s.dial(client(t), nil); ws != nil || status != 401 {
		t.Errorf("without a session: status %d", status)
	}
}

func TestTheSwitcherIsAskedForPeopleByName(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	if _, err := s.pool.Exec(t.Context(), `insert into chat.users (name) select unnest('{x_one,xyone,Xavier,max}'::text[]) union all select 'many' || g from generate_series(1, 30) g`); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`data-name="([^"]*)"`)
	for part, want := range map[string]string{
		"x": "x_one Xavier xyone", "X": "x_one Xavier xyone", "x_": "x_one", "_on": "x_one", "yon": "xyone", "ONE": "x_one xyone", "ax": "", "max": "max",
		"%": "", `\`: "", `\\\`: "", "%%%": "", "\x00": "", "general": "", "ada": "ada",
	} {
		var got []string
		for _, found := range names.FindAllStringSubmatch(s.do(t, ada, "GET", "/switcher?q="+url.QueryEscape(part), nil).body, -1) {
			got = append(got, found[1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q finds %q, want %q", part, got, want)
		}
	}
	if n := strings.Count(s.do(t, ada, "GET", "/switcher?q=m", nil).body, "data-name="); n != 20 {
		t.Errorf("%d were found of 31, want 20", n)
	}
}
