package store_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhatIsSentToAGroupIsToldAsItIsUpToTheLimit(t *testing.T) {
	pool := pgtest.Pool(t)
	room := addRoom(t, pool, "r")
	conn := listen(t, pool, room)
	var want []string
	for _, text := range append(nasty, strings.Repeat("🐘", 1996)+"xxx", "") {
		event, _ := json.Marshal(text)
		do(t, pool, `select chat.group_send('r', $1)`, string(event))
		want = append(want, text)
	}
	notes := heard(t, pool, conn)
	if len(notes) != len(want) {
		t.Fatalf("%d notifications, want %d", len(notes), len(want))
	}
	for i, n := range notes {
		var got struct{ Event string }
		if err := json.Unmarshal([]byte(n.Payload), &got); err != nil || got.Event != want[i] {
			t.Errorf("told %s (%v), want %q", n.Payload, err, want[i])
		}
	}
	for _, n := range []int{7988, 1048564} { // with the quotes it is two bytes longer
		do(t, pool, `select chat.group_send('r', to_jsonb(repeat('x', $1)))`, n)
		notes := heard(t, pool, conn)
		if len(notes) != 1 || !strings.HasPrefix(notes[0].Payload, "event:") {
			t.Fatalf("told %v of an event of %d bytes", notes, n+2)
		}
		wants(t, pool, `select (payload = '{"event":"' || repeat('x', `+strconv.Itoa(n)+`) || '"}' and expires_at > now() + interval '9 minutes')::text from chat.events where 'event:' || id = '`+notes[0].Payload+`'`, "true")
	}
	refused(t, pool, "54000", "the event has 1048567 bytes, at most 1048566 can be sent", `select chat.group_send('r', to_jsonb(repeat('x', 1048565)))`)
	refused(t, pool, "P0002", "there is no room 'nowhere'", `select chat.group_send('nowhere', '{}')`)
	do(t, pool, `select chat.group_send('r', null)`)
	if got := heard(t, pool, conn); len(got) != 1 || got[0].Payload != `{"event":null}` {
		t.Errorf("told %v of nothing", got)
	}
}

func TestAnnouncementsAndDisconnectionsAreTold(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	conn := listen(t, pool)
	if _, err := conn.Exec(context.Background(), `listen activity`); err != nil {
		t.Fatal(err)
	}
	told := func(what, want string) {
		t.Helper()
		var all []string
		for _, n := range heard(t, pool, conn) {
			all = append(all, n.Payload)
		}
		if got := strings.Join(all, " "); got != want {
			t.Errorf("%s: told %s, want %s", what, got, want)
		}
	}
	const announced = `{"announcements":true}`
	for _, text := range nasty {
		id := one[uuid.UUID](t, pool, `select chat.announce($1)`, " "+text+"\n")
		if got := one[string](t, pool, `select text from chat.announcements where id = $1`, id); got != text {
			t.Errorf("announced %q, want %q", got, text)
		}
		told(text, announced)
	}
	id := one[uuid.UUID](t, pool, `select chat.announce('x', until => now() + interval '1 hour')`)
	if n := one[int](t, pool, `select chat.withdraw($1)`, id) + 10*one[int](t, pool, `select chat.withdraw($1)`, id); n != 1 {
		t.Errorf("withdrawn first and second: %d", n)
	}
	if n := one[int](t, pool, `select chat.withdraw()`); n != len(nasty) {
		t.Errorf("%d of %d withdrawn", n, len(nasty))
	}
	told("withdrawn", strings.Join([]string{announced, announced, announced, announced}, " "))
	refused(t, pool, "23514", "an announcement has 1 to 500 characters, this one 0", `select chat.announce(e' \n')`)
	refused(t, pool, "23514", "an announcement has 1 to 500 characters, this one 501", `select chat.announce(repeat('x', 501))`)
	refused(t, pool, "23514", "the announcement would have ended at", `select chat.announce('x', until => now())`)

	gone := `{"disconnect" : ["` + ada.String() + `"]}`
	do(t, pool, `insert into chat.sessions (token_hash, user_id, expires_at) values (sha256('x'), $1, now() + interval '1 day')`, ada)
	if n := one[int](t, pool, `select chat.disconnect('ADA')`); n != 0 {
		t.Errorf("%d sessions were ended", n)
	}
	told("disconnected", gone)
	if n := one[int](t, pool, `select chat.disconnect('ada', sign_out => true)`); n != 1 {
		t.Errorf("%d sessions were ended, want 1", n)
	}
	told("signed out", `{"signed_out" : ["`+ada.String()+`"]} `+gone)
	refused(t, pool, "P0002", `there is no user E'a''b"\\%L'`, `select chat.disconnect(e'a''b"\\%L')`)
}
