package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/consumer"
)

// pageFrame reads until a page is sent a frame of this type.
func pageFrame(t *testing.T, ws *websocket.Conn, kind string) (f map[string]any) {
	t.Helper()
	for f["type"] != kind {
		f = readJSON(t, ws)
	}
	return f
}

func TestWhatIsSentToAGroupReachesWhoIsThere(t *testing.T) {
	one, two := startTwo(t)
	ada := liveOn(t, one, two, "ada")
	one.exec(t, `select chat.create_room('Else', members => '{ada}')`)
	one.exec(t, `select chat.group_send('else', '"not here"'), chat.group_send('general', '{"build": ["green", null, "it''s <b>"]}')`)
	const want = `map[build:[green <nil> it's <b>]]`
	if f := until(t, ada.program, "group"); f["room"] != "general" || fmt.Sprint(f["payload"]) != want {
		t.Errorf("a program is sent %v", f)
	}
	if f := pageFrame(t, ada.page, "group"); f["room"] != one.roomID(t, "general") || fmt.Sprint(f["payload"]) != want {
		t.Errorf("a page is sent %v", f)
	}
	// One that no notification holds comes as well, from the table of events, and in its order.
	one.exec(t, `select chat.group_send('general', to_jsonb(repeat('é', 524282))), chat.group_send('general', '"after it"')`)
	for name, next := range map[string]func() map[string]any{
		"a program": func() map[string]any { return until(t, ada.program, "group") }, "a page": func() map[string]any { return pageFrame(t, ada.page, "group") },
	} {
		if f := next(); f["payload"] != strings.Repeat("é", 524282) {
			t.Errorf("%s is sent %.100v instead of the large event", name, f)
		}
		if f := next(); f["payload"] != "after it" {
			t.Errorf("%s is sent %.100v behind the large event", name, f)
		}
	}
	// Who comes later is not sent it, whatever their cursor.
	one.exec(t, `select chat.post('general', 'ada', 'hello')`)
	until(t, ada.program, "messages")
	one.signUp(t, "eve")
	eve := one.program(t, one.token(t, "eve"))
	send(t, eve, `{"type":"join","room":"general","after":"0.0"}`)
	until(t, eve, "joined")
	one.exec(t, `select chat.group_send('general', '"second"')`)
	if f := until(t, eve, "group"); f["payload"] != "second" {
		t.Errorf("who came later was sent %v", f)
	}
	if f := until(t, ada.program, "group"); f["payload"] != "second" {
		t.Errorf("who was there was sent %v", f)
	}
}

func TestWhoIsDisconnectedComesBackUnlessSignedOut(t *testing.T) {
	one, two := startTwo(t)
	ada, eve := liveOn(t, one, two, "ada"), liveOn(t, one, two, "eve")
	one.exec(t, `select chat.disconnect('ada')`)
	closed(t, ada.program, websocket.CloseServiceRestart)
	closed(t, ada.page, websocket.CloseServiceRestart)
	one.exec(t, `select chat.disconnect('eve', sign_out => true)`)
	closed(t, eve.program, websocket.CloseServiceRestart)
	_ = eve.page.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := eve.page.ReadMessage(); err != nil { // whichever comes first
			if !websocket.IsCloseError(err, websocket.CloseServiceRestart, consumer.CloseSignedOut) {
				t.Errorf("the page ended with %v", err)
			}
			break
		}
	}
	if n := one.count(t, `select count(*) from chat.sessions s join chat.users u on u.id = s.user_id where u.name = 'eve'`); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestAnnouncementsShowWhileTheyLast(t *testing.T) {
	one, two := startTwo(t)
	ada := liveOn(t, one, two, "ada")
	texts := func(f map[string]any) (all string) {
		for _, a := range f["announcements"].([]any) {
			all += a.(map[string]any)["text"].(string) + ";"
		}
		return all
	}
	announced := func(program, page string) {
		t.Helper()
		if f := until(t, ada.program, "announcements"); texts(f) != program {
			t.Errorf("a program is told %v, want %s", f, program)
		}
		html, _ := pageFrame(t, ada.page, "announcements")["announcements"].(string)
		if n := strings.Count(html, "<form"); n != strings.Count(program, ";") || !strings.Contains(html, page) {
			t.Errorf("a page is told %s, want %s", html, page)
		}
	}
	one.exec(t, `select chat.announce('it''s <b> "tonight"')`)
	announced(`it's <b> "tonight";`, "it&#39;s &lt;b&gt; &#34;tonight&#34;")
	one.exec(t, `insert into chat.announcements (text, until, created_at) values ('a moment', clock_timestamp() + interval '300 milliseconds', now() + interval '1 second')`)
	announced(`it's <b> "tonight";a moment;`, "a moment")
	announced(`it's <b> "tonight";`, "tonight") // by itself

	// Who connects is told, and pages that are made have it, until their reader has dismissed it.
	browser := client(t)
	one.do(t, browser, "POST", "/sign-in", url.Values{"name": {"ada"}, "password": {password}}).want(t, 303)
	for _, path := range []string{"/rooms/general", "/rooms", "/status"} {
		two.do(t, browser, "GET", path, nil).want(t, 200, "it&#39;s &lt;b&gt; &#34;tonight&#34;")
	}
	var id string
	if err := one.pool.QueryRow(t.Context(), `select id from chat.announcements where text like 'it%'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if a := two.do(t, browser, "POST", "/announcements/"+id+"/dismiss", url.Values{}, "Referer", two.URL+"/rooms?x=1"); a.status != 303 || a.location != "/rooms?x=1" {
		t.Errorf("after dismissing: %d, sent to %s", a.status, a.location)
	}
	if a := two.do(t, browser, "POST", "/announcements/"+id+"/dismiss", url.Values{}, "Referer", "https://evil.example/x"); a.location != "/" {
		t.Errorf("after dismissing sent to %s", a.location)
	}
	two.do(t, browser, "POST", "/announcements/x/dismiss", url.Values{}).want(t, 404)
	if a := one.do(t, browser, "GET", "/rooms", nil); a.status != 200 || strings.Contains(a.body, "tonight") {
		t.Errorf("%d, and what was dismissed shows", a.status)
	}
	one.signUp(t, "eve")
	eve := two.program(t, one.token(t, "eve"))
	f := until(t, eve, "announcements")
	if text, _ := json.Marshal(f); texts(f) != `it's <b> "tonight";` || strings.Contains(string(text), "until") {
		t.Errorf("who connects is told %s", text)
	}
	one.exec(t, `select chat.withdraw()`)
	announced("", "")
	if f := until(t, eve, "announcements"); texts(f) != "" {
		t.Errorf("after it is withdrawn: %v", f)
	}
}
