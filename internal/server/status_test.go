package server_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
)

// said waits for a frame of presence that tells of people, and returns what it tells of this one.
func said(t *testing.T, ws *websocket.Conn, name string) map[string]any {
	t.Helper()
	for {
		people, _ := until(t, ws, "presence")["people"].([]any)
		for _, p := range people {
			if p := p.(map[string]any); p["name"] == name {
				return p
			}
		}
	}
}

func TestAStatusIsToldEveryWhereByFormFrameAndSQL(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	ada, bob := s.program(t, s.token(t, "ada")), s.member(t, "bob")
	send(t, ada, `{"type":"join","room":"general"}`)
	until(t, ada, "joined")
	wants := func(want map[string]any) {
		t.Helper()
		want["name"] = "ada"
		if got := said(t, bob, "ada"); !reflect.DeepEqual(got, want) {
			t.Errorf("bob is told %v, want %v", got, want)
		}
	}
	send(t, ada, `{"type":"status","emoji":"🌴","text":"On holiday","until":"2100-01-01T00:00:00Z"}`)
	if f := until(t, ada, "status"); f["text"] != "On holiday" {
		t.Errorf("got %v", f)
	}
	wants(map[string]any{"emoji": "🌴", "text": "On holiday", "until": "2100-01-01T00:00:00Z"})
	s.do(t, c, "POST", "/status/dnd", form("for", "forever")).want(t, 303)
	wants(map[string]any{"emoji": "🌴", "text": "On holiday", "until": "2100-01-01T00:00:00Z", "dnd": true})
	send(t, ada, `{"type":"idle","idle":true}`)
	wants(map[string]any{"emoji": "🌴", "text": "On holiday", "until": "2100-01-01T00:00:00Z", "dnd": true, "away": true})

	// Who joins is told, too.
	s.signUp(t, "eve")
	eve := s.program(t, s.token(t, "eve"))
	send(t, eve, `{"type":"join","room":"general"}`)
	if f := until(t, eve, "joined"); len(f["people"].([]any)) != 1 {
		t.Errorf("eve is told %v", f)
	}
	if _, err := s.pool.Exec(t.Context(), `update chat.users set status_emoji = '', status_text = 'by SQL', status_until = null, dnd_until = now() - interval '1 day' where name = 'ada'`); err != nil {
		t.Fatal(err)
	}
	wants(map[string]any{"text": "by SQL", "away": true})
	send(t, ada, `{"type":"dnd","until":"2100-01-01T00:00:00Z"}`)
	until(t, ada, "dnd")
	wants(map[string]any{"text": "by SQL", "away": true, "dnd": true, "dnd_until": "2100-01-01T00:00:00Z"})
	send(t, ada, `{"type":"dnd"}`)
	send(t, ada, `{"type":"idle","idle":false}`)
	for got := (map[string]any{}); !reflect.DeepEqual(got, map[string]any{"name": "ada", "text": "by SQL"}); got = said(t, bob, "ada") {
	}
	s.do(t, c, "POST", "/status", form("clear", "true")).want(t, 303)
	wants(map[string]any{})
	var online, away string
	if err := s.pool.QueryRow(t.Context(), `select string_agg(name, ' ' order by name), coalesce(string_agg(name, ' ') filter (where away), '') from chat.online`).Scan(&online, &away); err != nil || online != "ada bob eve" || away != "" {
		t.Errorf("chat.online has %q, away %q: %v", online, away, err)
	}
	for frame, want := range map[string]string{
		`{"type":"status","text":"x","until":"tomorrow"}`: "invalid", `{"type":"status","text":"x","until":"2001-01-01T00:00:00Z"}`: "invalid",
		`{"type":"status","emoji":"word"}`: "invalid", fmt.Sprintf(`{"type":"status","text":%q}`, strings.Repeat("x", 101)): "invalid",
	} {
		send(t, ada, frame)
		if f := until(t, ada, "error"); f["code"] != want {
			t.Errorf("%s: got %v, want %s", frame, f, want)
		}
	}
}

