package chat_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// Several instances that remove at the same time remove each message once, and what one leaves when it is stopped the others remove.
func TestSeveralInstancesRemoveWhatIsTooOldOneAtATime(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, sql := range []string{
		`insert into chat.users (name) values ('ada')`,
		`insert into chat.rooms (slug, name) values ('ops', 'ops'), ('kept', 'kept')`,
		`insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'x', now() - interval '9 days' from chat.rooms r, chat.users u, generate_series(1, 3500)`,
		`update chat.rooms set keep_days = 7 where slug <> 'kept'`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	// One that is stopped after its first batch has done that much, and it is no error.
	ctx, stop := context.WithCancel(t.Context())
	first, err := chat.Retain(ctx, pool, slog.New(stopper{slog.DiscardHandler, stop}))
	if err != nil || first != 1000 {
		t.Fatalf("removed %d before it was stopped, error %v", first, err)
	}
	var all atomic.Int64
	all.Add(first)
	for all.Load() < 7000 {
		var instances sync.WaitGroup
		for range 3 {
			instances.Go(func() {
				n, err := chat.Retain(t.Context(), pool, log)
				if err != nil {
					t.Error(err)
				}
				all.Add(n)
			})
		}
		instances.Wait()
		if t.Failed() {
			return
		}
	}
	var left, broken, noted int64
	if err := pool.QueryRow(t.Context(), `select (select count(*) from chat.messages), (select count(*) from chat.integrity), (select sum(rows) from chat.audit_log where old ? 'keep_days' and operation = 'DELETE')`).
		Scan(&left, &broken, &noted); err != nil || all.Load() != 7000 || left != 3500 || broken != 0 || noted != 7000 {
		t.Errorf("removed %d, of which were noted %d, left %d, broken %d, error %v", all.Load(), noted, left, broken, err)
	}
}

// stopper stops at the first thing that is logged.
type stopper struct {
	slog.Handler
	stop context.CancelFunc
}

func (s stopper) Enabled(context.Context, slog.Level) bool { return true }

func (s stopper) Handle(context.Context, slog.Record) error {
	s.stop()
	return nil
}
