package doctor

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// usual is how pgchat doctor looks.
func usual(url string) Config {
	return Config{URL: url, ListenURL: url, Timeout: time.Minute, Limits: Usual(), Now: time.Now}
}

func examine(t *testing.T, cfg Config) *Report {
	t.Helper()
	report, err := Examine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// of gives what one check came to.
func of(t *testing.T, report *Report, name string) Check {
	t.Helper()
	for _, c := range report.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return Check{}
}

// wantFinding wants one whose what has the text, with something that it means and that mends it, which it returns.
func wantFinding(t *testing.T, report *Report, check string, severity Severity, what string) (mend string) {
	t.Helper()
	c := of(t, report, check)
	for _, f := range c.Findings {
		if strings.Contains(f.What, what) {
			if f.Severity != severity || f.Means == "" || f.Mend == "" {
				t.Errorf("%s: %+v, want it to be %s", check, f, severity)
			}
			return f.Mend
		}
	}
	t.Errorf("%s: nothing with %q in %+v", check, what, c)
	return ""
}

func wantFine(t *testing.T, report *Report) {
	t.Helper()
	for _, c := range report.Checks {
		if len(c.Findings) > 0 || c.Failed != "" || c.Skipped != "" {
			t.Errorf("%+v", c)
		}
	}
	if report.Status() != 0 {
		t.Errorf("status %d", report.Status())
	}
}

// becomes waits for a query to say true: PostgreSQL has no signal for it.
func becomes(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		var is bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&is); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", sql)
		}
	}
}

