package presence_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/presence"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

func newPresence(pool *pgxpool.Pool, lease time.Duration) *presence.Presence {
	return presence.New(pool, presence.Instance{
		ID: uuid.New(), Name: "test", Version: "test", Heartbeat: lease / 3, Lease: lease,
	}, slog.New(slog.DiscardHandler))
}

func start(t *testing.T, pool *pgxpool.Pool, lease time.Duration) *presence.Presence {
	t.Helper()
	p := newPresence(pool, lease)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// watch listens to the room as the feed does.
func watch(t *testing.T, pool *pgxpool.Pool, room uuid.UUID) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, pool.Config().ConnString())
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(`LISTEN "room:%s"`, room)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// until waits for announcements until exactly these are online.
func until(t *testing.T, p *presence.Presence, conn *pgx.Conn, room uuid.UUID, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		people, err := p.Online(ctx, room)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, person := range people {
			names = append(names, person.Name)
		}
		if slices.Equal(names, want) {
			return
		}
		if n, err := conn.WaitForNotification(ctx); err != nil || n.Payload != `{"presence":true}` {
			t.Fatalf("online are %v, want %v; notification %v, error %v", names, want, n, err)
		}
	}
}

func users(t *testing.T, pool *pgxpool.Pool, n int) (ids []uuid.UUID, room uuid.UUID) {
	t.Helper()
	rows, _ := pool.Query(t.Context(), `insert into chat.users (name) select 'user-' || lpad(i::text, 4, '0')
		from generate_series(1, $1) i returning id`, n)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&room); err != nil {
		t.Fatal(err)
	}
	return ids, room
}

func TestAUserIsOnlineFromTheFirstConnectionToTheLastOnAnyInstance(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 2)
	a, b := start(t, pool, time.Minute), start(t, pool, time.Minute)
	conn := watch(t, pool, room)
	a.Join(room, ids[0])
	b.Join(room, ids[0])
	b.Join(room, ids[0])
	b.Join(room, ids[1])
	until(t, a, conn, room, "user-0001", "user-0002")
	a.Leave(room, ids[0])
	b.Leave(room, ids[0])
	b.Leave(room, ids[1])
	until(t, a, conn, room, "user-0001")
	b.Leave(room, ids[0])
	until(t, b, conn, room)
}

func TestStoppingEndsAllThatTheInstanceHeld(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 1)
	a, b := start(t, pool, time.Minute), start(t, pool, time.Minute)
	conn := watch(t, pool, room)
	b.Join(room, ids[0])
	until(t, a, conn, room, "user-0001")
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, a, conn, room)
}

