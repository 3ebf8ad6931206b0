package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

type message struct {
	room, id, author uuid.UUID
	body             string
}

type outcome struct {
	Ord     int64
	Outcome string
	Seq     *int64
}

type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}

func addUser(t *testing.T, db querier, name string) (id uuid.UUID) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `insert into chat.users (name) values ($1) returning id`, name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func addRoom(t *testing.T, db querier, slug string) (id uuid.UUID) {
	t.Helper()
	if err := db.QueryRow(t.Context(),
		`insert into chat.rooms (slug, name, everyone) values ($1, $1, true) returning id`, slug).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func postBatch(ctx context.Context, db querier, batch ...message) ([]outcome, error) {
	var rooms, ids, authors []uuid.UUID
	var bodies []string
	for _, m := range batch {
		rooms, ids, authors, bodies = append(rooms, m.room), append(ids, m.id), append(authors, m.author), append(bodies, m.body)
	}
	rows, err := db.Query(ctx, `select ord, outcome, seq from chat.post_batch($1, $2, $3, $4)`, rooms, ids, authors, bodies)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[outcome])
}

func mustPost(t *testing.T, db querier, batch ...message) []outcome {
	t.Helper()
	out, err := postBatch(t.Context(), db, batch...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantWhole fails unless every room's messages are numbered from its first_seq to its head, without a gap, and in time order.
func wantWhole(t *testing.T, db querier) {
	t.Helper()
	var broken int
	err := db.QueryRow(t.Context(), `
		select count(*) from chat.room_heads h
		left join lateral (
			select count(*) as n, coalesce(max(seq), 0) as last, coalesce(bool_and(in_order), true) as in_order
			from (select seq, created_at >= lag(created_at, 1, '-infinity') over (order by seq) as in_order
			      from chat.messages m where m.room_id = h.room_id) s) m on true
		where h.last_seq - h.first_seq + 1 <> m.n or h.last_seq <> greatest(m.last, h.first_seq - 1) or not m.in_order`).Scan(&broken)
	if err != nil || broken != 0 {
		t.Fatalf("%d rooms with gaps or disorder, err %v", broken, err)
	}
}

// listen returns a connection that listens on the channels of the rooms.
func listen(t *testing.T, pool *pgxpool.Pool, rooms ...uuid.UUID) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, r := range append(rooms, uuid.Nil) {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`listen %q`, "room:"+r.String())); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// heard returns the notifications up to a marker that it sends itself: all that were committed before.
func heard(t *testing.T, pool *pgxpool.Pool, conn *pgx.Conn) (all []*pgconn.Notification) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `select pg_notify('room:' || $1, 'end')`, uuid.Nil.String()); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n.Payload == "end" {
			return all
		}
		all = append(all, n)
	}
}

func TestFiveHundredRowsOverThreeRoomsSendThreeNotifications(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	rooms := []uuid.UUID{addRoom(t, pool, "a"), addRoom(t, pool, "b"), addRoom(t, pool, "c")}
	conn := listen(t, pool, rooms...)
	var batch []message
	for i := range 500 {
		batch = append(batch, message{rooms[i%3], uuid.New(), ada, fmt.Sprint(i)})
	}
	for i, o := range mustPost(t, pool, batch...) {
		if o.Outcome != "posted" || o.Ord != int64(i+1) || *o.Seq != int64(i/3+1) {
			t.Fatalf("message %d: %+v", i, o)
		}
	}
	if got := heard(t, pool, conn); len(got) != 3 {
		t.Fatalf("%d notifications, want 3", len(got))
	}
	wantWhole(t, pool)
}

func TestEmptyBatch(t *testing.T) {
	pool := pgtest.Pool(t)
	if out := mustPost(t, pool); len(out) != 0 {
		t.Fatalf("outcomes %v of nothing", out)
	}
}

