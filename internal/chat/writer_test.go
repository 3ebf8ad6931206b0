package chat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

func startWriter(t *testing.T, pool *pgxpool.Pool) *chat.Writer {
	t.Helper()
	w := chat.NewWriter(pool)
	w.Start(t.Context())
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func addUser(t *testing.T, pool *pgxpool.Pool, name string) (id uuid.UUID) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `insert into chat.users (name) values ($1) returning id`, name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func general(t *testing.T, pool *pgxpool.Pool) (id uuid.UUID) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func wantCode(t *testing.T, err error, code chat.Code) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

func TestWriterKeepsTheOrderOfOneCaller(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, room := startWriter(t, pool), addUser(t, pool, "ada"), general(t, pool)
	const n = 1200
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: fmt.Sprint(i)}, func(seq int64, err error) {
			defer wg.Done()
			if err != nil || seq != int64(i+1) {
				t.Errorf("post %d: seq %d, error %v", i, seq, err)
			}
		})
	}
	wg.Wait()
	page, err := chat.NewMessages(pool).Page(t.Context(), room, 0, 50)
	if err != nil || len(page) != 50 || page[49].Body != fmt.Sprint(n-1) || page[0].Seq != n-49 || page[0].Author != "ada" {
		t.Errorf("newest page: %d messages, error %v", len(page), err)
	}
	older, err := chat.NewMessages(pool).Page(t.Context(), room, page[0].Seq, 50)
	if err != nil || len(older) != 50 || older[49].Seq != page[0].Seq-1 {
		t.Errorf("older page: %d messages, error %v", len(older), err)
	}
}

func TestWriterCountsWhatItStoredSinceItWasAsked(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, room := startWriter(t, pool), addUser(t, pool, "ada"), general(t, pool)
	const n = 300
	var wg sync.WaitGroup
	wg.Add(n)
	for range n {
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x"}, func(_ int64, err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if waiting, batches, messages, largest := w.Load(); waiting != 0 || messages != n || batches < 1 || largest < n/batches || largest > n {
		t.Errorf("%d messages in %d statements of at most %d, %d wait", messages, batches, largest, waiting)
	}
	if _, err := w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "one more"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]int{{1, 1, 1}, {0, 0, 0}} {
		if _, batches, messages, largest := w.Load(); [3]int{batches, messages, largest} != want {
			t.Errorf("%d messages in %d statements of at most %d, want %v", messages, batches, largest, want)
		}
	}
}

func TestWriterAnswersEachPostOfABatchOnItsOwn(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, room := startWriter(t, pool), addUser(t, pool, "ada"), general(t, pool)
	bob := addUser(t, pool, "bob")
	id := uuid.New()
	seq, err := w.Post(t.Context(), chat.Post{RoomID: room, ID: id, AuthorID: ada, Body: "  hello  "})
	if err != nil || seq != 1 {
		t.Fatalf("first post: seq %d, error %v", seq, err)
	}
	seq, err = w.Post(t.Context(), chat.Post{RoomID: room, ID: id, AuthorID: ada, Body: "hello"})
	if err != nil || seq != 1 {
		t.Errorf("the same id again: seq %d, error %v; want seq 1", seq, err)
	}
	_, err = w.Post(t.Context(), chat.Post{RoomID: room, ID: id, AuthorID: bob, Body: "mine"})
	wantCode(t, err, chat.Taken)
	_, err = w.Post(t.Context(), chat.Post{RoomID: uuid.New(), ID: uuid.New(), AuthorID: ada, Body: "x"})
	wantCode(t, err, chat.NotFound)
	_, err = w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: uuid.New(), Body: "x"})
	wantCode(t, err, chat.Forbidden)
	for _, body := range []string{"", " \n ", strings.Repeat("é", 8001), "nul\x00", "\xff"} {
		_, err = w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: body})
		wantCode(t, err, chat.Invalid)
	}
	if seq, err = w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: strings.Repeat("🐘", 8000)}); err != nil || seq != 2 {
		t.Errorf("8000 elephants: seq %d, error %v", seq, err)
	}
}

func TestWriterStoresWhatIsSentTwiceAtOnceOnce(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, room := addUser(t, pool, "ada"), general(t, pool)
	w := chat.NewWriter(pool)
	t.Cleanup(func() { _ = w.Stop(context.Background()) })
	twin := uuid.New()
	var wg sync.WaitGroup
	for _, post := range []struct {
		id  uuid.UUID
		seq int64
	}{{uuid.New(), 1}, {twin, 2}, {twin, 2}, {uuid.New(), 3}, {twin, 2}, {uuid.New(), 4}} {
		wg.Add(1)
		w.Submit(chat.Post{RoomID: room, ID: post.id, AuthorID: ada, Body: "hello"}, func(seq int64, err error) {
			defer wg.Done()
			if err != nil || seq != post.seq {
				t.Errorf("seq %d, error %v; want %d", seq, err, post.seq)
			}
		})
	}
	w.Start(t.Context()) // all of them wait by now
	wg.Wait()
}

