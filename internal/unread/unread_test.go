package unread_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	layer "github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/unread"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

// instance is a hub with a layer of its own.
func instance(t *testing.T, pool *pgxpool.Pool) *unread.Hub {
	t.Helper()
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	carrier := layer.New(pool, pool.Config().ConnString(), uuid.New(), log)
	if err := carrier.Start(ctx); err != nil {
		t.Fatal(err)
	}
	hub := unread.New(carrier, chat.NewReads(pool), log)
	if err := hub.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Stop(ctx); _ = carrier.Stop(ctx) })
	return hub
}

// page is what a page of a user knows.
type page struct {
	*unread.Watch
	woken chan struct{}
	rooms map[string]unread.Room
	stamp map[string]int32
	alls  int // how often it was told of all rooms
	lists int // and that lists may be otherwise
}

func watch(t *testing.T, hub *unread.Hub, user uuid.UUID) *page {
	t.Helper()
	p := &page{woken: make(chan struct{}, 1), rooms: map[string]unread.Room{}, stamp: map[string]int32{}}
	p.Watch = hub.Watch(user, func() {
		select {
		case p.woken <- struct{}{}:
		default:
		}
	})
	t.Cleanup(p.Close)
	return p
}

// until takes what the page is told until it knows this of a room.
func (p *page) until(t *testing.T, slug string, last, read int64, mentions int) {
	t.Helper()
	want := unread.Room{Slug: slug, Last: last, Read: read, Mentions: mentions}
	p.untilIt(t, func() bool { return p.rooms[slug] == want })
}

func (p *page) untilIt(t *testing.T, is func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !is() {
		select {
		case <-p.woken:
		case <-late:
			t.Fatalf("it knows %+v, was told of all rooms %d times", p.rooms, p.alls)
		}
		c, _ := p.Next()
		if c.Lists {
			p.lists++
		}
		if c.All {
			p.alls++
			clear(p.rooms)
		}
		for _, r := range c.Rooms {
			p.stamp[r.Slug], r.Stamp = r.Stamp, 0
			p.rooms[r.Slug] = r
		}
	}
}

type world struct {
	pool     *pgxpool.Pool
	ada, eve uuid.UUID
	a        uuid.UUID
}

// found makes two users, and a room "a" beside "general".
func found(t *testing.T) *world {
	t.Helper()
	w := &world{pool: pgtest.Pool(t)}
	for name, id := range map[string]*uuid.UUID{"ada": &w.ada, "eve": &w.eve} {
		if err := w.pool.QueryRow(t.Context(), `insert into chat.users (name) values ($1) returning id`, name).Scan(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.pool.QueryRow(t.Context(), `insert into chat.rooms (slug, name, everyone) values ('a', 'a', true) returning id`).Scan(&w.a); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) do(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestAPageIsToldWhatMovesInItsRooms(t *testing.T) {
	w := found(t)
	hub := instance(t, w.pool)
	w.do(t, `select chat.post('a', 'ada', 'before')`)
	eve := watch(t, hub, w.eve)
	eve.until(t, "a", 1, 0, 0)
	if _, ok := eve.rooms["general"]; !ok || len(eve.rooms) != 2 {
		t.Errorf("at first it knows %+v, want a and general", eve.rooms)
	}
	w.do(t, `select chat.post('a', 'ada', 'hello')`)
	eve.until(t, "a", 2, 0, 0)
	w.do(t, `select chat.post('a', 'ada', '@eve, hello')`)
	eve.until(t, "a", 3, 0, 1)
	w.do(t, `update chat.members set last_read_seq = 2 where user_id = $1 and room_id = $2`, w.eve, w.a)
	eve.until(t, "a", 3, 2, 1)
	w.do(t, `update chat.members set last_read_seq = 3 where user_id = $1 and room_id = $2`, w.eve, w.a)
	eve.until(t, "a", 3, 3, 0)
	w.do(t, `update chat.members set last_read_seq = 0 where user_id = $1 and room_id = $2`, w.eve, w.a)
	eve.until(t, "a", 3, 0, 1)
	w.do(t, `insert into chat.rooms (slug, name, created_by) values ('b', 'b', $1)`, w.eve)
	eve.until(t, "b", 0, 0, 0)
	for _, sql := range []string{
		`update chat.rooms set name = 'bee' where slug = 'b'`, `update chat.rooms set archived_at = now() where slug = 'b'`,
		`update chat.members set starred = true`, `update chat.rooms set archived_at = null where slug = 'b'`,
	} {
		before := eve.stamp["b"]
		w.do(t, sql)
		eve.untilIt(t, func() bool { return eve.stamp["b"] != before })
	}
	w.do(t, `select chat.post('b', 'eve', 'hello')`)
	eve.until(t, "b", 1, 0, 0)
	w.do(t, `delete from chat.rooms where slug = 'b'`)
	eve.untilIt(t, func() bool { return len(eve.rooms) == 2 })
}

func TestPagesWithListsAreToldOfAllRoomsAndMembers(t *testing.T) {
	w := found(t)
	hub := instance(t, w.pool)
	eve, other := watch(t, hub, w.eve), watch(t, hub, w.eve)
	eve.until(t, "a", 0, 0, 0)
	other.until(t, "a", 0, 0, 0)
	eve.Lists()
	told := 0
	more := func() bool { return eve.lists > told }
	eve.untilIt(t, more) // what has changed after the page was made
	for _, sql := range []string{
		`insert into chat.rooms (slug, name, created_by) select 'b', 'b', id from chat.users where name = 'ada'`, // not hers
		`update chat.rooms set topic = 'bees' where slug = 'b'`,
		`update chat.members set role = 'member' where room_id = (select id from chat.rooms where slug = 'b')`,
		`delete from chat.rooms where slug = 'b'`,
	} {
		told = eve.lists
		w.do(t, sql)
		eve.untilIt(t, more)
	}
	if len(eve.rooms) != 2 {
		t.Errorf("she has %+v", eve.rooms)
	}
	w.do(t, `select chat.post('a', 'ada', 'hello')`)
	other.until(t, "a", 1, 0, 0)
	if other.lists > 0 {
		t.Errorf("a page without lists was told of them %d times", other.lists)
	}
}

func TestWhatAServerStoresAndReadsIsToldOnAll(t *testing.T) {
	w := found(t)
	one, two := instance(t, w.pool), instance(t, w.pool)
	here, there := watch(t, one, w.eve), watch(t, two, w.eve)
	here.until(t, "a", 0, 0, 0)
	there.until(t, "a", 0, 0, 0)
	writer := chat.NewWriter(w.pool)
	writer.OnStored(one.Stored)
	writer.Start(t.Context())
	defer func() { _ = writer.Stop(context.Background()) }()
	for range 5 {
		if _, err := writer.Post(t.Context(), chat.Post{RoomID: w.a, ID: uuid.New(), AuthorID: w.ada, Body: "hello @eve"}); err != nil {
			t.Fatal(err)
		}
	}
	here.until(t, "a", 5, 0, 5)
	there.until(t, "a", 5, 0, 5)

	// While nothing can be written it is kept; the highest counts, and going back.
	w.do(t, `create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$`)
	w.do(t, `create trigger refuse before update on chat.members for each row execute function refuse()`)
	one.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 4})
	one.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 2})
	one.Read(chat.Mark{RoomID: uuid.New(), UserID: w.eve, Seq: 2}) // of no member: nothing
	w.do(t, `drop trigger refuse on chat.members`)
	here.until(t, "a", 5, 4, 1)
	there.until(t, "a", 5, 4, 1)
	two.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 1, Back: true})
	here.until(t, "a", 5, 1, 4)
	two.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 100})
	here.until(t, "a", 5, 5, 0) // there is no more
	one.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 3})
	there.until(t, "a", 5, 5, 0)

	// What is still to be written is, when the server stops.
	two.Read(chat.Mark{RoomID: w.a, UserID: w.eve, Seq: 3, Back: true})
	w.do(t, `select chat.post_batch(array[$1::uuid], array[gen_random_uuid()], array[$2::uuid], array['quiet'], tell => false)`, w.a, w.ada)
	two.Stored(w.a)
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	here.until(t, "a", 6, 3, 2)
}

