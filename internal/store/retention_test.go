package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// retain removes a batch of at most so many messages.
func retain(t *testing.T, db querier, most int) (room *string, removed int64, oldest *int64) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `select * from chat.retain($1)`, most).Scan(&room, &removed, &oldest); err != nil {
		t.Fatal(err)
	}
	return room, removed, oldest
}

// age makes the messages of a room up to one of them older, which nobody may by SQL.
func age(t *testing.T, db querier, slug string, upTo int, by string) {
	t.Helper()
	do(t, db, fmt.Sprintf(`begin; set local session_replication_role = replica;
		update chat.messages set created_at = created_at - interval '%[3]s' where room_id = chat.find_room('%[1]s') and seq <= %[2]d;
		update chat.search_documents set created_at = created_at - interval '%[3]s' where room_id = chat.find_room('%[1]s') and seq <= %[2]d;
		update chat.messages m set extra = jsonb_set(m.extra, '{thread,last}', to_jsonb((select max(x.created_at) from chat.replies r join chat.messages x using (room_id, seq) where r.room_id = m.room_id and r.thread = m.seq and x.deleted_at is null)))
			where m.extra ? 'thread' and m.room_id = chat.find_room('%[1]s'); commit`, slug, upTo, by))
}

// A chat that has everything loses the oldest of it, with all that belongs to it, and is whole before, between and after.
func TestWhatIsTooOldGoesWithAllThatBelongsToIt(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	do(t, pool, `select chat.index_messages(100)`)
	do(t, pool, `delete from chat.messages where body = 'two'`)
	do(t, pool, `update chat.rooms set topic = 'all is new' where slug = 'team'`)
	do(t, pool, `select chat.post('team', 'ada', 'eight', reply_to => 3)`)
	do(t, pool, `select chat.react('team', 8, 'bob', '👍')`)
	do(t, pool, `update chat.members set last_read_seq = 1 where room_id = chat.find_room('team')`)
	do(t, pool, `update chat.members m set last_read_seq = 7 from chat.users u where u.id = m.user_id and u.name = 'ada' and room_id = chat.find_room('team')`)
	age(t, pool, "team", 6, "10 days")
	age(t, pool, "direct-1", 1, "10 days")
	wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity`)

	// Nothing has an end unless somebody says so.
	if _, n, _ := retain(t, pool, 1000); n != 0 {
		t.Fatalf("%d messages went, and nobody wanted it", n)
	}
	wants(t, pool, `select room from chat.retention`)
	var at int64
	audited(t, pool, &at)
	do(t, pool, `begin; set local chat.actor = 'ada'; update chat.rooms set keep_days = 9 where slug = 'team'; commit`)
	if got := audited(t, pool, &at); !slices.Equal(got, []string{`UPDATE rooms 1 ada {"keep_days": null} {"keep_days": 9}`}) {
		t.Errorf("of the setting was noted %q", got)
	}
	wants(t, pool, `select detail ->> 'to' from chat.room_events where kind = 'retention'`, "9")
	wants(t, pool, `select concat_ws(',', room, keep_days, messages, first_seq, oldest < now() - interval '10 days', due) from chat.retention`, "team,9,8,1,t,6")

	var room string
	if err := pool.QueryRow(t.Context(), `select chat.find_room('team')::text`).Scan(&room); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, pool.Config().ConnString(), "listener")
	do(t, conn, `listen "room:`+room+`"`)
	for _, step := range []struct{ most, removed, oldest int64 }{{4, 4, 5}, {1000, 2, 7}} {
		name, removed, oldest := retain(t, pool, int(step.most))
		if name == nil || *name != "team" || removed != step.removed || *oldest != step.oldest {
			t.Fatalf("at most %d: %v lost %d and begins at %v", step.most, name, removed, oldest)
		}
		n, err := conn.WaitForNotification(t.Context())
		if want := fmt.Sprintf(`{"first_kept":%d}`, step.oldest); err != nil || n.Payload != want {
			t.Fatalf("the room was told %v, want %s; error %v", n, want, err)
		}
		wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity`)
		wants(t, pool, `select room from chat.gaps`)
	}
	if _, n, _ := retain(t, pool, 1000); n != 0 {
		t.Fatalf("%d messages went that are not old enough, or of a room that keeps them", n)
	}
	if got := audited(t, pool, &at); len(got) != 2 || !strings.HasPrefix(got[0], `DELETE messages 4 - {"last_at": "`) || !strings.HasSuffix(got[1], `"last_seq": 6, "first_seq": 5, "keep_days": 9} {}`) {
		t.Errorf("noted %q", got)
	}
	for table, want := range map[string]string{
		"messages": "7,8", "reactions": "8", "pins": "", "replies": "8", "mentions": "", "files": "", "message_history": "", "search_documents": "7",
	} {
		wants(t, pool, `select coalesce(string_agg(seq::text, ',' order by seq), '') from (select distinct seq from chat.`+table+` where room_id = chat.find_room('team')) s`, want)
	}
	wants(t, pool, `select count(*)::text from chat.file_chunks`, "0")
	wants(t, pool, `select concat_ws(' ', kind, after_seq) from chat.room_events where room_id = chat.find_room('team') order by rev`, "topic 7", "retention 8")
	// What is kept of a thread says still what it answers, and quotes nothing.
	wants(t, pool, `select (chat.quoted(room_id, extra) -> 'reply')::text from chat.messages where seq = 8`, `{"seq": 3, "thread": 1}`)
	// Nobody has unread what is gone; who has read more has read it still.
	wants(t, pool, `select concat_ws(' ', u.name, h.last_seq - m.last_read_seq) from chat.members m join chat.room_heads h using (room_id) join chat.users u on u.id = m.user_id
		where room_id = chat.find_room('team') order by 1`, "ada 1", "bob 2")
	// No word of it is left in the search.
	for more := true; more; {
		if err := pool.QueryRow(t.Context(), `select chat.forget_words('1 second') or (select done > 0 from chat.index_messages(100))`).Scan(&more); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, pool, `select word from chat.search_vocabulary where word in ('one', 'two', 'three', 'better', 'five', 'txt', 'eight') order by 1`, "eight")
	wants(t, pool, `select concat_ws(',', room, keep_days, messages, first_seq, due) from chat.retention`, "team,9,2,7,0")
	wants(t, pool, `select concat_ws(',', messages, last_day) from chat.room_stats where room = 'team'`, "8,2")

	// The room goes on, and its index is made anew from where it begins.
	do(t, pool, `select chat.post('team', 'bob', 'nine, @ada', reply_to => 8)`)
	do(t, pool, `delete from chat.search_progress`)
	do(t, pool, `select chat.index_messages(2), chat.index_messages(100)`)
	do(t, pool, `delete from chat.messages where seq = 7`) // erased, and not too old: its number stays
	wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity`)
	wants(t, pool, `select seq::text from chat.messages where room_id = chat.find_room('team') order by seq`, "7", "8", "9")

	// All of it may go, and then the room is empty and goes on.
	age(t, pool, "team", 9, "10 days")
	if _, n, oldest := retain(t, pool, 1000); n != 3 || *oldest != 10 {
		t.Errorf("%d messages went, and it begins at %v", n, oldest)
	}
	wants(t, pool, `select concat_ws(',', messages, first_seq, oldest, due) from chat.retention`, "0,10,0")
	wants(t, pool, `select concat_ws(',', messages, last_day, last_message) from chat.room_stats where room = 'team'`, "9,0")
	wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity`)
	wants(t, pool, `select chat.post('team', 'bob', 'ten')::text`, "10")
	wants(t, pool, `select room from chat.gaps`)
	do(t, pool, `update chat.rooms set keep_days = null where slug = 'team'`)
	wants(t, pool, `select detail ->> 'from' from chat.room_events where kind = 'retention' and detail ->> 'to' is null`, "9")
}

