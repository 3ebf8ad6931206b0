package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

// hold begins a transaction that has posted to the room.
func hold(t *testing.T, pool *pgxpool.Pool, room uuid.UUID) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `insert into chat.messages (room_id, author_id, body) select $1, id, 'held' from chat.users limit 1`, room); err != nil {
		t.Fatal(err)
	}
	return tx
}

func end(t *testing.T, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}

func addRooms(t *testing.T, pool *pgxpool.Pool, n int) (ids []uuid.UUID) {
	t.Helper()
	for i := range n {
		var id uuid.UUID
		if err := pool.QueryRow(t.Context(), `insert into chat.rooms (slug, name, everyone) values ($1, $1, true) returning id`, fmt.Sprintf("room-%d", i)).Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestARoomThatAnotherTransactionHoldsHoldsUpNoOther(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada := startWriter(t, pool), addUser(t, pool, "ada")
	rooms := addRooms(t, pool, 3)
	type answer struct {
		seq int64
		err error
	}
	submit := func(room uuid.UUID, body string) <-chan answer {
		answers := make(chan answer, 1)
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: body}, func(seq int64, err error) { answers <- answer{seq, err} })
		return answers
	}
	stored := func(what string, answers <-chan answer, seq int64) {
		t.Helper()
		if got := <-answers; got.seq != seq || got.err != nil {
			t.Errorf("%s: seq %d, error %v; want %d", what, got.seq, got.err, seq)
		}
	}
	one, two := hold(t, pool, rooms[0]), hold(t, pool, rooms[1])
	var first, second, others []<-chan answer
	for i := range 5 {
		first, second, others = append(first, submit(rooms[0], fmt.Sprint(i))), append(second, submit(rooms[1], fmt.Sprint(i))), append(others, submit(rooms[2], fmt.Sprint(i)))
	}
	for i, a := range others {
		stored("a room that nobody holds", a, int64(i+1))
	}
	stored("a room that nobody holds, afterwards", submit(rooms[2], "and again"), 6)
	if n, _, _, _ := w.Load(); n != 10 {
		t.Errorf("%d messages wait, want 10", n)
	}
	end(t, two)
	for i, a := range second {
		stored("the room that is free again", a, int64(i+2))
	}
	first = append(first, submit(rooms[0], "behind them"))
	end(t, one)
	for i, a := range first {
		stored("the room that was free later", a, int64(i+2))
	}

	// Who waits for too long is told, and nobody else.
	one = hold(t, pool, rooms[0])
	told := submit(rooms[0], "too long")
	stored("meanwhile", submit(rooms[2], "meanwhile"), 7)
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
	wantCode(t, (<-told).err, chat.Unavailable)
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
	end(t, one)
	stored("after all", submit(rooms[0], "after all"), 9)
}

