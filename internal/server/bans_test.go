package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/consumer"
)

// closed waits until the connection is closed with the code.
func closed(t *testing.T, ws *websocket.Conn, code int) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, code) {
				t.Errorf("the connection ended with %v, want %d", err, code)
			}
			return
		}
	}
}

func TestWhoIsBannedFromARoomLosesItOnAllInstancesAndMayDoNothingThere(t *testing.T) {
	one, two := startTwo(t)
	ada, eve := liveOn(t, one, two, "ada"), liveOn(t, one, two, "eve")
	browser := client(t)
	one.do(t, browser, "POST", "/sign-in", url.Values{"name": {"eve"}, "password": {password}}).want(t, 303)
	one.exec(t, `select chat.create_room('Plans', members => '{ada,eve}')`)
	one.exec(t, `select chat.post('general', 'ada', 'findme'), chat.post('plans', 'eve', 'mine')`)
	var first string
	if err := one.pool.QueryRow(t.Context(), `select id from chat.messages where body = 'findme'`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	const says = `You are banned from #general until 1 January 2100, 00:00:00 UTC. The reason: it's "spam" <b>`
	began := time.Now()
	one.exec(t, `select chat.ban('eve', 'general', reason => 'it''s "spam" <b>', until => '2100-01-01 UTC')`)
	if f := until(t, eve.program, "left"); f["room"] != "general" || f["reason"] != "banned" {
		t.Errorf("a program is told %v", f)
	}
	if f := read(t, eve.page, "gone"); f.Room != one.roomID(t, "general") || f.Message != "You are banned from this room" {
		t.Errorf("a page is told %+v", f)
	}
	t.Logf("connections to two servers have lost the room %v after the statement began", time.Since(began).Round(time.Millisecond))

	// By the connections that stay.
	general := one.roomID(t, "general")
	send(t, eve.page, fmt.Sprintf(`{"type":"post","room":%q,"id":%q,"body":"x"}`, general, uuid.NewString()))
	if f := read(t, eve.page, "error"); f.Code != "banned" || f.Message != says {
		t.Errorf("a page's post is answered with %+v", f)
	}
	send(t, eve.page, fmt.Sprintf(`{"type":"open","room":%q,"cursor":"0.0"}`, general))
	read(t, eve.page, "gone")
	for _, frame := range []string{
		`{"type":"join","room":"general"}`, `{"type":"read","room":"general","seq":1}`,
		fmt.Sprintf(`{"type":"react","room":"general","id":%q,"emoji":"👍"}`, first), fmt.Sprintf(`{"type":"edit","room":"general","id":%q,"body":"x"}`, first),
	} {
		send(t, eve.program, frame)
		if f := until(t, eve.program, "error"); f["code"] != "banned" || f["message"] != says {
			t.Errorf("%s is answered with %v", frame, f)
		}
	}
	send(t, eve.program, `{"type":"join","room":"plans"}`)
	until(t, eve.program, "joined")

	// By HTTP, on either instance.
	for _, path := range []string{"/rooms/general", "/rooms/general/messages", "/rooms/general/pins", "/rooms/general/members", "/rooms/general/settings"} {
		if path != "/rooms/general/messages" { // a browser is sent to the room
			one.do(t, browser, "GET", path, nil).want(t, 403, "You are banned from #general", "it&#39;s &#34;spam&#34; &lt;b&gt;")
		}
		two.do(t, browser, "GET", path, nil, "Accept", "application/json").want(t, 403, `"code":"banned"`)
	}
	one.do(t, browser, "POST", "/rooms/general/join", url.Values{}).want(t, 403, "banned")
	one.do(t, browser, "POST", "/rooms/general/messages", url.Values{"id": {uuid.NewString()}, "body": {"my draft"}}).want(t, 403, "banned")
	if a := one.do(t, browser, "GET", "/search?q=findme", nil); a.status != 200 || strings.Contains(a.body, "m-"+first) {
		t.Errorf("the search shows what was said: %d", a.status)
	}
	if a := one.do(t, browser, "GET", "/rooms", nil); strings.Contains(a.body, "/rooms/general") || !strings.Contains(a.body, "/rooms/plans") {
		t.Errorf("the rooms are %s", a.body)
	}
	one.do(t, browser, "GET", "/rooms/plans", nil).want(t, 200, "mine")

	// Nobody else is, and when the ban ends by itself they are let in again, as the member that they were.
	send(t, ada.program, fmt.Sprintf(`{"type":"post","room":"general","id":%q,"body":"x"}`, uuid.NewString()))
	until(t, ada.program, "ack")
	one.exec(t, `update chat.bans set until = clock_timestamp() + interval '100 milliseconds'`)
	for one.count(t, `select count(*) from chat.bans where until > now()`) > 0 {
		one.exec(t, `select pg_sleep(0.01)`)
	}
	send(t, eve.program, `{"type":"join","room":"general"}`)
	until(t, eve.program, "joined")
	send(t, eve.program, fmt.Sprintf(`{"type":"post","room":"general","id":%q,"body":"x"}`, uuid.NewString()))
	until(t, eve.program, "ack")
	two.do(t, browser, "GET", "/rooms/general", nil).want(t, 200, "findme")
}

// The ban comes, and the connections are looked at, after it was asked whether the user may see the room and before it is theirs.
func TestWhoIsBannedWhileTheyJoinLosesTheRoom(t *testing.T) {
	one, two := startTwo(t)
	eve := liveOn(t, one, two, "eve")
	one.exec(t, `select chat.create_room('Plans', members => '{eve}')`)
	token, err := chat.NewTokens(one.pool).Create(t.Context(), "eve", "joining", nil)
	if err != nil {
		t.Fatal(err)
	}
	joining := one.program(t, token)
	tx, err := one.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `lock table chat.presence`); err != nil { // who is online is what joining reads last
		t.Fatal(err)
	}
	send(t, joining, `{"type":"join","room":"plans"}`)
	for one.count(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%name: OnlineUsers %'`) == 0 {
		one.exec(t, `select pg_sleep(0.01)`)
	}
	one.exec(t, `insert into chat.bans (user_id, room_id) select u.id, r.id from chat.users u, chat.rooms r where u.name = 'eve'`) // from all rooms
	until(t, eve.program, "left")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, joining, "joined")
	if f := until(t, joining, "left"); f["room"] != "plans" || f["reason"] != "banned" {
		t.Errorf("it is told %v", f)
	}
}