// Times that were given by hand need not rise: nothing goes before its time, and what has a time of the future holds up nothing but
// what comes after something that is not old enough.
func TestNothingGoesBeforeItsTime(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	for _, c := range []struct {
		ages string // in days, of the messages in their order
		kept string
	}{
		{"{20,19,3,2}", "3,4"},
		{"{20,3,19,2}", "2,3,4"},       // the clock was set back
		{"{3,20,19}", "1,2,3"},         // behind what is not old enough
		{"{-400,20,3,2}", "3,4"},       // of the future
		{"{20,-400,19,2}", "4"},        //
		{"{20,-400,3,19}", "2,3,4"},    //
		{"{-1,-2,-3}", "1,2,3"},        //
		{"{20,19,18,17,16,15,14}", ""}, // in several batches
	} {
		room := addRoom(t, pool, "r")
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		do(t, tx, `set local session_replication_role = replica`) // by hand such times are refused
		do(t, tx, `insert into chat.messages (room_id, seq, author_id, body, created_at) select $1, n, $2, 'x', now() - age * interval '1 day' from unnest($3::int[]) with ordinality a (age, n)`, room, ada, c.ages)
		do(t, tx, `update chat.room_heads set last_seq = cardinality($2::int[]) where room_id = $1`, room, c.ages)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, pool, `update chat.rooms set keep_days = 10 where id = $1`, room)
		for range 10 {
			retain(t, pool, 4)
		}
		wants(t, pool, `select coalesce(string_agg(seq::text, ',' order by seq), '') from chat.messages where room_id = '`+room.String()+`'`, c.kept)
		wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity where "check" <> 'created_at'`)
		do(t, pool, `delete from chat.rooms where id = $1`, room)
	}
	for sql, words := range map[string]string{
		`update chat.rooms set keep_days = 0`:     "rooms_keep_days_check",
		`update chat.rooms set keep_days = 36501`: "rooms_keep_days_check",
		`select chat.retain(0)`:                   "1 to 10000 messages, not 0",
		`select chat.retain(null)`:                "1 to 10000 messages, not NULL",
	} {
		if _, err := pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// A batch ends where its files are many, but has a message at least.
func TestABatchIsBoundedByItsFiles(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select $1, $2, 'x', now() - interval '20 days' from generate_series(1, 6)`, room, ada)
	do(t, pool, `insert into chat.files (id, room_id, seq, place, uploader_id, name, size, completed_at) select gen_random_uuid(), $1, s, 1, $2, 'a', n * 1000000, now() from unnest(array[2, 3, 4, 5], array[30, 30, 30, 90]) a (s, n)`, room, ada)
	do(t, pool, `update chat.rooms set keep_days = 10 where id = $1`, room)
	var firsts []int64
	for {
		_, n, oldest := retain(t, pool, 1000)
		if n == 0 {
			break
		}
		firsts = append(firsts, *oldest)
	}
	if !slices.Equal(firsts, []int64{4, 5, 6, 7}) {
		t.Errorf("the batches ended before %d", firsts)
	}
}