func TestOutcomesAreEachRowsOwn(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve := addUser(t, pool, "ada"), addUser(t, pool, "eve")
	open, closed := addRoom(t, pool, "open"), addRoom(t, pool, "closed")
	if _, err := pool.Exec(t.Context(), `update chat.rooms set archived_at = now() where id = $1`, closed); err != nil {
		t.Fatal(err)
	}
	do(t, pool, `update chat.rooms set everyone = false where id = $1`, open)
	do(t, pool, `delete from chat.members where room_id = $1 and user_id = $2`, open, eve)
	old := uuid.New()
	mustPost(t, pool, message{open, old, ada, "before"})
	conn := listen(t, pool, open, closed)
	long := strings.Repeat("🐘", 8000)
	batch := []message{
		{open, uuid.New(), ada, "hello"},
		{uuid.New(), uuid.New(), ada, "nowhere"},
		{closed, uuid.New(), ada, "too late"},
		{open, uuid.New(), eve, "not mine"},
		{open, old, ada, "again"},
		{open, old, ada, "again"},
		{open, uuid.New(), ada, ""},
		{open, uuid.New(), ada, " \n\t"},
		{open, uuid.New(), ada, long},
		{open, uuid.New(), ada, long + "!"},
	}
	want := []string{
		"posted 2", "room_not_found", "room_archived", "not_a_member", "duplicate 1", "duplicate 1", "body_empty", "body_empty", "posted 3", "body_too_long",
	}
	texts := func(out []outcome) (texts []string) {
		for _, o := range out {
			s := o.Outcome
			if o.Seq != nil {
				s += fmt.Sprint(" ", *o.Seq)
			}
			texts = append(texts, s)
		}
		return texts
	}
	if got := texts(mustPost(t, pool, batch...)); !slices.Equal(got, want) {
		t.Fatalf("outcomes\n%q, want\n%q", got, want)
	}
	if got := heard(t, pool, conn); len(got) != 1 || got[0].Payload != `{"first":2,"last":3}` {
		t.Fatalf("heard %+v of the batch", got)
	}

	// Alone, each has the outcome that it had in the batch, and the next number.
	for i := range batch {
		if want[i] == "posted 2" || want[i] == "posted 3" {
			batch[i].id = uuid.New()
		}
	}
	want[0], want[8] = "posted 4", "posted 5"
	for i, m := range batch {
		if got := texts(mustPost(t, pool, m)); len(got) != 1 || got[0] != want[i] {
			t.Errorf("message %d alone: %q, want %q", i, got, want[i])
		}
		wantWhole(t, pool)
	}
	if got := heard(t, pool, conn); len(got) != 2 || !strings.HasPrefix(got[0].Payload, `{"first":4,"last":4,"messages":[{"seq":4,`) || got[1].Payload != `{"first":5,"last":5}` {
		t.Fatalf("heard %+v of lone messages", got)
	}

	// Twice in one batch is the caller's mistake: nothing of it is stored.
	twin := uuid.New()
	if _, err := postBatch(t.Context(), pool, message{open, twin, ada, "one"}, message{open, twin, ada, "one"}); err == nil || !strings.Contains(err.Error(), "messages_id_key") {
		t.Fatalf("an id twice in a batch: %v", err)
	}
	wantWhole(t, pool)
}

// A session keeps its plans. Those that it makes while the tables are known to be empty must suit them when they are large.
func TestPlansMadeOnEmptyTablesSuitLargeOnes(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	rooms := []uuid.UUID{addRoom(t, pool, "a"), addRoom(t, pool, "b")}
	// The key by id is larger than the one by number, as after much has been deleted.
	for _, sql := range []string{
		`insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'gone' from chat.rooms r, chat.users u, generate_series(1, 3000)`,
		`begin; set local session_replication_role = replica; delete from chat.messages; update chat.room_heads set last_seq = 0; commit`, `vacuum analyze`, `reindex index chat.messages_pkey`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	post := func(n int) {
		t.Helper()
		var batch []message
		for i := range n {
			batch = append(batch, message{rooms[i%2], uuid.New(), ada, "hello"})
		}
		mustPost(t, tx, batch...)
	}
	plain := func(n int) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body) select $1, $2, 'hello' from generate_series(1, $3::int)`, rooms[0], ada, n); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (n int64) {
		t.Helper()
		if err := tx.QueryRow(t.Context(), `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_xact_user_tables where schemaname = 'chat'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	post(1)
	post(3)
	plain(2)
	if _, err := tx.Exec(t.Context(), `insert into chat.users (name) select 'user-' || g from generate_series(1, 3000) g`); err != nil {
		t.Fatal(err)
	}
	plain(3000)
	for what, act := range map[string]func(){"alone": func() { post(1) }, "a batch": func() { post(3) }, "plain": func() { plain(3) }} {
		before := read()
		act()
		if n := read() - before; n > 60 {
			t.Errorf("%s: %d rows read", what, n)
		}
	}
}

