package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// visitor is a session of a user who is a member of one role alone.
type visitor struct {
	t    *testing.T
	role string
	conn *pgx.Conn
}

func visit(t *testing.T, pool *pgxpool.Pool, role string) visitor {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.As(t, pool.Config().ConnString(), role))
	return visitor{t, role, conn}
}

// try tries statements, of which nothing stays, and returns the SQLSTATE of each; "": it was done.
func (v visitor) try(statements ...string) (states []string) {
	v.t.Helper()
	for _, sql := range []string{
		`create or replace function pg_temp.try(statements text[]) returns text[] language plpgsql as $$
		declare
			states text[] := '{}';
			sql text;
		begin
			foreach sql in array statements loop
				begin
					execute sql;
					raise exception using errcode = 'PCOOK';
				exception when others then
					states := states || case sqlstate when 'PCOOK' then '' else sqlstate end;
				end;
			end loop;
			return states;
		end $$`,
		`select pg_temp.try($1)`,
	} {
		if !strings.Contains(sql, "$1") {
			if _, err := v.conn.Exec(v.t.Context(), sql); err != nil {
				v.t.Fatal(err)
			}
		} else if err := v.conn.QueryRow(v.t.Context(), sql, statements).Scan(&states); err != nil || len(states) != len(statements) {
			v.t.Fatalf("tried %d statements, have %d results, error %v", len(statements), len(states), err)
		}
	}
	return states
}

const denied = "42501"

func (v visitor) wantDenied(statements ...string) {
	v.t.Helper()
	for i, state := range v.try(statements...) {
		// That a view, or a column of it, cannot be written is found out before anybody's rights are looked at.
		if state != denied && state != "55000" && state != "0A000" {
			v.t.Errorf("%q may (%s): %s", v.role, state, statements[i])
		}
	}
}

func (v visitor) wantAllowed(statements ...string) {
	v.t.Helper()
	for i, state := range v.try(statements...) {
		if state == denied {
			v.t.Errorf("%q may not: %s", v.role, statements[i])
		}
	}
}

// listed gives the texts of a query on the catalogue.
func listed(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(texts) == 0 {
		t.Fatalf("%s: %q, error %v", sql, texts, err)
	}
	return texts
}

const (
	// The arguments are no constants: a strict function of those is not called at all, and nobody's rights are looked at.
	calls = `select format('select chat.%I(%s) from (select %s offset 0) a', proname,
			(select string_agg('a' || n, ', ' order by n) from unnest(proargtypes) with ordinality as x (a, n)),
			(select string_agg('null::' || format_type(a, null) || ' as a' || n, ', ' order by n) from unnest(proargtypes) with ordinality as x (a, n)))
		from pg_proc p where pronamespace = 'chat'::regnamespace and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`
	relations = `select relname from pg_class where relnamespace = 'chat'::regnamespace and relkind in ('r', 'p', 'v', 'm')`
	tables    = `select relname from pg_class where relnamespace = 'chat'::regnamespace and relkind in ('r', 'p')`
	columns   = `select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relnamespace = 'chat'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')`
)

// each puts what was listed into statements.
func each(names []string, statements ...string) (all []string) {
	for _, name := range names {
		for _, sql := range statements {
			all = append(all, fmt.Sprintf(sql, name))
		}
	}
	return all
}

// selects are statements that read one column each.
func selects(columns []string) (all []string) {
	for _, c := range columns {
		table, column, _ := strings.Cut(c, ".")
		all = append(all, fmt.Sprintf(`select %q from chat.%q`, column, table))
	}
	return all
}

// updates are statements that change one column each.
func updates(columns []string) (all []string) {
	for _, c := range columns {
		table, column, _ := strings.Cut(c, ".")
		all = append(all, fmt.Sprintf(`update chat.%q set %q = default where false`, table, column))
	}
	return all
}

