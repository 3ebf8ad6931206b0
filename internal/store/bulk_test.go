package store_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// bulk is a statement over very many rows, and what is to be known of it afterwards.
type bulk struct {
	sql   string
	kinds string // of what instances hear
	rooms int    // how many rooms hear of it, a notification each; all others are two at most
	noted string // what is noted in the audit log: "operation table"; of very many rows that is 101 entries
	rows  int    // and how many rows they stand for
	named int    // how many people it is about, where they are so few that they are named
}

// Whatever table it is: few notifications, which do not name some of those concerned but have instances read all anew, few entries of the
// audit log, and all is whole. PGCHAT_TEST_ROWS=100000 is how to see it with as many; what each takes is in the log.
func TestBulkStatementsOnEveryTable(t *testing.T) {
	pool, n := pgtest.Pool(t), pgtest.Rows(t, 5_000)
	rooms := n / 5
	addUser(t, pool, "ada")
	do(t, pool, `select chat.create_room('Plans', owner => 'ada')`)
	plans := one[uuid.UUID](t, pool, `select chat.find_room('plans')`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select $1, chat.find_user('ada'), 'message ' || g from generate_series(1, $2::int) g`, plans, n/10)
	conn := hearActivity(t, pool)
	do(t, conn, fmt.Sprintf(`listen %q`, "room:"+plans.String()))
	var listens strings.Builder
	for g := 1; g <= rooms; g++ {
		fmt.Fprintf(&listens, "listen %q;", "room:"+uuid.MustParse(fmt.Sprintf("%032x", g)).String()) // as $id below
	}
	do(t, conn, listens.String())
	for _, c := range []bulk{
		{`insert into chat.users (id, name) select $id, 'user' || g from generate_series(1, $n) g`, "members", 0, "INSERT users", n, 0},
		{`update chat.users set status_text = 'away' where name like 'user%'`, "status", 0, "", 0, 0},
		{`update chat.users set role = 'admin' where name like 'user%'`, "", 0, "UPDATE users", n, 0},
		{`update chat.users set role = 'member', name = 'user0' || substr(name, 5) where name like 'user%'`, "status", 0, "UPDATE users", n, 0},

		{`insert into chat.members (room_id, user_id, role) select $room, id, 'owner' from chat.users where name like 'user%'`, "members", 0, "INSERT members", n, 0},
		{`update chat.members set starred = true where room_id = $room`, "members", 0, "", 0, 0},
		{`update chat.members set last_read_seq = last_read_seq - 1 where room_id = $room and last_read_seq > 0`, "read", 0, "", 0, 0},
		{`update chat.members set role = 'member' where room_id = $room and user_id <> chat.find_user('ada')`, "members", 0, "UPDATE members", n, 0},

		{`insert into chat.bans (user_id, room_id) select id, $room from chat.users where name like 'user%'`, "members", 0, "INSERT bans", n, 0},
		{`update chat.bans set reason = 'another', room_id = null`, "members signed_out", 0, "UPDATE bans", n, 0},
		{`delete from chat.bans`, "members signed_out", 0, "DELETE bans", n, 0},

		{`insert into chat.reactions (room_id, seq, emoji, user_id) select $room, 1 + g / 20, '👍', $id from generate_series(1, $n) g`, "rev", 0, "", 0, 0},
		{`update chat.reactions set emoji = '🎉'`, "rev", 0, "", 0, 0},
		{`delete from chat.reactions`, "rev", 0, "", 0, 0},

		{`delete from chat.members where room_id = $room and user_id <> chat.find_user('ada')`, "members rev", 0, "DELETE members", n, 0},

		{`insert into chat.rooms (id, slug, name, created_by) select $id, 'room' || g, 'room ' || g, chat.find_user('ada') from generate_series(1, $rooms) g`, "members", 0, "INSERT rooms", rooms, 1},
		{`insert into chat.messages (room_id, author_id, body) select $id, chat.find_user('ada'), 'hello' from generate_series(1, $rooms) g`, " moved", rooms, "", 0, 0},
		{`insert into chat.members (room_id, user_id) select $id, lpad(u::text, 32, '0')::uuid from generate_series(1, $rooms) g, generate_series(1, 5) u`, "members rev", rooms, "INSERT members", n, 5},
		{`update chat.rooms set topic = 'new' where slug like 'room%'`, "rev rooms", rooms, "UPDATE rooms", rooms, 0},
		{`delete from chat.rooms where slug like 'room%'`, "gone members", rooms, "DELETE rooms", rooms, 6},

		{`delete from chat.users where name like 'user%'`, "members", 0, "DELETE users", n, 0},
	} {
		at := one[int64](t, pool, `select coalesce(max(id), 0) from chat.audit_log`)
		sql := strings.NewReplacer("$rooms", strconv.Itoa(rooms), "$room", "'"+plans.String()+"'", "$n", strconv.Itoa(n), "$id", `lpad(to_hex(g), 32, '0')::uuid`).Replace(c.sql)
		began := time.Now()
		do(t, pool, sql)
		took := time.Since(began)
		notes := heard(t, pool, conn)
		bytes := 0
		for _, note := range notes {
			bytes += len(note.Payload)
			told := map[string]json.RawMessage{}
			if err := json.Unmarshal([]byte(note.Payload), &told); err != nil {
				t.Fatal(err)
			}
			for kind, who := range told {
				if n := strings.Count(string(who), "{"); note.Channel == "activity" && n > 0 && n != c.named {
					t.Errorf("%s: of %q are named %.100s, and not all", sql, kind, who)
				}
			}
		}
		t.Logf("%s: %d notifications, %d bytes: %s", took.Round(time.Millisecond), len(notes), bytes, sql)
		if got := strings.Join(kinds(t, notes), " "); got != c.kinds {
			t.Errorf("%s: heard of %q, want %q", sql, got, c.kinds)
		}
		if most := c.rooms + 2; len(notes) > most || bytes > 100*most {
			t.Errorf("%s: %d notifications of %d bytes", sql, len(notes), bytes)
		}
		if c.noted != "" {
			operation, table, _ := strings.Cut(c.noted, " ")
			wants(t, pool, fmt.Sprintf(`select count(*) || ' ' || sum(rows) from chat.audit_log where id > %d and operation = '%s' and table_name = '%s'`, at, operation, table), fmt.Sprintf("101 %d", c.rows))
		}
		// Of each table that has changed by it at most as many, and nothing of what is not audited.
		wants(t, pool, fmt.Sprintf(`select operation || ' ' || table_name from chat.audit_log where id > %d group by operation, table_name having count(*) > 101 or table_name = 'messages'`, at))
		wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.rooms r cross join lateral chat.integrity_of(r.id) where r.slug in ('general', 'plans', 'room1', 'room7', 'room77', 'room777') limit 10`)
	}
	wantNoGaps(t, pool)
	wants(t, pool, `select slug from chat.rooms order by 1`, "general", "plans")
	wants(t, pool, `select name from chat.users`, "ada")
}

