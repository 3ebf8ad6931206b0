package store_test

import (
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

var update = flag.Bool("update", false, "write the golden files of testdata/plans anew")

//go:embed testdata/plans/fill.sql
var fill string

// What the plans are for: room-10, user-1 in it, and others that fill.sql makes.
const (
	aRoom     = "00000000-0000-4000-a000-00000000000a"
	aUser     = "00000000-0000-4000-8000-000000000001"
	anotherID = "0192f8a0-5e1c-7c3a-9b1e-0123456789ab"
	aFile     = "00000000-0000-4000-b00a-000000000007"
)

// bigTables are those that grow with what is said and done.
var bigTables = []string{"messages", "members", "reactions", "replies", "mentions", "pins", "files", "file_chunks", "room_events", "search_documents", "search_vocabulary", "sessions", "message_history", "audit_log"}

// samples are arguments by the parameter's name, or by the query's and the parameter's; others are by type.
var samples = map[string]string{
	"room_id": aRoom, "room_ids": "{" + aRoom + "}", "in_rooms": "{}", "authors": "{}", "phrases": "{}", "has": "{}", "without": "{}", "id": anotherID, "ids": "{" + anotherID + "}",
	"FileFor.id": aFile, "FileThumbnail.id": aFile, "file_id": aFile, "file_ids": "{}", "Reactions.id": "01920000-0000-7000-8000-000000000100",
	"instance_id": "00000000-0000-4000-9000-000000000001", "RoomByID.id": aRoom, "UpdateRoom.id": aRoom, "ArchiveRoom.id": aRoom, "KeepMessages.id": aRoom,
	"slug": "room-10", "part": "ser-12", "name": "user-7", "user_name": "user-7", "UpdateRoom.name": "another name", "names": "{user-7,user-8}", "role": "owner", "notify": "all", "listener": "hears",
	"before": "600", "since": "now", "until": "now", "from_at": "now", "forms": "{w12 w13}", "words": "{w12,w13*}", "exact": "w3", "most": "40", "max_rows": "50", "budget_ms": "1000",
	"reply_tos": "{4}", "reply_to": "4", "AddReplies.seqs": "{30}", "most_in_all": "1000000000", "emojis": "{🎉}", "AddPin.seq": "30", "InsertPastMessages.authors": "{" + aUser + "}", "AddPastReactions.users": "{" + aUser + "}",
	"people": "{" + aUser + ",00000000-0000-4000-8000-000000000003}", "AttachPastFile.id": aFile, "AddFileChunk.n": "1", "SetStatus.emoji": "🎉", "Event.id": anotherID,
	"SweepHistory.history_seconds": "7776000", "SweepHistory.audit_seconds": "31536000", "AddReaction.1": aRoom, "AddReaction.3": "🎉", "RemoveReaction.1": aRoom, "RemovePin.1": aRoom, "AddRoom.kind": "private", "AddRoom.slug": "a-new-room", "AddRoom.name": "a new room", "RegisterInstance.1": anotherID, "AddUser.1": "somebody", "AddUser.2": "member",
}

var byType = map[string]string{
	"uuid": aUser, "uuid[]": "{" + aUser + "}", "text": "x", "text[]": "{x}", "bigint": "5", "bigint[]": "{5}", "integer": "5", "integer[]": "{5}", "boolean": "f", "boolean[]": "{f}",
	"timestamp with time zone": "now", "timestamp with time zone[]": "{now}", "double precision": "5", "bytea": `\x` + strings.Repeat("ab", 32), "bytea[]": `{"\\x00"}`,
}

// statement is something to be planned: a query of queries/, whose parameters have names, or SQL as it is typed.
type statement struct {
	name, sql string
	params    []string
	most      int    // of big tables it reads no more rows than so many, 0: it is not looked at,
	of        string // for each row that this counts; "": in all
}

var (
	queryHead = regexp.MustCompile(`(?m)^-- name: (\w+) :\w+\n`)
	queryArg  = regexp.MustCompile(`sqlc\.n?arg\((\w+)\)|\$(\d+)`)
)

// queriesOf reads a file of queries as sqlc does: a parameter's number is its place among the different names.
func queriesOf(t *testing.T, file string) (all []statement) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	heads := queryHead.FindAllStringSubmatchIndex(string(text), -1)
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		s := statement{name: string(text[h[2]:h[3]])}
		s.sql = queryArg.ReplaceAllStringFunc(strings.TrimRight(strings.TrimSpace(string(text[h[1]:end])), ";"), func(arg string) string {
			name := strings.Join(queryArg.FindStringSubmatch(arg)[1:], "")
			if !slices.Contains(s.params, name) {
				s.params = append(s.params, name)
			}
			return "$" + strconv.Itoa(slices.Index(s.params, name)+1)
		})
		all = append(all, s)
	}
	return all
}

