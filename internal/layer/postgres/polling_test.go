package postgres_test

import (
	"bytes"
	"context"
	"errors"
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

// quick are intervals for tests in which the listener loses its hearing.
var quick = postgres.Intervals{Heartbeat: 100 * time.Millisecond, Quiet: 2 * time.Second, Echo: 2 * time.Second, Poll: 20 * time.Millisecond, Again: 50 * time.Millisecond}

// log is written by one goroutine and read by another.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestBehindATransactionPoolerItPollsUntilThereIsADirectConnection(t *testing.T) {
	direct := pgtest.Pool(t)
	bouncer := pgtest.StartBouncer(t, direct.Config().ConnString(), "transaction")
	said := &log{}
	l := postgres.New(direct, bouncer.URL, uuid.New(), slog.New(slog.NewTextHandler(said, nil)))
	l.Shorten(quick)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	if l.Ready() != nil || !errors.Is(l.Polling(), postgres.ErrNoEcho) {
		t.Errorf("ready: %v, polling: %v; want it to serve and say that it polls", l.Ready(), l.Polling())
	}
	in := layertest.NewInbox()
	if err := l.GroupAdd(t.Context(), "g", l.Open(in)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		in.WantMissed(t)
	}
	if names, err := l.Listening(t.Context()); err != nil || len(names) > 0 || l.Link() != (postgres.Link{}) {
		t.Errorf("it listens to %v by %+v, error %v", names, l.Link(), err)
	}
	if n := said.count("LISTEN_DATABASE_URL"); n != 1 {
		t.Errorf("it was said %d times what to do", n)
	}
	// The pooler gives way to connections that keep what they listen to.
	bouncer.Stop()
	bouncer.Start("session")
	t.Cleanup(bouncer.Stop)
	hears(t, l, in)
	isLinked(t, l, direct)
}

// hears waits until what is sent arrives: polling, it would not.
func hears(t *testing.T, l *postgres.Layer, in *layertest.Inbox) {
	t.Helper()
	for {
		in.WantMissed(t)
		if l.Polling() == nil {
			break
		}
	}
	if err := l.GroupSend(t.Context(), "g", "live"); err != nil {
		t.Fatal(err)
	}
	in.Want(t, "g live")
	if err := l.Ready(); err != nil {
		t.Error(err)
	}
}

// After a failover the pool is on the new server while the listener's connection to the old one lives on. Two databases
// stand for the servers: notifications stay within one.
func TestAListenerThatNoLongerHearsThePoolIsNoticed(t *testing.T) {
	old := pgtest.Pool(t)
	elsewhere, err := pgx.ParseConfig(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	var moved atomic.Bool
	cfg := old.Config()
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if moved.Load() {
			c.Database = elsewhere.Database
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l := startWith(t, pool, old.Config().ConnString(), quick)
	in := layertest.NewInbox()
	if err := l.GroupAdd(t.Context(), "g", l.Open(in)); err != nil {
		t.Fatal(err)
	}
	moved.Store(true)
	pool.Reset()
	for l.Polling() == nil {
		in.WantMissed(t)
	}
	moved.Store(false)
	pool.Reset()
	hears(t, l, in)
}
