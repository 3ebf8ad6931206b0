package chat_test

import (
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// The view knows how long a session lasts, and so when it was last used.
func TestTheViewKnowsWhenASessionWasUsed(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, sessions := addUser(t, pool, "ada"), chat.NewSessions(pool)
	token, _, err := sessions.Start(t.Context(), ada, "test")
	if err != nil {
		t.Fatal(err)
	}
	seen := func(want string) {
		t.Helper()
		var days string
		if err := pool.QueryRow(t.Context(), `select round(extract(epoch from now() - last_seen) / 86400)::text from chat.user_activity`).Scan(&days); err != nil || days != want {
			t.Errorf("she was seen %s days ago, error %v, want %s", days, err, want)
		}
	}
	seen("0")
	if _, err := pool.Exec(t.Context(), `update chat.sessions set created_at = created_at - interval '5 days', expires_at = expires_at - interval '3 days'`); err != nil {
		t.Fatal(err)
	}
	seen("3")
	if _, extended, err := sessions.User(t.Context(), token); err != nil || extended.IsZero() {
		t.Fatalf("the session was not extended: %v", err)
	}
	seen("0")
}