// write is what changes rows of a relation, and own what only its owner may.
var (
	write = []string{`insert into chat.%q select from chat.rooms where false`, `delete from chat.%q where false`}
	own   = []string{`truncate chat.%q`, `alter table chat.%q disable trigger all`, `alter table chat.%q rename to gone`, `drop table chat.%q cascade`}
)

// secrets are what nobody but the server reads. A column that is here by its name or type alone is no reason to worry; one that
// holds a secret and is not here is: give it a name that chat.rights knows.
var secrets = []string{"file_chunks.data", "files.thumbnail", "message_history.secret_body", "sessions.token_hash", "tokens.token_hash", "users.password_hash"}

func TestReadersReadAllButSecretsAndWriteNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, role := range []string{"chat_readonly", "chat_moderator"} {
		v, all := visit(t, pool, role), listed(t, pool, columns)
		for i, state := range v.try(selects(all)...) {
			switch hidden := state == denied; {
			case !hidden && slices.Contains(secrets, all[i]):
				t.Errorf("%s reads %s", role, all[i])
			case hidden && !slices.Contains(secrets, all[i]) && !regexp.MustCompile(`\..*(password|secret|hash|token|private_key)`).MatchString(all[i]):
				t.Errorf("%s does not read %s", role, all[i])
			}
		}
		v.wantDenied(updates(all)...)
		v.wantDenied(each(listed(t, pool, relations), write...)...)
		v.wantDenied(each(listed(t, pool, tables), own...)...)
		v.wantAllowed(listed(t, pool, calls+` and prorettype <> 'trigger'::regtype and provolatile <> 'v'`)...)
		v.wantDenied(listed(t, pool, calls+` and (prorettype = 'trigger'::regtype or provolatile = 'v' and not prosecdef)`)...)
		if moderating := listed(t, pool, calls+` and prorettype <> 'trigger'::regtype and prosecdef and provolatile = 'v'`); role == "chat_moderator" {
			v.wantAllowed(moderating...)
		} else {
			v.wantDenied(moderating...)
		}
	}
}

func TestTheServersRoleDoesWhatTheServerNeedsAndNoMore(t *testing.T) {
	pool := pgtest.Pool(t)
	v := visit(t, pool, "chat_app")
	v.wantAllowed(selects(listed(t, pool, columns))...)
	v.wantDenied(each(listed(t, pool, tables), own...)...)
	v.wantDenied(
		`insert into chat.schema_version (version_id, is_applied) values (99999, true)`, `update chat.schema_version set is_applied = false`,
		`delete from chat.schema_version`, `delete from chat.users`, `delete from chat.rooms`, `delete from chat.room_heads`, `delete from chat.messages`,
		`delete from chat.room_events`, `update chat.room_events set kind = 'left'`,
		`insert into chat.audit_log (table_name, operation) values ('rooms', 'UPDATE')`, `update chat.audit_log set actor = 'bob'`, `insert into chat.message_history default values`, `update chat.message_history set change = 'edited'`,
		`create table chat.mine (id int)`, `create function chat.mine() returns int language sql return 1`, `create role mine`, `set session_replication_role = replica`,
		`create trigger mine before insert on chat.messages for each row execute function suppress_redundant_updates_trigger()`,
		`alter function chat.tell_activity(text, text) security definer`, `drop schema chat cascade`, `alter schema chat rename to mine`,
		`select chat.grant_rights()`, `select * from pg_authid`)
	v.wantAllowed(listed(t, pool, calls+` and prorettype <> 'trigger'::regtype and proname not in ('grant_rights', 'merge_users', 'move_messages')`)...)
	v.wantDenied(listed(t, pool, calls+` and proname in ('merge_users', 'move_messages')`)...)
	v.wantDenied(listed(t, pool, calls+` and prorettype = 'trigger'::regtype`)...)
	// What the server's queries, and the functions that it may call, delete it may delete.
	said := listed(t, pool, `select prosrc from pg_proc where pronamespace = 'chat'::regnamespace and prorettype <> 'trigger'::regtype and not prosecdef`)
	files, err := filepath.Glob("../../queries/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(text))
	}
	for _, m := range regexp.MustCompile(`DELETE FROM (?:chat\.)?(\w+)`).FindAllStringSubmatch(strings.Join(said, "\n"), -1) {
		v.wantAllowed(fmt.Sprintf(`delete from chat.%q`, m[1]))
	}
}

