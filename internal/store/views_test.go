package store_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// wants fails unless the query, of one text column, gives these rows.
func wants(t *testing.T, db querier, sql string, want ...string) {
	t.Helper()
	r, err := db.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", sql, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// broken is what the view says does not hold.
func broken(t *testing.T, db querier) []string {
	t.Helper()
	r, err := db.Query(t.Context(), `select concat_ws(' | ', "check", object, detail) from chat.integrity`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// furnish makes a chat that has some of everything: ada and bob in the room team, eve in general alone, and a direct conversation.
func furnish(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, name := range []string{"ada", "bob", "eve"} {
		addUser(t, pool, name)
	}
	const file = `'0192f8a0-5e1c-7c3a-9b1e-0123456789ab'`
	for _, sql := range []string{
		`insert into chat.rooms (slug, name, created_by) select 'team', 'Team', id from chat.users where name = 'ada'`,
		`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u where r.slug = 'team' and u.name = 'bob'`,
		`insert into chat.rooms (slug, name, kind, direct_key) select 'direct-1', 'ada, bob', 'direct', string_agg(id::text, ',' order by id) from chat.users where name in ('ada', 'bob')`,
		`select chat.post('team', 'ada', 'one, @bob')`,
		`select chat.post('team', 'bob', 'two', reply_to => 1)`,
		`select chat.post('team', 'ada', 'three', reply_to => 2)`,
		`select chat.post('team', 'ada', 'four', reply_to => 1)`,
		`select chat.post('team', 'bob', 'five @ada')`,
		`select chat.post('direct-1', 'bob', 'psst')`,
		`select chat.react('team', 1, 'bob', '👍'), chat.react('team', 1, 'ada', '👍'), chat.react('team', 2, 'ada', '🎉')`,
		`select chat.pin('team', 5, 'ada')`,
		`update chat.messages set body = 'three, better' where body = 'three'`,
		`update chat.messages set deleted_at = now() where body = 'four'`,
		`select chat.begin_file(` + file + `, r.id, u.id, 'a.txt', 100, 1000) from chat.rooms r, chat.users u where r.slug = 'team' and u.name = 'ada'`,
		`insert into chat.file_chunks values (` + file + `, 0, 'abcd'), (` + file + `, 1, 'ef')`,
		`update chat.files set size = 6, type = 'text/plain', completed_at = now()`,
		`select chat.post_files(r.id, gen_random_uuid(), u.id, '', array[` + file + `::uuid]) from chat.rooms r, chat.users u where r.slug = 'team' and u.name = 'ada'`,
		`select chat.index_messages(100)`,
		`select chat.post('team', 'bob', 'not in the index yet')`,
		`update chat.messages set body = 'five, @ada' where body = 'five @ada'`,
	} {
		do(t, pool, sql)
	}
}

func TestRoomStats(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	do(t, pool, `insert into chat.instances (id, name, version) values ('0192f8a0-5e1c-7c3a-9b1e-0123456789ab', 'alive', '1')`)
	do(t, pool, `insert into chat.instances (id, name, version, heartbeat_at) values ('0192f8a0-5e1c-7c3a-9b1e-0123456789ac', 'dead', '1', now() - interval '31 seconds')`)
	do(t, pool, `insert into chat.presence (room_id, user_id, instance_id, connections) select r.id, u.id, i.id, 2
		from chat.rooms r, chat.users u, chat.instances i where r.slug = 'team' and (u.name = 'ada' or u.name = 'bob' and i.name = 'dead')`)
	do(t, pool, `insert into chat.rooms (slug, name, archived_at) values ('old', 'Old', now())`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'x', now() - age::interval
		from chat.rooms r, chat.users u, unnest(array['3 days', '2 days', '25 hours', '24 hours', '23 hours', '2 hours', '61 minutes', '10 minutes']) with ordinality as a (age, n)
		where r.slug = 'old' and u.name = 'eve' order by n`)
	wants(t, pool, `select concat_ws(' ', room, kind, archived, members, online, messages, last_hour, last_day, now() - last_message < interval '1 minute') from chat.room_stats order by room`,
		"direct-1 direct f 2 0 1 1 1 t",
		"general public f 3 0 0 0 0",
		"old public t 0 0 8 1 4 f",
		"team public f 2 1 7 7 7 t")
}

func TestTheFirstMessageSinceAnInstantIsFound(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	wants(t, pool, `select chat.seq_since(id, now())::text from chat.rooms where slug = 'a'`, "1")
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select $1, $2, 'x', timestamptz '2024-01-01Z' + case when i = 500 then 499 else i end * interval '1 minute' from generate_series(1, 1000) i`, room, ada)
	// At each message, between it and the one before, before all and after all; one comes twice at an instant.
	wants(t, pool, `select concat_ws(' ', i, s, n) from generate_series(-1, 2003) i
		cross join lateral (select timestamptz '2024-01-01Z' + i * interval '30 seconds' as at) a
		cross join lateral (select chat.seq_since((select id from chat.rooms where slug = 'a'), at) as s, 1 + (select count(*) from chat.messages where created_at < at) as n) x
		where s is distinct from n`)
}

func TestUserActivity(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	do(t, pool, `insert into chat.instances (id, name, version) values ('0192f8a0-5e1c-7c3a-9b1e-0123456789ab', 'alive', '1')`)
	do(t, pool, `insert into chat.presence (room_id, user_id, instance_id, connections) select '00000000-0000-0000-0000-000000000000', u.id, i.id, 1 from chat.users u, chat.instances i where u.name = 'ada'`)
	for _, name := range []string{"kim", "lee", "max"} {
		addUser(t, pool, name)
	}
	do(t, pool, `insert into chat.tokens (user_id, name, token_hash, last_used_at) select id, 'x', sha256(name::bytea), now() - interval '3 days' from chat.users where name in ('kim', 'bob')`)
	do(t, pool, `insert into chat.sessions (token_hash, user_id, created_at, expires_at) select sha256(name::bytea), id, now() - interval '9 days', now() + interval '25 days' from chat.users where name in ('kim', 'lee')`)
	do(t, pool, `insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'x', now() - interval '2 days' from chat.rooms r, chat.users u where r.slug = 'general' and u.name = 'max'`)
	wants(t, pool, `select concat_ws(' ', name, online, rooms, last_day, now() - last_message < interval '1 minute', to_char(now() - last_seen, 'DD')) from chat.user_activity order by name`,
		"ada t 3 4 t 00", "bob f 3 4 t 00", "eve f 1 0", "kim f 1 0 03", "lee f 1 0 05", "max f 1 0")
}

func TestInstanceHealth(t *testing.T) {
	pool := pgtest.Pool(t)
	do(t, pool, `insert into chat.instances (id, name, version, started_at, heartbeat_at, connections, rooms, listener, listener_lag, queue, batches, messages, largest_batch) values
		(gen_random_uuid(), 'a', '1.4', now() - interval '12 days 3:04:05', now() - interval '9.5 seconds', 1200, 25, 'hears', '0.00042 seconds', 12, 30, 441, 90),
		(gen_random_uuid(), 'b', '1.4', now() - interval '3:04:05', now() - interval '31 seconds', 3, 2, 'polls', null, 0, 0, 0, 0),
		(gen_random_uuid(), 'c', '1.4', now(), now(), 0, 0, 'hears', null, 0, 0, 0, 0)`)
	do(t, pool, `insert into chat.instances (id, name, version) values (gen_random_uuid(), 'd', '1.4')`)
	wants(t, pool, `select concat_ws(',', instance, version, up, alive, heartbeat, connections, rooms, listener, queue, batch, largest) from chat.instance_health`,
		"a,1.4,12 d 03:04,t,00:00:09,1200,25,0.4 ms,12,14.7,90",
		"b,1.4,03:04,f,00:00:31,3,2,polls,0,0",
		"c,1.4,00:00,t,00:00:00,0,0,hears,0,0",
		"d,1.4,00:00,t,00:00:00,0,0,,0,0")
}

// connect opens a connection of its own that calls itself so.
func connect(t *testing.T, url, name string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = name
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// The queue belongs to the cluster, so that these have one of their own.
func TestListenersAndWhoHoldsTheQueueBack(t *testing.T) {
	_, url := pgtest.Cluster(t)
	db := connect(t, url, "psql")
	theirs, pooled, other, idle := connect(t, url, "pgchat listener"), connect(t, url, "pgchat"), connect(t, url, "worker"), connect(t, url, "reader")
	do(t, db, `insert into chat.instances (id, name, version, listener_pid) values (gen_random_uuid(), 'one', '1', $1)`, int(theirs.PgConn().PID()))
	do(t, theirs, `listen a`)
	do(t, other, `listen b`)
	for _, c := range []*pgx.Conn{pooled, idle} {
		do(t, c, `begin`)
		do(t, c, `select 1`)
	}
	wants(t, db, `select concat_ws(',', instance, application_name, listens, state, wait_event, in_transaction < interval '10 minutes') from chat.listeners`,
		"one,pgchat listener,yes,idle,ClientRead", "worker,probably,idle,ClientRead", "pgchat,no,idle in transaction,ClientRead,t")
	wants(t, db, `select concat_ws(',', used_percent = 0, used, pid) from chat.notify_queue`, "t,0 bytes")

	// The worker has listened, and now is in a transaction that began after the reader's: who listens is named first.
	do(t, other, `begin`)
	do(t, other, `listen c`)
	do(t, db, `select pg_notify('b', repeat('x', 7000) || i) from generate_series(1, 20) i`)
	wants(t, db, `select concat_ws(',', used_percent > 0, pg_size_bytes(used) between 100000 and 1000000, pid, application_name, listens, state) from chat.notify_queue`,
		fmt.Sprintf("t,t,%d,worker,probably,idle in transaction", other.PgConn().PID()))
	do(t, other, `select 1`)
	wants(t, db, `select concat_ws(',', used_percent > 0, application_name, listens) from chat.notify_queue`, "t,reader,unknown")
	do(t, idle, `commit`)
	wants(t, db, `select concat_ws(',', used_percent > 0, application_name, listens) from chat.notify_queue`, "t,worker,unknown")
	do(t, other, `commit`)
	wants(t, db, `select concat_ws(',', used_percent = 0, used, pid) from chat.notify_queue`, "t,0 bytes")
}

func TestTableSizes(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select $1, $2, repeat('x', 500) from generate_series(1, 5000)`, room, ada)
	do(t, pool, `vacuum analyze chat.messages`)
	wants(t, pool, `select concat_ws(',', "table", rows, dead, pg_size_bytes(heap) > 2500000, pg_size_bytes(indexes) > 200000, pg_size_bytes(total) > 2700000, now() - last_vacuum < interval '10 minutes') from chat.table_sizes limit 1`,
		"messages,5000,0,t,t,t,t")
	wants(t, pool, `select concat_ws(',', pg_size_bytes(heap), pg_size_bytes(toast) > 0, last_vacuum) from chat.table_sizes where "table" = 'file_chunks'`, "0,t")
	wants(t, pool, `select tablename from pg_tables where schemaname = 'chat' except select "table" from chat.table_sizes`)
}

func TestAChatThatHasEverythingIsWhole(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	for _, zone := range []string{"UTC", "Pacific/Auckland"} {
		conn := connect(t, pool.Config().ConnString(), "psql")
		do(t, conn, `set timezone = '`+zone+`'`)
		wants(t, conn, `select concat_ws(' | ', "check", object, detail) from chat.integrity`)
		do(t, conn, `select chat.pin('team', 2, 'ada'), chat.post('team', 'ada', 'from '||current_setting('timezone'), reply_to => 1)`)
	}
	wants(t, pool, `select concat_ws(' | ', "check", object, detail) from chat.integrity_of('team')`)
	if _, err := pool.Exec(t.Context(), `select * from chat.integrity_of('nowhere')`); err == nil || !strings.Contains(err.Error(), `there is no room 'nowhere'`) {
		t.Errorf("of a room that is not there: %v", err)
	}
	// Neither does what people may do by SQL break it.
	for _, sql := range []string{
		`update chat.users set name = 'rob' where name = 'bob'`,
		`delete from chat.replies where seq = 2`,
		`delete from chat.files`,
		`delete from chat.search_progress`,
		`delete from chat.search_buckets`,
		`update chat.messages set deleted_at = null`,
		`select chat.index_messages(2)`,
		`select chat.index_messages(1000)`,
		// A bucket is full while it has a message of a moment later.
		`insert into chat.messages (room_id, author_id, body, created_at) select chat.find_room('team'), chat.find_user('ada'), 'x', clock_timestamp() + interval '50 seconds'`,
		`select chat.index_messages(1000)`,
		`update chat.search_buckets set messages = 40000`,
		`select chat.post('team', 'ada', 'in the next bucket')`,
		`select chat.index_messages(1000)`,
		`delete from chat.rooms where slug = 'direct-1'`,
	} {
		do(t, pool, sql)
		wants(t, pool, `select concat_ws(' | ', "check", object, detail) from chat.integrity`)
	}
}

// Each way of breaking it, past the triggers, and what is said of it.
func TestIntegritySeesWhatIsBroken(t *testing.T) {
	pool := pgtest.Pool(t)
	furnish(t, pool)
	const room = `(select id from chat.rooms where slug = 'team')`
	of := func(seq int) string { return fmt.Sprintf(`where room_id = %s and seq = %d`, room, seq) }
	stray := uuid.New()
	for _, c := range []struct{ sql, want string }{
		{`delete from chat.room_heads where room_id = ` + room, `room | team | has no row in room_heads`},
		{`update chat.messages set room_id = '` + stray.String() + `' ` + of(7), `room | ` + stray.String() + ` | there is no such room, and messages or parts of them that say they are in it`},
		{`update chat.pins set room_id = '` + stray.String() + `'`, `room | ` + stray.String() + ` | there is no such room, and messages or parts of them that say they are in it`},
		{`delete from chat.messages ` + of(3), `seq | team | there is no message 3`},
		{`delete from chat.messages where seq between 1 and 3`, `seq | team | there is no message 1 to 3`},
		{`update chat.room_heads set last_seq = 9 where room_id = ` + room, `seq | team | the newest message is 7, last_seq says 9`},
		{`update chat.messages set rev = (select m.rev from chat.messages m ` + of(1) + `) ` + of(7), `rev | team | change % is there 2 times`},
		{`update chat.room_events set rev = (select m.rev from chat.messages m ` + of(1) + `) where room_id = ` + room, `rev | team | change % is there 2 times`},
		{`update chat.messages set rev = 99 ` + of(7), `rev | team#7 | is change 99, last_rev says %`},
		{`update chat.room_events set after_seq = 8 where room_id = ` + room, `room_events | team | line % (joined) is after message 8, %`},
		{`delete from chat.reactions where emoji = '🎉'`, `extra.reactions | team#2 | is [{%🎉%}], should be missing`},
		{`insert into chat.reactions (room_id, seq, emoji, user_id) select ` + room + `, 3, '👍', id from chat.users where name = 'bob'`, `extra.reactions | team#3 | is missing, should be [{%👍%}]`},
		{`update chat.users set name = 'rob' where name = 'bob'`, `extra.reactions | team#1 | is [{%bob%}], should be [{%rob%}]`},
		{`delete from chat.pins`, `extra.pinned | team#5 | is {%ada%}, should be missing`},
		{`update chat.pins set created_at = created_at - interval '1 second'`, `extra.pinned | team#5 | is {%}, should be {%}`},
		{`update chat.files set name = 'b.txt'`, `extra.files | team#6 | is [{%a.txt%}], should be [{%b.txt%}]`},
		{`delete from chat.replies where seq = 2`, `extra.reply | team#2 | is {"seq": 1, "thread": 1}, should be missing`},
		{`delete from chat.replies where seq = 2`, `extra.thread | team#1 | is {%"count": 2}, should be {%"count": 1}`},
		{`update chat.messages set deleted_at = null ` + of(4), `extra.thread | team#1 | is {%"count": 2}, should be {%"count": 3}`},
		{`update chat.messages set extra = '{"colour": "red"}' ` + of(7), `extra.colour | team#7 | is "red", should be missing`},
		{`update chat.messages set extra = '[]' ` + of(7), `extra. | team#7 | is [], should be missing`},
		{`update chat.reactions set seq = 99 where emoji = '🎉'`, `reactions | team#99 | there is no such message`},
		{`update chat.pins set seq = 99`, `pins | team#99 | there is no such message`},
		{`delete from chat.messages ` + of(3), `replies | team#3 | there is no such message`},
		{`delete from chat.messages ` + of(1), `replies | team#1 | there is no such message`},
		{`update chat.mentions set seq = 99 where seq = 1`, `mentions | team#99 | there is no such message`},
		{`update chat.search_documents set seq = 99 ` + of(1), `search | team#99 | there is no such message`},
		{`update chat.replies set thread = 2 where seq = 3`, `replies | team#3 | belongs to the thread of message 2, which itself is a reply`},
		{`insert into chat.pins (room_id, seq) select ` + room + `, 7 + i from generate_series(1, 100) i; insert into chat.messages (room_id, seq, id, author_id, body, created_at)
			select m.room_id, 7 + i, gen_random_uuid(), m.author_id, 'x', now() from chat.messages m, generate_series(1, 100) i ` + of(7), `pins | team | 101 messages are pinned, at most 100 may be`},
		{`insert into chat.reactions (room_id, seq, emoji, user_id) select ` + room + `, 3, chr(128512 + i), u.id from generate_series(1, 21) i, chat.users u where u.name = 'bob'`, `reactions | team#3 | has 21 different ones, at most 20 may be`},
		{`update chat.messages set body = 'one' ` + of(1), `mentions | team#1 | addresses nobody, and is noted to address bob`},
		{`update chat.messages set deleted_at = now() ` + of(1), `mentions | team#1 | is deleted, and is noted to address bob`},
		{`delete from chat.file_chunks where n = 0`, `files | % a.txt | has 2 bytes in 1 pieces of which the last is number 1, size says 6`},
		{`update chat.file_chunks set n = 2 where n = 1`, `files | % a.txt | has 6 bytes in 2 pieces of which the last is number 2, size says 6`},
		{`delete from chat.file_chunks`, `files | % a.txt | has 0 bytes in 0 pieces of which the last is number -1, size says 6`},
		{`update chat.search_progress set seq = 8 where room_id = ` + room, `search | team | the index says it has messages up to 8 and changes up to %, the room is at 7 and %`},
		{`delete from chat.search_documents ` + of(2), `search | team#2 | is not in the index`},
		{`update chat.search_progress set seq = 5 where room_id = ` + room, `search | team#6 | is in the index, and should not be`},
		{`delete from chat.search_progress where room_id = ` + room, `search | team#1 | is in the index, and should not be`},
		{`update chat.messages set deleted_at = now() ` + of(2), `search | team#2 | is in the index, and should not be`},
		{`update chat.search_documents set created_at = created_at - interval '1 hour' ` + of(2), `search | team#2 | has another created_at in the index`},
		{`update chat.search_documents set terms = '' ` + of(2), `search | team#2 | has other words in the index`},
		{`update chat.messages set body = 'otherwise' ` + of(2), `search | team#2 | has other words in the index`},
		{`update chat.messages set author_id = (select id from chat.users where name = 'eve') ` + of(2), `search | team#2 | has other words in the index`},
		{`update chat.messages set created_at = created_at - interval '2 minutes' ` + of(3), `created_at | team#3 | is of %, the message before it of %`},
		{`update chat.members set last_read_seq = 8 where user_id = (select id from chat.users where name = 'ada') and room_id = ` + room, `members | team | ada has read up to 8, last_seq says 7`},
		{`delete from chat.members where user_id = (select id from chat.users where name = 'eve')`, `members | general | eve is not a member of a room for everyone`},
		{`delete from chat.members m using chat.rooms r where r.id = m.room_id and r.kind = 'direct' and m.user_id = (select id from chat.users where name = 'ada')`, `direct | direct-1 | % is in direct_key, and not a member`},
		{`insert into chat.members (room_id, user_id, last_read_seq) select r.id, u.id, 0 from chat.rooms r, chat.users u where r.kind = 'direct' and u.name = 'eve'`, `direct | direct-1 | % is a member of the direct conversation, and not in direct_key`},
		{`update chat.search_buckets set bucket = 2`, `search_buckets | 2 | is number 1, and starts at -infinity after one that starts at `},
		{`insert into chat.search_buckets (bucket, starts) values (2, now()), (3, now() - interval '1 day')`, `search_buckets | 3 | is number 3, and starts at % after one that starts at %`},
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		do(t, tx, `set local session_replication_role = replica`)
		for sql := range strings.SplitSeq(c.sql, "; ") {
			do(t, tx, sql)
		}
		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(c.want), "%", ".*") + "$")
		if got := broken(t, tx); !slices.ContainsFunc(got, want.MatchString) {
			t.Errorf("%s\nwant: %s\ngot:  %s", c.sql, c.want, strings.Join(got, "\n      "))
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, pool, `select concat_ws(' | ', "check", object, detail) from chat.integrity`)
}
