package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/db/migrations"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
	"github.com/pgchat/pgchat/internal/store"
)

// bursts is how many messages a room gets before another room gets some: rooms share the pages of the table, as they do in life.
const bursts = 25

// comparison is the same messages in two databases: in the schema as it is, and in one whose messages are partitioned.
type comparison struct {
	cluster  *postgres.Cluster
	messages int
	rooms    int
	parts    int
}

// databases are the two, by name.
var databases = []string{"plain", "partitioned"}

// compare fills the two databases, unless PGCHAT_PARTITIONS_DIR has them from before.
func compare(t *testing.T) *comparison {
	t.Helper()
	number := func(name, otherwise string) int {
		n, err := strconv.Atoi(cmp.Or(os.Getenv(name), otherwise))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	c := &comparison{messages: number("PGCHAT_PARTITIONS_MESSAGES", "20000"), parts: number("PGCHAT_PARTITIONS", "32")}
	c.rooms = min(2000, c.messages/1000)
	dir := os.Getenv("PGCHAT_PARTITIONS_DIR")
	if dir == "" {
		dir = pgtest.Folder(t, "pgchat-test-")
	}
	c.cluster = pgtest.ClusterIn(t, dir)
	server := c.connect(t, "postgres")
	do(t, server, `alter system set autovacuum = off`) // it is measured
	do(t, server, `select pg_reload_conf()`)
	for _, name := range databases {
		c.fill(t, name)
	}
	return c
}

func (c *comparison) connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, c.cluster.URL(database))
	return conn
}

// partitioned returns the migrations of a schema whose messages are partitioned by their room: in both keys of the table, so
// that they stay keys. The one by id is asked for with a room that an index may take (docs/adr/0010 has why it may not),
// since all partitions would be asked otherwise.
func partitioned(t *testing.T, parts int) fs.FS {
	t.Helper()
	edited := fstest.MapFS{}
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	const body = "CONSTRAINT messages_body_check CHECK (char_length(body) BETWEEN 1 AND 8000)\n)"
	byID := regexp.MustCompile(`\b((?:old|s|m)\.room_id) IS NOT DISTINCT FROM ((?:r\.id|i\.room_id|NEW\.room_id)\b)`)
	for _, name := range names {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		sql := byID.ReplaceAllString(string(text), "$1 = $2")
		if strings.HasPrefix(name, "00001") {
			if !strings.Contains(sql, body) {
				t.Fatal("the first migration no longer makes chat.messages as it is partitioned here")
			}
			var all strings.Builder
			for i := range parts {
				fmt.Fprintf(&all, "\nCREATE TABLE chat.messages_%d PARTITION OF chat.messages FOR VALUES WITH (MODULUS %d, REMAINDER %d);", i, parts, i)
			}
			sql = strings.Replace(sql, body+";", body+" PARTITION BY HASH (room_id);"+all.String(), 1)
		}
		edited[name] = &fstest.MapFile{Data: []byte(sql)}
	}
	return edited
}

