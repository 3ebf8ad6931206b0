package tail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/feed"
	"github.com/pgchat/pgchat/internal/layer/postgres"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/presence"
	"github.com/pgchat/pgchat/internal/tail"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

const within = time.Minute // for what a test waits for

// world is a database with ada, bob and eve, and the rooms general and ops.
type world struct {
	t    *testing.T
	pool *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t, pgtest.Pool(t)}
	w.exec(`insert into chat.users (name) values ('ada'), ('bob'), ('eve');
		insert into chat.rooms (slug, name, everyone) values ('ops', 'Ops room', true)`)
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) post(room, author, body string) {
	w.t.Helper()
	w.exec(`select chat.post($1, $2, $3)`, room, author, body)
}

// running is a tail that runs.
type running struct {
	*world
	layer *postgres.Layer
	tail  *tail.Tail
	items chan tail.Item
	stop  context.CancelFunc
	ended chan struct{}
	err   error // once it has ended
}

// start runs a tail and returns when it follows, or has ended.
func (w *world) start(options tail.Options) *running {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	carrier, messages := postgres.New(w.pool, w.pool.Config().ConnString(), uuid.New(), log), chat.NewMessages(w.pool)
	rooms := feed.New(carrier, messages, log)
	if err := errors.Join(rooms.Start(w.t.Context()), carrier.Start(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	r := &running{world: w, layer: carrier, items: make(chan tail.Item), ended: make(chan struct{})}
	r.tail = tail.New(tail.Parts{
		Layer: carrier, Feed: rooms, Messages: messages, Rooms: chat.NewRooms(w.pool), Log: log,
		Presence: presence.New(w.pool, presence.Instance{Lease: 30 * time.Second}, log),
	}, options)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(w.t.Context())
	following := make(chan struct{})
	go func() {
		defer close(r.ended)
		r.err = r.tail.Run(ctx, func() { close(following) }, func(items []tail.Item) error {
			for _, i := range items {
				select {
				case r.items <- i:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}()
	w.t.Cleanup(func() {
		r.end()
		_ = carrier.Stop(context.Background())
		_ = rooms.Stop(context.Background())
	})
	if options.Last == 0 && options.Since.IsZero() {
		select {
		case <-following:
		case <-r.ended:
		case <-time.After(within):
			w.t.Fatal("it does not follow")
		}
	}
	return r
}

// end stops the tail and returns the cursors from which to go on.
func (r *running) end() map[string]chat.Cursor {
	r.stop()
	<-r.ended
	return r.tail.Cursors()
}

func (r *running) next() tail.Item {
	r.t.Helper()
	select {
	case i := <-r.items:
		return i
	case <-r.ended:
		r.t.Fatalf("it has ended: %v", r.err)
	case <-time.After(within):
		r.t.Fatal("nothing came")
	}
	return tail.Item{}
}

// until takes items up to the message that says so.
func (r *running) until(body string) (items []tail.Item) {
	r.t.Helper()
	for {
		i := r.next()
		if i.Message != nil && !i.Changed && i.Message.Body == body {
			return items
		}
		items = append(items, i)
	}
}

// listens waits until the room is followed.
func (r *running) listens(slug string) {
	r.t.Helper()
	var id string
	if err := r.pool.QueryRow(r.t.Context(), `select id from chat.rooms where slug = $1`, slug).Scan(&id); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	for {
		names, err := r.layer.Listening(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		if slices.Contains(names, "room:"+id) {
			return
		}
	}
}

func said(items []tail.Item) string {
	text := tail.Text{Zone: time.UTC}
	var all []byte
	for _, i := range items {
		all = text.Append(all, i)
	}
	return regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(string(all), "TIME")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// golden compares with a file in testdata, which PGCHAT_GOLDEN=write makes anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("PGCHAT_GOLDEN") == "write" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, string(want))
}

// history ends a cursor; each database has another.
var history = regexp.MustCompile(`\.[0-9a-f]{8}"`)

func numbers(c chat.Cursor) string { return fmt.Sprintf("%d.%d", c.Seq, c.Rev) }

func TestAllThatHappensIsToldForPeopleAndForPrograms(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{Rooms: []string{"general"}})
	var items []tail.Item
	for _, sql := range []string{
		`select chat.post('general', 'ada', 'hello')`,
		`update chat.messages set body = 'hello, all' where seq = 1`,
		`select chat.react('general', 1, 'bob', '👍')`,
		`select chat.react('general', 1, 'eve', '👍')`,
		`select chat.react('general', 1, 'bob', '👍', false)`,
		`select chat.pin('general', 1, 'eve')`,
		`select chat.post('general', 'bob', E'two\nlines', 1)`,
		`update chat.rooms set topic = E'all \u202egnorw' where slug = 'general'`,
		`update chat.messages set deleted_at = now() where seq = 2`,
		`update chat.messages set deleted_at = null where seq = 2`,
		`delete from chat.pins`,
		`select chat.post('general', 'eve', E'\x1b[31mred\x1b[0m \u009b2J \u202eesrever \x7f 👩‍👩‍👧')`,
		`insert into chat.files (id, room_id, seq, uploader_id, name, type, size, completed_at)
			select gen_random_uuid(), m.room_id, m.seq, m.author_id, 'notes.txt', 'text/plain', 5, now() from chat.messages m where m.seq = 3`,
		`delete from chat.files`,
		`update chat.rooms set archived_at = now() where slug = 'general'`,
		`update chat.rooms set archived_at = null where slug = 'general'`,
	} {
		w.exec(sql)
		// One after the other: what is read from the table is told as it then is.
		var head chat.Cursor
		if err := w.pool.QueryRow(t.Context(), `select last_seq, last_rev from chat.room_heads h join chat.rooms r on r.id = h.room_id and r.slug = 'general'`).
			Scan(&head.Seq, &head.Rev); err != nil {
			t.Fatal(err)
		}
		for at := (chat.Cursor{}); at.Seq < head.Seq || at.Rev < head.Rev; {
			i := r.next()
			items, at = append(items, i), i.Cursor
		}
	}
	golden(t, "all.txt", said(items))
	var objects []byte
	for _, i := range items {
		objects = tail.AppendJSON(objects, i)
	}
	objects = history.ReplaceAll(objects, []byte(`"`))
	text := regexp.MustCompile(`"(id|created_at|edited_at|deleted_at|at)":"[^"]*"`).ReplaceAllString(string(objects), `"$1":"…"`)
	golden(t, "all.json", text)
}

func TestWhatWasMissedComesFromTheCursor(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{Rooms: []string{"general", "ops"}})
	w.post("general", "ada", "before")
	r.next()
	after := r.end()
	if got := numbers(after["general"]) + " " + numbers(after["ops"]); got != "1.0 0.0" {
		t.Errorf("cursors %s, want 1.0 0.0", got)
	}
	w.post("ops", "bob", "first in ops")
	w.post("general", "ada", "missed")
	w.exec(`update chat.messages set body = 'Before' where body = 'before'`)
	w.exec(`select chat.react('general', 2, 'bob', '👍')`)
	r = w.start(tail.Options{Rooms: []string{"#General", "ops room"}, After: after})
	items := []tail.Item{r.next(), r.next(), r.next()}
	slices.SortStableFunc(items, func(a, b tail.Item) int { return strings.Compare(a.Room.Slug, b.Room.Slug) })
	// What has changed is known neither of the old message nor of the one that came with its change.
	same(t, said(items), `TIME  general  2 ada: missed [👍 bob]
TIME  general  1 ada, changed, now: Before [edited]
TIME  ops      1 bob: first in ops
`)
	if got := numbers(r.end()["general"]); got != "2.2" {
		t.Errorf("at the end general is at %s, want 2.2", got)
	}
}

func TestAChangeOfWhatWasSaidBeforeIsToldAsSuch(t *testing.T) {
	w := newWorld(t)
	w.post("general", "ada", "old")
	r := w.start(tail.Options{})
	w.exec(`select chat.react('general', 1, 'bob', '👍')`)
	w.exec(`update chat.messages set deleted_at = now()`)
	same(t, said([]tail.Item{r.next(), r.next()}), "TIME  general  1 bob reacted 👍 to ada: old\nTIME  general  1 ada, deleted\n")
}

// TestLostConnectionsLoseAndDoubleNothing posts to two rooms while every connection but its own is cut again and again.
func TestLostConnectionsLoseAndDoubleNothing(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{})
	const total = 400
	own, err := w.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Release()
	posted := make(chan error, 1)
	go func() {
		for n := range total {
			room := []string{"general", "ops"}[n%2]
			_, err := own.Exec(t.Context(), `select chat.post($1, 'ada', $2)`, room, strings.Repeat("long ", n%7*200)+fmt.Sprint("body ", n))
			if err == nil && n%10 == 5 {
				_, err = own.Exec(t.Context(), `update chat.messages set body = body || '!' where seq = $1 and room_id = (select id from chat.rooms where slug = $2)`, n/2+1, room)
			}
			if err == nil && n%40 == 25 {
				_, err = own.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
			}
			if err != nil {
				posted <- err
				return
			}
		}
		posted <- nil
	}()
	last, rev := map[string]int64{}, map[string]int64{}
	edited := map[int64]bool{} // those of ops; a message that is read from the table may come as edited already
	for n := 0; n < total || len(edited) < total/10; {
		i := r.next()
		if i.Message == nil {
			t.Fatalf("an item without a message: %+v", i)
		}
		if i.Message.Rev > 0 {
			edited[i.Message.Seq] = true
		}
		at := i.Room.Slug
		if i.Changed {
			if i.Message.Rev <= rev[at] || i.Cursor.Rev != i.Message.Rev {
				t.Fatalf("%s: change %d (cursor %s) after %d", at, i.Message.Rev, i.Cursor, rev[at])
			}
			rev[at] = i.Message.Rev
			continue
		}
		if i.Message.Seq != last[at]+1 || i.Cursor.Seq != i.Message.Seq {
			t.Fatalf("%s: message %d (cursor %s) after %d", at, i.Message.Seq, i.Cursor, last[at])
		}
		last[at]++
		n++
	}
	if err := <-posted; err != nil {
		t.Error(err)
	}
}

func TestRoomsThatAreMadeLaterAreFollowedFromTheirBeginning(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{})
	w.exec(`insert into chat.rooms (slug, name, kind, created_by) select 'secret', 'secret', 'private', id from chat.users where name = 'ada'`)
	w.post("secret", "ada", "not for all")
	w.exec(`insert into chat.rooms (slug, name, everyone) values ('fresh', 'fresh', true)`)
	w.post("fresh", "bob", "first here")
	same(t, said([]tail.Item{r.next()}), "TIME  fresh  1 bob: first here\n")

	// One that becomes public is followed from then on, one that becomes private no longer.
	w.exec(`update chat.rooms set kind = 'public' where slug = 'secret'`)
	r.listens("secret")
	w.post("secret", "ada", "for all")
	same(t, said([]tail.Item{r.next()}), "TIME  secret  2 ada: for all\n")
	w.exec(`update chat.rooms set kind = 'private' where slug = 'secret'`)
	same(t, said([]tail.Item{r.next(), r.next()}), "TIME  secret  - The room was made private\n"+
		"TIME  secret  - The room is private now and followed no longer; --all or its name follows it.\n")
	w.post("secret", "ada", "not for all again")
	w.post("ops", "ada", "end")
	r.until("end")
}

func TestWhatWasBeforeComesFirstByTimeOverTheRooms(t *testing.T) {
	w := newWorld(t)
	w.exec(`insert into chat.messages (room_id, author_id, body, created_at) select r.id, u.id, 'general 0', now() - interval '1 hour'
		from chat.rooms r, chat.users u where r.slug = 'general' and u.name = 'ada'`)
	w.post("ops", "bob", "ops 0")
	for n := 1; n < 3; n++ {
		w.post("general", "ada", fmt.Sprint("general ", n))
		w.post("ops", "bob", fmt.Sprint("ops ", n))
	}
	w.exec(`update chat.rooms set topic = 'x' where slug = 'general'`)
	for name, c := range map[string]struct {
		options tail.Options
		want    string
	}{
		"last": {tail.Options{Last: 2}, `TIME  general  2 ada: general 1
TIME  ops      2 bob: ops 1
TIME  general  3 ada: general 2
TIME  ops      3 bob: ops 2
TIME  general  - The topic was changed to: x
`},
		"since": {tail.Options{Rooms: []string{"general"}, Since: time.Now().Add(-time.Minute)}, `TIME  general  2 ada: general 1
TIME  general  3 ada: general 2
TIME  general  - The topic was changed to: x
`},
		"more than there is": {tail.Options{Rooms: []string{"ops"}, Last: 10}, `TIME  ops  1 bob: ops 0
TIME  ops  2 bob: ops 1
TIME  ops  3 bob: ops 2
`},
	} {
		t.Run(name, func(t *testing.T) {
			r := (&world{t, w.pool}).start(c.options)
			var items []tail.Item
			for range strings.Count(c.want, "\n") {
				items = append(items, r.next())
			}
			same(t, said(items), c.want)
		})
	}
}

func TestALongPastIsReadInPages(t *testing.T) {
	w := newWorld(t)
	w.exec(`insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'x' from chat.rooms r, chat.users u, generate_series(1, 1234)
		where r.slug = 'general' and u.name = 'ada'`)
	r := w.start(tail.Options{Rooms: []string{"general"}, Last: 1200})
	for seq := int64(35); seq <= 1234; seq++ {
		if i := r.next(); i.Message == nil || i.Message.Seq != seq {
			t.Fatalf("got %+v, want message %d", i, seq)
		}
	}
	w.post("general", "ada", "end")
	if between := r.until("end"); len(between) > 0 {
		t.Errorf("before what is new came %+v", between)
	}
}

func TestARoomThatIsDeletedEndsTheTailOfItAlone(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{Rooms: []string{"ops"}})
	w.exec(`delete from chat.rooms where slug = 'ops'`)
	same(t, said([]tail.Item{r.next()}), "TIME  ops  - The room was deleted.\n")
	<-r.ended
	if r.err == nil || !strings.Contains(r.err.Error(), "no room any more") {
		t.Errorf("it ended with %v", r.err)
	}
}

func TestADatabaseThatIsSetBackIsFollowedFromThere(t *testing.T) {
	w := newWorld(t)
	w.post("general", "ada", "one")
	w.post("general", "ada", "two")
	r := w.start(tail.Options{Rooms: []string{"general"}})
	w.exec(`begin; alter table chat.messages disable trigger user; alter table chat.room_heads disable trigger user; delete from chat.messages where seq = 2; update chat.room_heads set last_seq = 1 where last_seq = 2;
		alter table chat.messages enable trigger user; alter table chat.room_heads enable trigger user; commit`)
	w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'pgchat listener'`)
	if i := r.next(); i.End != tail.SetBack || i.Cursor.Seq != 1 {
		t.Errorf("got %+v, want that it was set back to 1", i)
	}
	w.post("general", "ada", "two again")
	same(t, said([]tail.Item{r.next()}), "TIME  general  2 ada: two again\n")
}

func TestWhoComesOnlineAndGoes(t *testing.T) {
	w := newWorld(t)
	r := w.start(tail.Options{Rooms: []string{"general"}, Online: true})
	w.exec(`insert into chat.instances (id, name, version) values ('00000000-0000-0000-0000-000000000001', 'x', 'x')`)
	online := func(sql string) {
		w.exec(sql)
		w.exec(`select pg_notify('room:' || id, '{"presence":true}') from chat.rooms`)
	}
	online(`insert into chat.presence (room_id, user_id, instance_id, connections) select r.id, u.id, i.id, 1 from chat.rooms r, chat.users u, chat.instances i where r.slug = 'general' and u.name <> 'eve'`)
	came := r.next()
	online(`delete from chat.presence where user_id = (select id from chat.users where name = 'ada')`)
	went := r.next()
	same(t, said([]tail.Item{came, went}), "TIME  general  - ada, bob are online (2 online)\nTIME  general  - ada is offline (1 online)\n")
	want := `{"type":"presence","room":"general","cursor":"0.0","presence":{"online":1,"joined":[],"left":["ada"]}}` + "\n"
	same(t, history.ReplaceAllString(string(tail.AppendJSON(nil, went)), `"`), want)
}

func TestWhatCannotBeFollowedIsSaid(t *testing.T) {
	w := newWorld(t)
	w.exec(`insert into chat.rooms (slug, name) values ('genesis', 'genesis'), ('deploys', 'deploys')`)
	for name, c := range map[string]struct {
		options tail.Options
		want    string
	}{
		"misspelt":     {tail.Options{Rooms: []string{"genral"}}, `there is no room "genral"; perhaps you meant "general"`},
		"a part":       {tail.Options{Rooms: []string{"gene"}}, `perhaps you meant "general" or "genesis"`},
		"unlike all":   {tail.Options{Rooms: []string{"zzzzzz"}}, `there is no room "zzzzzz"; those that there are: select slug from chat.rooms`},
		"not followed": {tail.Options{Rooms: []string{"general"}, After: map[string]chat.Cursor{"ops": {}}}, "--after ops=0.0: that room is not followed"},
		"ahead":        {tail.Options{After: map[string]chat.Cursor{"general": {Seq: 1}}}, "--after general=1.0 is ahead of the room, which is at 0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := (&world{t, w.pool}).start(c.options)
			<-r.ended
			if r.err == nil || !strings.Contains(r.err.Error(), c.want) {
				t.Errorf("got %v, want %q", r.err, c.want)
			}
		})
	}
}

func TestColoursCannotBeTakenOverByWhatIsSaid(t *testing.T) {
	text := tail.Text{Colour: true, Zone: time.UTC}
	m := chat.Message{Seq: 1, Author: "ada", Body: "\x1b[0m\x1b]0;title\a\r\nnext\ttab", CreatedAt: time.Unix(0, 0)}
	got := string(text.Append(nil, tail.Item{Room: chat.Room{Slug: "general"}, Message: &m}))
	want := "\x1b[2m1970-01-01 00:00:00\x1b[0m  \x1b[36mgeneral\x1b[0m  \x1b[2m1\x1b[0m \x1b[1mada\x1b[0m: " + `\x1b[0m\x1b]0;title\x07\x0d` +
		"\n" + strings.Repeat(" ", 30) + "next\ttab\n"
	same(t, got, want)
}

func TestWhatIsNoLongerKeptIsSaid(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{"one", "two", "three"} {
		w.post("general", "ada", body)
	}
	r := w.start(tail.Options{Rooms: []string{"general"}})
	w.exec(`begin; set local session_replication_role = replica; update chat.messages set created_at = created_at - interval '9 days' where seq < 3; commit`)
	w.exec(`update chat.rooms set keep_days = 7 where slug = 'general'`)
	got := []tail.Item{r.next()}
	w.exec(`select chat.retain()`)
	got = append(got, r.next())
	same(t, said(got), "TIME  general  - Messages are removed after 7 days\nTIME  general  - Messages before 3 were removed: the room does not keep them any longer.\n")
	same(t, history.ReplaceAllString(string(tail.AppendJSON(nil, got[1])), `"`), `{"type":"removed","room":"general","cursor":"3.1","first":3}`+"\n")
	r.end()
	// Who comes back with an older cursor is told what they missed, and who has all that is left is not.
	r = w.start(tail.Options{Rooms: []string{"general"}, After: map[string]chat.Cursor{"general": {Seq: 1, Rev: 1}}})
	same(t, said([]tail.Item{r.next(), r.next()}), "TIME  general  - Messages before 3 were removed: the room does not keep them any longer.\nTIME  general  3 ada: three\n")
	r.end()
	r = w.start(tail.Options{Rooms: []string{"general"}, After: map[string]chat.Cursor{"general": {Seq: 2, Rev: 1}}})
	same(t, said([]tail.Item{r.next()}), "TIME  general  3 ada: three\n")
	r.end()
	r = w.start(tail.Options{Rooms: []string{"general"}, Last: 10})
	if i := r.next(); i.Message == nil || i.Message.Body != "three" {
		t.Errorf("the past begins with %+v", i)
	}
}