func TestTheFormsOfAStatus(t *testing.T) {
	s := start(t, true)
	c := s.signUp(t, "ada")
	now := func() (emoji, text string, seconds float64) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `select emoji, text, coalesce(extract(epoch from until - now()), 0)::float8 from chat.statuses where name = 'ada'`).Scan(&emoji, &text, &seconds); err != nil {
			t.Fatal(err)
		}
		return emoji, text, seconds
	}
	wants := func(emoji, text string, length time.Duration) {
		t.Helper()
		if e, s, seconds := now(); e != emoji || s != text || seconds > length.Seconds() || seconds < length.Seconds()-60 {
			t.Errorf("%q, %q, for %.0f s; want %q, %q, %s", e, s, seconds, emoji, text, length)
		}
	}
	for ends, length := range map[string]time.Duration{"30m": 30 * time.Minute, "1h": time.Hour, "4h": 4 * time.Hour, "never": 0} {
		s.do(t, c, "POST", "/status", form("emoji", "👩‍🚀", "text", " Up there "+ends, "ends", ends)).want(t, 303)
		wants("👩‍🚀", "Up there "+ends, length)
	}
	s.do(t, c, "POST", "/status", form("text", "x", "ends", "today", "midnight", time.Now().Add(5*time.Hour).UTC().Format(time.RFC3339))).want(t, 303)
	wants("", "x", 5*time.Hour)
	s.do(t, c, "POST", "/status", form("text", "x", "ends", "today")).want(t, 303)
	if _, _, seconds := now(); seconds <= 0 || seconds > 24*60*60 {
		t.Errorf("today ends in %.0f s", seconds)
	}
	s.do(t, c, "POST", "/status", form("text", "x", "ends", "custom", "until", time.Now().UTC().Add(50*time.Hour).Format("2006-01-02T15:04"))).want(t, 303)
	wants("", "x", 50*time.Hour)
	s.do(t, c, "GET", "/status", nil).want(t, 200, `value="x"`, `value="custom" selected`)
	s.do(t, c, "POST", "/status", form("quick", "ill", "emoji", "🌴")).want(t, 303)
	if e, text, _ := now(); e != "🤒" || text != "Ill" {
		t.Errorf("the quick status is %q, %q", e, text)
	}
	s.do(t, c, "GET", "/rooms/general", nil).want(t, 200, "🤒", `&#34;Ill&#34;`)
	for _, wrong := range [][]string{
		{"ends", "custom", "text", "kept"},
		{"ends", "custom", "until", "nonsense", "text", "kept"},
		{"ends", "custom", "until", "2001-01-01T00:00", "text", "kept"},
		{"ends", "sometimes", "text", "kept"},
		{"emoji", "ok", "text", "kept", "ends", "never"},
		{"emoji", "🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴🌴", "text", "kept", "ends", "never"},
		{"text", "kept" + strings.Repeat("x", 100), "ends", "never"},
		{"text", "kept\x00", "ends", "never"},
	} {
		s.do(t, c, "POST", "/status", form(wrong...)).want(t, 422, "kept", "field-error")
	}
	s.do(t, c, "POST", "/status", form("text", "x", "ends", "custom"), "HX-Request", "true").want(t, 422, "Say at what day")
	s.do(t, c, "POST", "/status/dnd", form("for", "1h"), "HX-Request", "true").want(t, 204)
	s.do(t, c, "POST", "/status/dnd", form("for", "ever")).want(t, 422)
	s.do(t, c, "GET", "/rooms/general", nil).want(t, 200, "You are not disturbed")
	s.do(t, client(t), "POST", "/status", form("text", "x", "ends", "never")).want(t, 303)
	// Back to the page on which the menu was.
	if a := s.do(t, c, "POST", "/status/dnd", form("for", ""), "Referer", s.URL+"/rooms/general?at=3"); a.location != "/rooms/general?at=3" {
		t.Errorf("sent to %s", a.location)
	}
	if a := s.do(t, c, "POST", "/status/dnd", form("for", ""), "Referer", "https://evil.example/x"); a.location != "/" {
		t.Errorf("sent to %s", a.location)
	}
	// What has ended is not shown.
	if _, err := s.pool.Exec(t.Context(), `update chat.users set status_text = 'long ago', status_until = now()`); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, c, "GET", "/rooms/general", nil); strings.Contains(a.body, "long ago") {
		t.Error("a status that has ended is shown")
	}
	for _, sql := range []string{`status_text = 'a' || chr(10)`, `status_text = repeat('x', 101)`, `status_emoji = 'a b'`, `status_emoji = repeat('x', 17)`} {
		if _, err := s.pool.Exec(t.Context(), `update chat.users set `+sql); err == nil {
			t.Errorf("%s was taken", sql)
		}
	}
}

