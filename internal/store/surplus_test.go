package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

const (
	surplus = `select concat_ws(' | ', role, kind, object, replace(privileges, 'MAINTAIN, ', ''), severe) from chat.surplus_rights` // MAINTAIN is of PostgreSQL 17 and newer
	// inEffect is all that the roles and everybody have in the chat by whatever way, as PostgreSQL itself judges when they come. It asks for
	// what an owner has, which no list of privileges can lack.
	inEffect = `with roles as (select unnest(array['public', 'chat_app', 'chat_readonly', 'chat_moderator']) as role),
			things as (select oid, relname, relkind = 'S' as counts from pg_class where relnamespace = 'chat'::regnamespace and relkind in ('r', 'v', 'S')),
			functions as (select oid from pg_proc where pronamespace = 'chat'::regnamespace)
		select concat_ws(' ', role, a.privilege_type, relname) from roles, things, aclexplode(acldefault('r', 10)) a where not counts and has_table_privilege(role, oid, a.privilege_type)
		union all select concat_ws(' ', role, p, relname, attname) from roles, things t join pg_attribute c on c.attrelid = t.oid and not c.attisdropped, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
			where not counts and has_column_privilege(role, t.oid, attnum, p)
		union all select concat_ws(' ', role, a.privilege_type, relname) from roles, things, aclexplode(acldefault('s', 10)) a where counts and has_sequence_privilege(role, oid, a.privilege_type)
		union all select concat_ws(' ', role, oid::regprocedure) from roles, functions where has_function_privilege(role, oid, 'EXECUTE')
		union all select concat_ws(' ', role, p) from roles, unnest('{USAGE,CREATE}'::text[]) p where has_schema_privilege(role, 'chat', p)
		union all select concat_ws(' ', role, 'CREATE on the database') from roles where has_database_privilege(role, current_database(), 'CREATE')
		union all select concat_ws(' ', role, 'gives', p, relname) from roles, things, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p
			where not counts and role <> 'public' and has_table_privilege(role, oid, p || ' with grant option')
		order by 1`
)