// Nothing is wrong with a fresh database; then one thing after another is, and is right again once it is mended as told.
func TestWhatIsWrongWithAClusterIsFoundAndMended(t *testing.T) {
	own, url := pgtest.Cluster(t)
	conn := pgtest.Connect(t, url)
	wantFine(t, examine(t, usual(url)))

	for setting, s := range map[string]Severity{
		"fsync = off": Error, "full_page_writes = off": Error, "synchronous_commit = off": Warning, "autovacuum = off": Warning, "track_counts = off": Warning,
	} {
		name, value, _ := strings.Cut(setting, " = ")
		exec(t, conn, "alter system set "+setting, "select pg_reload_conf()")
		becomes(t, conn, fmt.Sprintf(`select current_setting('%s') = '%s'`, name, value))
		mend := wantFinding(t, examine(t, usual(url)), "settings", s, name+" is "+value)
		exec(t, conn, strings.Split(mend, ";")[:2]...)
		becomes(t, conn, fmt.Sprintf(`select current_setting('%s') = 'on'`, name))
	}
	// Whoever set it, what mends it is said.
	for where, setting := range map[string]string{
		"role pgchat": "session_replication_role = replica", "database postgres": "session_replication_role = replica",
		"role pgchat in database postgres": "default_transaction_read_only = on", "role all": "default_transaction_read_only = on",
	} {
		exec(t, conn, fmt.Sprintf("alter %s set %s", where, setting))
		exec(t, conn, wantFinding(t, examine(t, usual(url)), "settings", Error, strings.Replace(setting, " = ", " is ", 1)))
	}
	client := examine(t, usual(url+" options='-c session_replication_role=replica'"))
	if mend := wantFinding(t, client, "settings", Error, "session_replication_role is replica"); !strings.Contains(mend, "out of DATABASE_URL") {
		t.Errorf("mended by %q", mend)
	}
	exec(t, conn, `alter role pgchat set session_replication_role = local`) // for triggers the same as origin
	wantFine(t, examine(t, usual(url)))
	exec(t, conn, `alter role pgchat reset all`)

	exec(t, conn, `alter system set max_notify_queue_pages = 1000`)
	restart := func() {
		t.Helper()
		if err := own.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn = pgtest.Connect(t, url)
	}
	restart()
	exec(t, conn, wantFinding(t, examine(t, usual(url)), "settings", Warning, "max_notify_queue_pages is 1000, not 1048576"))
	restart()
	wantFine(t, examine(t, usual(url)))

	exec(t, conn, `create database other encoding 'LATIN1' locale 'C' template template0`)
	other := own.URL("other")
	exec(t, pgtest.Connect(t, other), wantFinding(t, examine(t, usual(other)), "settings", Error, "encoding is LATIN1"))
	for database, want := range map[string]int{other: 2, own.URL("other_utf8"): 1} { // what that means
		var length int
		if err := pgtest.Connect(t, database).QueryRow(t.Context(), `select char_length('ü')`).Scan(&length); err != nil || length != want {
			t.Errorf("%s: ü has the length %d, want %d, error %v", database, length, want, err)
		}
	}
	if got := of(t, examine(t, usual(own.URL("other_utf8"))), "settings"); len(got.Findings) > 0 || got.Failed != "" {
		t.Errorf("%+v", got)
	}

	// Commits would wait for ever.
	exec(t, conn, `alter system set synchronous_standby_names = 'nobody'`, `select pg_reload_conf()`)
	becomes(t, conn, `select current_setting('synchronous_standby_names') = 'nobody'`)
	mend := wantFinding(t, examine(t, usual(url)), "replication", Error, "synchronous_standby_names")
	_, mend, _ = strings.Cut(mend, "or: ")
	exec(t, conn, strings.Split(mend, ";")[:2]...)
	becomes(t, conn, `select current_setting('synchronous_standby_names') = ''`)

	// A slot that nobody uses, and a standby that takes nothing.
	exec(t, conn, `select pg_create_physical_replication_slot('gone', true)`)
	follows(t, conn, url)
	exec(t, conn, `create table filler (n int)`)
	for range 3 {
		exec(t, conn, `insert into filler values (1)`, `select pg_switch_wal()`) // 16 MB each
	}
	few := usual(url)
	few.Limits.WAL = 32 << 20
	report := examine(t, few)
	exec(t, conn, wantFinding(t, report, "replication", Warning, `replication slot "gone"`))
	wantFinding(t, report, "replication", Warning, "standby lazy")
	if got := of(t, examine(t, few), "replication").Findings; slices.ContainsFunc(got, func(f Finding) bool { return strings.Contains(f.What, "slot") }) {
		t.Errorf("after mending: %+v", got)
	}
	if got := of(t, examine(t, usual(url)), "replication").Findings; len(got) > 0 {
		t.Errorf("that little: %+v", got)
	}

	// One that was not to hold more than it held.
	exec(t, conn, `select pg_create_physical_replication_slot('late', true)`, `alter system set max_slot_wal_keep_size = '1MB'`, `select pg_reload_conf()`)
	for range 4 {
		exec(t, conn, `insert into filler values (1)`, `select pg_switch_wal()`, `checkpoint`)
	}
	becomes(t, conn, `select wal_status = 'lost' from pg_replication_slots where slot_name = 'late'`)
	exec(t, conn, wantFinding(t, examine(t, usual(url)), "replication", Warning, `what replication slot "late" needs is gone`))
	if got := of(t, examine(t, usual(url)), "replication").Findings; len(got) > 0 {
		t.Errorf("after mending: %+v", got)
	}
}

// A standby is no place for a server; what can be looked at there is.
func TestAStandbyIsFound(t *testing.T) {
	own, _ := pgtest.Cluster(t)
	url := pgtest.Standby(t, own, "postgres")
	report := examine(t, usual(url))
	if mend := wantFinding(t, report, "server", Error, "is a standby"); !strings.Contains(mend, "target_session_attrs=read-write") {
		t.Errorf("mended by %q", mend)
	}
	for _, c := range report.Checks {
		skipped := slices.Contains([]string{"connections", "listening", "replication"}, c.Name)
		if c.Failed != "" || skipped != (c.Skipped != "") || c.Name != "server" && len(c.Findings) > 0 {
			t.Errorf("%+v", c)
		}
	}
	if report.Status() != 1 {
		t.Errorf("status %d, want 1", report.Status())
	}
	// Several hosts, one of which is the primary, are no fault.
	both := strings.Replace(url, " user=", ","+strings.Fields(own.URL("postgres"))[0][len("host="):]+" user=", 1) + " target_session_attrs=read-write"
	wantFine(t, examine(t, usual(strings.ReplaceAll(both, "','", ","))))
}