// What a trigger of a DBA's own posts when servers post is told and numbered like everything else.
func TestAMessageThatATriggerPosts(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	asked, other := addRoom(t, pool, "asked"), addRoom(t, pool, "other")
	if _, err := pool.Exec(t.Context(), `
		create function answer() returns trigger language plpgsql as $$
		begin
			if new.body like '%?' then
				insert into chat.messages (room_id, author_id, body) values (new.room_id, new.author_id, 'yes');
				perform chat.post('other', 'ada', 'somebody asked');
			end if;
			return null;
		end $$;
		create trigger answer after insert on chat.messages for each row execute function answer()`); err != nil {
		t.Fatal(err)
	}
	conn := listen(t, pool, asked, other)
	mustPost(t, pool, message{asked, uuid.New(), ada, "alone?"})
	mustPost(t, pool, message{asked, uuid.New(), ada, "two"}, message{asked, uuid.New(), ada, "three?"})
	if _, err := pool.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body) values ($1, $2, 'plain')`, asked, ada); err != nil {
		t.Fatal(err)
	}
	// What post_batch says to the trigger ends with it, also when it fails.
	if _, err := pool.Exec(t.Context(), `do $$
		declare room uuid := (select id from chat.rooms where slug = 'other'); ada uuid := (select id from chat.users where name = 'ada'); twin uuid := gen_random_uuid();
		begin
			begin
				perform chat.post_batch(array[room, room], array[twin, twin], array[ada, ada], array['a', 'b']);
			exception when unique_violation then null;
			end;
			insert into chat.messages (room_id, author_id, body) values (room, ada, 'plain');
			perform chat.post('other', 'ada', 'by the function');
			insert into chat.messages (room_id, author_id, body) values (room, ada, 'plain again');
		end $$`); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, pool)
	told := map[string]int{}
	for _, n := range heard(t, pool, conn) {
		var p struct{ First, Last int }
		if err := json.Unmarshal([]byte(n.Payload), &p); err != nil {
			t.Fatal(err)
		}
		told[n.Channel] += p.Last - p.First + 1
	}
	if want := map[string]int{"room:" + asked.String(): 6, "room:" + other.String(): 5}; !maps.Equal(told, want) {
		t.Errorf("told of %v messages, want %v", told, want)
	}
}

// A payload carries the messages up to 7,999 bytes and their range beyond; bytes, not characters.
func TestPayloadAtTheEdgeInBytes(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "edge")
	conn := listen(t, pool, room)
	mustPost(t, pool, message{room, uuid.New(), ada, "x"})
	// The fraction of a second has up to six digits: room for its widest.
	overhead := len(heard(t, pool, conn)[0].Payload) - 1
	for total := 7900; total <= 8010; total++ {
		bytes := total - overhead
		body := strings.Repeat("x", bytes%4) + strings.Repeat("🐘", bytes/4)
		mustPost(t, pool, message{room, uuid.New(), ada, body})
		got := heard(t, pool, conn)
		if len(got) != 1 {
			t.Fatalf("%d notifications", len(got))
		}
		payload, inlined := got[0].Payload, strings.Contains(got[0].Payload, body)
		if len(payload) > 7999 || (inlined && len(payload) < 7800) {
			t.Fatalf("payload of %d bytes, inlined %v", len(payload), inlined)
		}
		if wide := 20; (total < 7999-wide && !inlined) || (total > 7999+wide && inlined) {
			t.Fatalf("about %d bytes: inlined %v", total, inlined)
		}
	}
}

func TestPlainInsertsAreNumbered(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	a, b := addRoom(t, pool, "a"), addRoom(t, pool, "b")
	conn := listen(t, pool, a, b)
	_, err := pool.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body)
		select case when i % 2 = 0 then $1::uuid else $2::uuid end, $3, 'message ' || i from generate_series(1, 2000) i`, a, b, ada)
	if err != nil {
		t.Fatal(err)
	}
	if got := heard(t, pool, conn); len(got) != 2 {
		t.Fatalf("%d notifications, want 2", len(got))
	}
	// Several statements, a savepoint that is rolled back, and a batch in one transaction count on without a gap.
	_, err = pool.Exec(t.Context(), `begin;
		insert into chat.messages (room_id, author_id, body) select id, '`+ada.String()+`', 'one' from chat.rooms where slug in ('a','b');
		savepoint s;
		insert into chat.messages (room_id, author_id, body) select id, '`+ada.String()+`', 'gone' from chat.rooms where slug = 'a';
		rollback to s;
		select chat.post('a', 'ada', 'two');
		insert into chat.messages (room_id, author_id, body) select id, '`+ada.String()+`', 'three' from chat.rooms where slug = 'a';
		commit`)
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, pool)
}

func TestNumbersThatLeaveAGapAreRefused(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	_, err := pool.Exec(t.Context(), `insert into chat.messages (room_id, seq, author_id, body, created_at)
		values ($1, 7, $2, 'x', now())`, room, ada)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "23514" || pg.Hint == "" {
		t.Fatalf("err %v", err)
	}
	wantWhole(t, pool)
}