// people waits until a page is told this of somebody.
func (s *site) people(t *testing.T, ws *websocket.Conn, user string, want string) {
	t.Helper()
	id, got := s.id(t, user), ""
	want = strings.TrimSuffix(want, "]") + `,"` + user + `"]`
	for got != want {
		_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("wait for %s, had %s: %v", want, got, err)
		}
		var f struct {
			Type   string
			People map[string]json.RawMessage
		}
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		if f.Type == "people" && f.People[id] != nil {
			got = string(f.People[id])
		}
	}
}

func TestAPageIsToldHowThePeopleAreWhomItLooksAt(t *testing.T) {
	s := start(t, true)
	a, b := s.signUp(t, "ada"), s.signUp(t, "bob")
	ada, _, err := s.dial(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ada.Close() }()
	send(t, ada, `{"type":"people","users":["`+s.id(t, "bob")+`"]}`)
	s.people(t, ada, "bob", `[0,["","",0,0]]`)
	bob, _, err := s.dial(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.open(t, bob, "general", "0.0")
	s.people(t, ada, "bob", `[1,["","",0,0]]`)
	send(t, bob, `{"type":"idle","idle":true}`)
	s.people(t, ada, "bob", `[2,["","",0,0]]`)
	s.do(t, b, "POST", "/status", form("emoji", "🌴", "text", "away", "ends", "never")).want(t, 303)
	s.people(t, ada, "bob", `[2,["🌴","away",0,0]]`)
	// Idle is a connection, wherever it goes.
	s.do(t, b, "POST", "/rooms", form("name", "Other")).want(t, 303)
	s.open(t, bob, "other", "0.0")
	send(t, bob, `{"type":"idle","idle":false}`)
	s.people(t, ada, "bob", `[1,["🌴","away",0,0]]`)
	if _, err := s.pool.Exec(t.Context(), `update chat.users set dnd_until = 'infinity' where name = 'bob'`); err != nil {
		t.Fatal(err)
	}
	s.people(t, ada, "bob", fmt.Sprintf(`[1,["🌴","away",0,%d]]`, chat.Forever().UnixMilli()))
	_ = bob.Close()
	s.people(t, ada, "bob", fmt.Sprintf(`[0,["🌴","away",0,%d]]`, chat.Forever().UnixMilli()))
	send(t, ada, `{"type":"people","users":["nonsense"]}`)
	read(t, ada, "error")
	send(t, ada, `{"type":"people","users":["`+strings.Repeat(s.id(t, "bob")+`","`, 200)+s.id(t, "bob")+`"]}`)
	read(t, ada, "error")
	for range 20 {
		send(t, ada, `{"type":"idle","idle":true}`)
	}
	if f := read(t, ada, "error"); f.Code != "rate_limited" {
		t.Errorf("got %+v", f)
	}
}

func TestCommandsSetAStatus(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	for _, c := range []struct {
		body   string
		status int
		told   string
		now    string
	}{
		{"/status 🌴 On holiday", 200, "Your status is set", "🌴|On holiday|f"},
		{"/status Busy", 200, "Your status is set", "|Busy|f"},
		{"/status 🚌", 200, "Your status is set", "🚌||f"},
		{"/status " + strings.Repeat("x", 101), 422, "at most 100 characters", "🚌||f"},
		{"/dnd", 200, "until you type /dnd off", "🚌||t"},
		{"/dnd off", 200, "You may be disturbed again", "🚌||f"},
		{"/dnd 1h", 200, "You are not disturbed now", "🚌||t"},
		{"/dnd a while", 422, "/dnd off ends it", "🚌||t"},
		{"/status", 200, "Your status is cleared", "||t"},
	} {
		s.do(t, ada, "POST", "/rooms/general/messages", form("id", uuid.NewString(), "body", c.body), "HX-Request", "true").want(t, c.status, c.told)
		var now string
		if err := s.pool.QueryRow(t.Context(), `select concat_ws('|', emoji, text, dnd_until is not null) from chat.statuses`).Scan(&now); err != nil || now != c.now {
			t.Errorf("%s: the status is %s, want %s (%v)", c.body, now, c.now, err)
		}
	}
}
