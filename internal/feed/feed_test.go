package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

type world struct {
	*feed.Feed
	layer *postgres.Layer
	pool  *pgxpool.Pool
	room  uuid.UUID
	ada   uuid.UUID
}

func start(t testing.TB) *world {
	t.Helper()
	pool := pgtest.Pool(t)
	log := slog.New(slog.DiscardHandler)
	w := &world{pool: pool, layer: postgres.New(pool, pool.Config().ConnString(), uuid.New(), log)}
	w.Feed = feed.New(w.layer, chat.NewMessages(pool), log)
	if err := errors.Join(w.Start(t.Context()), w.layer.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.Stop(context.Background())
		_ = w.layer.Stop(context.Background())
	})
	if err := pool.QueryRow(t.Context(), `insert into chat.users (name) values ('ada') returning id`).Scan(&w.ada); err != nil {
		t.Fatal(err)
	}
	if err := pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&w.room); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) insert(t testing.TB, n int, body string) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body)
		select $1, $2, $3 from generate_series(1, $4)`, w.room, w.ada, body, n); err != nil {
		t.Fatal(err)
	}
}

// subscriber is woken by a channel.
type subscriber struct {
	*feed.Subscription
	ready chan struct{}
}

func (s *subscriber) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Next waits until there may be something. What does not come within a minute was lost.
func (s *subscriber) Next(ctx context.Context) (feed.Update, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case <-s.ready:
	case <-ctx.Done():
		return feed.Update{}, ctx.Err()
	}
	u, err := s.Subscription.Next(ctx)
	if err != nil || !u.Live {
		s.wake()
	}
	return u, err
}

func (w *world) from(ctx context.Context, after chat.Cursor) (*subscriber, error) {
	s := &subscriber{ready: make(chan struct{}, 1)}
	s.wake()
	var err error
	s.Subscription, err = w.Subscribe(ctx, w.room, after, s.wake)
	return s, err
}

func (w *world) subscribe(t testing.TB, after int64) *subscriber {
	t.Helper()
	s, err := w.from(t.Context(), chat.Cursor{Seq: after})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// take reads until seq last has come and fails unless every message after seq after has come once, in order.
func take(ctx context.Context, s *subscriber, after, last int64) error {
	for next := after + 1; next <= last; {
		u, err := s.Next(ctx)
		if err != nil {
			if errors.Is(err, feed.ErrAhead) || errors.Is(err, feed.ErrGone) || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				return fmt.Errorf("message %d did not come: %w", next, err)
			}
			continue
		}
		for _, e := range u.Events {
			if e.First != next || len(e.Messages) != int(e.Last-e.First+1) {
				return fmt.Errorf("event %d to %d with %d messages, want it from %d", e.First, e.Last, len(e.Messages), next)
			}
			for _, m := range e.Messages {
				if m.Seq != next || m.Author != "ada" || m.Body == "" || m.CreatedAt.IsZero() {
					return fmt.Errorf("got %+v, want seq %d", m, next)
				}
				next++
			}
		}
		if u.Cursor.Seq != next-1 {
			return fmt.Errorf("cursor %v after message %d", u.Cursor, next-1)
		}
	}
	return nil
}

func mustTake(t *testing.T, s *subscriber, after, last int64) {
	t.Helper()
	if err := take(t.Context(), s, after, last); err != nil {
		t.Fatal(err)
	}
}

func TestInlinedMessagesAndRangesArriveAlike(t *testing.T) {
	w := start(t)
	s := w.subscribe(t, 0)
	w.insert(t, 3, "small")
	w.insert(t, 700, strings.Repeat("large ", 100)) // a range: read from the table in pages
	w.insert(t, 1, "small again")
	mustTake(t, s, 0, 704)
}

func TestASubscriptionStartsAtItsCursor(t *testing.T) {
	w := start(t)
	w.insert(t, 1300, "before anybody came")
	for _, after := range []int64{0, 1, 650, 1299} {
		mustTake(t, w.subscribe(t, after), after, 1300)
	}
	live := w.subscribe(t, 1300)
	w.insert(t, 2, "new")
	mustTake(t, live, 1300, 1302)
	// These come from the ring and begin within an event.
	w.insert(t, 5, "together")
	mustTake(t, live, 1302, 1307)
	mustTake(t, w.subscribe(t, 1304), 1304, 1307)
	mustTake(t, w.subscribe(t, 100), 100, 1307)
}

func TestASubscriberThatFellBehindTheRingReadsTheTable(t *testing.T) {
	w := start(t)
	slow, quick := w.subscribe(t, 0), w.subscribe(t, 0)
	for range 600 {
		w.insert(t, 1, "x")
	}
	mustTake(t, quick, 0, 600)
	mustTake(t, slow, 0, 600)
}

func TestMessagesBetweenSubscribingAndReadingAreDeliveredOnce(t *testing.T) {
	w := start(t)
	const total = 400
	var wg sync.WaitGroup
	wg.Go(func() {
		for range total {
			w.insert(t, 1, "x")
		}
	})
	for range 20 {
		wg.Go(func() {
			for range 10 {
				s, err := w.from(t.Context(), chat.Cursor{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := take(t.Context(), s, 0, rand.Int64N(total)); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	wg.Wait()
	if n := w.Rooms(); n != 0 {
		t.Errorf("%d rooms are open after all have left", n)
	}
	names, err := w.layer.Listening(t.Context())
	if err != nil || len(names) != 1 {
		t.Errorf("PostgreSQL listens to %v, error %v; want the instance's own channel alone", names, err)
	}
}

func TestALostListenerLosesNothing(t *testing.T) {
	w := start(t)
	const total = 500
	var wg sync.WaitGroup
	for range 5 {
		s := w.subscribe(t, 0)
		wg.Go(func() {
			if err := take(t.Context(), s, 0, total); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range total {
		if i%50 == 25 {
			if _, err := w.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and application_name = 'pgchat listener'`); err != nil {
				t.Fatal(err)
			}
		}
		w.insert(t, 1, "x")
	}
	wg.Wait()
}

