package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// wantNoGaps fails unless chat.gaps is empty and no rev stands twice or beyond its room's head.
func wantNoGaps(t *testing.T, db querier) {
	t.Helper()
	var gaps, revs int
	if err := db.QueryRow(t.Context(), `select (select count(*) from chat.gaps),
		(select count(*) from (select m.room_id from chat.messages m join chat.room_heads h on h.room_id = m.room_id where m.rev is not null
			group by m.room_id, h.last_rev having count(*) <> count(distinct m.rev) or max(m.rev) > h.last_rev) w)`).Scan(&gaps, &revs); err != nil || gaps != 0 || revs != 0 {
		t.Errorf("%d rooms with gaps, %d with wrong revs, error %v", gaps, revs, err)
	}
	wants(t, db, `select concat_ws(' ', "check", object, detail) from chat.integrity limit 10`)
}

func TestDMLThatWouldBreakAnInvariantIsRefusedWithAReason(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	bob := addUser(t, pool, "bob")
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select $1, $2, 'message ' || g from generate_series(1, 3) g`, room, ada)
	do(t, pool, `update chat.messages set body = 'edited' where seq = 1`)
	do(t, pool, `insert into chat.files (id, room_id, uploader_id, name, size) values (gen_random_uuid(), $1, $2, 'a.txt', 1)`, room, ada)
	do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) values ('d', 'ada, bob', 'direct', $1)`, ada.String()+","+bob.String())
	eve := addUser(t, pool, "eve")
	const check, restrict, foreign = "23514", "23001", "23503"
	for _, c := range []struct{ state, words, sql string }{
		{check, "do not follow the last message", `insert into chat.messages (room_id, author_id, seq, body, created_at) select room_id, author_id, 9, 'x', now() from chat.messages limit 1`},
		{check, "do not follow the last message", `insert into chat.messages (room_id, author_id, seq, body, created_at) select room_id, author_id, 5, 'x', now() from chat.messages limit 1`},
		{check, "rev of a new message", `insert into chat.messages (room_id, author_id, body, rev) select room_id, author_id, 'x', 7 from chat.messages limit 1`},
		{foreign, "there is no room", `insert into chat.messages (room_id, author_id, body) select gen_random_uuid(), author_id, 'x' from chat.messages limit 1`},
		{check, "never change", `update chat.messages set seq = seq + 1`},
		{check, "never change", `update chat.messages set id = gen_random_uuid()`},
		{check, "never change", `update chat.messages set room_id = (select id from chat.rooms where slug = 'general')`},
		{check, "are not changed by hand", `update chat.messages set rev = 100 where seq = 2`},
		{check, "are not changed by hand", `update chat.messages set rev = null where seq = 1`},
		{check, "are not changed by hand", `update chat.messages set created_at = created_at - interval '1 day'`},
		{check, "", `update chat.messages set body = ' '`},
		{check, "", `update chat.messages set body = ''`},
		{check, "never changes", `update chat.users set id = gen_random_uuid() where name = 'eve'`},
		{check, "never changes", `update chat.rooms set id = gen_random_uuid() where slug = 'd'`},
		{check, "never changes", `update chat.members set user_id = $eve where user_id = $bob`},
		{check, "never changes", `update chat.files set room_id = (select id from chat.rooms where slug = 'general')`},
		{check, "cannot have read message 100", `update chat.members set last_read_seq = 100 where room_id = $room`},
		{check, "cannot have read message 100", `insert into chat.members (room_id, user_id, last_read_seq) select id, $eve, 100 from chat.rooms where slug = 'd'`},
		{check, "does not belong to the direct conversation", `insert into chat.members (room_id, user_id) select id, $eve from chat.rooms where slug = 'd'`},
		{foreign, "'ada' has said something", `delete from chat.users where name in ('ada', 'eve')`},
		{restrict, "the head of a room", `delete from chat.room_heads`},
		{restrict, "is not truncated", `truncate chat.messages cascade`},
		{restrict, "is not truncated", `truncate chat.rooms cascade`},
		{restrict, "is not truncated", `truncate chat.users cascade`},
		{restrict, "is not truncated", `truncate chat.members`},
		{restrict, "is not truncated", `truncate chat.reactions`},
		{restrict, "is not truncated", `truncate chat.pins`},
		{restrict, "is not truncated", `truncate chat.replies`},
		{restrict, "is not truncated", `truncate chat.files cascade`},
		{restrict, "is not truncated", `truncate chat.mentions`},
		{restrict, "is not truncated", `truncate chat.sessions`},
		{restrict, "is not truncated", `truncate chat.tokens`},
		{restrict, "is not truncated", `truncate chat.bans`},
		{restrict, "is not truncated", `truncate chat.file_chunks`},
		{restrict, "is not truncated", `truncate chat.histories cascade`},
		{restrict, "is not truncated", `truncate chat.history_heads`},
		{restrict, "is not truncated", `truncate chat.search_documents`},
		{restrict, "is not truncated", `truncate chat.search_progress`},
		{check, "extra of a new message", `insert into chat.messages (room_id, author_id, body, extra) select room_id, author_id, 'x', '{}' from chat.messages limit 1`},
		{check, "before that of the message before it", `insert into chat.messages (room_id, author_id, body, created_at) select room_id, author_id, 'x', now() - interval '2 minutes' from chat.messages limit 1`},
		{check, "before that of the message before it", `insert into chat.messages (room_id, author_id, body, created_at) select r.id, $bob, 'x', now() - n * interval '1 day' from chat.rooms r, generate_series(1, 3) n where r.slug = 'd'`},
		{check, "before that of the message before it", `insert into chat.messages (room_id, author_id, seq, body, created_at) select room_id, author_id, 4, 'x', now() - interval '1 year' from chat.messages limit 1`},
		{check, "in the future", `insert into chat.messages (room_id, author_id, body, created_at) select room_id, author_id, 'x', now() + interval '2 minutes' from chat.messages limit 1`},
		{check, "in the future", `insert into chat.messages (room_id, author_id, body, created_at) select r.id, $bob, 'x', 'infinity' from chat.rooms r where r.slug = 'd'`},
		{check, "not changed by hand", `delete from chat.mentions`},
		{check, "not changed by hand", `update chat.mentions set seq = 2`},
		{check, "not changed by hand", `insert into chat.mentions (user_id, room_id, seq) values ($bob, $room, 1)`},
		{check, "extra of a message", `update chat.messages set extra = '{"files": []}' where seq = 1`},
	} {
		sql := strings.NewReplacer("$eve", "'"+eve.String()+"'", "$bob", "'"+bob.String()+"'", "$room", "'"+room.String()+"'").Replace(c.sql)
		_, err := pool.Exec(t.Context(), sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != c.state || !strings.Contains(e.Message, c.words) || c.words != "" && e.Hint == "" {
			t.Errorf("%s: %v (%+v)", c.sql, err, e)
		}
	}
	// now() is older than what others have posted since the transaction began.
	if !one[bool](t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select $1, $2, 'x', now() from pg_sleep(0.01) returning created_at > now()`, room, ada) {
		t.Error("a message is of when its transaction began")
	}
	// Where the clock was set back, what is written now is of now.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do(t, tx, `set local session_replication_role = replica`)
	do(t, tx, `update chat.messages set created_at = now() + interval '1 hour' where seq = 3`)
	do(t, tx, `set local session_replication_role = origin`)
	do(t, tx, `insert into chat.messages (room_id, author_id, body) select $1, $2, 'x' from generate_series(1, 2)`, room, ada)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}

// Of everyone's rooms and direct conversations nobody is removed, nor the last owner's role; what goes with a user or a room goes.
func TestWhoBelongsToARoomIsNotChangedByHandWhereItWouldBreak(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	other := addUser(t, pool, "dave")
	do(t, pool, `update chat.users set role = role`)
	const check, restrict = "23514", "23001"
	of := func(name string) string { return `user_id = chat.find_user('` + name + `')` }
	in := func(slug string) string { return `room_id = chat.find_room('` + slug + `')` }
	refuse := func(state, words, detail, hint, sql string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != state || !strings.Contains(e.Message, words) || !strings.Contains(e.Detail, detail) || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: %v (%+v)", sql, err, e)
		}
		wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity limit 10`)
	}
	for _, sql := range []string{`delete from chat.members where ` + in("general"), `delete from chat.members where ` + of("eve"), `select chat.remove_member('general', 'eve')`} {
		refuse(restrict, "from room 'general': it is for everyone", "Every user", "everyone = false where slug = 'general'", sql)
	}
	refuse(restrict, "'ada' cannot be removed from room 'general'", "Every user", "select chat.ban('ada', 'general')", `delete from chat.members where `+of("ada")+` and `+in("general"))
	refuse(restrict, "from the direct conversation 'direct-1'", "who do not change", "select chat.archive_room('direct-1')", `delete from chat.members where `+in("direct-1"))
	refuse(check, "is a direct conversation", "", "archive_room", `select chat.remove_member('direct-1', 'ada')`)
	refuse(check, "direct_key of room 'direct-1' is not changed by hand", "who do not change", "chat.merge_users", `update chat.rooms set direct_key = '`+other.String()+`' where slug = 'direct-1'`)
	refuse(check, "'direct-1' cannot become private: it is direct", "who do not change", "chat.create_room", `update chat.rooms set kind = 'private', direct_key = null where slug = 'direct-1'`)
	refuse(check, "'team' cannot become direct: it is public", "who do not change", "chat.create_room", `update chat.rooms set kind = 'direct', direct_key = '`+other.String()+`' where slug = 'team'`)
	for _, sql := range []string{`update chat.members set role = 'member' where ` + of("ada"), `update chat.members set role = 'member'`, `select chat.add_member('team', 'ada', role => 'member')`} {
		refuse(check, "room 'team' would have no owner", "'ada' is the last one", "select chat.add_member('team', '…', role => 'owner')", sql)
	}
	for _, sql := range []string{`update chat.room_heads set last_seq = last_seq + 1 where ` + in("team"), `update chat.room_heads set last_rev = 0`} {
		refuse(check, "are not changed by hand", "triggers count them", "insert into chat.messages", sql)
	}
	for sql, constraint := range map[string]string{
		`insert into chat.users (name) values ('here')`:                               "users_name_reserved",
		`update chat.users set name = 'Everyone' where name = 'eve'`:                  "users_name_reserved",
		`insert into chat.rooms (slug, name) values ('new', 'new')`:                   "rooms_slug_reserved",
		`update chat.rooms set slug = 'browse' where slug = 'team'`:                   "rooms_slug_reserved",
		`insert into chat.users (name) select unnest(array['fine', 'HERE'])`:          "users_name_reserved",
		`insert into chat.rooms (slug, name, kind) values ('browse', 'B', 'private')`: "rooms_slug_reserved",
	} {
		_, err := pool.Exec(t.Context(), sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != check || e.ConstraintName != constraint || e.Detail == "" {
			t.Errorf("%s: %v (%+v)", sql, err, e)
		}
	}

	// The role goes on in the same statement; one who is alone may give it up.
	do(t, pool, `update chat.members set role = case when `+of("ada")+` then 'member' else 'owner' end where `+in("team"))
	do(t, pool, `update chat.members set role = 'owner' where `+in("team")+`; update chat.members set role = 'member' where `+in("team")+` and `+of("bob"))
	do(t, pool, `select chat.create_room('Alone', owner => 'dave'), chat.add_member('alone', 'dave', role => 'member')`)
	do(t, pool, `delete from chat.members where `+in("team")+` and `+of("ada"))
	if role := one[string](t, pool, `select role from chat.members where `+in("team")+` and `+of("bob")); role != "owner" {
		t.Errorf("bob, who is left, is %s", role)
	}
	do(t, pool, `select chat.post('team', 'bob', 'counted'), chat.archive_room('alone')`)
	do(t, pool, `update chat.rooms set kind = 'private' where slug = 'team'`)
	// What goes with the user, with the room, and where everybody may leave.
	do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) select 'direct-2', 'dave, eve', 'direct', string_agg(id::text, ',' order by id) from chat.users where name in ('dave', 'eve')`)
	do(t, pool, `select chat.merge_users('dave', 'bob')`)
	refuse(check, "is not changed by hand", "", "", `update chat.rooms set direct_key = direct_key || ',' where slug = 'direct-2'`)
	do(t, pool, `delete from chat.users where name = 'eve'`)
	do(t, pool, `delete from chat.rooms where slug = 'direct-1'`)
	do(t, pool, `update chat.rooms set everyone = false where slug = 'general'`)
	do(t, pool, `select chat.remove_member('general', 'bob')`)
	do(t, pool, `delete from chat.members where `+in("general"))
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}

// Two who each demote the other leave one owner.
func TestTwoOwnersWhoDemoteEachOtherLeaveOne(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	addUser(t, pool, "bob")
	do(t, pool, `select chat.create_room('r', owner => 'ada'), chat.add_member('r', 'bob', role => 'owner')`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	do(t, tx, `select chat.add_member('r', 'ada', role => 'member')`)
	second := make(chan error, 1)
	go func() {
		_, err := pool.Exec(context.WithoutCancel(t.Context()), `select chat.add_member('r', 'bob', role => 'member')`)
		second <- err
	}()
	for one[int](t, pool, `select count(*) from pg_locks where not granted`) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err == nil || !strings.Contains(err.Error(), "would have no owner") {
		t.Errorf("the second: %v", err)
	}
}

// Of a batch what has no id, or nothing but white space, is refused alone.
func TestWhatCannotBeStoredOfABatchIsRefusedAlone(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	const posted = `select string_agg(concat_ws(' ', outcome, seq), ', ' order by ord) from `
	for sql, want := range map[string]string{
		`chat.post_batch(array_fill($1::uuid, '{4}'), array[gen_random_uuid(), null, gen_random_uuid(), gen_random_uuid()], array_fill($2::uuid, '{4}'), array['one', 'two', E' \n', null])`:                "posted 1, id_missing, body_empty, body_empty",
		`chat.post_replies(array_fill($1::uuid, '{4}'), array[gen_random_uuid(), null, gen_random_uuid(), gen_random_uuid()], array_fill($2::uuid, '{4}'), array['one', 'two', E' \n', null], '{0,0,0,0}')`: "posted 1, id_missing, body_empty, body_empty",
		`chat.post_batch(array[$1::uuid], array[null::uuid], array[$2::uuid], array['one'])`:                                                                                                                "id_missing",
		`chat.post_batch(array[$1::uuid], array[gen_random_uuid()], array[$2::uuid], array[E'\t\n '])`:                                                                                                      "body_empty",
		`chat.post_replies(array[$1::uuid], array[null::uuid], array[$2::uuid], array['one'], '{0}')`:                                                                                                       "id_missing",
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := one[string](t, tx, posted+sql, room, ada); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
		wantNoGaps(t, tx)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What functions refuse says where, as well.
func TestFunctionsThatRefuseGiveDetails(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	addUser(t, pool, "eve")
	do(t, pool, `select chat.create_room('Plans', owner => 'ada'), chat.create_room('Closed', owner => 'ada'), chat.post('plans', 'ada', 'one'), chat.archive_room('closed')`)
	long := `repeat('x', 9000)`
	for sql, detail := range map[string]string{
		`chat.find_user('nobody')`:                         "without regard to case",
		`chat.post('nowhere', 'ada', 'x')`:                 "by their slug",
		`chat.post('plans', 'nobody', 'x')`:                "without regard to case",
		`chat.post('plans', 'eve', 'x')`:                   "Only members post.",
		`chat.post('closed', 'ada', 'x')`:                  "Since ",
		`chat.post('plans', 'ada', ' ')`:                   "White space",
		`chat.post('plans', 'ada', ` + long + `)`:          "It begins 'xxx",
		`chat.post('plans', 'ada', 'x', 7)`:                "Its newest message is 1.",
		`chat.react('nowhere', 1, 'ada', '👍')`:             "by their slug",
		`chat.react('plans', 1, 'nobody', '👍')`:            "without regard to case",
		`chat.edit('plans', 1, ' ')`:                       "White space",
		`chat.edit('plans', 1, ` + long + `)`:              "It begins 'xxx",
		`chat.create_room('Other', slug => 'plans')`:       "It is called 'Plans'.",
		`chat.rename_user('ada', 'EVE')`:                   "without regard to case",
		`chat.ban('eve', 'plans', reason => ` + long + `)`: "It begins 'xxx",
		`chat.announce(` + long + `)`:                      "It begins 'xxx",
		`chat.announce(' ')`:                               "White space",
	} {
		_, err := pool.Exec(t.Context(), `select `+sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || !strings.Contains(e.Detail, detail) || e.Hint == "" {
			t.Errorf("%s: %v (%+v)", sql, err, e)
		}
	}
}

// DELETE erases: nothing of a message is left but its number, which pages are told, and threads and mentions are counted without it.
func TestDeleteErasesMessagesAndKeepsTheirNumbers(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, bob, room := addUser(t, pool, "ada"), addUser(t, pool, "bob"), addRoom(t, pool, "r")
	for _, body := range []string{"the first", "@bob the secret", "plain"} {
		do(t, pool, `select chat.post('r', 'ada', $1)`, body)
	}
	do(t, pool, `select chat.post('r', 'bob', '@ada the reply', 1), chat.react('r', 2, 'bob', '👍'), chat.pin('r', 2, 'bob')`)
	do(t, pool, `select chat.post('r', 'bob', 'a reply that stays', 1)`)
	do(t, pool, `insert into chat.files (id, room_id, seq, uploader_id, name, size, completed_at) values (gen_random_uuid(), $1, 2, $2, 'secret.txt', 1, now())`, room, ada)
	wantThread := func() {
		t.Helper()
		if got, _ := extra(t, pool, room, 1); !strings.Contains(got, `"count": 1`) {
			t.Errorf("extra of the thread's first message is %s", got)
		}
	}
	conn := listen(t, pool, room)
	var id, author uuid.UUID
	var rev int64
	if err := pool.QueryRow(t.Context(), `select id, last_rev from chat.messages, chat.room_heads h where seq = 2 and h.room_id = $1`, room).Scan(&id, &rev); err != nil {
		t.Fatal(err)
	}
	do(t, pool, `begin; savepoint s; delete from chat.messages; rollback to s; delete from chat.messages where body like '%the %' and seq > 1; commit`)
	if got, want := heard(t, pool, conn), fmt.Sprintf(`{"rev_first" : %d, "rev_last" : %d}`, rev+2, rev+3); len(got) == 0 || got[len(got)-1].Payload != want {
		t.Errorf("heard %q, want at last %s", got[len(got)-1].Payload, want)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from chat.mentions) + (select count(*) from chat.reactions) + (select count(*) from chat.pins) + (select count(*) from chat.files)
		+ (select count(*) from chat.replies where seq = 4) + (select count(*) from chat.messages where body like '%the %' and seq > 1)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left of what was erased, %v", left, err)
	}
	if err := pool.QueryRow(t.Context(), `select author_id from chat.messages where seq = 2 and id = $1 and body = '' and deleted_at is not null and extra is null`, id).Scan(&author); err != nil || author != ada {
		t.Errorf("no empty row of ada's: %v, %v", author, err)
	}
	wantThread()
	wantWhole(t, pool)
	wantNoGaps(t, pool)
	// The same message sent again is known, and numbers go on.
	if out := mustPost(t, pool, message{room, id, ada, "the secret again"}); out[0].Outcome != "duplicate" || *out[0].Seq != 2 {
		t.Errorf("sent again: %+v", out[0])
	}
	refused(t, pool, "23514", "was erased", `update chat.messages set deleted_at = null where seq = 2`)
	do(t, pool, `update chat.messages set deleted_at = null, body = 'said anew' where seq = 2`)
	// The first of a thread, and all at once, and once more what is erased already.
	do(t, pool, `delete from chat.messages where seq = 1`)
	wantThread()
	do(t, pool, `delete from chat.messages`)
	do(t, pool, `delete from chat.messages`)
	wantNoGaps(t, pool)
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.messages where body <> '' or extra is not null`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d messages are not empty, %v", left, err)
	}
	// Then their author can be deleted, once somebody else has the empty rows; and a room goes with everything.
	refused(t, pool, "23503", "has said something", `delete from chat.users where name = 'ada'`)
	do(t, pool, `update chat.messages set author_id = $1 where author_id = $2`, bob, ada)
	do(t, pool, `delete from chat.users where name = 'ada'`)
	do(t, pool, `delete from chat.rooms where slug = 'r'`)
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.messages`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d messages outlive their room, %v", left, err)
	}
}

func TestOnConflictUsesUpNoNumber(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	insert := func(what string) string {
		return `insert into chat.messages (room_id, author_id, id, body) select $1, $2, unnest($3::uuid[]), 'x' on conflict (id, room_id) do ` + what
	}
	do(t, pool, insert("nothing"), room, ada, ids[:2])
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	do(t, tx, insert("nothing"), room, ada, ids[:2]) // none is new
	do(t, tx, `select chat.post('r', 'ada', 'between')`)
	do(t, tx, insert("nothing"), room, ada, ids)                         // two are
	do(t, tx, insert("nothing"), room, ada, []uuid.UUID{ids[0], ids[0]}) // twice the same
	do(t, tx, insert("update set body = 'y'"), room, ada, append(slices.Clone(ids), uuid.New()))
	do(t, tx, `insert into chat.messages (room_id, author_id, body) values ($1, $2, 'last')`, room, ada)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n, edited int
	if err := pool.QueryRow(t.Context(), `select count(*), count(*) filter (where body = 'y' and rev is not null) from chat.messages`).Scan(&n, &edited); err != nil || n != 7 || edited != 4 {
		t.Errorf("%d messages, %d of them edited, %v; want 7 and 4", n, edited, err)
	}
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}

// kinds are what the notifications are about: "rev" and "seq" of rooms, and the keys that all instances hear.
func kinds(t *testing.T, notes []*pgconn.Notification) (kinds []string) {
	t.Helper()
	for _, n := range notes {
		if len(n.Payload) > 7999 {
			t.Errorf("a payload of %d bytes", len(n.Payload))
		}
		told := map[string]any{}
		if err := json.Unmarshal([]byte(n.Payload), &told); err != nil {
			t.Fatal(err)
		}
		for key := range told {
			if key = strings.TrimSuffix(strings.TrimSuffix(key, "_first"), "first"); key != "rev_last" && key != "last" && key != "changes" && key != "messages" && !slices.Contains(kinds, key) {
				kinds = append(kinds, key)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Each table, each form: what is heard shows what has changed, at most one notification for each room and two for each kind.
func TestEveryFormOfDMLIsTold(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room, other := addUser(t, pool, "ada"), addRoom(t, pool, "r"), addRoom(t, pool, "s")
	do(t, pool, `update chat.rooms set everyone = false`)
	do(t, pool, `insert into chat.users (name) select 'user' || g from generate_series(1, 500) g`)
	do(t, pool, `insert into chat.members (room_id, user_id) select $1, id from chat.users where name = 'user500'`, room)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select r, $2, 'message ' || g from generate_series(1, 500) g, unnest($1::uuid[]) r`, []uuid.UUID{room, other}, ada)
	conn := hearActivity(t, pool)
	for _, r := range []uuid.UUID{room, other} {
		do(t, conn, fmt.Sprintf(`listen %q`, "room:"+r.String()))
	}
	ids := "'" + room.String() + "'"
	for _, c := range []struct{ sql, want string }{
		{`insert into chat.messages (room_id, author_id, body) select id, $1, 'a word to @user500' from chat.rooms where slug in ('r', 's')`, " mentioned moved"},
		{`insert into chat.messages (room_id, author_id, body) select id, $1, 'many' from chat.rooms, generate_series(1, 500) where slug in ('r', 's')`, " moved"},
		{`update chat.messages set body = 'edited' where seq = 2`, "rev"},
		{`update chat.messages set body = body || '!'`, "mentioned rev"},
		{`update chat.messages set body = body`, ""},
		{`update chat.messages set deleted_at = now() where seq < 400`, "rev"},
		{`update chat.messages set deleted_at = null where seq < 400`, "rev"},
		{`delete from chat.messages where seq = 10`, "rev"},
		{`delete from chat.messages where seq between 11 and 400`, "rev"},
		{`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where slug in ('r', 's') and u.name = 'user1'`, "members rev"},
		{`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where slug in ('r', 's') on conflict do nothing`, "members"},
		{`update chat.members set starred = true where user_id = $1`, "members"},
		{`update chat.members set notify = 'all'`, "members"},
		{`update chat.members set last_read_seq = 9 where user_id = $1 and room_id = ` + ids, "read"},
		{`update chat.members set last_read_seq = last_read_seq - 1 where last_read_seq > 0`, "read"},
		{`delete from chat.members m using chat.users u where u.id = m.user_id and u.name = 'user2'`, "members"},
		{`delete from chat.members m using chat.users u where u.id = m.user_id and u.name like 'user4%'`, "members"},
		{`insert into chat.reactions (room_id, seq, user_id, emoji) values (` + ids + `, 1, $1, '👍')`, "rev"},
		{`insert into chat.reactions (room_id, seq, user_id, emoji) select room_id, seq, $1, '🎉' from chat.messages where seq > 500`, "rev"},
		{`update chat.reactions set emoji = '🚀'`, "rev"},
		{`delete from chat.reactions where seq = 1`, "rev"},
		{`delete from chat.reactions`, "rev"},
		{`insert into chat.pins (room_id, seq, user_id) select room_id, seq, $1 from chat.messages where seq between 500 and 590`, "rev"},
		{`update chat.pins set seq = seq + 100 where seq = 500`, "rev"},
		{`delete from chat.pins`, "rev"},
		{`insert into chat.files (id, room_id, seq, uploader_id, name, size, completed_at) select gen_random_uuid(), room_id, seq, $1, 'f', 1, now() from chat.messages where seq > 500`, "rev"},
		{`update chat.files set name = 'g'`, "rev"},
		{`delete from chat.files`, "rev"},
		{`insert into chat.replies (room_id, seq, reply_to) select room_id, seq, 1 from chat.messages where seq > 500`, "rev"},
		{`delete from chat.replies`, "rev"},
		{`update chat.users set status_text = 'away' where id = $1`, "status"},
		{`update chat.users set status_text = 'all away'`, "status"},
		{`update chat.rooms set topic = 'new' where slug = 'r'`, "rev rooms"},
		{`update chat.rooms set name = name || '!', archived_at = now() where slug in ('r', 's')`, "rev rooms"},
		{`update chat.rooms set archived_at = null, everyone = true where slug in ('r', 's')`, "members rev rooms"},
		{`insert into chat.users (name) select 'new' || g from generate_series(1, 300) g`, "members"},
		{`insert into chat.rooms (slug, name, everyone) select 'room' || g, 'room ' || g, true from generate_series(1, 10) g`, "members"},
		{`delete from chat.users where name = 'new1'`, "members"},
		{`delete from chat.users where name like 'new%'`, "members"},
		{`delete from chat.rooms where slug in ('r', 's')`, "gone members"},
	} {
		var args []any
		if strings.Contains(c.sql, "$1") {
			args = append(args, ada)
		}
		do(t, pool, c.sql, args...)
		notes := heard(t, pool, conn)
		if got := strings.Join(kinds(t, notes), " "); got != c.want {
			t.Errorf("%s: heard of %q, want %q", c.sql, got, c.want)
		}
		if len(notes) > 6 {
			t.Errorf("%s: %d notifications", c.sql, len(notes))
		}
	}
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}