// follows connects a standby that confirms the position at which it begins, and nothing after.
func follows(t *testing.T, conn *pgx.Conn, url string) {
	t.Helper()
	var lsn string
	if err := conn.QueryRow(t.Context(), `select pg_current_wal_flush_lsn()::text`).Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	standby, err := pgconn.Connect(t.Context(), url+" replication=true application_name=lazy")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = standby.Conn().Close()
		<-ended
	})
	frontend := standby.Frontend()
	var high, low uint64
	if _, err := fmt.Sscanf(lsn, "%X/%X", &high, &low); err != nil {
		t.Fatal(err)
	}
	start(t, frontend, lsn, high<<32|low)
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, standby.Conn()) // what is sent would stop the server at the end
	}()
	becomes(t, conn, `select exists (select from pg_stat_replication where application_name = 'lazy' and replay_lsn is not null)`)
}

func TestWhatSessionsAndTheirNumberDoIsFound(t *testing.T) {
	_, url := pgtest.Cluster(t)
	conn := pgtest.Connect(t, url)
	soon := usual(url)
	soon.Limits.Idle, soon.Limits.Queue = 0, 0
	wantFine(t, examine(t, soon))

	// A listener that sleeps in a transaction, and what is told meanwhile: some pages of the queue.
	sleeper := pgtest.Connect(t, url+" application_name=sleeper")
	exec(t, sleeper, `listen anything`, `begin`)
	exec(t, conn, `select pg_notify('anything', repeat(n::text, 1000)) from generate_series(1000, 1099) n`)
	report := examine(t, soon)
	wantFinding(t, report, "notifications", Warning, "of the queue of notifications")
	exec(t, conn, strings.Split(wantFinding(t, report, "transactions", Warning, "(sleeper, user pgchat, database postgres) is idle in transaction"), ";")[0])
	becomes(t, conn, `select not exists (select from pg_stat_activity where application_name = 'sleeper')`)
	exec(t, conn, `listen anything`, `select pg_notify('anything', '')`, `unlisten *`)
	wantFine(t, examine(t, soon))

	// Busy for long is the same.
	long := usual(url)
	long.Limits.Transaction = 0
	busy := pgtest.Connect(t, url)
	exec(t, busy, `begin`)
	wantFinding(t, examine(t, long), "transactions", Warning, "idle in transaction")
	exec(t, busy, `rollback`)

	many := usual(url + " pool_max_conns=40")
	many.ListenURL = url
	wantFine(t, examine(t, many)) // one server
	exec(t, conn, `insert into chat.instances (id, name, version) select gen_random_uuid(), 'n' || n, 'test' from generate_series(1, 3) n`)
	wantFinding(t, examine(t, many), "connections", Warning, "3 servers open up to 123 connections")
	exec(t, conn, `update chat.instances set heartbeat_at = now() - interval '1 hour' where name <> 'n1'`)
	wantFine(t, examine(t, many))
	exec(t, conn, `alter database postgres connection limit 20`)
	exec(t, conn, wantFinding(t, examine(t, many), "connections", Warning, "one server opens up to 41 connections (pool_max_conns=40, and one to listen each), and the database or its user may have 20"))
	wantFine(t, examine(t, many))

	// A server whose pool is larger than what this doctor was given; one of another database.
	for range 12 {
		pgtest.Connect(t, url+" application_name=pgchat")
	}
	small := usual(url + " pool_max_conns=4")
	small.ListenURL = url
	wantFine(t, examine(t, small))
	exec(t, conn, `alter role pgchat connection limit 10`)
	exec(t, conn, wantFinding(t, examine(t, small), "connections", Warning, "one server has 12 connections open already, more than pool_max_conns=4 gives: it is larger there, and the database or its user may have 10"))
	large := usual(url + " pool_max_conns=90")
	large.ListenURL = url
	wantFine(t, examine(t, large))
	elsewhere := strings.Replace(url, "dbname='postgres'", "dbname='template1'", 1)
	for range 6 {
		pgtest.Connect(t, elsewhere+" application_name=pgchat")
	}
	wantFinding(t, examine(t, large), "connections", Warning, "and max_connections leaves 97")
}