// What a server has stored may be gone when it tells of it, from a database that was set back.
func TestItIsToldHowFarTheTableIs(t *testing.T) {
	w := found(t)
	hub := instance(t, w.pool)
	eve := watch(t, hub, w.eve)
	eve.until(t, "a", 0, 0, 0)
	conn, err := pgx.Connect(t.Context(), w.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "listen activity"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.do(t, `select chat.post_batch(array[$1::uuid], array[gen_random_uuid()], array[$2::uuid], array['hello'], tell => false)`, w.a, w.ada)
	}
	w.do(t, `set session_replication_role = replica; delete from chat.messages where seq = 3; update chat.room_heads set last_seq = 2 where last_seq = 3; reset session_replication_role`)
	hub.Stored(w.a)
	hub.Stored(uuid.New()) // a room that is gone
	told, err := conn.WaitForNotification(t.Context())
	if err != nil || told.Payload != fmt.Sprintf(`{"moved":[{"room":"%s","seq":2}]}`, w.a) {
		t.Errorf("it tells %+v, error %v", told, err)
	}
	eve.until(t, "a", 2, 0, 0)
}

func TestWhatWasMissedIsReadAnew(t *testing.T) {
	w := found(t)
	hub := instance(t, w.pool)
	eve, ada := watch(t, hub, w.eve), watch(t, hub, w.ada)
	eve.until(t, "a", 0, 0, 0)
	ada.until(t, "a", 0, 0, 0)
	w.do(t, `set session_replication_role = replica; insert into chat.messages (room_id, seq, author_id, body, created_at)
		select $$`+w.a.String()+`$$, 1, $$`+w.ada.String()+`$$, 'unheard', now(); update chat.room_heads set last_seq = 1 where room_id = $$`+w.a.String()+`$$; reset session_replication_role`)
	hub.Missed()
	eve.until(t, "a", 1, 0, 0)
	ada.until(t, "a", 1, 0, 0)
	hub.Receive(unread.Group, `{"moved":[]}`)
	hub.Receive(unread.Group, `nonsense`)
	hub.Receive(unread.Group, `{"moved":[{"room":"`+w.a.String()+`","seq":7}]}`)
	eve.until(t, "a", 7, 0, 0)
	// The table is the truth, also when it was set back.
	eve.until(t, "a", 1, 0, 0)
	ada.until(t, "a", 1, 0, 0)
	if !maps.Equal(eve.rooms, ada.rooms) {
		t.Errorf("eve knows %v, ada %v", eve.rooms, ada.rooms)
	}
}
