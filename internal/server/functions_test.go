package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// live is a user's program and page, each on another instance, in #general.
type live struct{ program, page *websocket.Conn }

func liveOn(t *testing.T, one, two *site, name string) live {
	t.Helper()
	c := one.signUp(t, name)
	l := live{program: one.program(t, one.token(t, name))}
	var err error
	if l.page, _, err = two.dial(c, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.page.Close() })
	l.join(t, two, "general")
	return l
}

// join has both join the room.
func (l live) join(t *testing.T, s *site, slug string) {
	t.Helper()
	send(t, l.program, `{"type":"join","room":"`+slug+`"}`)
	until(t, l.program, "joined")
	s.open(t, l.page, slug, "0.0")
}

func TestWhatSQLDoesToMessagesShowsOnAllInstances(t *testing.T) {
	one, two := startTwo(t)
	eve := liveOn(t, one, two, "eve")
	one.exec(t, `select chat.post('general', 'eve', 'hello')`)
	until(t, eve.program, "messages")
	read(t, eve.page, "messages")
	for _, step := range []struct{ call, body, html string }{
		{`chat.edit('general', 1, 'it''s "better" \ <b>')`, `it's "better" \ <b>`, `it&#39;s &#34;better&#34; \ &lt;b&gt;</p>`},
		{`chat.delete('general', 1)`, "", "This message was removed."},
		{`chat.undelete(id => (select id from chat.messages))`, `it's "better" \ <b>`, "better"},
	} {
		one.exec(t, `select `+step.call)
		changed := until(t, eve.program, "changes")["messages"].([]any)[0].(map[string]any)
		if changed["body"] != step.body {
			t.Errorf("%s: a program was told %v", step.call, changed)
		}
		if f := read(t, eve.page, "change"); !strings.Contains(f.Content, step.html) {
			t.Errorf("%s: a page was told %s", step.call, f.Content)
		}
	}
}

func TestWhatSQLDoesToRoomsAndTheirPeopleShowsOnAllInstances(t *testing.T) {
	one, two := startTwo(t)
	ada, eve := liveOn(t, one, two, "ada"), liveOn(t, one, two, "eve")
	send(t, eve.program, `{"type":"watch"}`)
	until(t, eve.program, "unread")
	one.exec(t, `select chat.create_room('Plans', kind => 'private', owner => 'ada')`)
	one.exec(t, `select chat.add_member('plans', 'eve', by => 'ada')`)
	for !strings.Contains(fmt.Sprint(until(t, eve.program, "unread")["rooms"]), "plans") {
	}
	for _, l := range []live{ada, eve} {
		l.join(t, two, "plans")
	}
	one.exec(t, `select chat.archive_room('plans', by => 'eve')`)
	if f := until(t, ada.program, "event"); f["kind"] != "archived" || f["actor"] != "eve" {
		t.Errorf("a program was told %v", f)
	}
	if f := read(t, ada.page, "lines"); !strings.Contains(f.Lines, "archived") {
		t.Errorf("a page was told %s", f.Lines)
	}
	send(t, eve.program, `{"type":"post","room":"plans","id":"018f2a5e-6b7c-7def-8abc-0123456789ab","body":"x"}`)
	if f := until(t, eve.program, "error"); f["code"] != "forbidden" {
		t.Errorf("in an archived room a post is answered with %v", f)
	}
	one.exec(t, `select chat.restore_room('plans')`)
	until(t, ada.program, "event")
	one.exec(t, `select chat.remove_member('plans', 'eve')`)
	left, unlisted := false, false
	for !left || !unlisted {
		switch f := readJSON(t, eve.program); f["type"] {
		case "left":
			if left = true; f["room"] != "plans" || f["reason"] != "removed" {
				t.Errorf("who was removed is told %v", f)
			}
		case "unread":
			unlisted = f["all"] == true && !strings.Contains(fmt.Sprint(f["rooms"]), "plans")
		}
	}
	if f := read(t, eve.page, "gone"); f.Room != one.roomID(t, "plans") {
		t.Errorf("the page of who was removed is told %+v", f)
	}
}

func TestWhoIsRenamedBySQLIsCalledSoOnAllInstances(t *testing.T) {
	one, two := startTwo(t)
	ada, eve := liveOn(t, one, two, "ada"), liveOn(t, one, two, "eve")
	send(t, ada.page, fmt.Sprintf(`{"type":"people","users":[%q]}`, one.id(t, "eve")))
	two.people(t, ada.page, "eve", `[1,["","",0,0]]`)
	id := one.id(t, "eve")
	one.exec(t, `select chat.rename_user('eve', 'evelyn')`)
	for {
		f := until(t, ada.program, "presence")
		if joined, _ := f["joined"].([]any); slices.Contains(joined, any("evelyn")) {
			if left, _ := f["left"].([]any); !slices.Contains(left, any("eve")) {
				t.Errorf("a program was told %v", f)
			}
			break
		}
	}
	two.people(t, ada.page, "evelyn", `[1,["","",0,0]]`)
	if one.id(t, "evelyn") != id {
		t.Error("who is renamed is somebody else")
	}
	send(t, eve.program, `{"type":"post","room":"general","id":"018f2a5e-6b7c-7def-8abc-0123456789ab","body":"x"}`)
	m := until(t, ada.program, "messages")["messages"].([]any)[0].(map[string]any)
	if author := m["author"].(map[string]any); author["name"] != "evelyn" {
		t.Errorf("the message is %v", m)
	}
}