func TestNobodyElseHasAnything(t *testing.T) {
	pool := pgtest.Pool(t)
	v := visit(t, pool, "")
	v.wantDenied(selects(listed(t, pool, columns))...)
	v.wantDenied(listed(t, pool, calls)...)
	// Nor where somebody lets everybody into the schema.
	if _, err := pool.Exec(t.Context(), `grant usage on schema chat to public`); err != nil {
		t.Fatal(err)
	}
	v.wantDenied(selects(listed(t, pool, columns))...)
	v.wantDenied(each(listed(t, pool, relations), write...)...)
	v.wantDenied(each(listed(t, pool, tables), own...)...)
	v.wantDenied(listed(t, pool, calls)...)
}

// A moderator acts through functions as the owner: nothing that the moderator brings along may stand in their way.
func TestFunctionsOfTheOwnersRightsLookNowhereElse(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, f := range listed(t, pool, `select p.oid::regprocedure || ' ' || coalesce(array_to_string(proconfig, ' '), '') from pg_proc p where pronamespace = 'chat'::regnamespace and prosecdef`) {
		if !strings.Contains(f, "search_path=chat, pg_temp") {
			t.Errorf("SECURITY DEFINER without a search_path of its own: %s", f)
		}
	}
}

func TestAModeratorActsByFunctions(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), addRoom(t, pool, "a")
	mustPost(t, pool, message{room, ada, ada, "hello"})
	v := visit(t, pool, "chat_moderator")
	if _, err := v.conn.Exec(t.Context(), `select chat.pin('a', 1, 'ada')`); err != nil {
		t.Fatal(err)
	}
	if n := listed(t, pool, `select count(*)::text from chat.pins`)[0]; n != "1" {
		t.Errorf("%s pins", n)
	}
}

func TestRightsAreGivenAnew(t *testing.T) {
	pool := pgtest.Pool(t)
	held := func() string {
		return listed(t, pool, `select count(*) filter (where held) || ' of ' || count(*) from chat.rights`)[0]
	}
	all := held()
	if a, b, _ := strings.Cut(all, " of "); a != b {
		t.Fatalf("held are %s", all)
	}
	for _, sql := range []string{
		// What is taken away, what is too much, and what is new, a secret in a table that was read whole among it.
		`revoke all on all tables in schema chat from chat_readonly`, `revoke usage on schema chat from chat_app`,
		`grant select on chat.sessions to public`, `grant delete on chat.messages to chat_app`,
		`alter table chat.rooms add webhook_secret text`, `create table chat.later (id serial)`,
		`create function chat.later() returns void language sql as ''`,
		`select chat.grant_rights()`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if a, b, _ := strings.Cut(held(), " of "); a != b || b == strings.Split(all, " of ")[1] {
		t.Errorf("held are %s of %s, before it was %s", a, b, all)
	}
	app, reader, nobody := visit(t, pool, "chat_app"), visit(t, pool, "chat_readonly"), visit(t, pool, "")
	reader.wantAllowed(`select name from chat.rooms`)
	reader.wantDenied(`select webhook_secret from chat.rooms`)
	reader.wantDenied(`select chat.later()`)
	app.wantAllowed(`insert into chat.later default values`)
	app.wantAllowed(`select chat.later()`)
	app.wantDenied(`delete from chat.messages`)
	nobody.wantDenied(`select chat.later()`)
	nobody.wantDenied(`select user_id from chat.sessions`)
}