func TestADeadInstancesGhostsEndWithItsLease(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 2)
	a := start(t, pool, time.Second)
	conn := watch(t, pool, room)
	a.Join(room, ids[0])
	until(t, a, conn, room, "user-0001")
	// As an instance that was killed leaves it.
	dead := uuid.New()
	if _, err := pool.Exec(t.Context(), `insert into chat.instances (id, name, version) values ($1, 'dead', '')`, dead); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `insert into chat.presence values ($1, $2, $3, 1)`, room, ids[1], dead); err != nil {
		t.Fatal(err)
	}
	until(t, a, conn, room, "user-0001", "user-0002")
	until(t, a, conn, room, "user-0001")
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from chat.presence where instance_id = $1`, dead).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of the dead instance are left, error %v", left, err)
	}
}

func TestAnInstanceThatWasSweptRegistersAgainWithAllItHolds(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 2)
	a := start(t, pool, 900*time.Millisecond)
	conn := watch(t, pool, room)
	a.Join(room, ids[0])
	until(t, a, conn, room, "user-0001")
	// As after a crash of PostgreSQL, which empties unlogged tables.
	if _, err := pool.Exec(t.Context(), `truncate chat.instances, chat.presence`); err != nil {
		t.Fatal(err)
	}
	until(t, a, conn, room, "user-0001")
	if _, err := pool.Exec(t.Context(), `truncate chat.instances, chat.presence`); err != nil {
		t.Fatal(err)
	}
	a.Join(room, ids[1])
	until(t, a, conn, room, "user-0001", "user-0002")
}

func TestManyWhoComeAtOnceMakeFewStatements(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 3000)
	a := start(t, pool, time.Minute)
	conn := watch(t, pool, room)
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() { a.Join(room, id) })
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	told := 0
	for online := 0; online < len(ids); told++ {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			t.Fatal(err)
		}
		people, err := a.Online(ctx, room)
		if err != nil {
			t.Fatal(err)
		}
		online = len(people)
	}
	if told > 10 {
		t.Errorf("3000 joins were announced %d times", told)
	}
}

func TestWhoIsIdleOnAllConnectionsIsAway(t *testing.T) {
	pool := pgtest.Pool(t)
	ids, room := users(t, pool, 1)
	ada := ids[0]
	a, b := start(t, pool, time.Minute), start(t, pool, time.Minute)
	conn := watch(t, pool, room)
	if _, err := conn.Exec(t.Context(), `LISTEN activity`); err != nil { // where one hears of who is in other rooms
		t.Fatal(err)
	}
	other := uuid.New() // another room
	is := func(online, away bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for {
			people, err := a.People(ctx, ids)
			if err != nil {
				t.Fatal(err)
			}
			there, err := a.Online(ctx, room)
			if err != nil {
				t.Fatal(err)
			}
			same := len(there) == 0 || there[0].Away == people[ada].Away
			if p := people[ada]; p.Online == online && p.Away == away && same && (len(there) > 0) == online {
				return
			}
			if _, err := conn.WaitForNotification(ctx); err != nil {
				t.Fatalf("online %+v, want %t, away %t: %v", people[ada], online, away, err)
			}
		}
	}
	is(false, false)
	a.Join(room, ada)
	is(true, false)
	a.Idle(room, ada, true)
	is(true, true)
	b.Join(other, ada) // in another room, on another instance
	is(true, false)
	b.Idle(other, ada, true)
	is(true, true)
	a.Join(room, ada)
	is(true, false)
	a.Leave(room, ada)
	is(true, true)
	a.Idle(room, ada, false)
	is(true, false)
	b.Idle(other, ada, false)
	b.Leave(other, ada)
	is(true, false)
	a.Leave(room, ada)
	is(false, false)
}

func TestAHeartbeatWritesTheInstancesFigures(t *testing.T) {
	pool := pgtest.Pool(t)
	a := start(t, pool, 900*time.Millisecond)
	asked, n := make(chan struct{}), 0
	a.Figures(func() presence.Figures {
		n++
		for range 2 { // until the test has looked at what the heartbeat before has written
			select {
			case asked <- struct{}{}:
			case <-t.Context().Done():
			}
		}
		if n > 1 {
			return presence.Figures{Listener: "lost"}
		}
		return presence.Figures{
			Connections: 5, Rooms: 4, Listener: "hears", ListenerPID: 1234, Lag: 1500 * time.Microsecond, Queue: 3, Batches: 2, Messages: 7, LargestBatch: 6,
		}
	})
	wait := func() {
		t.Helper()
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("no heartbeat asks for the figures")
		}
	}
	for _, want := range []string{"0 0 0 0 0 0", "5 4 hears 1234 00:00:00.0015 3 2 7 6", "0 0 lost 0 0 0 0"} {
		wait()
		var got string
		if err := pool.QueryRow(t.Context(), `select concat_ws(' ', connections, rooms, nullif(listener, ''), listener_pid, listener_lag, queue, batches, messages, largest_batch) from chat.instances`).Scan(&got); err != nil || got != want {
			t.Errorf("the instance's row is %q, error %v, want %q", got, err, want)
		}
		wait()
	}
}
