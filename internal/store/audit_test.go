package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// audited returns what was noted since the last time, an entry a line.
func audited(t *testing.T, db querier, after *int64) (entries []string) {
	t.Helper()
	rows, err := db.Query(t.Context(), `select id, concat_ws(' ', operation, table_name, rows, coalesce(actor, '-'), coalesce(old - 'id' - 'created_at', '{}'), coalesce(new - 'id' - 'created_at', '{}'))
		from chat.audit_log where id > $1 order by id`, *after)
	if err != nil {
		t.Fatal(err)
	}
	var entry string
	if _, err := pgx.ForEachRow(rows, []any{after, &entry}, func() error { entries = append(entries, entry); return nil }); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestChangesAreAuditedWithoutSecretsAndPostsAreNot(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, bob := addUser(t, pool, "ada"), addUser(t, pool, "bob")
	room := addRoom(t, pool, "r")
	for i := range 3 {
		mustPost(t, pool, message{room, uuid.New(), ada, fmt.Sprint("message ", i)})
	}
	var at int64
	audited(t, pool, &at)
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{`select chat.post('r', 'ada', 'a post'), chat.react('r', 1, 'bob', '👍'), chat.pin('r', 1, 'bob')`, nil},
		{`insert into chat.messages (room_id, author_id, body) select room_id, author_id, 'by SQL' from chat.messages where seq = 1`, nil},
		{`update chat.members m set last_read_seq = 2, starred = true, notify = 'all' from chat.rooms r where r.id = m.room_id and r.slug = 'r'`, nil},
		{`update chat.users set status_text = 'away', dnd_until = now()`, nil},
		{`update chat.messages set body = body`, nil},
		{`begin; set local chat.actor = 'BOB'; update chat.messages set body = 'the secret' where seq = 1; commit`, []string{`UPDATE messages 1 bob {"body": "…"} {"body": "…"}`}},
		{`begin; set local chat.actor = '` + ada.String() + `'; update chat.messages set body = 'another' where seq = 1; rollback`, nil},
		{`update chat.messages set author_id = '` + bob.String() + `' where seq = 2`, []string{`UPDATE messages 1 - {"author_id": "` + ada.String() + `"} {"author_id": "` + bob.String() + `"}`}},
		{`delete from chat.messages where seq = 3`, []string{`DELETE messages 1 - {"body": "…", "author_id": "` + ada.String() + `", "deleted_at": null} {}`}},
		{`update chat.users set password_hash = 'argon-secret', role = 'admin' where name = 'ada'`, []string{`UPDATE users 1 - {"role": "member", "password_hash": null} {"role": "admin", "password_hash": "…"}`}},
		{`update chat.users set password_hash = 'argon-secret-2' where name = 'ada'`, []string{`UPDATE users 1 - {"password_hash": "…"} {"password_hash": "…"}`}},
		{`update chat.rooms set topic = 'new' where slug = 'r'`, []string{`UPDATE rooms 1 - {"topic": ""} {"topic": "new"}`}},
		{`update chat.members m set role = 'owner' from chat.rooms r where r.id = m.room_id and r.slug = 'r' and m.user_id = '` + ada.String() + `'`, []string{`UPDATE members 1 - {"role": "member"} {"role": "owner"}`}},
	} {
		do(t, pool, c.sql)
		if got := audited(t, pool, &at); !slices.Equal(got, c.want) {
			t.Errorf("%s: noted %q, want %q", c.sql, got, c.want)
		}
	}
	do(t, pool, `insert into chat.tokens (user_id, name, token_hash) values ($1, 'ci', sha256('x'))`, ada)
	do(t, pool, `update chat.tokens set last_used_at = now()`)
	do(t, pool, `delete from chat.tokens`)
	do(t, pool, `update chat.rooms set everyone = false where id = $1`, room)
	do(t, pool, `delete from chat.members where user_id = $1 and room_id = $2`, bob, room)
	do(t, pool, `delete from chat.rooms where id = $1`, room)
	var tables, whole string
	if err := pool.QueryRow(t.Context(), `select string_agg(distinct operation || ' ' || table_name, ', ' order by operation || ' ' || table_name) from chat.audit_log where id > $1`, at).Scan(&tables); err != nil ||
		tables != "DELETE members, DELETE rooms, DELETE tokens, INSERT tokens, UPDATE rooms" {
		t.Errorf("noted %s, %v", tables, err)
	}
	if err := pool.QueryRow(t.Context(), `select string_agg(a::text, ' ') from chat.audit_log a`).Scan(&whole); err != nil || strings.Contains(whole, "argon-secret") || strings.Contains(whole, "the secret") ||
		strings.Contains(whole, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881") {
		t.Errorf("a secret is in the log, or %v", err)
	}
}