// What COPY brings is numbered, shown and told as what INSERT does.
func TestCopyIsToldAsInsertIs(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	do(t, pool, `select chat.create_room('Quiet', owner => 'ada')`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select chat.find_room('quiet'), $1, 'said before' from generate_series(1, 7)`, ada)
	quiet := one[uuid.UUID](t, pool, `select chat.find_room('quiet')`)
	conn := hearActivity(t, pool)
	for _, r := range []uuid.UUID{room, quiet} {
		do(t, conn, fmt.Sprintf(`listen %q`, "room:"+r.String()))
	}
	copyIn := func(table string, columns []string, n int, row func(i int) []any) {
		t.Helper()
		if _, err := pool.CopyFrom(t.Context(), pgx.Identifier{"chat", table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil })); err != nil {
			t.Fatalf("copy into %s: %v", table, err)
		}
	}
	users := make([]uuid.UUID, 300)
	for i := range users {
		users[i] = uuid.New()
	}
	for _, c := range []struct {
		table   string
		columns []string
		n       int
		row     func(i int) []any
		want    string
	}{
		{"users", []string{"id", "name"}, len(users), func(i int) []any { return []any{users[i], fmt.Sprint("copied", i)} }, "members"},
		{"messages", []string{"room_id", "author_id", "body"}, 1000, func(i int) []any { return []any{room, ada, fmt.Sprint("message ", i)} }, " moved"},
		{"reactions", []string{"room_id", "seq", "user_id", "emoji"}, 900, func(i int) []any { return []any{room, 1 + i/3, users[i%3], "👍"} }, "rev"},
		{"pins", []string{"room_id", "seq", "user_id"}, 100, func(i int) []any { return []any{room, 1 + i, users[0]} }, "rev"},
		{"rooms", []string{"slug", "name"}, 300, func(i int) []any { return []any{fmt.Sprint("copied", i), fmt.Sprint("copied ", i)} }, ""},
		{"members", []string{"room_id", "user_id"}, len(users), func(i int) []any { return []any{quiet, users[i]} }, "members"},
		{"bans", []string{"room_id", "user_id", "reason"}, len(users), func(i int) []any { return []any{room, users[i], "copied"} }, "members"},
		{"bans", []string{"user_id"}, len(users), func(i int) []any { return []any{users[i]} }, "members signed_out"},
	} {
		copyIn(c.table, c.columns, c.n, c.row)
		notes := heard(t, pool, conn)
		if got := strings.Join(kinds(t, notes), " "); got != c.want || len(notes) > 2 {
			t.Errorf("copy into %s: heard of %q in %d notifications, want %q", c.table, got, len(notes), c.want)
		}
	}
	if got, _ := extra(t, pool, room, 7); !strings.Contains(got, `"by": ["copied0", "copied1", "copied2"]`) || !strings.Contains(got, `"pinned"`) {
		t.Errorf("extra of a message with copied reactions and a pin is %s", got)
	}
	// Whoever is copied has read what was said before, and is kept out.
	wants(t, pool, `select count(*) || ' ' || min(last_read_seq) from chat.members where room_id = chat.find_room('quiet') and user_id <> chat.find_user('ada')`, "300 7")
	wants(t, pool, `select count(*)::text from chat.users where chat.banned(id, '`+room.String()+`') and chat.banned(id, null)`, "300")
	wantWhole(t, pool)
	wantNoGaps(t, pool)
}

// work returns how many rows the nodes of all plans of a statement and of its triggers have handled, those that they threw away among them, and
// how many entries of indexes they have read: those of rows that the statement has removed are passed by unseen. And which has handled the most.
func work(t *testing.T, conn *pgx.Conn, plans *[]string, sql string, args ...any) (rows float64, most string) {
	t.Helper()
	const entries = `select sum(pg_stat_get_xact_tuples_returned(c.oid))::float8 from pg_class c where c.relkind = 'i' and c.relnamespace = 'chat'::regnamespace`
	before := one[float64](t, conn, entries)
	*plans = nil
	do(t, conn, sql, args...)
	told := *plans
	rows = one[float64](t, conn, entries) - before
	var count func(node map[string]any)
	count = func(node map[string]any) {
		loops, _ := node["Actual Loops"].(float64)
		for _, key := range []string{"Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"} {
			n, _ := node[key].(float64)
			rows += n * loops
		}
		children, _ := node["Plans"].([]any)
		for _, child := range children {
			count(child.(map[string]any))
		}
	}
	by := map[string]float64{}
	for _, text := range told {
		_, text, _ = strings.Cut(text, "plan:")
		var plan struct {
			Query string `json:"Query Text"`
			Plan  map[string]any
		}
		if err := json.Unmarshal([]byte(text), &plan); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		// How PostgreSQL looks up the foreign keys of what a statement inserts is its own affair; of what triggers insert with a room it is ours.
		if strings.Contains(plan.Query, "FOR KEY SHARE OF x") && !strings.HasPrefix(sql, "insert into chat.rooms") {
			continue
		}
		before := rows
		count(plan.Plan)
		if by[plan.Query] += rows - before; by[plan.Query] > by[most] {
			most = plan.Query
		}
	}
	if len(told) == 0 {
		t.Fatal("auto_explain says nothing")
	}
	return rows, fmt.Sprintf("%.0f by %.300s", by[most], most)
}

// wantLinear fails unless ten times the rows, $1, are ten times the work, in a session that has done each statement six times with few.
func wantLinear(t *testing.T, pool *pgxpool.Pool, forms []string) {
	t.Helper()
	config := pool.Config().ConnConfig
	var plans []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { plans = append(plans, n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, form := range forms {
		do(t, conn, `begin`)
		for range 6 {
			do(t, conn, `savepoint s`)
			do(t, conn, form, 2)
			do(t, conn, `rollback to s`)
		}
		do(t, conn, `load 'auto_explain'; set local auto_explain.log_min_duration = 0; set local auto_explain.log_nested_statements = on; set local auto_explain.log_analyze = on;
			set local auto_explain.log_timing = off; set local auto_explain.log_format = json; set local client_min_messages = log`)
		do(t, conn, `savepoint s`)
		few, _ := work(t, conn, &plans, form, 30)
		do(t, conn, `rollback to s`)
		many, most := work(t, conn, &plans, form, 300)
		if many > 15*few {
			t.Errorf("%s: 30 rows are %.0f rows of work, 300 are %.0f, %s", form, few, many, most)
		}
		do(t, conn, `set local auto_explain.log_min_duration = -1`)
		do(t, conn, `commit`)
	}
}

// A session keeps the plans of triggers. Made for one row they must suit many: ten times the rows are ten times the work.
func TestBulkStatementsAfterSmallOnesAreLinear(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	do(t, pool, `insert into chat.users (name) select 'user' || g from generate_series(1, 1500) g`)
	do(t, pool, `insert into chat.rooms (slug, name, created_at) select 'room' || g, 'room ' || g, now() - interval '1 day' from generate_series(1, 1500) g`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select id, $1, 'message ' || g from chat.rooms, generate_series(1, 300) g where slug = 'room1'`, ada)
	do(t, pool, `analyze`)
	const number = `nullif(regexp_replace(name, '\D', '', 'g'), '')::int` // of a user
	wantLinear(t, pool, []string{
		`update chat.messages set body = body || '!' where seq <= $1`,
		`update chat.messages set deleted_at = now() where seq <= $1`,
		`update chat.messages set deleted_at = null where seq <= $1`,
		`insert into chat.replies (room_id, seq, reply_to) select room_id, seq, 1 from chat.messages where seq between 2 and $1`,
		`update chat.messages set deleted_at = case when deleted_at is null then now() end where seq <= $1`,
		`delete from chat.replies where seq <= $1`,
		`insert into chat.reactions (room_id, seq, user_id, emoji) select room_id, seq, author_id, '👍' from chat.messages where seq <= $1`,
		`update chat.reactions set emoji = '🎉' where seq <= $1`,
		`delete from chat.reactions where seq <= $1`,
		`insert into chat.members (room_id, user_id) select r.id, (select id from chat.users where name = 'user1') from chat.rooms r where r.slug like 'room%' and substr(r.slug, 5)::int <= $1`,
		`update chat.members m set starred = not starred from chat.rooms r where r.id = m.room_id and r.slug like 'room%' and substr(r.slug, 5)::int <= $1`,
		`delete from chat.members m using chat.rooms r where r.id = m.room_id and r.slug like 'room%' and substr(r.slug, 5)::int <= $1`,
		`update chat.rooms set topic = topic || '!' where slug like 'room%' and substr(slug, 5)::int <= $1`,
		`insert into chat.messages (room_id, author_id, body) select r.id, (select id from chat.users where name = 'ada'), 'to @user1' from chat.rooms r where r.slug like 'room%' and substr(r.slug, 5)::int <= $1`,
		`update chat.messages set body = replace(body, 'to @user1', 'for @user2') where (seq = 1 or body like 'to%') and room_id in (select id from chat.rooms where slug like 'room%' and substr(slug, 5)::int <= $1)`,
		`delete from chat.messages where seq <= $1`,
		// Of one room, and of one message.
		`insert into chat.members (room_id, user_id, role) select (select id from chat.rooms where slug = 'room2'), id, 'owner' from chat.users where name like 'user%' and ` + number + ` <= $1`,
		`update chat.members m set starred = not starred from chat.users u where u.id = m.user_id and m.room_id = (select id from chat.rooms where slug = 'room2') and ` + number + ` <= $1`,
		`update chat.members m set role = 'member' from chat.users u where u.id = m.user_id and m.room_id = (select id from chat.rooms where slug = 'room2') and ` + number + ` between 2 and $1`,
		`insert into chat.bans (room_id, user_id) select (select id from chat.rooms where slug = 'room2'), id from chat.users where name like 'user%' and ` + number + ` <= $1`,
		`update chat.bans b set reason = 'another' from chat.users u where u.id = b.user_id and ` + number + ` <= $1`,
		`delete from chat.bans b using chat.users u where u.id = b.user_id and ` + number + ` <= $1`,
		`insert into chat.reactions (room_id, seq, user_id, emoji) select m.room_id, m.seq, u.id, '👍' from chat.messages m, chat.users u where m.seq = 301 and u.name like 'user%' and ` + number + ` <= $1`,
		`update chat.reactions r set emoji = '🎉' from chat.users u where u.id = r.user_id and ` + number + ` <= $1`,
		`update chat.users set status_text = status_text || 'away' where name like 'user%' and ` + number + ` <= $1`,
		`update chat.users set name = 'user0' || substr(name, 5) where name like 'user%' and ` + number + ` <= $1`,
		`delete from chat.reactions r using chat.users u where u.id = r.user_id and ` + number + ` <= $1`,
		`delete from chat.members m using chat.users u where u.id = m.user_id and m.room_id = (select id from chat.rooms where slug = 'room2') and ` + number + ` <= $1`,
		`insert into chat.users (name) select 'more' || g from generate_series(1, $1) g`,
		`insert into chat.members (room_id, user_id, role) select (select id from chat.rooms where slug = 'room2'), id, 'owner' from chat.users where name like 'more%' and ` + number + ` <= $1`,
		`delete from chat.users where name like 'more%' and ` + number + ` <= $1`,
		`insert into chat.rooms (slug, name) select 'more' || g, 'more ' || g from generate_series(1, $1) g`,
		`delete from chat.rooms where slug like 'more%' and substr(slug, 5)::int <= $1`,
	})
	wantNoGaps(t, pool)
}