func TestWriterStoresABatchAgainWhenItsConnectionWasCut(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, room := startWriter(t, pool), addUser(t, pool, "ada"), general(t, pool)
	for i := range 20 {
		if _, err := pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		seq, err := w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "again"})
		if err != nil || seq != int64(i+1) {
			t.Fatalf("post %d: seq %d, error %v", i, seq, err)
		}
	}
}

func TestWriterRefusesABadPostAloneWhenTheDatabaseRejectsTheBatch(t *testing.T) {
	pool := pgtest.Pool(t)
	// A rule that the function does not know of, such as a DBA may add.
	if _, err := pool.Exec(t.Context(), `alter table chat.messages add check (body <> 'forbidden')`); err != nil {
		t.Fatal(err)
	}
	w, ada, room := chat.NewWriter(pool), addUser(t, pool, "ada"), general(t, pool)
	var wg sync.WaitGroup
	for _, body := range []string{"one", "forbidden", "two"} {
		wg.Add(1)
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: body}, func(_ int64, err error) {
			defer wg.Done()
			if (err != nil) != (body == "forbidden") {
				t.Errorf("%s: error %v", body, err)
			}
		})
	}
	w.Start(t.Context())
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	head, err := chat.NewMessages(pool).Heads(t.Context(), room)
	if err != nil || head[room].Seq != 2 {
		t.Errorf("head %v, error %v; want 2 messages without a gap", head[room], err)
	}
}

func TestWriterStopStoresWhatWaitsAndRefusesTheRest(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, room := chat.NewWriter(pool), addUser(t, pool, "ada"), general(t, pool)
	var stored int
	for range 700 {
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x"}, func(_ int64, err error) {
			if err == nil {
				stored++
			}
		})
	}
	w.Start(t.Context())
	if err := w.Stop(t.Context()); err != nil || stored != 700 {
		t.Errorf("stored %d of 700, error %v", stored, err)
	}
	_, err := w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "late"})
	wantCode(t, err, chat.Unavailable)
}

func TestWriterRefusesAtOnceWhatItsQueueCannotHold(t *testing.T) {
	w := chat.NewWriter(nil) // never started: nothing is taken from the queue
	var busy int
	for range 8192 + 3 {
		w.Submit(chat.Post{}, func(_ int64, err error) {
			wantCode(t, err, chat.Busy)
			busy++
		})
	}
	if busy != 3 {
		t.Errorf("%d posts were refused, want 3", busy)
	}
}

func TestCursorReadsWhatItWroteAndRefusesTheRest(t *testing.T) {
	for _, c := range []chat.Cursor{{}, {Seq: 17, Rev: 3}, {Seq: 17, Rev: 3, History: "0f9a2c41"}} {
		if got, err := chat.ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%v came back as %v, error %v", c, got, err)
		}
	}
	for _, s := range []string{"", "17", "17.", ".3", "-1.0", "1.-1", "a.b", "1.2.3", "1.2.", "1.2.0f9a2c41.4", "99999999999999999999.0"} {
		_, err := chat.ParseCursor(s)
		wantCode(t, err, chat.Invalid)
	}
}

func TestWriterTellsAtOnceWhatStopsItAndHealsByItself(t *testing.T) {
	cluster, url := pgtest.Cluster(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w, ada, room := startWriter(t, pool), addUser(t, pool, "ada"), general(t, pool)
	post := func() error {
		_, err := w.Post(t.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x"})
		return err
	}
	refused := func(why string) {
		t.Helper()
		err := post()
		for deadline := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(deadline); { // until the setting is in force
			err = post()
		}
		wantCode(t, err, chat.Unavailable)
		if err := errors.Join(err, w.Ready()); !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want to hear of %q", err, why)
		}
		if w.Ready() == nil {
			t.Error("ready all the same")
		}
		began := time.Now()
		for range 1000 {
			wantCode(t, post(), chat.Unavailable)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("1000 refusals took %s", took)
		}
	}
	heals := func() {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); post() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not heal")
			}
		}
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
	}
	set := func(to string) {
		t.Helper()
		for _, sql := range []string{"set default_transaction_read_only = off", "alter system set default_transaction_read_only = " + to, "select pg_reload_conf()"} {
			if _, err := pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		pool.Reset()
	}
	if err := post(); err != nil {
		t.Fatal(err)
	}

	if err := cluster.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused("cannot be reached")
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	heals()

	set("on")
	refused("read-only")
	set("off")
	heals()
}