func TestTheLogOfABulkChangeIsSmall(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select $1, $2, 'message ' || g from generate_series(1, 5000) g`, room, ada)
	for _, sql := range []string{
		`insert into chat.users (name) select 'user' || g from generate_series(1, 5000) g`,
		`update chat.messages set body = body || '!'`,
		`delete from chat.messages`,
		`update chat.users set role = 'admin' where name like 'user%'`,
		`delete from chat.users where name like 'user%'`,
	} {
		do(t, pool, `delete from chat.audit_log`)
		do(t, pool, sql)
		rows, err := pool.Query(t.Context(), `select concat_ws(' ', table_name, count(*), sum(rows) filter (where key is null), sum(rows) / 5000 * 5000 = sum(rows), count(distinct xid)) from chat.audit_log group by table_name`)
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(tables) == 0 {
			t.Fatalf("%s: %q, %v", sql, tables, err)
		}
		for _, table := range tables {
			if name, rest, _ := strings.Cut(table, " "); name != "members" && rest != "101 4900 t 1" {
				t.Errorf("%s: noted %s, want 100 entries and one for 4900 more", sql, table)
			}
		}
	}
}

func TestWhatMessagesWereIsKeptForAWhile(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, bob, room := addUser(t, pool, "ada"), addUser(t, pool, "bob"), addRoom(t, pool, "r")
	for _, body := range []string{"one", "two", "three", "four"} {
		mustPost(t, pool, message{room, uuid.New(), ada, body})
	}
	kept := func() string {
		t.Helper()
		var s *string
		if err := pool.QueryRow(t.Context(), `select string_agg(concat_ws(' ', h.seq, h.secret_body, h.change, coalesce(u.name, '-'), (h.said_at < h.changed_at)::text), ', ' order by h.id)
			from chat.message_history h left join chat.users u on u.id = h.changed_by where h.author_id = $1`, ada).Scan(&s); err != nil || s == nil {
			return fmt.Sprint(err)
		}
		return *s
	}
	do(t, pool, `update chat.messages set body = 'one, edited' where seq = 1`)
	do(t, pool, `update chat.messages set body = 'one, edited again' where seq = 1`)
	do(t, pool, `update chat.messages set deleted_at = now(), deleted_by = $1 where seq = 2`, bob)
	do(t, pool, `update chat.messages set deleted_at = null, deleted_by = null where seq = 2`) // needs nothing of the history, and adds nothing
	do(t, pool, `delete from chat.messages where seq >= 3`)
	do(t, pool, `delete from chat.messages where seq >= 3`) // erased already
	do(t, pool, `select chat.react('r', 1, 'bob', '👍')`)
	const want = "1 one edited - true, 1 one, edited edited - true, 2 two deleted bob true, 3 three erased - true, 4 four erased - true"
	if got := kept(); got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	// A role that may change messages can neither read nor write what is kept of them.
	role := "app" + strings.ReplaceAll(uuid.NewString(), "-", "")
	do(t, pool, fmt.Sprintf(`create role %[1]s; grant usage on schema chat to %[1]s; grant select, insert, update, delete on chat.messages, chat.room_heads, chat.mentions, chat.replies, chat.users, chat.members, chat.rooms,
		chat.reactions, chat.pins, chat.search_documents to %[1]s; grant execute on all functions in schema chat to %[1]s`, role))
	t.Cleanup(func() {
		if _, err := pool.Exec(context.Background(), fmt.Sprintf(`drop owned by %[1]s; drop role %[1]s`, role)); err != nil {
			t.Error(err)
		}
	})
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	do(t, tx, `set local role `+role)
	do(t, tx, `update chat.messages set body = 'by a role' where seq = 2`)
	for _, sql := range []string{`select 1 from chat.message_history`, `select 1 from chat.audit_log`, `insert into chat.audit_log (table_name, operation, rows) values ('x', 'x', 1)`} {
		do(t, tx, `savepoint s`)
		if _, err := tx.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", sql, err)
		}
		do(t, tx, `rollback to s`)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var who string
	if err := pool.QueryRow(t.Context(), `select current_username from chat.audit_log order by id desc limit 1`).Scan(&who); err != nil || who != role {
		t.Errorf("noted as done by %s, %v, want %s", who, err, role)
	}
	// Retention, and none.
	do(t, pool, `update chat.message_history set changed_at = changed_at - interval '2 days' where seq = 1; update chat.audit_log set at = at - interval '2 days' where table_name = 'users'`)
	var swept int
	if err := pool.QueryRow(t.Context(), `select chat.sweep_history(interval '0', interval '0')`).Scan(&swept); err != nil || swept != 0 {
		t.Errorf("for ever: %d are gone, %v", swept, err)
	}
	if err := pool.QueryRow(t.Context(), `select chat.sweep_history(interval '1 day', interval '1 day')`).Scan(&swept); err != nil || swept != 4 {
		t.Errorf("a day: %d are gone, %v, want 2 texts and 2 entries", swept, err)
	}
	if got := kept(); strings.Contains(got, "one") || !strings.Contains(got, "three erased") {
		t.Errorf("kept %s", got)
	}
}
