package store_test

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// A test's database is a copy of the template, and so in another place than its history was written in.
func TestAHistoryBeginsOnceWhereTheDatabaseIsAnother(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	room := addRoom(t, pool, "plans")
	if _, err := pool.Exec(t.Context(), `select chat.post('plans', 'ada', 'x') from generate_series(1, 3)`); err != nil {
		t.Fatal(err)
	}
	want := func(n int, why string) {
		t.Helper()
		var got, heads, last int
		err := pool.QueryRow(t.Context(), `select (select count(*) from chat.histories), count(*), coalesce(max(last_seq), 0) from chat.history_heads where room_id = $1`, room).Scan(&got, &heads, &last)
		if err != nil || got != n || heads != n-1 || heads > 0 && last != 3 {
			t.Errorf("%s: there are %d histories, want %d; of %d the room's head is noted, the last at %d (%v)", why, got, n, heads, last, err)
		}
	}
	want(1, "at first")
	var servers errgroup.Group
	for range 8 {
		servers.Go(func() error {
			var done bool
			return pool.QueryRow(t.Context(), `select chat.check_history()`).Scan(&done)
		})
	}
	if err := servers.Wait(); err != nil {
		t.Fatal(err)
	}
	want(2, "asked by eight at once")
	if _, err := pool.Exec(t.Context(), `select chat.begin_history()`); err != nil {
		t.Fatal(err)
	}
	want(3, "begun by hand")
	if _, err := pool.Exec(t.Context(), `delete from chat.rooms where slug = 'plans'`); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.history_heads where room_id = $1`, room).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d heads of a room are left that is gone (%v)", left, err)
	}
}
