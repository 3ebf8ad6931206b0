package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhoIsBannedNeitherPostsNorReactsByAnyFunction(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve := addUser(t, pool, "ada"), addUser(t, pool, "eve")
	room, other := addRoom(t, pool, "r"), addRoom(t, pool, "o")
	old := uuid.New()
	mustPost(t, pool, message{room, old, eve, "before"})
	posted := func(want string) {
		t.Helper()
		batch := []message{{room, uuid.New(), eve, "x"}, {room, old, eve, "before"}, {room, uuid.New(), ada, "y"}, {other, uuid.New(), eve, "z"}}
		var got []string
		for _, o := range mustPost(t, pool, batch...) {
			got = append(got, o.Outcome)
		}
		for _, m := range []message{{room, uuid.New(), eve, "alone"}, {other, uuid.New(), eve, "alone"}} {
			got = append(got, mustPost(t, pool, m)[0].Outcome)
		}
		got = append(got, one[string](t, pool, `select outcome from chat.post_replies(array[$1::uuid], array[gen_random_uuid()], array[$2::uuid], array['x'], array[1::bigint])`, room, eve),
			one[string](t, pool, `select outcome from chat.post_files($1, gen_random_uuid(), $2, 'x', '{}')`, room, eve))
		if fmt.Sprint(got) != want {
			t.Errorf("outcomes %v, want %s", got, want)
		}
		wantWhole(t, pool)
	}
	const free, here, nowhere = "[posted duplicate posted posted posted posted posted posted]", "[banned banned posted posted banned posted banned banned]",
		"[banned banned posted banned banned banned banned banned]"
	posted(free)
	wantChange(t, pool, `chat.ban('EVE', 'r', reason => ' it''s "spam" \ ')`)
	posted(here)
	refused(t, pool, "23514", "'eve' is banned from room 'r'", `select chat.post('r', 'eve', 'x')`)
	refused(t, pool, "23514", "'eve' is banned from room 'r'", `select chat.post('r', 'eve', 'x', reply_to => 1)`)
	refused(t, pool, "23514", "'eve' is banned from room 'r'", `select chat.react('r', 1, 'eve', '👍')`)
	refused(t, pool, "23514", "'eve' is banned from room 'r'", `select chat.pin('r', 1, 'eve')`)
	do(t, pool, `select chat.post('o', 'eve', 'x'), chat.react('r', 1, 'ada', '👍')`)
	if got := one[string](t, pool, `select concat_ws(' ', reason, until, banned_by = session_user) from chat.bans`); got != `it's "spam" \ infinity t` {
		t.Errorf("the ban is %s", got)
	}

	// The longer of two holds; one that has ended does not.
	wantChange(t, pool, `chat.ban('eve', until => '2100-01-01 UTC')`)
	posted(nowhere)
	refused(t, pool, "23514", "'eve' is banned from room 'r'", `select chat.post('r', 'eve', 'x')`)
	refused(t, pool, "23514", "'eve' is banned from the chat until 2100-01-01", `select chat.post('o', 'eve', 'x')`)
	do(t, pool, `update chat.bans set until = now()`)
	posted(free)
	do(t, pool, `update chat.bans set until = now() + interval '1 hour' where room_id is null`)
	posted(nowhere)
	wantChange(t, pool, `chat.unban('eve')`)
	posted(free)
	do(t, pool, `insert into chat.bans (user_id, room_id) select $1, id from chat.rooms where slug = 'r' on conflict (user_id, room_id) do update set until = 'infinity'`, eve)
	posted(here)
	wantChange(t, pool, `chat.unban('eve', 'r')`)
	posted(free)

	for call, why := range map[string][2]string{
		`chat.ban('nobody')`:                              {"P0002", "there is no user 'nobody'"},
		`chat.ban('eve', 'nowhere')`:                      {"P0002", "there is no room 'nowhere'"},
		`chat.unban('nobody')`:                            {"P0002", "there is no user 'nobody'"},
		`chat.unban('eve', 'nowhere')`:                    {"P0002", "there is no room 'nowhere'"},
		`chat.ban('eve', until => now())`:                 {"23514", "the ban would have ended at"},
		`chat.ban('eve', reason => repeat('x', 501))`:     {"23514", "a reason has at most 500 characters, this one 501"},
		`chat.ban(e'a''b"\\%L')`:                          {"P0002", `there is no user E'a''b"\\%L'`},
		`chat.ban('eve', e'a''b"\\%L')`:                   {"P0002", `there is no room E'a''b"\\%L'`},
		`chat.unban('eve', '"}],"x":[{"')`:                {"P0002", `there is no room '"}],"x":[{"'`},
		`chat.unban('''; delete from chat.messages; --')`: {"P0002", "there is no user '''; delete from chat.messages; --'"},
	} {
		refused(t, pool, why[0], why[1], `select `+call)
	}
	for _, text := range nasty {
		do(t, pool, `select chat.ban('eve', 'r', reason => $1)`, text)
		if got := one[string](t, pool, `select reason from chat.bans`); got != text {
			t.Errorf("reason %q, want %q", got, text)
		}
	}
	// They end with the room and the user.
	do(t, pool, `delete from chat.rooms where slug = 'r'`)
	if n := one[int](t, pool, `select count(*) from chat.bans`); n != 0 {
		t.Errorf("%d bans outlive their room", n)
	}
}

func TestBansAreToldHoweverTheyCome(t *testing.T) {
	pool := pgtest.Pool(t)
	eve := addUser(t, pool, "eve")
	conn := listen(t, pool)
	if _, err := conn.Exec(context.Background(), `listen activity`); err != nil {
		t.Fatal(err)
	}
	seen, out := `{"members":[{"user":"`+eve.String()+`"}]}`, `{"signed_out" : ["`+eve.String()+`"]}`
	for _, step := range []struct {
		sql  string
		told []string
	}{
		{`select chat.ban('eve', 'general')`, []string{seen}},
		{`update chat.bans set reason = 'x'`, []string{seen}},
		{`delete from chat.bans`, []string{seen}},
		{`insert into chat.bans (user_id) select id from chat.users`, []string{seen, out}},
		{`update chat.bans set until = now()`, []string{seen, out}},
		{`delete from chat.bans`, []string{seen}},
		{`delete from chat.bans`, nil},
		{`insert into chat.users (name) select 'u' || n from generate_series(1, 300) n`, []string{`{"members":[]}`}},
		{`insert into chat.bans (user_id) select id from chat.users where name like 'u%'`, []string{`{"members":[]}`, `{"signed_out" : []}`}},
	} {
		do(t, pool, step.sql)
		var told []string
		for _, n := range heard(t, pool, conn) {
			told = append(told, n.Payload)
		}
		if strings.Join(told, " ") != strings.Join(step.told, " ") {
			t.Errorf("%s: told %q, want %q", step.sql, told, step.told)
		}
	}
}
