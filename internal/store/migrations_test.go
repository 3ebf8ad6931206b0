package store_test

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgchat/pgchat/db/migrations"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// baseline is the last migration that may do with the tables what it likes: until there no pgchat was in use.
const baseline = 32

const (
	// mostRows is how many rows a migration may read and write in a transaction that keeps others waiting: far fewer than tables have
	// that grow, and done within some milliseconds.
	mostRows = 1000
	// mostTables is how many tables it may keep from posting: each may be waited for by 50 ms while those before are locked.
	mostTables = 4
	// mostRowsByBatch is the same for what is done piece by piece outside a transaction.
	mostRowsByBatch = 1000
)

var (
	//go:embed testdata/migrations/fill.sql
	fillMessages string
	//go:embed testdata/migrations/more.sql
	fillMore string
)

// probe notes, in a migration's transaction, what it has locked and which rows it has read and written.
const probe = `
create schema probe;
create table probe.before (relid oid, relname text, read bigint, written bigint);
create table probe.posting (relid oid, mode text);
create table probe.found (version bigint, what text);
create view probe.work as select relid, relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as read, n_tup_ins + n_tup_upd + n_tup_del as written
	from pg_stat_xact_user_tables where schemaname = 'chat' and relname <> 'schema_version';
create function probe.begin() returns void language sql begin atomic
	delete from probe.before;
	insert into probe.before select c.oid, c.relname, coalesce(w.read, 0), coalesce(w.written, 0)
		from pg_class c left join probe.work w on w.relid = c.oid where c.relnamespace = 'chat'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'schema_version';
end;
create function probe.end(version bigint) returns void language sql begin atomic
	insert into probe.found
	with locks as (
		select b.relname, l.mode, exists (select from probe.posting p where p.relid = b.relid and
			(l.mode = 'AccessExclusiveLock' or p.mode = 'RowExclusiveLock' or l.mode = 'ExclusiveLock' and p.mode = 'RowShareLock')) as posting
		from pg_locks l join probe.before b on b.relid = l.relation
		where l.pid = pg_backend_pid() and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
	), work as (
		select w.relname, w.read - coalesce(b.read, 0) as read, w.written - coalesce(b.written, 0) as written, b.relid is not null as old from probe.work w left join probe.before b using (relid)
	), total as (
		select (select sum(read + written) from work) as rows, (select sum(written) from work where old) as written, (select count(distinct relname) from locks) as tables,
			(select count(distinct relname) from locks where posting) as stopping, (select string_agg(relname || ': ' || mode, ', ' order by relname, mode) from locks where posting) as stops,
			(select string_agg(relname || ': ' || mode, ', ' order by relname, mode) from locks) as locks,
			(select string_agg(format('%s: %s read, %s written', relname, read, written), ', ' order by relname) from work where read + written > 0) as work
	)
	select version, format('reads and writes %s rows (%s) while it keeps others waiting (%s)', rows, work, coalesce(locks, 'rows that it writes')) from total where rows > :most_rows and (tables > 0 or written > 0)
	union all
	select version, format('locks %s tables that posting needs (%s)', stopping, stops) from total where stopping > :most_tables;
end;`

// migration is a file.
type migration struct {
	version int64
	name    string
	text    string
}

// landed are the migrations that there are.
func landed(t *testing.T) (all []migration) {
	t.Helper()
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, migration{version, name, string(text)})
	}
	return all
}

const noTransaction = "-- +goose NO TRANSACTION"

// upgrade runs migrations on a database in use.
type upgrade struct {
	url   string
	db    *pgx.Conn
	files fstest.MapFS
	live  context.Context // ends when somebody can no longer post
	posts atomic.Int64
	worst atomic.Int64 // the longest that a batch took, in ns
	held  atomic.Int64 // the longest that somebody who posts was seen to wait for a lock that none of them had, in ns
}

// migrate runs one migration and returns what is wrong with how it treats others. It begins and ends with a post.
func (u *upgrade) migrate(t *testing.T, m migration) (wrong []string) {
	t.Helper()
	text := m.text
	if strings.Contains(text, noTransaction) {
		wrong = outside(text)
	} else {
		up, down, _ := strings.Cut(text, "-- +goose Down")
		up = strings.Replace(up, "-- +goose Up\n", "-- +goose Up\nSELECT probe.begin();\n", 1)
		text = up + fmt.Sprintf("\nSELECT probe.end(%d);\n-- +goose Down%s", m.version, down)
	}
	u.files[m.name] = &fstest.MapFile{Data: []byte(text)}
	var before uint64
	if err := u.db.QueryRow(t.Context(), `select pg_current_xact_id()::text::bigint`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	u.posted(t)
	u.worst.Store(0)
	u.held.Store(0)
	began := time.Now()
	if _, err := postgres.MigrateBy(t.Context(), u.url, u.files, func(why string) { t.Logf("%s waits: %s", m.name, why) }); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	u.posted(t)
	t.Logf("%s took %s; meanwhile the longest batch took %s, and waited for the migration's locks for %s", m.name, took.Round(time.Millisecond),
		time.Duration(u.worst.Load()).Round(100*time.Microsecond), time.Duration(u.held.Load()).Round(100*time.Microsecond))
	rows, err := u.db.Query(t.Context(), `select what from probe.found where version = $1`, m.version)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, noTransaction) {
		found = append(found, u.batches(t, before)...)
	}
	return append(wrong, found...)
}

