package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/layer/layertest"
	"github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// queries counts the statements of a pool that contain a text.
type queries struct {
	text string
	n    atomic.Int64
}

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, q.text) {
		q.n.Add(1)
	}
	return ctx
}
func (*queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted makes a pool like the other whose statements with this text are counted.
func counted(t *testing.T, pool *pgxpool.Pool, text string) (*pgxpool.Pool, *queries) {
	t.Helper()
	q := &queries{text: text}
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = q
	traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traced.Close)
	return traced, q
}

func TestALargeEventIsFetchedOnceHoweverManyChannelsWantIt(t *testing.T) {
	pool, fetches := counted(t, pgtest.Pool(t), "-- name: Event ")
	l := start(t, pool)
	inboxes := make([]*layertest.Inbox, 20)
	for i := range inboxes {
		inboxes[i] = layertest.NewInbox()
		if err := l.GroupAdd(t.Context(), "g", l.Open(inboxes[i])); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("large ", 2000)
	if err := l.GroupSend(t.Context(), "g", large); err != nil {
		t.Fatal(err)
	}
	for _, in := range inboxes {
		in.Want(t, "g "+large)
	}
	if n := fetches.n.Load(); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}

// A notification that names an event which is gone already, as after a crash of PostgreSQL.
func TestALostLargeEventIsToldAndHoldsNothingUp(t *testing.T) {
	pool := pgtest.Pool(t)
	l := start(t, pool)
	in := layertest.NewInbox()
	if err := l.GroupAdd(t.Context(), "g", l.Open(in)); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `select pg_notify('g', 'event:' || gen_random_uuid()), pg_notify('g', 'after it')`); err != nil {
		t.Fatal(err)
	}
	in.WantMissed(t)
	in.Want(t, "g after it")
}

func TestExpiredEventsAreNotHandedOutAndDeleteThemselves(t *testing.T) {
	pool := pgtest.Pool(t)
	deaf := startWith(t, pool, pool.Config().ConnString(), postgres.Intervals{Heartbeat: time.Hour}) // deletes nothing
	in := layertest.NewInbox()
	if err := deaf.GroupAdd(t.Context(), "g", deaf.Open(in)); err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	if _, err := pool.Exec(t.Context(), `insert into chat.events (id, payload, expires_at) values ($1, 'old', now())`, id); err != nil {
		t.Fatal(err)
	}
	if err := notifyEvent(t, pool, id); err != nil {
		t.Fatal(err)
	}
	in.WantMissed(t)
	in.Empty(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	// The row's end is told by a trigger of the test's own.
	if _, err := conn.Exec(t.Context(), `listen deleted; create function deleted() returns trigger language plpgsql as
		'begin perform pg_notify(''deleted'', old.id::text); return null; end';
		create trigger deleted after delete on chat.events for each row execute function deleted()`); err != nil {
		t.Fatal(err)
	}
	startWith(t, pool, pool.Config().ConnString(), postgres.Intervals{Heartbeat: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if n, err := conn.Conn().WaitForNotification(ctx); err != nil || n.Payload != id.String() {
		t.Errorf("the expired event was not deleted: %v, error %v", n, err)
	}
}

func notifyEvent(t *testing.T, pool *pgxpool.Pool, id uuid.UUID) error {
	t.Helper()
	_, err := pool.Exec(t.Context(), `select pg_notify('g', 'event:' || $1::uuid)`, id)
	return err
}

func TestWhatIsSentAtOnceLeavesTogether(t *testing.T) {
	pool, statements := counted(t, pgtest.Pool(t), "-- name: Notify ")
	l := start(t, pool)
	in := layertest.NewInbox()
	if err := l.GroupAdd(t.Context(), "g", l.Open(in)); err != nil {
		t.Fatal(err)
	}
	const senders, each = 50, 20
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				if err := l.GroupSend(t.Context(), "g", fmt.Sprint(s, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	for range senders * each {
		<-in.Payloads
	}
	if n := statements.n.Load(); n > senders*each/2 {
		t.Errorf("%d events left in %d statements", senders*each, n)
	}
}

func TestAnEventThatIsNotStoredWritesNextToNoWAL(t *testing.T) {
	_, url := pgtest.Cluster(t) // its own: nobody else writes
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l := postgres.New(pool, url, uuid.New(), slog.New(slog.DiscardHandler))
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	wal := func() (at int64) {
		if err := pool.QueryRow(t.Context(), `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, payload := range map[string]string{"in the notification": "x", "stored": strings.Repeat("random enough? ", 1000)} {
		before := wal()
		const n = 1000
		for i := range n {
			if err := l.GroupSend(t.Context(), "g", fmt.Sprint(i, payload)); err != nil {
				t.Fatal(err)
			}
		}
		each := float64(wal()-before) / n
		t.Logf("%s: %.0f bytes of WAL for each event", name, each)
		if each > 150 {
			t.Errorf("%s: %.0f bytes of WAL for each event", name, each)
		}
	}
}