// Who posts waits for the end of a batch alone, and one that is cut off leaves nothing half done.
func TestOneAtATimeAndPostingGoesOn(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select $1, $2, 'x', now() - interval '20 days' from generate_series(1, 20)`, room, ada)
	do(t, pool, `update chat.rooms set keep_days = 10 where id = $1`, room)
	busy := connect(t, pool.Config().ConnString(), "busy")
	do(t, busy, `begin`)
	// It stops before it takes the head, at an entry of the log that it cannot number yet.
	locker := connect(t, pool.Config().ConnString(), "locker")
	do(t, locker, `begin; lock table chat.audit_log in share mode`)
	pid := busy.PgConn().PID()
	ended := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), `select chat.retain(10)`)
		ended <- err
	}()
	waitUntil(t, pool, `select coalesce(wait_event_type = 'Lock', false) from pg_stat_activity where pid = $1`, pid)
	do(t, pool, `begin; set local lock_timeout = '10s'; select chat.post('r', 'ada', 'posted meanwhile'); commit`)
	if _, n, _ := retain(t, pool, 10); n != 0 {
		t.Errorf("two sessions removed messages, %d by the second", n)
	}
	do(t, pool, `select pg_terminate_backend($1)`, pid)
	if err := <-ended; err == nil {
		t.Error("it was not cut off")
	}
	waitUntil(t, pool, `select not exists (select from pg_stat_activity where pid = $1)`, pid) // it tells its client before it lets go of its locks
	do(t, locker, `rollback`)
	wants(t, pool, `select count(*)::text from chat.messages`, "21")
	for range 3 {
		retain(t, pool, 10)
	}
	wants(t, pool, `select string_agg(seq::text, ',') from chat.messages`, "21")
	wants(t, pool, `select concat_ws(' ', "check", object, detail) from chat.integrity`)
}

// waitUntil asks until the answer is true.
func waitUntil(t *testing.T, db querier, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		var yes bool
		if err := db.QueryRow(ctx, sql, args...).Scan(&yes); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatalf("%s: %v", sql, err)
		}
		if yes {
			return
		}
	}
}

// Whoever may not delete messages may remove what rooms do not keep, and not say for how long they do.
func TestWhoMayRemoveWhatIsTooOld(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "r")
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select $1, $2, 'x', now() - interval '20 days' from generate_series(1, 20)`, room, ada)
	do(t, pool, `update chat.rooms set keep_days = 10 where id = $1`, room)
	remove, set := `select chat.retain()`, `update chat.rooms set keep_days = 1`
	visit(t, pool, "chat_readonly").wantDenied(remove, set)
	visit(t, pool, "").wantDenied(remove, set)
	app := visit(t, pool, "chat_app")
	app.wantAllowed(set)
	app.wantDenied(`delete from chat.messages`)
	moderator := visit(t, pool, "chat_moderator")
	moderator.wantDenied(set)
	for _, v := range []visitor{app, moderator} {
		if _, n, _ := retain(t, v.conn, 10); n != 10 {
			t.Errorf("%s removed %d", v.role, n)
		}
	}
	wants(t, pool, `select concat_ws(' ', session_username, current_username, rows) from chat.audit_log where old ? 'keep_days' and operation = 'DELETE' order by id`, "test_chat_app test_chat_app 10", "test_chat_moderator test_chat_moderator 10")
}
