package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer/memory"
)

// Whoever may connect to the database may NOTIFY; that they tell of what there is not keeps nobody from hearing what there is.
func TestWhatIsToldAndIsNotThereHidesNothing(t *testing.T) {
	w := start(t)
	w.insert(t, 3, "hello")
	s := w.subscribe(t, 0)
	mustTake(t, s, 0, 3)
	for _, told := range []string{`{"last":1000000,"rev_last":1000000}`, `{"first":4,"last":5}`, `{"rev_first":1,"rev_last":7}`, `{"rev_first":9,"rev_last":9,"changes":[{"seq":77,"rev":9}]}`} {
		if _, err := w.pool.Exec(t.Context(), `select pg_notify('room:' || $1::text, $2)`, w.room, told); err != nil {
			t.Fatal(err)
		}
	}
	w.insert(t, 2, "hello")
	mustTake(t, s, 3, 5)
	if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = 'changed' where seq in (2, 5)`); err != nil {
		t.Fatal(err)
	}
	for changed := map[int64]bool{}; len(changed) < 2; {
		u, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range u.Events {
			for _, m := range e.Changes {
				if m.Body == "changed" {
					changed[m.Seq] = true
				}
			}
		}
		if len(changed) == 2 && (u.Cursor.Seq != 5 || u.Cursor.Rev != 2) {
			t.Fatalf("the cursor is %v, want 5.2", u.Cursor)
		}
	}
}

// between is a connection's tracer that does something after a query of sqlc's.
type between struct {
	do atomic.Pointer[func(query string)]
}

type traced struct{}

func (b *between) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	name, _ := strings.CutPrefix(data.SQL, "-- name: ")
	name, _, _ = strings.Cut(name, " ")
	return context.WithValue(ctx, traced{}, name)
}

func (b *between) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if do := b.do.Load(); do != nil {
		(*do)(ctx.Value(traced{}).(string))
	}
}

// What really comes while the feed looks for what somebody only told of arrives, wherever in its reading it came.
func TestWhatComesWhileTheFeedReadsArrives(t *testing.T) {
	const stored, changed = `{"first":4,"last":5}`, `{"rev_first":1,"rev_last":1}`
	for _, c := range []struct {
		forged, query string
		nth           int // of the query, in one reading
		real          string
	}{
		{`{"last":1000000}`, "MessagesBetween", 1, stored},
		{`{"last":1000000}`, "Heads", 1, stored},
		{`{"last":1000000}`, "MessagesBetween", 2, stored},
		{`{"rev_last":1000000}`, "Heads", 1, changed},
		{`{"rev_last":1000000}`, "ChangedMessages", 1, changed},
		{`{"rev_last":1000000}`, "LinesSince", 1, changed},
	} {
		for _, meanwhile := range []bool{true, false} {
			t.Run(fmt.Sprint(c.query, c.nth, c.real, meanwhile), func(t *testing.T) {
				w := start(t)
				_ = w.Stop(t.Context()) // another feed takes its place
				config, tracer := w.pool.Config(), &between{}
				config.ConnConfig.Tracer = tracer
				pool, err := pgxpool.NewWithConfig(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(pool.Close)
				carrier := memory.New() // which hears nothing of the database
				w.Feed = feed.New(carrier, chat.NewMessages(pool), slog.New(slog.DiscardHandler))
				if err := errors.Join(w.Start(t.Context()), carrier.Start(t.Context())); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = errors.Join(w.Stop(context.Background()), carrier.Stop(context.Background())) })
				w.insert(t, 3, "hello")
				s := w.subscribe(t, 0)
				mustTake(t, s, 0, 3)

				came := make(chan struct{})
				n := 0
				do := func(query string) {
					if query != c.query {
						return
					}
					if n++; n != c.nth {
						return
					}
					if c.real == stored {
						w.insert(t, 2, "meanwhile")
					} else if _, err := w.pool.Exec(t.Context(), `update chat.messages set body = 'changed' where seq = 2`); err != nil {
						t.Error(err)
					}
					if meanwhile {
						w.Receive("room:"+w.room.String(), c.real)
					}
					close(came)
				}
				tracer.do.Store(&do)
				w.Receive("room:"+w.room.String(), c.forged)
				<-came
				if !meanwhile {
					w.Receive("room:"+w.room.String(), c.real)
				}
				if c.real == stored {
					mustTake(t, s, 3, 5)
					return
				}
				for body := ""; body == ""; {
					u, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range u.Events {
						for _, m := range e.Changes {
							body = m.Body
						}
					}
					if body == "" && u.Cursor.Rev > 0 {
						t.Fatalf("the change was left out: the cursor is %v", u.Cursor)
					}
				}
			})
		}
	}
}