// A lock of something else than a room's head is waited for as well, and ends for all.
func TestAMessageThatIsAnsweredIsWaitedFor(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada := startWriter(t, pool), addUser(t, pool, "ada")
	rooms := addRooms(t, pool, 2)
	if _, err := w.Post(t.Context(), chat.Post{RoomID: rooms[0], ID: uuid.New(), AuthorID: ada, Body: "a question"}); err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select from chat.messages for update`); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	w.Submit(chat.Post{RoomID: rooms[0], ID: uuid.New(), AuthorID: ada, Body: "an answer", ReplyTo: 1}, func(_ int64, err error) { answered <- err })
	if _, err := w.Post(t.Context(), chat.Post{RoomID: rooms[1], ID: uuid.New(), AuthorID: ada, Body: "elsewhere"}); err != nil {
		t.Error(err)
	}
	end(t, tx)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// What waits when the database goes away is answered, and the server comes back with the database.
func TestAnOutageWhileARoomIsHeldIsOver(t *testing.T) {
	cluster, url := pgtest.Cluster(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w, ada := startWriter(t, pool), addUser(t, pool, "ada")
	rooms := addRooms(t, pool, 11)
	last := rooms[10]
	post := func(room uuid.UUID, replyTo int64) <-chan error {
		answers := make(chan error, 1)
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x", ReplyTo: replyTo}, func(_ int64, err error) { answers <- err })
		return answers
	}
	for _, room := range rooms {
		if err := <-post(room, 0); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }() // its connection is cut by then, and the pool waits for it all the same
	if _, err := tx.Exec(t.Context(), `select from chat.messages for update`); err != nil {
		t.Fatal(err)
	}
	var waiting []<-chan error
	for _, room := range rooms[:10] { // nearly all the time one of them is tried
		waiting = append(waiting, post(room, 1))
	}
	// Another room's post goes by: those are set apart by now, and nobody takes from the queue.
	if err := <-post(last, 0); err != nil {
		t.Error(err)
	}
	if n, _, _, _ := w.Load(); n != 10 {
		t.Errorf("%d messages wait, want 10", n)
	}
	if err := cluster.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, told := range waiting {
		if err := <-told; err == nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("who waited is told %v", err)
		}
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = <-post(last, 0); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := w.Ready(); err != nil {
		t.Error(err)
	}
}

// A room to which much is posted does not keep others waiting that were held as well.
func TestABusyRoomThatWasHeldLetsOthersHaveTheirTurn(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, sql := range []string{ // a slow disk
		`create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.015); return null; end $$`,
		`create trigger slow after insert on chat.messages for each statement execute function slow()`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w, ada := startWriter(t, pool), addUser(t, pool, "ada")
	rooms := addRooms(t, pool, 3)
	one, two := hold(t, pool, rooms[0]), hold(t, pool, rooms[1])
	post := func(room uuid.UUID, answer func(error)) {
		w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x"}, func(_ int64, err error) { answer(err) })
	}
	stop, busy := make(chan struct{}), make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() { // there is always something that waits for the first room
		var under sync.WaitGroup
		for i := 0; ; i++ {
			select {
			case <-stop:
				under.Wait()
				return
			default:
			}
			under.Add(1)
			post(rooms[0], func(error) { under.Done() })
			if i == 100 {
				close(busy)
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	<-busy
	answered := make(chan error, 1)
	post(rooms[1], func(err error) { answered <- err })
	other := make(chan error, 1)
	post(rooms[2], func(err error) { other <- err })
	if err := <-other; err != nil { // by now what is before it is set apart
		t.Error(err)
	}
	end(t, one)
	first := make(chan error, 1)
	post(rooms[0], func(err error) { first <- err })
	if err := <-first; err != nil {
		t.Error(err)
	}
	end(t, two)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	close(stop)
	flood.Wait()
}

// Who changes something in a room that is held is told soon, and does not keep the server's connections from everybody.
func TestWhatIsChangedInARoomThatIsHeldWaitsForAMomentOnly(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada, eve := startWriter(t, pool), addUser(t, pool, "ada"), addUser(t, pool, "eve")
	ids := addRooms(t, pool, 2)
	var messages []uuid.UUID
	for range 2 {
		id := uuid.New()
		if _, err := w.Post(t.Context(), chat.Post{RoomID: ids[0], ID: id, AuthorID: ada, Body: "hello"}); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, id)
	}
	if _, err := pool.Exec(t.Context(), `update chat.users set role = 'admin' where id = $1`, ada); err != nil {
		t.Fatal(err)
	}
	all, rooms := chat.NewMessages(pool), chat.NewRooms(pool)
	user := chat.User{ID: ada, Name: "ada", Role: chat.RoleAdmin}
	found, err := rooms.BySlug(t.Context(), ada, "room-0")
	if err != nil {
		t.Fatal(err)
	}
	tx := hold(t, pool, ids[0])
	ctx := t.Context()
	var changing sync.WaitGroup
	for what, do := range map[string]func() error{
		"an edit":     func() error { _, err := all.Edit(ctx, ada, ids[0], messages[0], "edited"); return err },
		"a deletion":  func() error { _, err := all.Delete(ctx, ada, ids[0], messages[1], true); return err },
		"a reaction":  func() error { _, err := all.React(ctx, eve, ids[0], messages[0], "👍", chat.On); return err },
		"a pin":       func() error { _, err := all.Pin(ctx, eve, ids[0], messages[0], chat.On); return err },
		"a topic":     func() error { return rooms.Update(ctx, user, found, found.Name, "another topic") },
		"an archived": func() error { return rooms.Archive(ctx, user, found, true) },
	} {
		for range 2 { // more than the pool has connections
			changing.Go(func() {
				err := do()
				var e *chat.Error
				if !errors.As(err, &e) || e.Code != chat.Unavailable {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
	}
	if _, err := w.Post(ctx, chat.Post{RoomID: ids[1], ID: uuid.New(), AuthorID: ada, Body: "elsewhere"}); err != nil {
		t.Error(err)
	}
	changing.Wait()
	end(t, tx)
	if _, err := all.Edit(ctx, ada, ids[0], messages[0], "edited"); err != nil {
		t.Error(err)
	}
}

// Rooms are held and let go all the time; what is posted to each stays in its order.
func TestTheOrderStaysWhileRoomsAreHeldNowAndThen(t *testing.T) {
	pool := pgtest.Pool(t)
	w, ada := startWriter(t, pool), addUser(t, pool, "ada")
	rooms := addRooms(t, pool, 3)
	stop := make(chan struct{})
	var holding, posting sync.WaitGroup
	var held atomic.Int64
	holding.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			tx, err := pool.Begin(t.Context())
			if err == nil {
				_, err = tx.Exec(t.Context(), `select from chat.room_heads where room_id = $1 for update`, rooms[i%3])
			}
			if err == nil {
				_, err = tx.Exec(t.Context(), `select pg_sleep(0.4)`) // longer than the writer waits
			}
			if err == nil {
				err = tx.Rollback(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			held.Add(1)
		}
	})
	last := make([]int64, len(rooms)) // seq of each room's latest answer
	for n, room := range rooms {
		posting.Go(func() {
			for posted := int64(0); held.Load() < 6; posted = last[n] {
				var answered sync.WaitGroup
				for range 20 {
					answered.Add(1)
					w.Submit(chat.Post{RoomID: room, ID: uuid.New(), AuthorID: ada, Body: "x"}, func(seq int64, err error) {
						defer answered.Done()
						if err != nil || seq != last[n]+1 {
							t.Errorf("room %d: seq %d after %d, error %v", n, seq, last[n], err)
						}
						last[n] = seq
					})
				}
				if answered.Wait(); last[n] != posted+20 {
					t.Errorf("room %d: its newest message is %d after %d and 20 more", n, last[n], posted)
					return
				}
			}
		})
	}
	posting.Wait()
	close(stop)
	holding.Wait()
	if slices.Contains(last, 0) {
		t.Errorf("newest messages are %v", last)
	}
}
