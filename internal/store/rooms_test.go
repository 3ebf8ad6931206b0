package store_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestWhatARoomCannotBe(t *testing.T) {
	pool := pgtest.Pool(t)
	ada := addUser(t, pool, "ada")
	for sql, code := range map[string]string{
		`insert into chat.rooms (slug, name, kind) values ('x', 'x', 'secret')`:                                         "23514",
		`insert into chat.rooms (slug, name, kind, everyone) values ('x', 'x', 'private', true)`:                        "23514",
		`insert into chat.rooms (slug, name, kind) values ('x', 'x', 'direct')`:                                         "23514",
		`insert into chat.rooms (slug, name, direct_key) values ('x', 'x', 'y')`:                                        "23514",
		`insert into chat.rooms (slug, name, kind) values ('x', 'GENERAL', 'private')`:                                  "23505",
		`insert into chat.rooms (slug, name, kind, direct_key) values ('x', 'x', 'direct', 'no uuid')`:                  "22P02",
		`insert into chat.rooms (slug, name, kind, direct_key) values ('x', 'x', 'direct', '` + uuid.NewString() + `')`: "23503",
		`update chat.members set role = 'king' where user_id = '` + ada.String() + `'`:                                  "23514",
		`update chat.members set notify = 'often' where user_id = '` + ada.String() + `'`:                               "23514",
	} {
		var refused *pgconn.PgError
		if _, err := pool.Exec(t.Context(), sql); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: %v, want %s", sql, err, code)
		}
	}
	// Two direct conversations may be called the same, and have their members from the beginning.
	eve := addUser(t, pool, "eve")
	for slug, key := range map[string]string{"d1": ada.String(), "d2": ada.String() + "," + eve.String()} {
		do(t, pool, `insert into chat.rooms (slug, name, kind, direct_key) values ($1, 'ada', 'direct', $2)`, slug, key)
	}
	var members int
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.members m join chat.rooms r on r.id = m.room_id where r.kind = 'direct'`).Scan(&members); err != nil || members != 3 {
		t.Errorf("%d members of direct conversations (%v), want 3", members, err)
	}
}

func TestARoomThatLosesItsOwnerGetsAnother(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve, bob := addUser(t, pool, "ada"), addUser(t, pool, "eve"), addUser(t, pool, "bob")
	do(t, pool, `insert into chat.rooms (slug, name, kind, created_by) values ('a', 'a', 'private', $1), ('b', 'b', 'public', $1), ('none', 'none', 'public', null)`, ada)
	do(t, pool, `insert into chat.members (room_id, user_id, joined_at) select r.id, u.id, now() + case u.name when 'eve' then interval '2 s' else interval '1 s' end
		from chat.rooms r, chat.users u where r.slug in ('a', 'b', 'none') and u.name <> 'ada'`)
	owners := func() (all string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select coalesce(string_agg(r.slug || ' ' || u.name, ', ' order by r.slug, u.name), '') from chat.members m
			join chat.rooms r on r.id = m.room_id join chat.users u on u.id = m.user_id where m.role = 'owner'`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := func(what, want string) {
		t.Helper()
		if got := owners(); got != want {
			t.Errorf("%s: owners %q, want %q", what, got, want)
		}
	}
	want("at first", "a ada, b ada")
	do(t, pool, `update chat.members set role = 'owner' where user_id = $1 and room_id = (select id from chat.rooms where slug = 'b')`, eve)
	do(t, pool, `update chat.rooms set everyone = false`) // general
	do(t, pool, `delete from chat.members where user_id = $1`, ada)
	want("the maker has left", "a bob, b eve")
	do(t, pool, `delete from chat.users where id = $1`, bob)
	want("the user is gone", "a eve, b eve")
	do(t, pool, `delete from chat.members`)
	want("everybody has left", "")
	do(t, pool, `delete from chat.rooms`)
}