// prepare returns what executes the statement with sample arguments.
func (s statement) prepare(t *testing.T, db *pgx.Conn) string {
	t.Helper()
	if len(s.params) == 0 {
		return s.sql
	}
	do(t, db, `prepare `+s.name+` as `+s.sql, pgx.QueryExecModeSimpleProtocol)
	var types []string
	if err := db.QueryRow(t.Context(), `select parameter_types::text[] from pg_prepared_statements where name = $1`, strings.ToLower(s.name)).Scan(&types); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(types))
	for i, typ := range types {
		value, ok := samples[s.name+"."+s.params[i]]
		if !ok {
			value, ok = samples[s.params[i]]
		}
		if !ok {
			value, ok = byType[typ]
		}
		if !ok {
			t.Fatalf("parameter %s of %s is of type %s: add one to byType", s.params[i], s.name, typ)
		}
		args[i] = "'" + value + "'"
	}
	return `execute ` + s.name + `(` + strings.Join(args, ", ") + `)`
}

// shape is a plan without all that changes with figures: its nodes, and by what indexes are read.
func shape(t *testing.T, db *pgx.Conn, sql string) string {
	t.Helper()
	r, err := db.Query(t.Context(), `explain (costs off) `+sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	keep := regexp.MustCompile(`^\S|->|^\s*(InitPlan|SubPlan|CTE|Index Cond)\b`)
	plan := "    " + strings.Join(slices.DeleteFunc(lines, func(line string) bool { return !keep.MatchString(line) }), "\n    ") + "\n"
	return bitmap.ReplaceAllString(plan, "${1}Index Scan using $4 on $2\n$3$5")
}

// bitmap is a scan by one index through a bitmap: for few rows as good as one without, and chosen as the table is laid out.
var bitmap = regexp.MustCompile(`(?m)^(.*)Bitmap Heap Scan on (.+)\n( *)->  Bitmap Index Scan on (\S+)\n {6} *(Index Cond.*)`)

// sequentially returns which big tables the statement reads from beginning to end, and how many rows it reads of all of them, in functions
// and triggers as well.
func sequentially(t *testing.T, db *pgx.Conn, sql string) (tables []string, rows int, took time.Duration) {
	t.Helper()
	do(t, db, `begin`)
	defer do(t, db, `rollback`)
	scans := func() (n map[string]int, read int) {
		n = map[string]int{}
		r, err := db.Query(t.Context(), `select relname::text, seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where schemaname = 'chat' and relname = any ($1)`, bigTables)
		if err != nil {
			t.Fatal(err)
		}
		var name string
		var scans, rows int
		if _, err := pgx.ForEachRow(r, []any{&name, &scans, &rows}, func() error { n[name] = scans; read += rows; return nil }); err != nil {
			t.Fatal(err)
		}
		return n, read
	}
	before, readBefore := scans()
	began := time.Now()
	if _, err := db.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Errorf("%s: %v; samples has the arguments", sql, err)
		return nil, 0, 0
	}
	took = time.Since(began)
	after, read := scans()
	for name, n := range after {
		if n > before[name] {
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	return tables, read - readBefore, took
}

// bound is how many rows of big tables the statement may read; 0: any number.
func (s statement) bound(t *testing.T, db *pgx.Conn) int {
	t.Helper()
	if s.of == "" {
		return s.most
	}
	return s.most * one[int](t, db, s.of)
}

// dba is what DBAs type that is in no file of queries.
var dba = []statement{
	{name: "a message is posted", sql: `select chat.post('room-10', 'user-1', 'hello, @user-2')`},
	{name: "a message is edited", sql: `update chat.messages set body = 'edited' where room_id = '` + aRoom + `' and seq = 5`},
	{name: "a message is deleted from sight", sql: `update chat.messages set deleted_at = now() where room_id = '` + aRoom + `' and seq = 5`},
	{name: "a message is removed", sql: `delete from chat.messages where room_id = '` + aRoom + `' and seq = 13`},
	{name: "messages that are too old are removed", sql: `select * from chat.retain()`, most: 9000},
	{name: "a room is removed", sql: `delete from chat.rooms where slug = 'room-999'`},
	{name: "somebody is called otherwise", sql: `update chat.users set name = 'somebody' where lower(name) = 'user-17'`},
	{name: "what is in a room is checked", sql: `select * from chat.integrity_of('room-500')`},
	{name: "a user who has said nothing is deleted", sql: `delete from chat.users where lower(name) = 'user-1002'`, most: 120, of: `select count(*) from chat.members where user_id = chat.find_user('user-1002')`},
	{name: "two users are made one", sql: `select chat.merge_users('user-5', 'user-9')`, most: 1, // of a room that is joined or left up to 101 members are counted
		of: `select (select 30 * count(*) from chat.messages where author_id = u) + (select 110 * count(*) from chat.members where user_id = u) from chat.find_user('user-5') u`},
	{name: "messages are moved", sql: `select * from chat.move_messages('room-10', '{5,6,7,8,13}', 'room-20')`, most: 75},
	{
		name: "what messages were and what was done is removed when it is old", sql: `select chat.sweep_history('90 days', '365 days')`, most: 1,
		of: `select (select count(*) from chat.message_history where changed_at < now() - interval '90 days') + (select count(*) from chat.audit_log where at < now() - interval '365 days')`,
	},
	{name: "what a message was", sql: `select said_at, secret_body, change, changed_at from chat.message_history where room_id = '` + aRoom + `' and seq = 13 order by id`, most: 2},
	{name: "an erased message is brought back", sql: `select h.secret_body from chat.message_history h where h.id = (select max(id) from chat.message_history where room_id = '` + aRoom + `' and seq = 13 and change = 'edited')`, most: 2},
	{name: "what was changed last in a room", sql: `select seq, secret_body, changed_at from chat.message_history where room_id = '` + aRoom + `' order by id desc limit 20`, most: 20},
	{name: "what somebody had said, the last of it", sql: `select seq, secret_body, changed_at from chat.message_history where author_id = '` + aUser + `' order by id desc limit 20`, most: 20},
	{
		name: "what was changed in an hour", sql: `select seq, secret_body, changed_at from chat.message_history where changed_at between now() - interval '3 hours' and now() - interval '2 hours' order by id`, most: 1,
		of: `select 9 + count(*) from chat.message_history where changed_at between now() - interval '3 hours' and now() - interval '2 hours'`,
	},
	{name: "what was done last", sql: `select * from chat.audit_log order by id desc limit 20`, most: 20},
	{
		name: "what was done with messages in a day", sql: `select at, actor, operation, rows, key ->> 'seq' from chat.audit_log where table_name = 'messages' and at > now() - interval '1 day' order by id`, most: 1,
		of: `select 9 + count(*) from chat.audit_log where at > now() - interval '1 day'`,
	},
	{name: "what was done with rooms, the last of it", sql: `select at, operation, old, new from chat.audit_log where table_name = 'rooms' order by id desc limit 20`, most: 20},
	{name: "who joined and left a room", sql: `select at, operation, old, new from chat.audit_log where table_name = 'members' and key ->> 'room_id' = '` + aRoom + `' order by id desc limit 20`, most: 20},
	{name: "what was done with a message", sql: `select at, actor, operation from chat.audit_log where key ->> 'id' = (select id::text from chat.messages where room_id = '` + aRoom + `' and seq = 13) order by id`, most: 3},
	{name: "what somebody did, the last of it", sql: `select at, table_name, operation, key from chat.audit_log where actor_id = '` + aUser + `' order by id desc limit 20`, most: 20},
	{name: "where somebody was added and removed", sql: `select at, operation, key from chat.audit_log where key ->> 'user_id' = '` + aUser + `' order by id desc limit 20`, most: 20},
	{name: "what retention has removed", sql: `select at, key ->> 'room_id', rows from chat.audit_log where table_name = 'messages' and old ? 'keep_days' order by id desc limit 10`, most: 10},
	{name: "how long rooms were to keep messages", sql: `select at, actor, old, new from chat.audit_log where table_name = 'rooms' and new ? 'keep_days' order by id desc`, most: 1, of: `select count(*) from chat.audit_log where table_name = 'rooms'`},
	{
		name: "what was noted of somebody is erased", sql: `delete from chat.audit_log where actor_id = '` + aUser + `' or table_name = 'users' and key ->> 'id' = '` + aUser + `' or key ->> 'user_id' = '` + aUser + `'`, most: 1,
		of: `select 1 + count(*) from chat.audit_log where actor_id = '` + aUser + `' or key ->> 'user_id' = '` + aUser + `'`,
	},
	{name: "what somebody had said is erased", sql: `delete from chat.message_history where author_id = '` + aUser + `'`, most: 1, of: `select count(*) from chat.message_history where author_id = '` + aUser + `'`},
}

// TestPlansReadNoBigTableWhole holds the plans of all queries and views to golden files, made with more rows than any plan for small tables
// bears, and executes each once to see that no function or trigger reads a big table from end to end. Plans are as PostgreSQL 18
// makes them; of others only the latter is wanted.
//
//	go test ./internal/store -run Plans -update    writes the files anew
//	make plans                                     compares them with the plans for 10 million messages
func TestPlansReadNoBigTableWhole(t *testing.T) {
	messages, all := 100_000, false
	if n := os.Getenv("PGCHAT_PLANS_MESSAGES"); n != "" {
		var err error
		if messages, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
		all = true
	}
	db := pgtest.Connect(t, pgtest.URL(t))
	began := time.Now()
	for _, sql := range []string{strings.ReplaceAll(fill, ":messages", strconv.Itoa(messages)), `vacuum (analyze)`, `set jit = off`, `set max_parallel_workers_per_gather = 0`} {
		if _, err := db.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("filled with %d messages in %s", messages, time.Since(began).Round(time.Second))
	wants(t, db, `select "check" || ' ' || object || ' ' || detail from chat.integrity_of('room-10')`)
	golden := strings.HasPrefix(db.PgConn().ParameterStatus("server_version"), "18")

	files, err := filepath.Glob("../../queries/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string][]statement{"dba": dba}
	for _, file := range files {
		groups[strings.TrimSuffix(filepath.Base(file), ".sql")] = queriesOf(t, file)
	}
	r, err := db.Query(t.Context(), `select viewname::text from pg_views where schemaname = 'chat' order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	views, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, view := range views {
		groups["views"] = append(groups["views"], statement{name: view, sql: `select * from chat.` + view})
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		t.Run(name, func(t *testing.T) {
			var shapes strings.Builder
			for _, s := range groups[name] {
				do(t, db, `set plan_cache_mode = force_generic_plan`)
				sql := s.prepare(t, db)
				fmt.Fprintf(&shapes, "%s\n%s\n", s.name, shape(t, db, sql))
				read, whole := wholly[s.name]
				if whole && !all {
					continue
				}
				for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
					do(t, db, `set plan_cache_mode = `+mode)
					tables, rows, took := sequentially(t, db, sql)
					if len(tables) > 0 && !slices.Equal(tables, read) {
						t.Errorf("%s (%s) reads %v from beginning to end:\n%s", s.name, mode, tables, shape(t, db, sql))
					}
					if most := s.bound(t, db); most > 0 && rows > most {
						t.Errorf("%s (%s) reads %d rows of big tables, want %d at most", s.name, mode, rows, most)
					}
					if name == "views" || name == "dba" {
						t.Logf("%s: %s, %d rows of big tables", s.name, took.Round(100*time.Microsecond), rows)
					}
					if len(s.params) == 0 {
						break
					}
				}
			}
			if golden {
				sameAs(t, filepath.Join("testdata", "plans", name+".txt"), shapes.String(), all)
			}
		})
	}
}

// wholly are the views that read all there is, and say so, with the tables that they read from beginning to end. Only make plans waits for them.
var wholly = map[string][]string{"gaps": {"messages"}, "integrity": nil}

// sameAs compares plans to those in the file, which are made with 100,000 messages: with many more another may be better, and is told.
func sameAs(t *testing.T, file, got string, larger bool) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./internal/store -run Plans -update writes it", err)
	}
	known := map[string]string{}
	for plan := range strings.SplitSeq(string(want), "\n\n") {
		name, _, _ := strings.Cut(plan, "\n")
		known[name] = plan
	}
	for plan := range strings.SplitSeq(got, "\n\n") {
		name, _, _ := strings.Cut(plan, "\n")
		old, ok := known[name]
		delete(known, name)
		switch {
		case !ok:
			t.Errorf("%s has no plan of %s; go test ./internal/store -run Plans -update writes it", file, name)
		case old != plan && larger:
			t.Logf("with so many messages another plan than in %s:\n%s\nit was:\n%s", file, plan, old)
		case old != plan:
			t.Errorf("another plan than in %s; where it is as good, go test ./internal/store -run Plans -update writes it:\n%s\nit was:\n%s", file, plan, old)
		}
	}
	for name := range known {
		t.Errorf("%s has a plan of %s, which is no more; go test ./internal/store -run Plans -update takes it out", file, name)
	}
}