func TestVeryManyRowsInOneStatement(t *testing.T) {
	pool, n := pgtest.Pool(t), pgtest.Rows(t, 20_000)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	conn := hearActivity(t, pool)
	do(t, conn, fmt.Sprintf(`listen %q`, "room:"+room.String()))
	told := func(what string) {
		t.Helper()
		notes := heard(t, pool, conn)
		if kinds(t, notes); len(notes) > 2 {
			t.Errorf("%s: %d notifications", what, len(notes))
		}
	}
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select $1, $2, 'message ' || g from generate_series(1, $3::int) g`, room, ada, n)
	told("insert")
	if _, err := pool.CopyFrom(t.Context(), pgx.Identifier{"chat", "messages"}, []string{"room_id", "author_id", "body"},
		pgx.CopyFromSlice(n, func(int) ([]any, error) { return []any{room, ada, "copied"}, nil })); err != nil {
		t.Fatal(err)
	}
	told("copy")
	do(t, pool, `update chat.messages set body = body || '!' where seq <= $1`, n)
	told("update")
	do(t, pool, `delete from chat.messages where seq <= $1`, n)
	told("delete")
	wantNoGaps(t, pool)
	var last, rev, empty int
	if err := pool.QueryRow(t.Context(), `select last_seq, last_rev, (select count(*) from chat.messages where body = '') from chat.room_heads where room_id = $1`, room).Scan(&last, &rev, &empty); err != nil || last != 2*n || rev != 2*n || empty != n {
		t.Errorf("%d messages, %d changes, %d erased, %v", last, rev, empty, err)
	}
}