// fill makes a database and its messages. What would be kept of them by triggers is written as they would.
func (c *comparison) fill(t *testing.T, name string) {
	t.Helper()
	began := time.Now()
	server := c.connect(t, "postgres")
	var there bool
	if err := server.QueryRow(t.Context(), `select exists (select from pg_database where datname = $1)`, name).Scan(&there); err != nil {
		t.Fatal(err)
	}
	files, into := fs.FS(migrations.FS), name
	if name == "partitioned" {
		files = partitioned(t, c.parts)
	}
	if !there {
		into = "filling"
		do(t, server, `drop database if exists filling`)
		do(t, server, `create database filling`)
	}
	if _, err := postgres.MigrateBy(t.Context(), c.cluster.URL(into), files); err != nil {
		t.Fatal(err)
	}
	if there {
		return
	}
	db := c.connect(t, "filling")
	const user, room = `('00000000-0000-4000-8000-' || lpad(to_hex(%s), 12, '0'))::uuid`, `('00000000-0000-4000-a000-' || lpad(to_hex(%s), 12, '0'))::uuid`
	each := c.messages / c.rooms
	for _, sql := range []string{
		`set session_replication_role = replica`,
		`set synchronous_commit = off`,
		`set maintenance_work_mem = '1GB'`,
		`delete from chat.rooms`,
		`delete from chat.room_heads`,
		`insert into chat.users (id, name) select ` + fmt.Sprintf(user, "i") + `, 'user-' || i from generate_series(0, 4999) i`,
		fmt.Sprintf(`insert into chat.rooms (id, slug, name) select `+room+`, 'room-' || i, 'Room ' || i from generate_series(0, %d - 1) i`, "i", c.rooms),
		fmt.Sprintf(`insert into chat.room_heads (room_id, last_seq, last_rev) select id, %d, %d from chat.rooms`, each, each/50),
		fmt.Sprintf(`insert into chat.members (room_id, user_id, last_read_seq) select `+room+`, `+user+`, %d from generate_series(0, %d - 1) i, generate_series(0, 19) m`, "i", "(i * 7 + m) % 5000", each, c.rooms),
		// What the search has yet to index are the newest messages of each room.
		fmt.Sprintf(`insert into chat.search_progress (room_id, seq, rev) select id, greatest(%d - 50, 0), %d from chat.rooms`, each, each/50),
		// By chance and without order: it is made afterwards.
		`alter table chat.messages drop constraint messages_id_key`,
		`drop index chat.messages_author_id_idx`,
	} {
		do(t, db, sql)
	}
	for first := 0; first < each; first += 500 {
		do(t, db, fmt.Sprintf(`insert into chat.messages (room_id, seq, id, author_id, body, created_at, rev)
			select `+fmt.Sprintf(room, "i")+`, seq, gen_random_uuid(), `+fmt.Sprintf(user, "(i * 7 + seq %% 20) %% 5000")+`, 'w' || (hash & 65535) || ' w' || ((hash >> 8) & 4095) || ' w' || ((hash >> 12) & 255) || ' and some more words',
				now() - interval '2 years' * (1 - seq::float8 / %[3]d), case when seq %% 50 = 0 then seq / 50 end
			from (select n / %[1]d %% %[2]d as i, %[4]d + n / (%[1]d * %[2]d) * %[1]d + n %% %[1]d + 1 as seq, hashint4(n + %[4]d)::bigint & 2147483647 as hash
				from generate_series(0, %[2]d * 500 - 1) n offset 0) m where seq <= %[3]d`, bursts, c.rooms, each, first))
		if first%5000 == 0 {
			t.Logf("%s: %d messages after %s", name, min(first+500, each)*c.rooms, time.Since(began).Round(time.Second))
		}
	}
	do(t, db, `alter table chat.messages add constraint messages_id_key unique (id, room_id)`)
	do(t, db, `create index messages_author_id_idx on chat.messages (author_id)`)
	do(t, db, `vacuum (analyze)`)
	if err := db.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, server, `alter database filling rename to `+name)
	t.Logf("%s: filled with %d messages in %s", name, each*c.rooms, time.Since(began).Round(time.Second))
}

func (c *comparison) room(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-a000-%012x", n))
}

// author is the nth member of a room.
func (c *comparison) author(room, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", (room*7+n%20)%5000))
}

// each is how many messages a room has from the beginning.
func (c *comparison) each() int { return c.messages / c.rooms }

// sides are the two databases, as they are measured.
type sides struct {
	*comparison
	dbs []*pgx.Conn
}