func TestWhoIsBannedFromTheChatIsPutOutOfIt(t *testing.T) {
	one, two := startTwo(t)
	liveOn(t, one, two, "ada")
	eve := liveOn(t, one, two, "eve")
	browser := client(t)
	sign := url.Values{"name": {"eve"}, "password": {password}}
	two.do(t, browser, "POST", "/sign-in", sign).want(t, 303)
	token, err := chat.NewTokens(one.pool).Create(t.Context(), "eve", "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	one.exec(t, `insert into chat.bans (user_id, reason) select id, 'spam' from chat.users where name = 'eve'`)
	closed(t, eve.program, consumer.CloseSignedOut)
	closed(t, eve.page, consumer.CloseSignedOut)
	const says = "You are banned. The reason: spam"
	two.do(t, browser, "GET", "/rooms/general", nil).want(t, 403, says, "Sign in")
	two.do(t, browser, "GET", "/sign-in", nil).want(t, 200)
	two.do(t, browser, "POST", "/sign-in", sign).want(t, 403, says)
	one.do(t, client(t), "GET", "/rooms", nil, "Authorization", "Bearer "+token, "Accept", "application/json").want(t, 403, says)
	if _, status, err := two.dial(browser, nil); err == nil || status != http.StatusForbidden {
		t.Errorf("a page connects: %d, %v", status, err)
	}
	two.do(t, browser, "POST", "/sign-in", url.Values{"name": {"ada"}, "password": {password}}).want(t, 303)
	two.do(t, browser, "GET", "/rooms/general", nil).want(t, 200)
	one.exec(t, `select chat.unban('eve')`)
	two.do(t, client(t), "POST", "/sign-in", sign).want(t, 303)
	one.do(t, client(t), "GET", "/rooms", nil, "Authorization", "Bearer "+token, "Accept", "application/json").want(t, 200)
}

func TestNobodyInvitesWhoIsBanned(t *testing.T) {
	s := start(t, true)
	ada := s.signUp(t, "ada")
	s.signUp(t, "eve")
	s.signUp(t, "bob")
	s.exec(t, `select chat.create_room('Plans', kind => 'private', owner => 'ada'), chat.ban('eve', 'general')`)
	s.do(t, ada, "POST", "/rooms/plans/members", url.Values{"names": {"eve"}}).want(t, 303)
	s.exec(t, `select chat.remove_member('plans', 'eve'), chat.ban('eve', 'plans')`)
	s.do(t, ada, "POST", "/rooms/plans/members", url.Values{"names": {"bob, eve"}}).want(t, 403, "Nobody was added, since from this room are banned: eve.")
	if n := s.count(t, `select count(*) from chat.members where room_id = chat.find_room('plans')`); n != 1 {
		t.Errorf("the room has %d members, want 1", n)
	}
}
