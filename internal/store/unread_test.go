package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// hearActivity returns a connection that listens to the channel of all instances, and to that of [heard]'s marker.
func hearActivity(t *testing.T, pool *pgxpool.Pool) *pgx.Conn {
	t.Helper()
	conn := listen(t, pool)
	if _, err := conn.Exec(t.Context(), `listen activity`); err != nil {
		t.Fatal(err)
	}
	return conn
}

func payloads(t *testing.T, pool *pgxpool.Pool, conn *pgx.Conn) (all []string) {
	t.Helper()
	for _, n := range heard(t, pool, conn) {
		all = append(all, n.Payload)
	}
	return all
}

func do(t *testing.T, db querier, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestWhoJoinsHasReadWhatWasSaidBefore(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	mustPost(t, pool, message{room, uuid.New(), ada, "one"}, message{room, uuid.New(), ada, "two"})
	eve := addUser(t, pool, "eve")
	var unread []int64
	rows, err := pool.Query(t.Context(), `select h.last_seq - m.last_read_seq from chat.members m join chat.room_heads h using (room_id)
		join chat.users u on u.id = m.user_id where m.room_id = $1 order by u.name`, room)
	if err == nil {
		unread, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	}
	if err != nil || !slices.Equal(unread, []int64{2, 0}) {
		t.Errorf("unread %v (%v), want 2 and 0", unread, err)
	}
	var refused *pgconn.PgError
	if _, err := pool.Exec(t.Context(), `update chat.members set last_read_seq = -1 where user_id = $1`, eve); !errors.As(err, &refused) || refused.Code != "23514" {
		t.Errorf("to have read less than nothing: %v", err)
	}
}

func TestEveryInstanceHearsHowFarRoomsHaveCome(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	a, b := addRoom(t, pool, "a"), addRoom(t, pool, "b")
	conn := hearActivity(t, pool)
	at := func(room uuid.UUID, seq int) string { return fmt.Sprintf(`{"room":"%s","seq":%d}`, room, seq) }
	want := func(what string, lists ...[]string) {
		t.Helper()
		got := payloads(t, pool, conn)
		for i, list := range lists {
			if i >= len(got) || !slices.ContainsFunc([][]string{list, {list[len(list)-1], list[0]}}, func(l []string) bool {
				return got[i] == `{"moved":[`+strings.Join(l, ",")+`]}`
			}) {
				t.Errorf("%s: heard %q, want %q", what, got, lists)
				return
			}
		}
		if len(got) != len(lists) {
			t.Errorf("%s: heard %q, want %q", what, got, lists)
		}
	}
	mustPost(t, pool, message{a, uuid.New(), ada, "alone"})
	want("alone", []string{at(a, 1)})
	mustPost(t, pool, message{a, uuid.New(), ada, "two"}, message{b, uuid.New(), ada, "one"})
	want("a batch", []string{at(a, 2), at(b, 1)})
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select r.id, $1, 'plain' from chat.rooms r where slug in ('a', 'b')`, ada)
	want("plain", []string{at(a, 3), at(b, 2)})
	do(t, pool, `select chat.post('a', 'ada', 'by the function')`)
	want("the function", []string{at(a, 4)})
	// A server tells for many batches at once.
	do(t, pool, `select chat.post_batch(array[$1::uuid], array[gen_random_uuid()], array[$2::uuid], array['quiet'], tell => false)`, a, ada)
	do(t, pool, `select chat.post_batch(array[$1::uuid, $1], array[gen_random_uuid(), gen_random_uuid()], array[$2::uuid, $2], array['quiet', 'too'], tell => false)`, a, ada)
	want("told otherwise")
	// Nothing posted, nothing told.
	do(t, pool, `select chat.post_batch(array[gen_random_uuid()], array[gen_random_uuid()], array[$1::uuid], array['nowhere'])`, ada)
	do(t, pool, `select chat.post_batch('{}', '{}', '{}', '{}')`)
	want("nothing")
	// More rooms than a notification holds: read for yourselves.
	do(t, pool, `insert into chat.rooms (slug, name) select 'r' || g, 'r' || g from generate_series(1, 200) g`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select r.id, $1, 'bulk' from chat.rooms r`, ada)
	if got := payloads(t, pool, conn); !slices.Equal(got, []string{`{"moved":[]}`}) {
		t.Errorf("many: heard %q", got)
	}
	wantWhole(t, pool)
}

