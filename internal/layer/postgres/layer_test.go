package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
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

// hosted is the environment variable by which a test tells another process of its own to host a layer on this database.
const hosted = "PGCHAT_TEST_HOST_LAYER"

func TestMain(m *testing.M) {
	if url := os.Getenv(hosted); url != "" {
		host(url)
		return
	}
	pgtest.Run(m)
}

func host(url string) {
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	l := postgres.New(pool, url, uuid.New(), slog.New(slog.DiscardHandler))
	layertest.Host(l, os.Stdin, os.Stdout)
	_ = l.Stop(context.Background())
}

func start(t testing.TB, pool *pgxpool.Pool) *postgres.Layer {
	t.Helper()
	return startWith(t, pool, pool.Config().ConnString(), postgres.Intervals{})
}

func startWith(t testing.TB, pool *pgxpool.Pool, listenURL string, times postgres.Intervals) *postgres.Layer {
	t.Helper()
	l := postgres.New(pool, listenURL, uuid.New(), slog.New(slog.DiscardHandler))
	l.Shorten(times)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	return l
}

func TestLayer(t *testing.T) {
	layertest.Run(t, func(t *testing.T, n int) (layers []layer.Layer) {
		pool := pgtest.Pool(t)
		for range n {
			layers = append(layers, start(t, pool))
		}
		return layers
	})
}

func TestLayerAcrossProcesses(t *testing.T) {
	layertest.Run(t, func(t *testing.T, n int) []layer.Layer {
		pool := pgtest.Pool(t)
		layers := []layer.Layer{start(t, pool)}
		for range n - 1 {
			layers = append(layers, startRemote(t, pool))
		}
		return layers
	})
}

func startRemote(t *testing.T, pool *pgxpool.Pool) *layertest.Remote {
	t.Helper()
	l := layertest.StartRemote(t, hosted+"="+pool.Config().ConnString())
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMembershipEndsWithAKilledProcess(t *testing.T) {
	pool := pgtest.Pool(t)
	here, there := start(t, pool), startRemote(t, pool)
	in, gone := layertest.NewInbox(), layertest.NewInbox()
	channel := there.Open(gone)
	if err := errors.Join(here.GroupAdd(t.Context(), "g", here.Open(in)), there.GroupAdd(t.Context(), "g", channel)); err != nil {
		t.Fatal(err)
	}
	there.Kill()
	if err := errors.Join(here.Send(t.Context(), channel, "lost"), here.GroupSend(t.Context(), "g", "one")); err != nil {
		t.Fatal(err)
	}
	in.Want(t, "g one")
	gone.Empty(t)
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
	isLinked(t, l, pool)
	for i := range 3 {
		cutListeners(t, pool)
		in.WantMissed(t)
		if err := l.GroupSend(t.Context(), "g", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		in.Want(t, fmt.Sprintf("g %d", i))
		if err := l.Ready(); err != nil {
			t.Error(err)
		}
		isLinked(t, l, pool)
	}
	// Its heartbeat is timed, and comes before what is sent after it.
	if err := errors.Join(l.Beat(t.Context()), l.GroupSend(t.Context(), "g", "timed")); err != nil {
		t.Fatal(err)
	}
	in.Want(t, "g timed")
	if link := l.Link(); link.Lag <= 0 {
		t.Errorf("after a heartbeat the link is %+v", link)
	}
}

// isLinked fails unless the layer knows which process of PostgreSQL it listens on.
func isLinked(t *testing.T, l *postgres.Layer, pool *pgxpool.Pool) {
	t.Helper()
	var pid uint32
	if err := pool.QueryRow(t.Context(), `select pid from pg_stat_activity where datname = current_database() and application_name = 'pgchat listener'`).Scan(&pid); err != nil || l.Link().PID != pid {
		t.Errorf("the listener is process %d, error %v, and the link is %+v", pid, err, l.Link())
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

// syncing is a pool on a PostgreSQL that syncs, for benchmarks.
func syncing(b *testing.B) *pgxpool.Pool {
	b.Helper()
	_, url := pgtest.Cluster(b)
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// BenchmarkLayer writes no WAL that matters, but for its large events.
func BenchmarkLayer(b *testing.B) {
	pool := syncing(b)
	layertest.Bench(b, func(b *testing.B, n int) (layers []layer.Layer) {
		b.Helper()
		for range n {
			layers = append(layers, start(b, pool))
		}
		return layers
	})
}
