package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// nasty are names and texts that would end a string, a statement or a JSON value, were they pasted into one.
var nasty = []string{
	`'`, `"`, `\`, `\'`, `''`, `'';drop--schema--chat--cascade;--`, `%L%s%I`, `$1`, `$$`, `{"a":"b"}`, `"}],"x":[{"`, `chat.rooms`, `"users"`, `E'\n'`, `ünï-🐘`, `\u0000`, `a\nb`,
}

func one[T any](t *testing.T, db querier, sql string, args ...any) (got T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&got); err != nil {
		t.Fatalf("%s %v: %v", sql, args, err)
	}
	return got
}

// wantChange fails unless the call, made twice, says the first time that it has changed something, and then that it has not.
func wantChange(t *testing.T, db querier, call string, args ...any) {
	t.Helper()
	if first, second := one[bool](t, db, `select `+call, args...), one[bool](t, db, `select `+call, args...); !first || second {
		t.Errorf("%s %v has changed something: %v, and the second time %v", call, args, first, second)
	}
}

func TestMessagesAreEditedAndDeletedByRoomAndSeqAndByID(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve, room, id := addUser(t, pool, "ada"), addUser(t, pool, "eve"), addRoom(t, pool, "r"), uuid.New()
	mustPost(t, pool, message{room, uuid.New(), ada, "one"}, message{room, id, ada, "two"})
	conn := listen(t, pool, room)
	wantChange(t, pool, `chat.edit('r', 1, e' better\n')`)
	wantChange(t, pool, `chat.edit(id => $1, body => 'fine', by => 'EVE')`, id)
	wantChange(t, pool, `chat.delete('r', 1)`)
	wantChange(t, pool, `chat.delete(id => $1, by => 'eve')`, id)
	state := func() string {
		return one[string](t, pool, `select string_agg(concat_ws(' ', seq, body, edited_at is not null, deleted_at is not null, deleted_by), ', ' order by seq) from chat.messages`)
	}
	if got, want := state(), "1 better t t, 2 fine t t "+eve.String(); got != want {
		t.Errorf("messages %s, want %s", got, want)
	}
	refused(t, pool, "23514", "message 2 of room 'r' was deleted", `select chat.edit('r', 2, 'x')`)
	refused(t, pool, "23514", "message 1 of room 'r' was deleted", `select chat.edit(id => (select id from chat.messages where seq = 1), body => 'x')`)
	wantChange(t, pool, `chat.undelete('r', 1)`)
	wantChange(t, pool, `chat.undelete(id => $1)`, id)
	if got, want := state(), "1 better t f, 2 fine t f"; got != want {
		t.Errorf("messages %s, want %s", got, want)
	}
	if notes := heard(t, pool, conn); len(notes) != 6 {
		t.Errorf("%d notifications of 6 changes", len(notes))
	}

	for call, why := range map[string][2]string{
		`chat.edit('nowhere', 1, 'x')`:                    {"P0002", "there is no room 'nowhere'"},
		`chat.edit('r', 3, 'x')`:                          {"P0002", "there is no message 3 in room 'r'"},
		`chat.edit('r', null, 'x')`:                       {"P0002", "there is no message NULL in room 'r'"},
		`chat.edit(null, 1, 'x')`:                         {"P0002", "there is no room NULL"},
		`chat.delete()`:                                   {"P0002", "there is no room NULL"},
		`chat.delete('r', id => gen_random_uuid())`:       {"22023", "by its room and seq, or by its id"},
		`chat.edit('r', 1, e'\n ')`:                       {"23514", "a message needs a text"},
		`chat.edit('r', 1, null)`:                         {"23514", "a message needs a text"},
		`chat.edit('r', 1, repeat('x', 8001))`:            {"23514", "a message has at most 8000 characters, this one 8001"},
		`chat.edit('r', 1, 'x', by => 'nobody')`:          {"P0002", "there is no user 'nobody'"},
		`chat.delete('r', 1, by => 'nobody')`:             {"P0002", "there is no user 'nobody'"},
		`chat.delete('r', 0)`:                             {"P0002", "there is no message 0 in room 'r'"},
		`chat.undelete(id => gen_random_uuid())`:          {"P0002", "there is no message with the id "},
		`chat.delete(id => gen_random_uuid())`:            {"P0002", "there is no message with the id "},
		`chat.edit(id => gen_random_uuid(), body => 'x')`: {"P0002", "there is no message with the id "},
	} {
		refused(t, pool, why[0], why[1], `select `+call)
	}

	// An id is unique in its room; another room may have it.
	twin := addRoom(t, pool, "twin")
	mustPost(t, pool, message{twin, id, ada, "two"})
	refused(t, pool, "21000", "2 rooms have a message with the id "+id.String(), `select chat.delete(id => $1)`, id)
	if got, want := state(), "1 better t f, 1 two f f, 2 fine t f"; got != want {
		t.Errorf("messages %s, want %s", got, want)
	}
	wantWhole(t, pool)
}