func mentioned(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var all string
	if err := pool.QueryRow(t.Context(), `select coalesce(string_agg(r.slug || ' ' || x.seq || ' ' || u.name, ', ' order by r.slug, x.seq, u.name), '')
		from chat.mentions x join chat.users u on u.id = x.user_id join chat.rooms r on r.id = x.room_id`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMentionsFollowWhatMessagesSay(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	addUser(t, pool, "eve")
	addUser(t, pool, "Zoë.B")
	stranger := addUser(t, pool, "stranger")
	a := addRoom(t, pool, "a")
	do(t, pool, `update chat.rooms set everyone = false`)
	do(t, pool, `delete from chat.members where user_id = $1`, stranger)
	conn := hearActivity(t, pool)
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"alone", func() { mustPost(t, pool, message{a, uuid.New(), ada, "@EVE, and @zoë.b.: look"}) }, "a 1 Zoë.B, a 1 eve"},
		{"nobody", func() {
			mustPost(t, pool, message{a, uuid.New(), ada, "mail@eve.example, @stranger, @ada, @nobody, @@eve, @ eve"})
		}, "a 1 Zoë.B, a 1 eve"},
		{"a batch", func() {
			mustPost(t, pool, message{a, uuid.New(), ada, "nothing"}, message{a, uuid.New(), ada, "(@eve)"}, message{a, uuid.New(), ada, ""})
		}, "a 1 Zoë.B, a 1 eve, a 4 eve"},
		{"plain", func() {
			do(t, pool, `insert into chat.messages (room_id, author_id, body) values ($1, $2, '@eve @eve'), ($1, $2, 'no')`, a, ada)
		}, "a 1 Zoë.B, a 1 eve, a 4 eve, a 5 eve"},
		{"edited", func() {
			do(t, pool, `update chat.messages set body = replace(body, '@EVE', 'nobody') where seq = 1`)
		}, "a 1 Zoë.B, a 4 eve, a 5 eve"},
		{"deleted", func() { do(t, pool, `update chat.messages set deleted_at = now() where seq in (4, 6)`) }, "a 1 Zoë.B, a 5 eve"},
		{"brought back", func() { do(t, pool, `update chat.messages set deleted_at = null where seq = 4`) }, "a 1 Zoë.B, a 4 eve, a 5 eve"},
		{"the user goes", func() { do(t, pool, `delete from chat.users where name = 'Zoë.B'`) }, "a 4 eve, a 5 eve"},
		{"the room goes", func() { do(t, pool, `delete from chat.rooms where slug = 'a'`) }, ""},
	} {
		step.do()
		if got := mentioned(t, pool); got != step.want {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
	}
	told := 0
	for _, p := range payloads(t, pool, conn) {
		if strings.HasPrefix(p, `{"mentioned":[{"room":"`+a.String()+`","user":"`) {
			told++
		}
	}
	if told != 5 {
		t.Errorf("mentions were told %d times, want 5", told)
	}
}

func TestAllMembersCanBeCalledButNotInALargeRoomByAnybody(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve := addUser(t, pool, "ada"), addUser(t, pool, "eve")
	addUser(t, pool, "bob")
	room := addRoom(t, pool, "a")
	post := func(author uuid.UUID, body, want string) {
		t.Helper()
		do(t, pool, `update chat.messages set deleted_at = now() where deleted_at is null`) // and with them those that they addressed
		mustPost(t, pool, message{room, uuid.New(), author, body})
		if got := mentioned(t, pool); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	post(ada, "@here nobody is", "")
	do(t, pool, `insert into chat.instances (id, name, version) values ('0192f8a0-5e1c-7c3a-9b1e-0123456789ab', 'one', '1')`)
	do(t, pool, `insert into chat.presence (room_id, user_id, instance_id, connections) values ($1, $2, '0192f8a0-5e1c-7c3a-9b1e-0123456789ab', 1)`, uuid.New(), eve)
	post(ada, "(@Here)", "a 2 eve")
	post(ada, "@everyone.", "a 3 bob, a 3 eve")
	post(eve, "@everyone_else, mail@here", "")
	do(t, pool, `insert into chat.users (name) select 'u' || g from generate_series(1, 97) g`)
	do(t, pool, `insert into chat.members (room_id, user_id) select $1, id from chat.users on conflict do nothing`, room)
	do(t, pool, `update chat.users set role = 'member'`)
	post(ada, "@here and @everyone of a hundred", "a 5 bob, a 5 eve, "+hundred(5))
	do(t, pool, `insert into chat.users (name) values ('v1')`)
	do(t, pool, `insert into chat.members (room_id, user_id) select $1, id from chat.users on conflict do nothing`, room)
	post(ada, "@everyone of more, @eve", "a 6 eve")
	do(t, pool, `update chat.members set role = 'owner' where room_id = $1 and user_id = $2`, room, ada)
	post(ada, "@everyone", "a 7 bob, a 7 eve, "+hundred(7)+", a 7 v1")
	wantWhole(t, pool)
}

func hundred(seq int) string {
	var all []string
	for i := range 97 {
		all = append(all, fmt.Sprintf("a %d u%d", seq, i+1))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestEveryInstanceHearsWhatWasReadAndWhoBelongsWhere(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve, room := addUser(t, pool, "ada"), addUser(t, pool, "eve"), addRoom(t, pool, "a")
	mustPost(t, pool, message{room, uuid.New(), ada, "one"})
	conn := hearActivity(t, pool)
	for sql, want := range map[string][]string{
		`update chat.members set last_read_seq = 1 where user_id = '` + eve.String() + `' and room_id = '` + room.String() + `'`: {`{"read":[{"room":"` + room.String() + `","user":"` + eve.String() + `","seq":1}]}`},
		`update chat.members set joined_at = now()`:                                    nil,
		`update chat.rooms set topic = 'new' where id = '` + room.String() + `'`:       {`{"rooms":[{"room":"` + room.String() + `"}]}`},
		`update chat.rooms set topic = topic`:                                          nil,
		`update chat.rooms set archived_at = now() where id = '` + room.String() + `'`: {`{"rooms":[{"room":"` + room.String() + `"}]}`},
	} {
		do(t, pool, sql)
		if got := payloads(t, pool, conn); !slices.Equal(got, want) {
			t.Errorf("%s: heard %q, want %q", sql, got, want)
		}
	}
	do(t, pool, `update chat.rooms set everyone = false where id = $1`, room)
	do(t, pool, `delete from chat.members where user_id = $1 and room_id = $2`, eve, room)
	do(t, pool, `insert into chat.members (room_id, user_id) values ($1, $2)`, room, eve)
	if got, want := payloads(t, pool, conn), `{"members":[{"user":"`+eve.String()+`"}]}`; !slices.Equal(got, []string{want, want}) {
		t.Errorf("in and out: heard %q, want %s twice", got, want)
	}
	do(t, pool, `insert into chat.users (name) select 'user-' || g from generate_series(1, 500) g`)
	if got := payloads(t, pool, conn); !slices.Equal(got, []string{`{"members":[]}`}) {
		t.Errorf("many: heard %q", got)
	}
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select r.id, $1, 'new' from chat.rooms r`, eve)
	payloads(t, pool, conn)
	do(t, pool, `update chat.members set last_read_seq = last_read_seq + 1`)
	if got := payloads(t, pool, conn); !slices.Equal(got, []string{`{"read":[]}`}) {
		t.Errorf("many: heard %q", got)
	}
	do(t, pool, `delete from chat.rooms`)
	if got := payloads(t, pool, conn); !slices.Contains(got, `{"members":[]}`) {
		t.Errorf("all rooms deleted: heard %q", got)
	}
}