// While a table has a row or two, all of it is read as soon as one row by its key; what is planned then must not do so when it has many.
func TestBulkStatementsOnNewTablesAreLinear(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	do(t, pool, `select chat.create_room('Plans', owner => 'ada')`)
	in := `room_id in (select id from chat.rooms where slug like 'room%' and nullif(regexp_replace(slug, '\D', '', 'g'), '')::int <= $1)`
	wantLinear(t, pool, []string{
		`insert into chat.users (name) select 'user' || g from generate_series(1, $1) g`,
		`insert into chat.rooms (slug, name, created_by) select 'room' || g, 'room ' || g, '` + ada.String() + `' from generate_series(1, $1) g`,
		`insert into chat.messages (room_id, author_id, body) select room_id, '` + ada.String() + `', 'hello' from chat.room_heads where ` + in,
		`insert into chat.members (room_id, user_id, role) select room_id, (select id from chat.users where name = 'user1'), 'owner' from chat.room_heads where ` + in,
		`update chat.members set starred = not starred where ` + in,
		`update chat.members set last_read_seq = 0 where ` + in,
		`update chat.members set role = 'member' where user_id <> '` + ada.String() + `' and ` + in,
		`insert into chat.reactions (room_id, seq, emoji, user_id) select room_id, 1, '👍', '` + ada.String() + `' from chat.room_heads where ` + in,
		`update chat.reactions set emoji = '🎉' where ` + in,
		`delete from chat.reactions where ` + in,
		`delete from chat.members where user_id = '` + ada.String() + `' and ` + in,
		`delete from chat.rooms where id in (select room_id from chat.room_heads where ` + in + `)`,
		`update chat.users set name = 'other' || substr(name, 5) where name like 'user%' and nullif(regexp_replace(name, '\D', '', 'g'), '')::int <= $1`,
		`delete from chat.users where name like 'other%' and nullif(regexp_replace(name, '\D', '', 'g'), '')::int <= $1`,
	})
}