// posted waits until each poster has posted once more.
func (u *upgrade) posted(t *testing.T) {
	t.Helper()
	for until := u.posts.Load() + 2*posters; u.posts.Load() < until; {
		if u.live.Err() != nil {
			t.FailNow() // it is told why at the end
		}
		do(t, u.db, `select pg_sleep(0.001)`)
	}
}

// batches returns which transactions since one have written more rows of a table than a batch may have.
func (u *upgrade) batches(t *testing.T, since uint64) (wrong []string) {
	t.Helper()
	rows, err := u.db.Query(t.Context(), `select relname::text from pg_class where relnamespace = 'chat'::regnamespace and relkind = 'r'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var most int
		err := u.db.QueryRow(t.Context(), fmt.Sprintf(`select coalesce(max(n), 0) from (select count(*) as n from chat.%s where xmin::text::bigint >= $1 group by xmin::text) x`, table), int64(since)).Scan(&most)
		if err != nil {
			t.Fatal(err)
		}
		if most > mostRowsByBatch {
			wrong = append(wrong, fmt.Sprintf("writes %d rows of %s in one transaction", most, table))
		}
	}
	return wrong
}

const (
	posters = 4
	poster  = "poster" // their application_name
)

// post posts batches to rooms by chance until the context ends.
func (u *upgrade) post(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, u.url+" application_name="+poster)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		batch := make([]message, 1+rand.IntN(5))
		for i := range batch {
			n := rand.IntN(200)
			batch[i] = message{id: uuid.New(), body: "said while the schema changes"}
			batch[i].room = uuid.MustParse(fmt.Sprintf("00000000-0000-4000-a000-%012x", n))
			batch[i].author = uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", (200-n)%4))
		}
		began := time.Now()
		got, err := postBatch(context.WithoutCancel(ctx), conn, batch...)
		if err != nil {
			return err
		}
		for _, o := range got {
			if o.Outcome != "posted" {
				return fmt.Errorf("a post was answered with %s", o.Outcome)
			}
		}
		raise(&u.worst, time.Since(began))
		u.posts.Add(1)
	}
	return nil
}

// raise makes n the longer one.
func raise(n *atomic.Int64, took time.Duration) {
	for {
		if most := n.Load(); int64(took) <= most || n.CompareAndSwap(most, int64(took)) {
			return
		}
	}
}

// watch looks again and again for how long somebody who posts has been waiting for a lock that somebody else has.
func (u *upgrade) watch(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, u.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		var seconds float64
		err := conn.QueryRow(context.WithoutCancel(ctx), `
			with posting as (select array_agg(pid) as pids from pg_stat_activity where datname = current_database() and application_name = $1),
				waiting as materialized (select l.pid, l.waitstart from pg_locks l, posting p where not l.granted and l.pid = any (p.pids))
			select coalesce(max(extract(epoch from clock_timestamp() - w.waitstart)), 0)::float8, pg_sleep(0.002)::text from waiting w, posting p where not pg_blocking_pids(w.pid) <@ p.pids`, poster).Scan(&seconds, nil)
		if err != nil {
			return err
		}
		raise(&u.held, time.Duration(seconds*float64(time.Second)))
	}
	return nil
}

// under returns a database at a version, with messages, to which is posted until the test ends.
func under(t *testing.T, version int64, messages int) *upgrade {
	t.Helper()
	u := &upgrade{url: pgtest.EmptyURL(t), files: fstest.MapFS{}}
	for _, m := range landed(t) {
		if m.version <= version {
			u.files[m.name] = &fstest.MapFile{Data: []byte(m.text)}
		}
	}
	if _, err := postgres.MigrateBy(t.Context(), u.url, u.files); err != nil {
		t.Fatal(err)
	}
	u.db = pgtest.Connect(t, u.url)
	sql := strings.ReplaceAll(fillMessages, ":messages", strconv.Itoa(messages))
	if version >= baseline {
		sql += fillMore
	}
	for _, sql := range []string{
		sql, `vacuum (analyze)`, strings.NewReplacer(":most_rows", strconv.Itoa(mostRows), ":most_tables", strconv.Itoa(mostTables)).Replace(probe),
		// What workers read is not among what a session has read.
		`do $$ begin execute format('alter database %I set max_parallel_maintenance_workers = 0', current_database()); execute format('alter database %I set max_parallel_workers_per_gather = 0', current_database()); end $$`,
	} {
		if _, err := u.db.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	do(t, u.db, `begin`)
	do(t, u.db, `select chat.post('room-1', 'user-3', 'hello, @user-7')`)
	if version >= baseline {
		do(t, u.db, `select chat.post_replies(array[r.id, r.id], array[gen_random_uuid(), gen_random_uuid()], array[u.id, u.id], array['@all', 'yes'], array[1, 2]) from chat.rooms r, chat.users u where r.slug = 'room-1' and u.name = 'user-3'`)
	}
	do(t, u.db, `insert into probe.posting select distinct relation, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'`)
	do(t, u.db, `commit`)
	posting, stop := context.WithCancel(t.Context())
	group, live := errgroup.WithContext(posting)
	u.live = live
	for range posters {
		group.Go(func() error { return u.post(live) })
	}
	group.Go(func() error { return u.watch(live) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return u
}

// TestMigrationsHoldUpNobody runs every migration after the baseline while others post, on tables of some size, and finds fault with
// what would keep them waiting where the tables are large: not by the clock, but by what it locks and how many rows it
// reads and writes meanwhile. It tells how long somebody waited beside each; make bench-migrations does so with 10 million
// messages, and, from an earlier version on, of the migrations up to the baseline as well, in which no fault is found.
func TestMigrationsHoldUpNobody(t *testing.T) {
	messages, err := strconv.Atoi(cmp.Or(os.Getenv("PGCHAT_MIGRATIONS_MESSAGES"), "30000"))
	if err != nil {
		t.Fatal(err)
	}
	from, err := strconv.ParseInt(cmp.Or(os.Getenv("PGCHAT_MIGRATIONS_FROM"), strconv.Itoa(baseline)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	u := under(t, from, messages)
	for _, m := range landed(t) {
		if m.version <= from {
			continue
		}
		if wrong := u.migrate(t, m); len(wrong) > 0 && m.version > baseline {
			t.Errorf("%s: db/migrations/README.md says how to do without\n%s", m.name, strings.Join(wrong, "\n"))
		}
	}
	for i, c := range []struct{ name, up, wrong string }{
		{"a column", `ALTER TABLE chat.messages ADD COLUMN good integer;
			CREATE FUNCTION chat.good() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
			CREATE TRIGGER good BEFORE UPDATE ON chat.messages FOR EACH ROW EXECUTE FUNCTION chat.good();`, ""},
		{"a constant default", `ALTER TABLE chat.messages ADD COLUMN flagged boolean NOT NULL DEFAULT false;`, ""},
		{"a new table that refers to messages", `CREATE TABLE chat.good (room_id uuid, seq bigint, FOREIGN KEY (room_id, seq) REFERENCES chat.messages (room_id, seq) ON DELETE CASCADE);`, ""},
		{"several tables", `ALTER TABLE chat.rooms ADD COLUMN good integer; ALTER TABLE chat.members ADD COLUMN good integer; ALTER TABLE chat.messages ADD COLUMN better integer;
			ALTER TABLE chat.room_heads ADD COLUMN good integer;`, ""},
		{"a constraint for what comes", `ALTER TABLE chat.messages ADD CONSTRAINT good_check CHECK (good > 0) NOT VALID;`, ""},
		{"an index, a constraint and a column's content, piece by piece", noTransaction + `
			DROP INDEX CONCURRENTLY IF EXISTS chat.good_idx;
			CREATE INDEX CONCURRENTLY good_idx ON chat.messages (good);
			ALTER TABLE chat.messages VALIDATE CONSTRAINT good_check;
			-- +goose StatementBegin
			DO $$ DECLARE first bigint; BEGIN
				FOR first IN SELECT generate_series(1, max(id), 1000) FROM chat.message_history LOOP
					UPDATE chat.message_history SET change = 'edited' WHERE id BETWEEN first AND first + 999;
					COMMIT;
				END LOOP;
			END $$;
			-- +goose StatementEnd`, ""},
		{"an index while nobody writes", `CREATE INDEX bad_idx ON chat.messages (created_at);`, "messages: ShareLock"},
		{"a table written anew", `ALTER TABLE chat.messages ADD COLUMN bad uuid DEFAULT gen_random_uuid();`, "messages: AccessExclusiveLock"},
		{"another type", `ALTER TABLE chat.messages ALTER COLUMN good TYPE numeric;`, "messages: AccessExclusiveLock"},
		{"a constraint on all that is there", `ALTER TABLE chat.messages ADD CONSTRAINT bad_check CHECK (seq > 0);`, "messages: AccessExclusiveLock"},
		{"not null", `ALTER TABLE chat.messages ALTER COLUMN flagged SET NOT NULL, ADD CONSTRAINT bad_fkey FOREIGN KEY (author_id) REFERENCES chat.users (id);`, "messages: AccessExclusiveLock"},
		{"all rows in one transaction", `UPDATE chat.message_history SET change = 'edited';`, "rows that it writes"},
		{"reading all under a lock", `LOCK TABLE chat.rooms; CREATE TABLE chat.bad AS SELECT room_id, count(*) FROM chat.messages GROUP BY 1;`, "rooms: AccessExclusiveLock"},
		{"many tables at once", `LOCK TABLE chat.rooms, chat.messages, chat.members, chat.room_heads, chat.users;`, "locks 5 tables"},
		{"all rows in one piece", noTransaction + "\nUPDATE chat.message_history SET change = 'edited';", "rows of message_history in one transaction"},
		{"an index outside a transaction while nobody writes", noTransaction + "\nCREATE INDEX worse_idx ON chat.messages (body);", "CREATE INDEX worse_idx"},
		{"an index that may be left invalid", noTransaction + "\nCREATE INDEX CONCURRENTLY left_idx ON chat.messages (rev);", "DROP INDEX CONCURRENTLY IF EXISTS chat.left_idx"},
	} {
		m := migration{version: int64(90001 + i), name: fmt.Sprintf("%d_%s.sql", 90001+i, strings.NewReplacer(" ", "_", ",", "").Replace(c.name))}
		up := strings.ReplaceAll(c.up, "\t", "")
		if rest, ok := strings.CutPrefix(up, noTransaction); ok {
			m.text = noTransaction + "\n"
			up = rest
		}
		m.text += "-- +goose Up\n" + up + "\n"
		wrong := u.migrate(t, m)
		if c.wrong == "" && len(wrong) > 0 || c.wrong != "" && !strings.Contains(strings.Join(wrong, "\n"), c.wrong) {
			t.Errorf("%s: found %q, want %q", c.name, wrong, c.wrong)
		}
	}
	wants(t, u.db, `select room from chat.gaps`)
}

// harmless is what may stand in a migration outside a transaction: nothing of it keeps others from reading and writing.
var harmless = []*regexp.Regexp{
	regexp.MustCompile(`^CREATE (UNIQUE )?INDEX CONCURRENTLY \w+ ON `),
	regexp.MustCompile(`^DROP INDEX CONCURRENTLY IF EXISTS chat\.\w+$`),
	regexp.MustCompile(`^ALTER TABLE chat\.\w+ VALIDATE CONSTRAINT \w+$`),
	regexp.MustCompile(`^DO \$\$(?s:.*)\bCOMMIT;`),
	regexp.MustCompile(`^COMMENT ON `),
}

var index = regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)`)

// outside returns what is wrong with a migration that is not one transaction. It may end half done, and is then run again.
func outside(text string) (wrong []string) {
	var seen []string
	for _, statement := range statements(text) {
		if !slices.ContainsFunc(harmless, func(r *regexp.Regexp) bool { return r.MatchString(statement) }) {
			wrong = append(wrong, fmt.Sprintf("outside a transaction only indexes are made and dropped CONCURRENTLY, constraints validated, comments written and rows changed in a DO that commits after each batch, not: %s", statement))
		}
		if m := index.FindStringSubmatch(statement); m != nil {
			if first := "DROP INDEX CONCURRENTLY IF EXISTS chat." + m[1]; !slices.Contains(seen, first) {
				wrong = append(wrong, fmt.Sprintf("an index that could not be made stays, and is invalid; so before it: %s;", first))
			}
		}
		seen = append(seen, statement)
	}
	return wrong
}

// statements are those of a migration, of both directions, as goose tells them apart, without comments.
func statements(text string) (all []string) {
	var lines []string
	block := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\n")
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "-- +goose StatementBegin":
			block = true
			continue
		case trimmed == "-- +goose StatementEnd":
			block = false
		case strings.HasPrefix(trimmed, "--") || trimmed == "":
			continue
		default:
			lines = append(lines, line)
		}
		if !block && len(lines) > 0 && strings.HasSuffix(lines[len(lines)-1], ";") {
			all = append(all, strings.TrimSuffix(strings.TrimSpace(strings.Join(lines, "\n")), ";"))
			lines = nil
		}
	}
	return all
}
