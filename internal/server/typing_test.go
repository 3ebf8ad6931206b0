package server_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

const typingFrame = `{"type":"typing","room":"general"}`

// member connects a new user who has joined #general.
func (s *site) member(t *testing.T, name string) *websocket.Conn {
	t.Helper()
	s.signUp(t, name)
	ws := s.program(t, s.token(t, name))
	send(t, ws, `{"type":"join","room":"general"}`)
	until(t, ws, "joined")
	return ws
}

// until reads until a frame of this type comes.
func until(t *testing.T, ws *websocket.Conn, kind string) map[string]any {
	t.Helper()
	for {
		if f := readJSON(t, ws); f["type"] == kind {
			return f
		}
	}
}

// typists waits to be told that exactly these type.
func typists(t *testing.T, ws *websocket.Conn, names ...any) {
	t.Helper()
	for !reflect.DeepEqual(until(t, ws, "typing")["typing"], append([]any{}, names...)) {
	}
}

func (s *site) room(t *testing.T) (id uuid.UUID) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhoTypesIsToldUntilTheyPost(t *testing.T) {
	s := start(t, true)
	ada, bob := s.member(t, "ada"), s.member(t, "bob")
	s.signUp(t, "eve")
	eve := s.program(t, s.token(t, "eve"))
	send(t, ada, typingFrame)
	typists(t, bob, "ada")
	send(t, bob, typingFrame)
	for _, ws := range []*websocket.Conn{ada, bob} {
		typists(t, ws, "ada", "bob")
	}
	// Who joins now is told as well.
	send(t, eve, `{"type":"join","room":"general"}`)
	typists(t, eve, "ada", "bob")
	send(t, bob, typingFrame)
	send(t, ada, fmt.Sprintf(`{"type":"post","room":"general","id":%q,"body":"hello"}`, uuid.NewString()))
	typists(t, bob, "bob")
	typists(t, bob) // after 5 s, by itself
}

func TestTypingIsSentOnceForAllWhoTypeAtTheSameTime(t *testing.T) {
	s := start(t, true)
	room := s.room(t)
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	names := []any{"ada", "bob", "eve", "kim"}
	members := make([]*websocket.Conn, len(names))
	for i, name := range names {
		members[i] = s.member(t, name.(string))
	}
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(`listen "room:%s"`, room)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 8 {
		for _, ws := range members {
			send(t, ws, typingFrame)
		}
	}
	typists(t, members[0], names...)
	took := time.Since(began)
	// All that was sent has arrived when this has.
	if err := s.layer.GroupSend(t.Context(), "room:"+room.String(), `{"end":true}`); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for {
		n, err := conn.Conn().WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n.Payload == `{"end":true}` {
			break
		}
		sent++
	}
	var stored int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from chat.events`).Scan(&stored); err != nil || stored > 0 {
		t.Errorf("%d events were stored (%v)", stored, err)
	}
	if sent > 2+int(took/time.Second)+4 { // and up to four who joined
		t.Errorf("%d frames left in %d notifications in %s", 8*len(members), sent, took)
	}
}

func TestTypingIsRateLimitedAndNotToldInAFullRoom(t *testing.T) {
	s := start(t, true)
	room := s.room(t)
	if _, err := s.pool.Exec(t.Context(), `with crowd as (insert into chat.users (name) select 'crowd-' || g from generate_series(1, 100) g returning id),
		server as (insert into chat.instances (id, name, version) values (gen_random_uuid(), 'crowded', '') returning id)
		insert into chat.presence (room_id, user_id, instance_id, connections) select $1, crowd.id, server.id, 1 from crowd, server`, room); err != nil {
		t.Fatal(err)
	}
	ada := s.member(t, "ada")
	for until(t, ada, "presence")["online"] != 101.0 {
	}
	for range 50 {
		send(t, ada, typingFrame)
	}
	if f := until(t, ada, "error"); f["code"] != "rate_limited" {
		t.Errorf("got %v, want rate_limited", f)
	}
	if err := s.layer.GroupSend(t.Context(), "room:"+room.String(), `{"typing":["end"]}`); err != nil {
		t.Fatal(err)
	}
	if f := until(t, ada, "typing"); !reflect.DeepEqual(f["typing"], []any{"end"}) {
		t.Errorf("in a full room: got %v", f)
	}
}