func TestRoomsAreMadeArchivedAndPeopled(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	addUser(t, pool, "eve")
	for call, slug := range map[string]string{
		`chat.create_room('Release planning', topic => 'What comes next', owner => 'ADA', members => '{eve,ada}')`: "release-planning",
		`chat.create_room('Release: planning!', kind => 'private')`:                                                "release-planning",
		`chat.create_room(' ... ', slug => 'dots')`:                                                                "",
		`chat.create_room('…')`:                                                                                    "room",
		`chat.create_room('New')`:                                                                                  "new-room",
		`chat.create_room('Everybody', everyone => true)`:                                                          "everybody",
	} {
		var got string
		err := pool.QueryRow(t.Context(), `select `+call).Scan(&got)
		if ok := err == nil && strings.TrimSuffix(got, "-2") == slug; ok != (slug != "") {
			t.Errorf("%s: %q, %v", call, got, err)
		}
	}
	members := func(room string) string {
		return one[string](t, pool, `select coalesce(string_agg(u.name || ' ' || m.role, ', ' order by u.name), '') from chat.members m join chat.users u on u.id = m.user_id
			where m.room_id = (select id from chat.rooms where name = $1)`, room)
	}
	for room, want := range map[string]string{"Release planning": "ada owner, eve member", "Release: planning!": "", "Everybody": "ada member, eve member"} {
		if got := members(room); got != want {
			t.Errorf("members of %s: %s, want %s", room, got, want)
		}
	}
	room := one[string](t, pool, `select chat.create_room('Plans', kind => 'private', slug => 'p', owner => 'eve')`)
	wantChange(t, pool, `chat.add_member($1, 'ada', by => 'eve')`, room)
	wantChange(t, pool, `chat.add_member($1, 'ada', role => 'owner')`, room)
	if got, want := members("Plans"), "ada owner, eve owner"; got != want {
		t.Errorf("members %s, want %s", got, want)
	}
	wantChange(t, pool, `chat.remove_member($1, 'EVE', by => 'ada')`, room)
	wantChange(t, pool, `chat.archive_room($1, by => 'ada')`, room)
	refused(t, pool, "23514", "room 'p' is archived", `select chat.add_member('p', 'eve')`)
	refused(t, pool, "23514", "room 'p' is archived", `select chat.post('p', 'ada', 'x')`)
	wantChange(t, pool, `chat.restore_room($1)`, room)
	// Who did it is noted, and holds for the one call, whatever else the transaction does.
	lines := one[string](t, pool, `select string_agg(concat_ws(' ', e.kind, coalesce(a.name, '-'), s.name), ', ' order by e.rev) from chat.room_events e
		left join chat.users a on a.id = e.actor_id left join chat.users s on s.id = e.subject_id where e.room_id = chat.find_room('p')`)
	if want := "joined eve ada, left ada eve, archived ada, restored -"; lines != want {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		do(t, tx, `set local chat.actor = 'eve'`)
		wantChange(t, tx, `chat.archive_room('p', by => 'ada')`)
		if got := one[string](t, tx, `select current_setting('chat.actor')`); got != "eve" {
			t.Errorf("afterwards %q acts", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) values ('d', 'ada', 'direct', $1)`, ada.String())
	for call, why := range map[string][2]string{
		`chat.create_room('general')`:                                {"23505", "there is a room called 'general'"},
		`chat.create_room('GENERAL', slug => 'x')`:                   {"23505", "there is a room called 'general'"},
		`chat.create_room('General 2', slug => 'general')`:           {"23505", "there is a room with the slug 'general'"},
		`chat.create_room('x', slug => 'browse')`:                    {"23514", "no room can have the slug 'browse'"},
		`chat.create_room('x', slug => 'a/b')`:                       {"23514", "slug 'a/b'"},
		`chat.create_room('x', slug => '')`:                          {"23514", "slug ''"},
		`chat.create_room('')`:                                       {"23514", "name ''"},
		`chat.create_room(null)`:                                     {"23514", "name ''"},
		`chat.create_room(repeat('x', 81))`:                          {"23514", "name 'xxx"},
		`chat.create_room('x', topic => repeat('x', 251))`:           {"23514", "topic 'xxx"},
		`chat.create_room('x', kind => 'secret')`:                    {"23514", "kind 'secret'"},
		`chat.create_room('x', kind => 'direct')`:                    {"23514", "a direct conversation is begun"},
		`chat.create_room('x', kind => 'private', everyone => true)`: {"23514", "kind 'private'"},
		`chat.create_room('x', owner => 'nobody')`:                   {"P0002", "there is no user 'nobody'"},
		`chat.create_room('x', members => '{ada,nobody}')`:           {"P0002", "there is no user 'nobody'"},
		`chat.archive_room('nowhere')`:                               {"P0002", "there is no room 'nowhere'"},
		`chat.restore_room('p', by => 'nobody')`:                     {"P0002", "there is no user 'nobody'"},
		`chat.add_member('general', 'nobody')`:                       {"P0002", "there is no user 'nobody'"},
		`chat.add_member('general', 'ada', role => 'king')`:          {"23514", "'king' is no role in a room"},
		`chat.add_member('d', 'eve')`:                                {"23514", "'d' is a direct conversation"},
		`chat.remove_member('d', 'ada')`:                             {"23514", "'d' is a direct conversation"},
		`chat.remove_member('nowhere', 'ada')`:                       {"P0002", "there is no room 'nowhere'"},
	} {
		refused(t, pool, why[0], why[1], `select `+call)
		_, err := pool.Exec(t.Context(), `select `+call)
		var e *pgconn.PgError
		if why[0] == "23514" && strings.Contains(call, "create_room") && (!errors.As(err, &e) || e.Detail == "" && e.ConstraintName != "") {
			t.Errorf("%s does not say which rule is broken: %+v", call, e)
		}
	}
}

func TestWhoIsRenamedIsCalledSoEverywhere(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve, room := addUser(t, pool, "ada"), addUser(t, pool, "eve"), addRoom(t, pool, "r")
	do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) values ('d', 'ada, eve', 'direct', $1)`, ada.String()+","+eve.String())
	do(t, pool, `insert into chat.instances (id, name, version) values ($1, 'x', 'x')`, eve)
	do(t, pool, `insert into chat.presence (room_id, user_id, instance_id, connections) values ($1, $2, $3, 1)`, room, ada, eve)
	conn := listen(t, pool, room)
	if _, err := conn.Exec(t.Context(), `listen activity`); err != nil {
		t.Fatal(err)
	}
	do(t, pool, `select chat.rename_user('ADA', ' zoë.ł ')`)
	if got := one[string](t, pool, `select name from chat.rooms where slug = 'd'`); got != "eve, zoë.ł" {
		t.Errorf("the direct conversation is called %s", got)
	}
	var told []string
	for _, n := range heard(t, pool, conn) {
		told = append(told, n.Payload)
	}
	for _, want := range []string{`{"presence":true}`, `{"status":[{"user":"` + ada.String() + `"}]}`} {
		if !slices.Contains(told, want) {
			t.Errorf("told %q, not %s", told, want)
		}
	}
	for call, why := range map[string][2]string{
		`chat.rename_user('ada', 'x1')`:         {"P0002", "there is no user 'ada'"},
		`chat.rename_user('eve', 'ZOË.Ł')`:      {"23505", "there is a user called 'ZOË.Ł'"},
		`chat.rename_user('eve', 'x')`:          {"23514", "nobody can be called 'x'"},
		`chat.rename_user('eve', 'a b')`:        {"23514", "nobody can be called 'a b'"},
		`chat.rename_user('eve', null)`:         {"23514", "nobody can be called ''"},
		`chat.rename_user('eve', 'Everyone')`:   {"23514", "nobody can be called 'Everyone'"},
		`chat.rename_user('eve', e'a''b"\\c%')`: {"23514", `nobody can be called E'a''b"\\c%'`},
	} {
		refused(t, pool, why[0], why[1], `select `+call)
	}
	wantChange(t, pool, `chat.rename_user('eve', 'EVE')`) // in case only
}

func TestNamesAndTextsAreNeverTakenForSQL(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	for i, text := range nasty {
		slug := text
		if strings.ContainsAny(slug, " /?#%") {
			slug = fmt.Sprint("plain", i)
		}
		made := one[string](t, pool, `select chat.create_room($1, slug => $2, topic => $1, owner => 'ada')`, text, slug)
		if got := one[string](t, pool, `select concat(slug, name, topic) from chat.rooms where slug = $1`, made); made != slug || got != slug+text+text {
			t.Errorf("room %q made of %q", got, text)
		}
		do(t, pool, `select chat.create_room($1)`, text+" two")
		room := one[uuid.UUID](t, pool, `select chat.find_room($1)`, slug)
		conn := listen(t, pool, room)
		do(t, pool, `select chat.post($1, 'ada', 'x')`, slug)
		wantChange(t, pool, `chat.edit($1, 1, $2, by => 'ada')`, slug, text)
		wantChange(t, pool, `chat.delete($1, 1)`, slug)
		wantChange(t, pool, `chat.undelete($1, 1)`, slug)
		wantChange(t, pool, `chat.archive_room($1)`, slug)
		wantChange(t, pool, `chat.restore_room($1)`, slug)
		wantChange(t, pool, `chat.remove_member($1, 'ada')`, slug)
		wantChange(t, pool, `chat.add_member($1, 'ada')`, slug)
		if got := one[string](t, pool, `select body from chat.messages where room_id = $1`, room); got != text {
			t.Errorf("message %q, want %q", got, text)
		}
		for _, n := range heard(t, pool, conn) {
			if !json.Valid([]byte(n.Payload)) {
				t.Errorf("%q made the notification %s", text, n.Payload)
			}
		}
		quoted := one[string](t, pool, `select quote_literal($1::text || '!')`, text)
		for _, call := range []string{
			`chat.edit($1, 1, 'x')`, `chat.delete($1, 1)`, `chat.undelete($1, 1)`, `chat.archive_room($1)`, `chat.restore_room($1)`, `chat.add_member($1, 'ada')`, `chat.remove_member($1, 'ada')`,
			`chat.add_member('general', $1)`, `chat.remove_member('general', $1)`, `chat.delete('general', 1, by => $1)`, `chat.rename_user($1, 'x1')`, `chat.create_room('x', owner => $1)`,
			`chat.create_room('x', members => ARRAY[$1])`,
		} {
			_, err := pool.Exec(t.Context(), `select `+call, text+"!")
			var e *pgconn.PgError
			if !errors.As(err, &e) || e.Code != "P0002" || e.Hint == "" || !strings.HasSuffix(e.Message, strings.TrimSpace(quoted)) && !strings.Contains(call, "'general', 1") {
				t.Errorf("%s with %q: %v", call, text, err)
			}
		}
	}
	if got := one[uuid.UUID](t, pool, `select id from chat.users where name = 'ada'`); got != ada {
		t.Error("the user is another")
	}
	wantWhole(t, pool)
}

func TestEveryRefusalSaysWhatWasWrongAndWhatToDo(t *testing.T) {
	pool := pgtest.Pool(t)
	// A statement ends where a line does: hints have semicolons, too.
	const refusals = `select p.oid::regprocedure || ': ' || r[1] from pg_proc p cross join lateral regexp_matches(p.prosrc, '(RAISE [a-z][^;]*?USING.*?;)\s*\n', 'g') r where p.pronamespace = 'chat'::regnamespace`
	wants(t, pool, refusals+` and not (r[1] ~ 'MESSAGE =' and r[1] ~ 'DETAIL =' and r[1] ~ 'HINT =')`)
	if n := one[int](t, pool, `select count(*) from (`+refusals+`) r`); n < 50 {
		t.Errorf("only %d refusals were found", n)
	}
	wants(t, pool, `select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'chat'::regnamespace and p.prosrc ~ 'RAISE\s+(EXCEPTION|'')'`)
}
