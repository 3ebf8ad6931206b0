package chat_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// Two owners who each take it from the other at the same time.
func TestARoomKeepsAnOwnerWhoeverTakesItFromWhom(t *testing.T) {
	pool := pgtest.Pool(t)
	rooms := chat.NewRooms(pool)
	var people [2]chat.User
	for i, name := range []string{"ada", "bob"} {
		people[i].Name = name
		if err := pool.QueryRow(t.Context(), `insert into chat.users (name) values ($1) returning id`, name).Scan(&people[i].ID); err != nil {
			t.Fatal(err)
		}
	}
	made, err := rooms.Create(t.Context(), people[0], "Plans", "", chat.Public)
	if err != nil {
		t.Fatal(err)
	}
	var seen [2]chat.Room // as each owner has it
	for range 30 {
		if _, err := pool.Exec(t.Context(), `insert into chat.members (room_id, user_id, role) select $1, u.id, 'owner' from chat.users u
			on conflict (room_id, user_id) do update set role = 'owner'`, made.ID); err != nil {
			t.Fatal(err)
		}
		for i, one := range people {
			if seen[i], err = rooms.ByID(t.Context(), one.ID, made.ID); err != nil {
				t.Fatal(err)
			}
		}
		var both sync.WaitGroup
		var failed [2]error
		for i := range people {
			both.Go(func() { failed[i] = rooms.SetOwner(t.Context(), people[i], seen[i], people[1-i].ID, false) })
		}
		both.Wait()
		var owners int
		if err := pool.QueryRow(t.Context(), `select count(*) from chat.members where room_id = $1 and role = 'owner'`, made.ID).Scan(&owners); err != nil {
			t.Fatal(err)
		}
		if owners != 1 || (failed[0] == nil) == (failed[1] == nil) {
			t.Fatalf("%d owners are left, the one was told %v, the other %v", owners, failed[0], failed[1])
		}
		for _, err := range failed {
			if err != nil && err.Error() != "forbidden: #Plans would have no owner. Make somebody else one first." {
				t.Fatal(err)
			}
		}
	}
	if err := rooms.SetOwner(t.Context(), people[0], chat.Room{ID: made.ID, Name: "Plans", Owner: true}, uuid.New(), false); err == nil || err.Error() != "not_found: That is no member of #Plans." {
		t.Errorf("of who is no member: %v", err)
	}
}