func TestAPoolerThatLosesListenIsFound(t *testing.T) {
	url := pgtest.URL(t)
	pooled := usual(pgtest.Bouncer(t, url, "transaction"))
	wantFinding(t, examine(t, pooled), "listening", Warning, "by DATABASE_URL")
	pooled.ListenURL = url
	if c := of(t, examine(t, pooled), "listening"); len(c.Findings) > 0 || c.Failed != "" {
		t.Errorf("with a direct connection: %+v", c)
	}
	pooled.URL, pooled.ListenURL = url, pooled.URL
	wantFinding(t, examine(t, pooled), "listening", Warning, "by LISTEN_DATABASE_URL")
	pooled.ListenURL = pgtest.EmptyURL(t)
	wantFinding(t, examine(t, pooled), "listening", Error, "another database")
}

func TestAClockThatIsOffIsFound(t *testing.T) {
	cfg := usual(pgtest.URL(t))
	for by, want := range map[time.Duration]string{time.Hour: "behind this machine's", -time.Hour: "ahead of this machine's"} {
		cfg.Now = func() time.Time { return time.Now().Add(by) }
		wantFinding(t, examine(t, cfg), "clock", Warning, want)
	}
	cfg.Now = time.Now
	if c := of(t, examine(t, cfg), "clock"); len(c.Findings) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestWhatIsWrongWithTheSchemaIsFoundAndMended(t *testing.T) {
	url := pgtest.URL(t)
	conn := pgtest.Connect(t, url)
	found := func(check string, severity Severity, what string, statements ...string) (mend string) {
		t.Helper()
		exec(t, conn, statements...)
		return wantFinding(t, examine(t, usual(url)), check, severity, what)
	}
	fine := func(check string) {
		t.Helper()
		if c := of(t, examine(t, usual(url)), check); len(c.Findings) > 0 || c.Failed != "" || c.Skipped != "" {
			t.Errorf("%+v", c)
		}
	}
	for _, check := range []string{"migrations", "rights", "schema", "bloat", "integrity", "server"} {
		fine(check)
	}
	exec(t, conn, `insert into chat.users (name) values ('ada')`, `select chat.post('general', 'ada', 'message ' || n) from generate_series(1, 5) n`)

	exec(t, conn, found("schema", Error, "index chat.messages_rev_idx is missing", `drop index chat.messages_rev_idx`))
	exec(t, conn, found("schema", Error, "index chat.messages_rev_idx is not valid", `update pg_index set indisvalid = false where indexrelid = 'chat.messages_rev_idx'::regclass`))
	exec(t, conn, `create table spare as select * from chat.messages`)
	exec(t, conn, found("schema", Error, "trigger messages_before_update of chat.messages is missing", `drop trigger messages_before_update on chat.messages`))
	exec(t, conn, found("schema", Error, "trigger messages_after_update of chat.messages is disabled", `alter table chat.messages disable trigger messages_after_update`))
	mend := found("schema", Error, "foreign keys of chat.sessions are not enforced", `alter table chat.sessions disable trigger all`)
	exec(t, conn, mend)
	if mend := found("schema", Error, "constraint users_role_check of chat.users is missing", `alter table chat.users drop constraint users_role_check`); !strings.Contains(mend, "00001_chat.sql") && !strings.Contains(mend, ".sql has the statement") {
		t.Errorf("mended by %q", mend)
	}
	exec(t, conn, found("schema", Warning, "constraint users_role_check of chat.users is not validated", `alter table chat.users add constraint users_role_check check (role in ('member', 'admin')) not valid`))
	exec(t, conn, `drop table spare`)
	fine("schema")

	exec(t, conn, found("rights", Warning, "chat_app lacks its right to TABLE chat.messages: SELECT, INSERT, UPDATE", `revoke insert on chat.messages from chat_app`))
	// More than they should have: what can read a secret or write is worse than the rest.
	exec(t, conn, found("rights", Error, "everybody (PUBLIC) has SELECT on chat.sessions", `grant select on chat.sessions to public`))
	exec(t, conn, found("rights", Warning, "everybody (PUBLIC) has EXECUTE on chat.mine()", `create function chat.mine() returns int language sql return 1`))
	exec(t, conn, found("rights", Error, "chat_readonly has SELECT (password_hash) on chat.users", `grant select (password_hash) on chat.users to chat_readonly`))
	exec(t, conn, found("rights", Error, "chat_app has DELETE on chat.messages", `grant delete on chat.messages to chat_app`))
	exec(t, conn, found("rights", Warning, "chat_readonly has GRANT OPTION FOR SELECT on chat.rooms", `grant select on chat.rooms to chat_readonly with grant option`))
	exec(t, conn, found("rights", Error, "chat_app owns chat.pins", `alter table chat.pins owner to chat_app`))
	fine("rights")

	exec(t, conn, found("bloat", Warning, "autovacuum is off for chat.sessions", `alter table chat.sessions set (autovacuum_enabled = false)`))
	// In one transaction, so that nothing is cleared away meanwhile; the last row stands at the table's end.
	exec(t, conn, `alter table chat.instances set (autovacuum_enabled = off)`, `insert into chat.instances (id, name, version) select gen_random_uuid(), 'n' || n, repeat('x', 200) from generate_series(1, 40000) n`,
		`delete from chat.instances where name <> 'n40000'`, `select pg_stat_force_next_flush()`, `select 1`)
	becomes(t, conn, `select n_dead_tup > 30000 from pg_stat_user_tables where relid = 'chat.instances'::regclass`)
	exec(t, conn, found("bloat", Warning, "chat.instances has"))
	exec(t, conn, strings.Split(found("bloat", Warning, "chat.instances takes"), ";")[0])
	exec(t, conn, `alter table chat.instances reset (autovacuum_enabled)`)
	fine("bloat")

	view := "chat.gaps"
	if listed := of(t, examine(t, usual(url)), "integrity"); listed.Failed != "" || len(listed.Findings) > 0 {
		t.Errorf("%+v", listed)
	}
	var has bool
	if err := conn.QueryRow(t.Context(), `select to_regclass('chat.integrity') is not null`).Scan(&has); err != nil {
		t.Fatal(err)
	}
	if has {
		view = "chat.integrity"
	}
	found("integrity", Error, view+" has a row", `set session_replication_role = replica`, `delete from chat.messages where seq = 3`, `reset session_replication_role`)

	found("schema", Error, "function chat.tell_activity(text, text) is missing", `drop function chat.tell_activity(text, text)`)
	found("schema", Error, "view chat.surplus_rights is missing", `drop view chat.surplus_rights`, `grant select on chat.sessions to public`)
	fine("rights") // as far as can be seen without it

	found("migrations", Error, "99999 were applied", `insert into chat.schema_version (version_id, is_applied) values (99999, true)`)
	exec(t, conn, `delete from chat.schema_version where version_id = 99999`)
	if mend := found("migrations", Error, "are not applied", `delete from chat.schema_version where version_id = (select max(version_id) from chat.schema_version)`); !strings.Contains(mend, "pgchat migrate up") {
		t.Errorf("mended by %q", mend)
	}
	report := examine(t, usual(url))
	for _, check := range []string{"rights", "schema", "integrity"} {
		if c := of(t, report, check); c.Skipped == "" || len(c.Findings) > 0 {
			t.Errorf("a schema of another version: %+v", c)
		}
	}
	found("migrations", Error, "there is no schema chat", `drop schema chat cascade`)
}

// Autovacuum comes beyond a threshold and a share of the rows, the table's own or the server's. Where twice as many are dead it should have come.
func TestDeadRowsAreTooManyWhereAutovacuumIsLate(t *testing.T) {
	_, url := pgtest.Cluster(t)
	conn := pgtest.Connect(t, url)
	exec(t, conn, `alter table chat.instances set (autovacuum_enabled = off)`, `insert into chat.instances (id, name, version) select gen_random_uuid(), 'n' || n, '' from generate_series(1, 1000) n`,
		`vacuum (analyze) chat.instances`)
	cfg := usual(url)
	dead := 0
	late := func() bool {
		t.Helper()
		return slices.ContainsFunc(of(t, examine(t, cfg), "bloat").Findings, func(f Finding) bool {
			return strings.Contains(f.What, fmt.Sprintf("chat.instances has %d dead rows", dead))
		})
	}
	// upTo has so many rows dead.
	upTo := func(n int) {
		t.Helper()
		exec(t, conn, fmt.Sprintf(`delete from chat.instances where name in (select name from chat.instances order by name limit %d)`, n-dead), `select pg_stat_force_next_flush()`, `select 1`)
		dead = n
		becomes(t, conn, fmt.Sprintf(`select n_dead_tup = %d from pg_stat_user_tables where relid = 'chat.instances'::regclass`, n))
	}
	check := func(what string, due int) {
		t.Helper()
		if upTo(2 * due); late() {
			t.Errorf("%s: %d are too many", what, dead)
		}
		if upTo(2*due + 1); !late() {
			t.Errorf("%s: %d are not too many", what, dead)
		}
	}
	upTo(50)
	if late() {
		t.Error("so few are too many")
	}
	exec(t, conn, `alter table chat.instances set (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0)`)
	if late() {
		t.Error("fewer than the limit are too many")
	}
	cfg.Limits.Dead = 49
	if !late() {
		t.Error("more than the limit are not too many")
	}
	cfg.Limits.Dead = 0
	exec(t, conn, `alter table chat.instances set (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0.05)`)
	check("by what is set for the table", 60)
	exec(t, conn, `alter table chat.instances reset (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor)`, `alter system set autovacuum_vacuum_threshold = 20`, `alter system set autovacuum_vacuum_scale_factor = 0.1`, `select pg_reload_conf()`)
	becomes(t, conn, `select current_setting('autovacuum_vacuum_threshold') = '20' and current_setting('autovacuum_vacuum_scale_factor') = '0.1'`)
	check("by what is set for the server", 120)
	exec(t, conn, `alter system reset all`, `select pg_reload_conf()`)
	becomes(t, conn, `select current_setting('autovacuum_vacuum_threshold') = '50'`)
	check("by what is usual", 250)
	if conn.PgConn().ParameterStatus("server_version") < "18" {
		return
	}
	exec(t, conn, `alter table chat.instances set (autovacuum_vacuum_max_threshold = 300, autovacuum_vacuum_scale_factor = 1)`)
	check("by the most that there may be", 300)
	exec(t, conn, `alter table chat.instances set (autovacuum_vacuum_max_threshold = -1)`)
	if late() {
		t.Error("by no most that there may be: too many")
	}
}

func TestWhatCannotBeLookedAtIsSaid(t *testing.T) {
	url := pgtest.URL(t)
	// Who reads only sees as much as they may, and nothing fails for that.
	reader := examine(t, usual(pgtest.As(t, url, "chat_readonly")))
	for _, c := range reader.Checks {
		if c.Failed != "" || c.Skipped != "" {
			t.Errorf("as a reader: %+v", c)
		}
	}
	wantFinding(t, reader, "transactions", Note, "sessions of other users are not shown")
	wantFinding(t, reader, "rights", Note, "neither the schema's owner nor a member of chat_app")
	if c := of(t, examine(t, usual(pgtest.As(t, url, "chat_app"))), "rights"); len(c.Findings) > 0 {
		t.Errorf("as the server: %+v", c)
	}
	// Who has no right on the schema.
	nobody := examine(t, usual(pgtest.As(t, url, "")))
	if c := of(t, nobody, "migrations"); c.Failed == "" || nobody.Status() != 2 {
		t.Errorf("as nobody: %+v, status %d", c, nobody.Status())
	}
	// What takes too long.
	short := usual(url)
	short.Timeout = time.Millisecond
	conn := pgtest.Connect(t, url)
	exec(t, conn, `begin`, `lock table chat.messages`)
	if c := of(t, examine(t, short), "integrity"); !strings.Contains(c.Failed, "--timeout") {
		t.Errorf("%+v", c)
	}
	exec(t, conn, `rollback`)
	short.Quick = true
	if c := of(t, examine(t, short), "integrity"); c.Skipped == "" || c.Failed != "" {
		t.Errorf("%+v", c)
	}
	nowhere := strings.Replace(url, "dbname='", "dbname='no", 1)
	if _, err := Examine(t.Context(), usual(nowhere)); err == nil || !strings.Contains(err.Error(), "there is no database") {
		t.Errorf("error %v", err)
	}
	elsewhere := usual(url)
	elsewhere.ListenURL = nowhere
	if c := of(t, examine(t, elsewhere), "listening"); !strings.Contains(c.Failed, "LISTEN_DATABASE_URL") {
		t.Errorf("%+v", c)
	}
}

func TestAnOldServerIsFound(t *testing.T) {
	for version, findings := range map[int]int{140012: 1, 150001: 0, 180004: 0} {
		v := &visit{result: &Check{}}
		v.oldVersion(version)
		if len(v.result.Findings) != findings {
			t.Errorf("%d: %+v", version, v.result.Findings)
		}
	}
}

// Roles are the cluster's, so that what they are and are members of is looked at in one of the test's own.
func TestARoleThatIsMoreThanItShouldBeIsFoundAndMended(t *testing.T) {
	_, url := pgtest.Cluster(t)
	conn := pgtest.Connect(t, url)
	for _, c := range []struct {
		sql, what string
		severity  Severity
	}{
		{`alter role chat_readonly superuser`, "chat_readonly is SUPERUSER", Error},
		{`alter role chat_app bypassrls`, "chat_app is BYPASSRLS", Error},
		{`alter role chat_app createdb`, "chat_app is CREATEDB", Warning},
		{`grant pg_read_all_data to chat_readonly`, "chat_readonly is a member of pg_read_all_data, which brings it SELECT", Error},
		{`grant pgchat to chat_moderator`, "chat_moderator is a member of pgchat, which brings it", Error},
		{`grant chat_readonly to chat_moderator with admin option`, "chat_moderator is a member of chat_readonly, which brings it ADMIN OPTION", Warning},
	} {
		exec(t, conn, c.sql)
		report := examine(t, usual(url))
		mend := wantFinding(t, report, "rights", c.severity, c.what)
		if report.Status() != 1 || !strings.HasSuffix(mend, "-- as a superuser") {
			t.Errorf("%s: status %d, mended by %q", c.sql, report.Status(), mend)
		}
		exec(t, conn, mend)
		if got := of(t, examine(t, usual(url)), "rights"); len(got.Findings) > 0 {
			t.Errorf("%s: after mending %+v", c.sql, got)
		}
	}
}

// A role that is not there is no fault, but worth knowing.
func TestARoleThatIsMissingIsNoted(t *testing.T) {
	_, url := pgtest.Cluster(t)
	exec(t, pgtest.Connect(t, url), `drop owned by chat_moderator`, `drop role chat_moderator`)
	report := examine(t, usual(url))
	exec(t, pgtest.Connect(t, url), wantFinding(t, report, "rights", Note, "there is no role chat_moderator"))
	if report.Status() != 0 {
		t.Errorf("status %d", report.Status())
	}
	wantFine(t, examine(t, usual(url)))
}

// All indexes, constraints and functions are known, and those triggers that a migration names.
func TestWhatMigrationsMakeIsKnown(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.URL(t))
	objects, _, err := expected()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `select 'INDEX chat.' || relname from pg_class where relnamespace = 'chat'::regnamespace and relkind = 'i'
		union all select 'CONSTRAINT ' || conname from pg_constraint where connamespace = 'chat'::regnamespace and contype <> 'n'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(objects, func(o object) bool { return o.kind+" "+o.name == name }) {
			t.Errorf("unknown: %s", name)
		}
	}
}

// start begins to follow at a position, and confirms that.
func start(t *testing.T, frontend *pgproto3.Frontend, lsn string, at uint64) {
	t.Helper()
	frontend.Send(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + lsn})
	if err := frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		message, err := frontend.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := message.(type) {
		case *pgproto3.CopyBothResponse:
			status := []byte{'r'}
			for range 3 { // written, flushed, replayed
				status = binary.BigEndian.AppendUint64(status, at)
			}
			frontend.Send(&pgproto3.CopyData{Data: append(binary.BigEndian.AppendUint64(status, 0), 0)})
			if err := frontend.Flush(); err != nil {
				t.Fatal(err)
			}
			return
		case *pgproto3.ErrorResponse:
			t.Fatalf("%+v", m)
		}
	}
}
