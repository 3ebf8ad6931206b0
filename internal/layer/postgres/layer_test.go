package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/layer"
	"github.com/pgchat/pgchat/internal/layer/layertest"
	"github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

func start(t *testing.T, pool *pgxpool.Pool) *postgres.Layer {
	t.Helper()
	l := postgres.New(pool, pool.Config().ConnString(), uuid.New(), slog.New(slog.DiscardHandler))
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	return l
}

func TestLayer(t *testing.T) {
	layertest.Run(t, func(t *testing.T) (layer.Layer, layer.Layer) {
		pool := pgtest.Pool(t)
		return start(t, pool), start(t, pool)
	})
}

// cutListeners ends every connection that listens.
func cutListeners(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var n int
	if err := pool.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and application_name = 'pgchat listener'`).Scan(&n); err != nil || n == 0 {
		t.Fatalf("cut %d listeners: %v", n, err)
	}
}

func TestAfterALostConnectionReceiversAreToldAndReceiveAgain(t *testing.T) {
	pool := pgtest.Pool(t)
	l := start(t, pool)
	in := layertest.NewInbox()
	if err := l.GroupAdd(t.Context(), "g", l.Open(in)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		cutListeners(t, pool)
		select {
		case <-in.Misses:
		case <-time.After(20 * time.Second):
			t.Fatal("the receiver was not told")
		}
		if err := l.GroupSend(t.Context(), "g", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		in.Want(t, fmt.Sprintf("g %d", i))
		if err := l.Ready(); err != nil {
			t.Error(err)
		}
	}
}

func TestAddingWhileTheConnectionIsLostSucceedsOnceItIsBack(t *testing.T) {
	pool := pgtest.Pool(t)
	l := start(t, pool)
	cutListeners(t, pool)
	in := layertest.NewInbox()
	for i := range 20 {
		group := fmt.Sprint("g", i)
		if err := l.GroupAdd(t.Context(), group, l.Open(in)); err != nil {
			t.Fatal(err)
		}
		if err := l.GroupSend(t.Context(), group, "x"); err != nil {
			t.Fatal(err)
		}
		in.Want(t, group+" x")
	}
}

func TestRandomChurnEndsWithTheWantedChannels(t *testing.T) {
	pool := pgtest.Pool(t)
	l := start(t, pool)
	const workers, groups, steps = 12, 15, 60
	var wg sync.WaitGroup
	wanted := make([]map[string]bool, workers)
	for w := range workers {
		wanted[w] = map[string]bool{}
		wg.Go(func() {
			channel := l.Open(layertest.NewInbox())
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range steps {
				group := fmt.Sprintf("churn:%d", random.IntN(groups))
				if random.IntN(2) == 0 {
					if err := l.GroupAdd(t.Context(), group, channel); err != nil {
						t.Error(err)
					}
					wanted[w][group] = true
				} else {
					l.GroupDiscard(group, channel)
					delete(wanted[w], group)
				}
			}
		})
	}
	wg.Wait()
	var want []string
	for g := range groups {
		group := fmt.Sprintf("churn:%d", g)
		if slices.ContainsFunc(wanted, func(w map[string]bool) bool { return w[group] }) {
			want = append(want, group)
		}
	}
	slices.Sort(want)
	got, err := l.Listening(t.Context())
	got = slices.DeleteFunc(got, func(name string) bool { return !strings.HasPrefix(name, "churn:") })
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("PostgreSQL listens to %v, want %v; error %v", got, want, err)
	}
}

// A group that is left and joined again at once must not be taken for listened to while UNLISTEN is under way.
func TestWhatIsSentAfterAddingIsReceivedHoweverQuicklyTheGroupWasLeftBefore(t *testing.T) {
	pool := pgtest.Pool(t)
	l := postgres.New(pool, pool.Config().ConnString(), uuid.New(), slog.New(slog.DiscardHandler))
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	const group = "left and joined"
	var wg sync.WaitGroup
	for range 2 { // now and then one adds while the other's UNLISTEN is on its way
		wg.Go(func() {
			for i := range 500 {
				got := make(received, 1)
				channel := l.Open(got)
				if err := errors.Join(l.GroupAdd(t.Context(), group, channel), l.GroupSend(t.Context(), group, "hello")); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-got:
				case <-time.After(10 * time.Second):
					t.Errorf("round %d: what was sent after GroupAdd had returned was not received", i)
					return
				}
				l.Close(channel)
			}
		})
	}
	wg.Wait()
}

type received chan string

func (r received) Receive(_, payload string) {
	select {
	case r <- payload:
	default:
	}
}
func (received) Missed() {}

func TestStartSaysWhenTheDatabaseCannotBeReached(t *testing.T) {
	pool := pgtest.Pool(t)
	l := postgres.New(pool, "host=/nowhere user=x dbname=x", uuid.New(), slog.New(slog.DiscardHandler))
	if err := l.Start(t.Context()); err == nil {
		t.Error("no error")
	}
	if l.Ready() == nil {
		t.Error("ready all the same")
	}
}