func texts(t *testing.T, db querier, sql string) []string {
	t.Helper()
	r, err := db.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// What is given beyond chat.rights is found by the way it was given, and the statement that is told leaves what there was before: nothing
// more, and no right less.
func TestRightsThatAreTooMuchAreFoundAndTakenBack(t *testing.T) {
	_, url := pgtest.Cluster(t) // roles are the cluster's
	db := pgtest.Connect(t, url)
	wants(t, db, surplus)
	before := texts(t, db, inEffect)
	for _, sql := range []string{
		`create role outsider`, `create role harmless`, `create role chief`, `create role indirect`, `create role "Odd one"`, `grant usage on schema chat to outsider`, `grant create on database postgres to chief`,
		`grant select on chat.sessions, chat.rooms to outsider with grant option`, `grant outsider to indirect`, `grant chat_readonly, pg_monitor to harmless`,
		`grant pg_read_all_data to chief with admin option`, `grant pgchat to "Odd one"`,
	} {
		do(t, db, sql)
	}
	const all = "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
	for _, c := range []struct {
		given string
		rows  []string
		hides bool // has_…_privilege does not tell
	}{
		{given: `grant select (password_hash) on chat.users to chat_readonly`, rows: []string{"chat_readonly | TABLE | chat.users | SELECT (password_hash) | t"}},
		{given: `grant select on chat.users to chat_readonly`, rows: []string{"chat_readonly | TABLE | chat.users | SELECT | t"}},
		{given: `grant select on chat.sessions to chat_readonly`, rows: []string{"chat_readonly | TABLE | chat.sessions | SELECT | t"}},
		{given: `grant select (token_hash, user_id), update (user_agent) on chat.sessions to chat_moderator`, rows: []string{"chat_moderator | TABLE | chat.sessions | SELECT (token_hash), UPDATE (user_agent) | t"}},
		{given: `grant delete on chat.messages to chat_app`, rows: []string{"chat_app | TABLE | chat.messages | DELETE | t"}},
		{given: `grant all on chat.messages to chat_app`, rows: []string{"chat_app | TABLE | chat.messages | DELETE, REFERENCES, TRIGGER, TRUNCATE | t"}},
		{given: `grant references on chat.users to chat_app`, rows: []string{"chat_app | TABLE | chat.users | REFERENCES | f"}},
		{given: `grant insert on chat.audit_log to chat_app`, rows: []string{"chat_app | TABLE | chat.audit_log | INSERT | t"}},
		{given: `grant select on chat.audit_log_id_seq to chat_readonly`, rows: []string{"chat_readonly | SEQUENCE | chat.audit_log_id_seq | SELECT | f"}},
		{given: `grant update on chat.audit_log_id_seq to chat_readonly`, rows: []string{"chat_readonly | SEQUENCE | chat.audit_log_id_seq | UPDATE | t"}},
		{given: `grant execute on function chat.merge_users(text, text, text) to chat_app`, rows: []string{"chat_app | ROUTINE | chat.merge_users(username text, into_username text, by text) | EXECUTE | t"}},
		{given: `grant execute on function chat.grant_rights() to chat_moderator`, rows: []string{"chat_moderator | ROUTINE | chat.grant_rights() | EXECUTE | f"}},
		{given: `grant create on schema chat to chat_app`, rows: []string{"chat_app | SCHEMA | chat | CREATE | t"}},
		{given: `grant create on database postgres to chat_app`, rows: []string{"chat_app | DATABASE | postgres | CREATE | f"}},
		// Everybody's.
		{given: `grant all on chat.tokens to public`, rows: []string{"PUBLIC | TABLE | chat.tokens | " + all + " | t"}},
		{given: `grant select on chat.rooms to public`, rows: []string{"PUBLIC | TABLE | chat.rooms | SELECT | f"}},
		{given: `grant select (name) on chat.users to public`, rows: []string{"PUBLIC | TABLE | chat.users | SELECT (name) | f"}},
		{given: `grant usage on schema chat to public`, rows: []string{"PUBLIC | SCHEMA | chat | USAGE | f"}},
		{given: `grant execute on function chat.pin(text, bigint, text, boolean) to public`, rows: []string{`PUBLIC | ROUTINE | chat.pin(room text, seq bigint, username text, "on" boolean) | EXECUTE | t`}},
		// What may be given on, and was; and what somebody else gave.
		{given: `grant select on chat.rooms to chat_readonly with grant option`, rows: []string{"chat_readonly | TABLE | chat.rooms | GRANT OPTION FOR SELECT | f"}},
		{
			given: `grant select on chat.tokens to chat_readonly with grant option; set role chat_readonly; grant select on chat.tokens to chat_moderator; reset role`,
			rows:  []string{"chat_moderator | TABLE | chat.tokens | SELECT | t", "chat_readonly | TABLE | chat.tokens | SELECT | t"},
		},
		{given: `set role outsider; grant select on chat.sessions to chat_readonly; reset role`, rows: []string{"chat_readonly | TABLE | chat.sessions | SELECT | t"}},
		{given: `set role outsider; grant select on chat.rooms to chat_readonly; reset role`, hides: true}, // what it should have
		{given: `set role outsider; revoke select on chat.rooms from chat_readonly; reset role`, hides: true},
		// What the role is.
		{given: `alter role chat_readonly superuser`, rows: []string{"chat_readonly | ROLE | chat_readonly | SUPERUSER | t"}},
		{given: `alter role chat_app bypassrls replication createrole`, rows: []string{"chat_app | ROLE | chat_app | BYPASSRLS, CREATEROLE, REPLICATION | t"}, hides: true},
		{given: `alter role chat_app createdb`, rows: []string{"chat_app | ROLE | chat_app | CREATEDB | f"}, hides: true},
		{given: `alter role chat_app login password 'x'; alter role chat_app nologin`, hides: true},
		// What it is a member of.
		{given: `grant pg_read_all_data to chat_readonly`, rows: []string{"chat_readonly | ROLE | pg_read_all_data | SELECT | t"}},
		{given: `grant pg_write_all_data to chat_moderator`, rows: []string{"chat_moderator | ROLE | pg_write_all_data | DELETE, INSERT, UPDATE | t"}},
		{given: `grant pg_execute_server_program to chat_moderator`, rows: []string{"chat_moderator | ROLE | pg_execute_server_program | programs on the server | t"}, hides: true},
		{given: `set role chief; grant pg_read_all_data to chat_readonly; reset role`, rows: []string{"chat_readonly | ROLE | pg_read_all_data | SELECT | t"}},
		{given: `alter role chat_readonly noinherit; grant pg_read_all_data to chat_readonly`, rows: []string{"chat_readonly | ROLE | pg_read_all_data | SELECT | t"}, hides: true},
		{given: `alter role chat_readonly inherit`, hides: true},
		{given: `grant chief to chat_app`, rows: []string{"chat_app | ROLE | chief | CREATE, SELECT | t"}},
		{given: `grant indirect to chat_moderator`, rows: []string{"chat_moderator | ROLE | indirect | SELECT | t"}},
		{given: `grant chat_app to chat_moderator`, rows: []string{"chat_moderator | ROLE | chat_app | DELETE, EXECUTE, INSERT, SELECT, UPDATE, USAGE | t"}},
		{given: `grant "Odd one" to chat_readonly`, rows: []string{`chat_readonly | ROLE | "Odd one" | BYPASSRLS, CREATEDB, CREATEROLE, OWNER, REPLICATION, SUPERUSER | t`}},
		{given: `grant chat_readonly to chat_moderator with admin option`, rows: []string{"chat_moderator | ROLE | chat_readonly | ADMIN OPTION | f"}, hides: true},
		{given: `grant chat_readonly, pg_monitor to chat_moderator`, hides: true},
		{given: `grant harmless to chat_moderator`, hides: true},
		{given: `revoke chat_readonly, pg_monitor, harmless from chat_moderator`, hides: true},
		// What it owns.
		{given: `alter table chat.pins owner to chat_app`, rows: []string{"chat_app | TABLE | chat.pins | OWNER | t"}},
		{given: `alter view chat.online owner to chat_app`, rows: []string{"chat_app | TABLE | chat.online | OWNER | t"}},
		{given: `alter schema chat owner to chat_moderator`, rows: []string{"chat_moderator | SCHEMA | chat | OWNER | t"}},
		{given: `alter function chat.find_room(text) owner to chat_app`, rows: []string{"chat_app | ROUTINE | chat.find_room(room text) | OWNER | t"}, hides: true},
		{given: `alter database postgres owner to chat_app`, rows: []string{"chat_app | DATABASE | postgres | OWNER | t"}},
	} {
		do(t, db, c.given)
		got := texts(t, db, surplus+` order by role, kind, object`)
		if !slices.Equal(got, c.rows) {
			t.Errorf("%s: found\n%s\nwant\n%s", c.given, strings.Join(got, "\n"), strings.Join(c.rows, "\n"))
		}
		if more := slices.ContainsFunc(texts(t, db, inEffect), func(right string) bool { return !slices.Contains(before, right) }); more == c.hides {
			t.Errorf("%s: gives more in effect: %v", c.given, more)
		}
		taken := texts(t, db, `select statement from chat.surplus_rights`)
		for _, sql := range taken {
			do(t, db, sql)
		}
		wants(t, db, surplus)
		after := texts(t, db, inEffect)
		for _, right := range after {
			if !slices.Contains(before, right) {
				t.Errorf("%s, %q: still has %s", c.given, taken, right)
			}
		}
		for _, right := range before {
			if !slices.Contains(after, right) {
				t.Errorf("%s, %q: has no more %s", c.given, taken, right)
			}
		}
	}
	wants(t, db, `select object from chat.rights where not held`)

	// Where there are no such roles everybody is left.
	do(t, db, `drop owned by chat_app, chat_readonly, chat_moderator`)
	do(t, db, `drop role chat_app, chat_readonly, chat_moderator`)
	wants(t, db, surplus)
	do(t, db, `create function chat.mine() returns int language sql return 1`)
	wants(t, db, surplus, "PUBLIC | ROUTINE | chat.mine() | EXECUTE | f")
	do(t, db, texts(t, db, `select statement from chat.surplus_rights`)[0])
	wants(t, db, surplus)
}

func TestAFunctionIsEverybodysUntilItIsTaken(t *testing.T) {
	pool := pgtest.Pool(t)
	do(t, pool, `create function chat.mine() returns int language sql return 1`)
	wants(t, pool, surplus, "PUBLIC | ROUTINE | chat.mine() | EXECUTE | f")
	for _, sql := range texts(t, pool, `select statement from chat.surplus_rights`) {
		do(t, pool, sql)
	}
	wants(t, pool, surplus)
	visit(t, pool, "chat_app").wantAllowed(`select chat.mine()`)
	visit(t, pool, "chat_readonly").wantDenied(`select chat.mine()`)
}

func TestGrantRightsLeavesNothingTooMuch(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, sql := range []string{
		`grant all on all tables in schema chat to chat_readonly, public`, `grant all on all sequences in schema chat to chat_moderator`, `grant all on all routines in schema chat to chat_app, public`,
		`grant all on schema chat to chat_app, public`, `grant update (name) on chat.rooms to chat_readonly`, `grant select on chat.rooms to chat_readonly with grant option`,
		`create table chat.later (id serial, secret text)`, `create function chat.later() returns int language sql return 1`,
	} {
		do(t, pool, sql)
	}
	// Who may only look sees the same.
	found := texts(t, pool, surplus)
	reader := visit(t, pool, "chat_readonly")
	if seen := texts(t, reader.conn, surplus); len(found) < 100 || !slices.Equal(seen, found) {
		t.Errorf("a reader sees %d rows of %d", len(seen), len(found))
	}
	do(t, pool, `select chat.grant_rights()`)
	wants(t, pool, surplus)
}