func TestACursorAheadOfTheRoomIsRefused(t *testing.T) {
	w := start(t)
	w.insert(t, 2, "x")
	if _, err := w.from(t.Context(), chat.Cursor{Seq: 3}); !errors.Is(err, feed.ErrAhead) {
		t.Errorf("got %v, want ErrAhead", err)
	}
	if _, err := w.from(t.Context(), chat.Cursor{Rev: 1}); !errors.Is(err, feed.ErrAhead) {
		t.Errorf("a rev ahead: got %v, want ErrAhead", err)
	}
	if _, err := w.Subscribe(t.Context(), uuid.New(), chat.Cursor{}, func() {}); !errors.Is(err, feed.ErrGone) {
		t.Errorf("an unknown room: got %v, want ErrGone", err)
	}
}

func TestANotificationThatCannotBeReadMakesTheFeedAskTheTable(t *testing.T) {
	w := start(t)
	s := w.subscribe(t, 0)
	if _, err := w.pool.Exec(t.Context(), `select pg_notify('room:' || $1::text, 'rubbish')`, w.room); err != nil {
		t.Fatal(err)
	}
	w.insert(t, 1, "x")
	mustTake(t, s, 0, 1)
}

func TestEveryoneTakesTheSameEncoding(t *testing.T) {
	w := start(t)
	a, b := w.subscribe(t, 0), w.subscribe(t, 0)
	w.insert(t, 1, "x")
	var made int
	for _, s := range []*subscriber{a, b} {
		for got := 0; got == 0; {
			u, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range u.Events {
				got++
				e.Encoded("test", func(*feed.Event) any { made++; return made })
			}
		}
	}
	if made != 1 {
		t.Errorf("encoded %d times", made)
	}
}

// BenchmarkFeed has 1,000 subscribers of a room take messages that are stored 20 at a time, by notifications that hold them
// and by those that name their range, which the feed reads once for all.
//
//	go test -run '^$' -bench Feed -benchtime 3s -count 5 ./internal/feed
func BenchmarkFeed(b *testing.B) {
	for name, body := range map[string]string{"inline": strings.Repeat("x", 64), "range": strings.Repeat("x", 1000)} {
		b.Run(name, func(b *testing.B) {
			const subscribers, atOnce = 1000, 20
			w := start(b)
			var readers sync.WaitGroup
			total := int64(0)
			last := make(chan int64, subscribers) // what each has taken
			for range subscribers {
				s := w.subscribe(b, 0)
				readers.Go(func() {
					for at := int64(0); ; {
						u, err := s.Next(b.Context())
						if err != nil {
							return
						}
						if u.Cursor.Seq > at {
							at = u.Cursor.Seq
							last <- at
						}
					}
				})
			}
			b.ResetTimer()
			for b.Loop() {
				w.insert(b, atOnce, body)
				total += atOnce
				for done := 0; done < subscribers; {
					if <-last == total {
						done++
					}
				}
			}
			b.ReportMetric(float64(total)*subscribers/b.Elapsed().Seconds(), "deliveries/s")
			b.StopTimer()
		})
	}
}