func TestRolledBackBatchesLeaveNoGap(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	for i := range 10 {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mustPost(t, tx, message{room, uuid.New(), ada, "one"}, message{room, uuid.New(), ada, "two"})
		end := tx.Commit
		if i%2 == 0 {
			end = tx.Rollback
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantWhole(t, pool)
}

func TestOppositeOrdersNeverDeadlockAndRetriesStoreOnce(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	a, b := addRoom(t, pool, "a"), addRoom(t, pool, "b")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				// Two writers each send the same pair of ids, one of them the other way round.
				pair := []message{
					{a, uuid.NewSHA1(a, fmt.Append(nil, w/2, i)), ada, "x"},
					{b, uuid.NewSHA1(b, fmt.Append(nil, w/2, i)), ada, "x"},
				}
				if w%2 == 1 {
					slices.Reverse(pair)
				}
				if _, err := postBatch(t.Context(), pool, pair...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.messages`).Scan(&n); err != nil || n != 400 {
		t.Fatalf("%d messages, want 400, err %v", n, err)
	}
	wantWhole(t, pool)
}

func TestPostSaysWhatIsWrong(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	var seq int64
	if err := pool.QueryRow(t.Context(), `select chat.post('general', 'ADA', e' hello\n')`).Scan(&seq); err != nil || seq != 1 {
		t.Fatalf("seq %d, err %v", seq, err)
	}
	for args, want := range map[string]string{
		`'nowhere', 'ada', 'x'`:                    `there is no room 'nowhere'`,
		`'general', 'eve', 'x'`:                    `there is no user 'eve'`,
		`'general', 'ada', e' \n'`:                 `a message needs a text`,
		`'general', 'ada', repeat('x', 8001)`:      `a message has at most 8000 characters, this one 8001`,
		`'general', 'ada''; drop table users', ''`: `there is no user 'ada''; drop table users'`,
	} {
		_, err := pool.Exec(t.Context(), `select chat.post(`+args+`)`)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Message != want || pg.Hint == "" {
			t.Errorf("post(%s): %v, want %q", args, err, want)
		}
	}
}

func TestEverythingHasAComment(t *testing.T) {
	pool := pgtest.Pool(t)
	rows, err := pool.Query(t.Context(), `
		select 'relation ' || c.relname from pg_class c
		where c.relnamespace = 'chat'::regnamespace and c.relkind in ('r', 'v', 'm') and obj_description(c.oid, 'pg_class') is null
		union all
		select 'column ' || c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = 'chat'::regnamespace and c.relkind in ('r', 'v', 'm') and a.attnum > 0 and not a.attisdropped
			and col_description(c.oid, a.attnum) is null
		union all
		select 'function ' || p.proname from pg_proc p
		where p.pronamespace = 'chat'::regnamespace and obj_description(p.oid, 'pg_proc') is null
			and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e') -- an extension's
		union all
		select 'trigger ' || g.tgname from pg_trigger g join pg_class c on c.oid = g.tgrelid
		where c.relnamespace = 'chat'::regnamespace and not g.tgisinternal and obj_description(g.oid, 'pg_trigger') is null
		union all
		select 'constraint ' || conname from pg_constraint -- NOT NULL, which PostgreSQL 18 lists, says it itself
		where connamespace = 'chat'::regnamespace and contype in ('p', 'u', 'f', 'c', 'x') and obj_description(oid, 'pg_constraint') is null
		union all
		select 'index ' || c.relname from pg_class c
		where c.relnamespace = 'chat'::regnamespace and c.relkind = 'i' and obj_description(c.oid, 'pg_class') is null`)
	if err != nil {
		t.Fatal(err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(missing) > 0 {
		t.Fatalf("without COMMENT: %q, err %v", missing, err)
	}
}

func TestWhatCannotBeSeenIsRefused(t *testing.T) {
	pool := pgtest.Pool(t)
	if _, err := pool.Exec(t.Context(), `insert into chat.users (name) values ('ada')`); err != nil {
		t.Fatal(err)
	}
	for sql, values := range map[string][]string{
		`insert into chat.messages (room_id, author_id, body) select r.id, u.id, $1 from chat.rooms r, chat.users u`: {"", " ", "\n\t "},
		`insert into chat.rooms (slug, name) values ('x', $1)`:                                                       {"", " a", "a\u200b", "\ufeff", "a\u202eb"},
	} {
		for _, value := range values {
			var refused *pgconn.PgError
			if _, err := pool.Exec(t.Context(), sql, value); !errors.As(err, &refused) || refused.Code != "23514" {
				t.Errorf("%q was not refused: %v", value, err)
			}
		}
	}
}