// turns measures both, turn by turn, in changing order, and tells the medians and how the two compare in each turn.
func (s *sides) turns(t *testing.T, what, unit string, turns int, measure func(db *pgx.Conn) float64) {
	t.Helper()
	var figures [2][]float64
	var ratios []float64
	for turn := range turns {
		for i := range s.dbs {
			side := (turn + i) % 2
			figures[side] = append(figures[side], measure(s.dbs[side]))
		}
		ratios = append(ratios, figures[1][turn]/figures[0][turn])
	}
	slices.Sort(ratios)
	t.Logf("%-58s %10.2f %10.2f %-9s %5.2f times (%.2f to %.2f in %d turns)", what, median(figures[0]), median(figures[1]), unit, median(ratios), ratios[0], ratios[len(ratios)-1], turns)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// micros is the median time, in µs, of n calls.
func (s *sides) micros(t *testing.T, n int, do func() error) float64 {
	t.Helper()
	all := make([]float64, n)
	for i := range all {
		began := time.Now()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		all[i] = float64(time.Since(began).Microseconds())
	}
	return median(all)
}

func figure[T any](t *testing.T, db *pgx.Conn, sql string, args ...any) (value T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

const walBytes = `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`

// TestPartitionedMessages holds that each message is there once, also in a table that is partitioned by room, in which all
// migrations work as well: docs/adr/0014 says why chat.messages is not. make bench-partitions compares the two with 50 million messages.
func TestPartitionedMessages(t *testing.T) {
	s := &sides{comparison: compare(t)}
	for _, name := range databases {
		db := s.connect(t, name)
		do(t, db, `set jit = off`)
		s.dbs = append(s.dbs, db)
		t.Run(name+" has each number and id once", func(t *testing.T) { s.unique(t, db) })
	}
	if t.Failed() || os.Getenv("PGCHAT_PARTITIONS_MESSAGES") == "" {
		return
	}
	t.Logf("%-58s %10s %10s", "", "plain", "partitioned")
	s.size(t)
	s.posting(t)
	s.reading(t)
	s.searching(t)
	s.planning(t)
	s.removing(t)
}

// unique fails unless a message that comes again is known, and neither a number nor an id can be there twice in a room.
func (s *sides) unique(t *testing.T, db *pgx.Conn) {
	m := message{s.room(1), uuid.New(), s.author(1, 1), "once"}
	first := mustPost(t, db, m)[0]
	if again := mustPost(t, db, m)[0]; first.Outcome != "posted" || again.Outcome != "duplicate" || *again.Seq != *first.Seq {
		t.Errorf("posted again: %v, then %v", first, again)
	}
	other := m
	other.author = s.author(1, 2)
	if got := mustPost(t, db, other)[0]; got.Outcome != "id_taken" {
		t.Errorf("another's message by the same id: %v", got)
	}
	if got := mustPost(t, db, m, message{s.room(2), m.id, s.author(2, 1), "in another room"}); got[0].Outcome != "duplicate" || got[1].Outcome != "posted" {
		t.Errorf("in a batch, and in another room: %v", got)
	}
	do(t, db, `set session_replication_role = replica`)
	defer do(t, db, `reset session_replication_role`)
	for _, c := range []struct {
		key string
		seq int64
		id  uuid.UUID
	}{{"messages_pkey", *first.Seq, uuid.New()}, {"messages_id_key", *first.Seq + 1000, m.id}} {
		var refused *pgconn.PgError
		_, err := db.Exec(t.Context(), `insert into chat.messages (room_id, seq, id, author_id, body, created_at) values ($1, $2, $3, $4, 'x', now())`, m.room, c.seq, c.id, m.author)
		if !errors.As(err, &refused) || refused.Code != "23505" {
			t.Errorf("%s twice: %v", c.key, err)
		}
	}
}

func (s *sides) size(t *testing.T) {
	for _, c := range []struct{ what, sql string }{
		{"table", `select sum(pg_relation_size(oid)) / 1e9 from pg_class where relnamespace = 'chat'::regnamespace and relkind = 'r' and relname ~ '^messages(_\d+)?$'`},
		{"indexes", `select sum(pg_indexes_size(oid)) / 1e9 from pg_class where relnamespace = 'chat'::regnamespace and relkind = 'r' and relname ~ '^messages(_\d+)?$'`},
	} {
		s.turns(t, "size of the "+c.what, "GB", 1, func(db *pgx.Conn) float64 { return figure[float64](t, db, c.sql) })
	}
}

func (s *sides) posting(t *testing.T) {
	for _, size := range []int{1, 10, 200} {
		var wal [2][]float64
		post := func(db *pgx.Conn) float64 {
			arg := store.PostBatchParams{}
			for range size {
				room := rand.IntN(s.rooms)
				arg.RoomIds, arg.Ids, arg.AuthorIds = append(arg.RoomIds, s.room(room)), append(arg.Ids, uuid.New()), append(arg.AuthorIds, s.author(room, rand.IntN(20)))
				arg.Bodies = append(arg.Bodies, "w1234 w567 w89 and some more words")
			}
			began := time.Now()
			rows, err := store.New(db).PostBatch(t.Context(), arg)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			for _, r := range rows {
				if r.Outcome != "posted" {
					t.Fatalf("a post was answered with %s", r.Outcome)
				}
			}
			return float64(took.Nanoseconds()) / 1000 / float64(size)
		}
		s.turns(t, fmt.Sprintf("chat.post_batch of %d, with its commit: median", size), "µs/msg", 11, func(db *pgx.Conn) float64 {
			n := map[int]int{1: 500, 10: 150, 200: 40}[size]
			before := figure[float64](t, db, walBytes)
			all := make([]float64, n)
			for i := range all {
				all[i] = post(db)
			}
			side := slices.Index(s.dbs, db)
			wal[side] = append(wal[side], (figure[float64](t, db, walBytes)-before)/float64(n*size))
			return median(all)
		})
		t.Logf("%-58s %10.0f %10.0f bytes", "    WAL for each message", median(wal[0]), median(wal[1]))
	}
}

func (s *sides) reading(t *testing.T) {
	newest := func(db *pgx.Conn, before int64) error {
		rows, err := store.New(db).NewestMessages(t.Context(), store.NewestMessagesParams{RoomID: s.room(rand.IntN(s.rooms)), Before: before, MaxRows: 50})
		if err == nil && len(rows) != 50 {
			err = fmt.Errorf("a page has %d messages", len(rows))
		}
		return err
	}
	s.turns(t, "the newest page of 50", "µs", 11, func(db *pgx.Conn) float64 {
		return s.micros(t, 300, func() error { return newest(db, math.MaxInt64) })
	})
	s.turns(t, "a page of 50 from anywhere", "µs", 11, func(db *pgx.Conn) float64 {
		return s.micros(t, 300, func() error { return newest(db, int64(52+rand.IntN(s.each()-52))) })
	})
	s.turns(t, "catching up: 50 messages and 50 changes after a cursor", "µs", 11, func(db *pgx.Conn) float64 {
		return s.micros(t, 300, func() error {
			room, from := s.room(rand.IntN(s.rooms)), int64(s.each()-rand.IntN(s.each()/10)-51)
			q := store.New(db)
			rows, err := q.MessagesBetween(t.Context(), store.MessagesBetweenParams{RoomID: room, First: from, Last: from + 49})
			if err == nil && len(rows) != 50 {
				err = fmt.Errorf("there are %d messages", len(rows))
			}
			if err == nil {
				_, err = q.ChangedMessages(t.Context(), store.ChangedMessagesParams{RoomID: room, After: int64(rand.IntN(s.each() / 50)), UpTo: math.MaxInt64, MaxRows: 50})
			}
			return err
		})
	})
}

func (s *sides) searching(t *testing.T) {
	s.turns(t, "indexing 50 messages of each room for the search", "µs/msg", 1, func(db *pgx.Conn) float64 {
		began, all := time.Now(), 0
		for {
			row, err := store.New(db).IndexMessages(t.Context(), store.IndexMessagesParams{Most: 500, ForgetSeconds: 0.01})
			if err != nil {
				t.Fatal(err)
			}
			if all += int(row.Done); row.Behind == 0 {
				return float64(time.Since(began).Microseconds()) / float64(max(all, 1))
			}
		}
	})
	for _, db := range s.dbs {
		do(t, db, `vacuum analyze chat.search_documents`)
	}
	s.turns(t, "a search for a word, its first 40", "µs", 11, func(db *pgx.Conn) float64 {
		return s.micros(t, 50, func() error {
			_, err := store.New(db).SearchMessages(t.Context(), store.SearchMessagesParams{
				Reader: s.author(0, 0), Forms: []string{fmt.Sprintf("w%d", rand.IntN(256))}, Phrases: []string{}, Without: []string{}, InRooms: []uuid.UUID{}, Authors: []uuid.UUID{}, Has: []string{}, Most: 40, BudgetMs: 1000,
			})
			return err
		})
	})
	s.turns(t, "20 messages that a search found, from anywhere", "µs", 11, func(db *pgx.Conn) float64 {
		return s.micros(t, 200, func() error {
			arg := store.FoundMessagesParams{Reader: s.author(0, 0)}
			for range 20 {
				arg.RoomIds, arg.Seqs = append(arg.RoomIds, s.room(rand.IntN(s.rooms))), append(arg.Seqs, int64(1+rand.IntN(s.each())))
			}
			rows, err := store.New(db).FoundMessages(t.Context(), arg)
			if err == nil && len(rows) != 20 {
				err = fmt.Errorf("%d of 20 were found", len(rows))
			}
			return err
		})
	})
}

// planning tells what sessions pay for: the time to plan, the memory of one that has done all that was measured, the locks of a page, and which
// statements are planned otherwise.
func (s *sides) planning(t *testing.T) {
	s.turns(t, "planning a page", "µs", 11, func(db *pgx.Conn) float64 {
		var all []float64
		for range 100 {
			plan := figure[[]map[string]any](t, db, fmt.Sprintf(`explain (format json, summary on) select * from chat.messages m join chat.users u on u.id = m.author_id where m.room_id = '%s' and m.seq < 1000 order by seq desc limit 50`, s.room(rand.IntN(s.rooms))))
			all = append(all, plan[0]["Planning Time"].(float64)*1000)
		}
		return median(all)
	})
	s.turns(t, "planning an UPDATE by id in any room", "µs", 11, func(db *pgx.Conn) float64 {
		var all []float64
		for range 100 {
			plan := figure[[]map[string]any](t, db, fmt.Sprintf(`explain (format json, summary on) update chat.messages set body = 'x' where id = '%s'`, uuid.New()))
			all = append(all, plan[0]["Planning Time"].(float64)*1000)
		}
		return median(all)
	})
	s.turns(t, "first chat.post_batch of a new session", "µs", 11, func(db *pgx.Conn) float64 {
		fresh := s.connect(t, databases[slices.Index(s.dbs, db)])
		defer func() { _ = fresh.Close(context.Background()) }()
		began := time.Now()
		mustPost(t, fresh, message{s.room(3), uuid.New(), s.author(3, 0), "x"})
		return float64(time.Since(began).Microseconds())
	})
	s.turns(t, "memory of a session that has done the above", "MB", 1, func(db *pgx.Conn) float64 {
		return figure[float64](t, db, `select sum(total_bytes) / 1e6 from pg_backend_memory_contexts`)
	})
	s.turns(t, "locks while a message is posted", "locks", 1, func(db *pgx.Conn) float64 {
		do(t, db, `begin`)
		defer do(t, db, `rollback`)
		mustPost(t, db, message{s.room(3), uuid.New(), s.author(3, 0), "x"})
		return figure[float64](t, db, `select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation'`)
	})
	var many []string
	planned := 0
	files, err := filepath.Glob("../../queries/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	// Plans of statements whose parameters are not known yet: what may be pruned is when they are.
	for _, db := range s.dbs {
		do(t, db, `set plan_cache_mode = force_generic_plan`)
	}
	part := regexp.MustCompile(`\bmessages_\d+\b`)
	for _, file := range files {
		for _, q := range queriesOf(t, file) {
			plan := shape(t, s.dbs[1], q.prepare(t, s.dbs[1]))
			if !part.MatchString(plan) {
				continue
			}
			if planned++; len(part.FindAllString(plan, -1)) >= s.parts {
				many = append(many, q.name)
			}
		}
	}
	t.Logf("of %d queries that read messages %d ask all partitions, or lock all before they know which: %s", planned, len(many), strings.Join(many, ", "))
}

// removing removes the older half of the messages of every fifth room, 1,000 at a time, as retention of rooms would, and vacuums.
func (s *sides) removing(t *testing.T) {
	for _, db := range s.dbs {
		do(t, db, `set session_replication_role = replica`) // what triggers remove besides is the same for both
	}
	next := map[*pgx.Conn][2]int{}
	var wal [2][]float64
	half := s.each() / 2
	s.turns(t, "removing messages, 1,000 at a time", "rows/ms", 5, func(db *pgx.Conn) float64 {
		batches := max(s.rooms/5*half/1000/5, 1)
		before, began, removed := figure[float64](t, db, walBytes), time.Now(), int64(0)
		for range batches {
			at := next[db]
			if at[0] >= s.rooms {
				break
			}
			tag, err := db.Exec(t.Context(), `delete from chat.messages where room_id = $1 and seq > $2 and seq <= least($2 + 1000, $3)`, s.room(at[0]), at[1], half)
			if err != nil {
				t.Fatal(err)
			}
			removed += tag.RowsAffected()
			if at[1] += 1000; at[1] >= half {
				at = [2]int{at[0] + 5, 0}
			}
			next[db] = at
		}
		took := time.Since(began)
		side := slices.Index(s.dbs, db)
		wal[side] = append(wal[side], (figure[float64](t, db, walBytes)-before)/float64(max(removed, 1)))
		return float64(removed) / float64(took.Milliseconds()+1)
	})
	t.Logf("%-58s %10.0f %10.0f bytes", "    WAL for each", median(wal[0]), median(wal[1]))
	s.turns(t, "VACUUM after a tenth was removed", "s", 1, func(db *pgx.Conn) float64 {
		do(t, db, `checkpoint`)
		began := time.Now()
		do(t, db, `vacuum chat.messages`)
		return time.Since(began).Seconds()
	})
	s.turns(t, "VACUUM when nothing was", "s", 1, func(db *pgx.Conn) float64 {
		began := time.Now()
		do(t, db, `vacuum chat.messages`)
		return time.Since(began).Seconds()
	})
}
