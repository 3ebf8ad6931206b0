package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// shownExtra is what messages.extra has of a message, as readers get it.
func shownExtra(t *testing.T, db querier, seq int64) string {
	t.Helper()
	var extra *string
	if err := db.QueryRow(t.Context(), `select chat.quoted(m.room_id, m.extra) - 'files' from chat.messages m join chat.rooms r on r.id = m.room_id where r.slug = 'general' and m.seq = $1`, seq).Scan(&extra); err != nil {
		t.Fatal(err)
	}
	if extra == nil {
		return ""
	}
	return *extra
}

func wantExtra(t *testing.T, db querier, seq int64, parts ...string) {
	t.Helper()
	got := shownExtra(t, db, seq)
	for _, part := range parts {
		if !strings.Contains(got, part) || part == "" && got != "" {
			t.Errorf("extra of %d is %s, want %q in it", seq, got, part)
		}
	}
}

func TestRepliesAreToldWithWhatTheyQuoteAndThreadsCountThem(t *testing.T) {
	pool := pgtest.Pool(t)
	ada, eve := addUser(t, pool, "ada"), addUser(t, pool, "eve")
	var general uuid.UUID
	if err := pool.QueryRow(t.Context(), `select id from chat.rooms where slug = 'general'`).Scan(&general); err != nil {
		t.Fatal(err)
	}
	do(t, pool, `select chat.post('general', 'ada', 'who is in?')`)
	do(t, pool, `select chat.post('general', 'ada', 'something else')`)
	conn := listen(t, pool, general)

	// Alone, and with others in a batch, one of which was sent before and one answers what is not there.
	one, two := uuid.New(), uuid.New()
	post := func(replyTos []int64, ids ...uuid.UUID) (outcomes string) {
		t.Helper()
		rooms, authors, bodies := make([]uuid.UUID, len(ids)), make([]uuid.UUID, len(ids)), make([]string, len(ids))
		for i := range ids {
			rooms[i], authors[i], bodies[i] = general, eve, fmt.Sprint("answer ", i)
		}
		if err := pool.QueryRow(t.Context(), `select string_agg(outcome || coalesce(' ' || seq, ''), ', ' order by ord) from chat.post_replies($1, $2, $3, $4, $5)`,
			rooms, ids, authors, bodies, replyTos).Scan(&outcomes); err != nil {
			t.Fatal(err)
		}
		return outcomes
	}
	for i, p := range []struct {
		want string
		got  string
	}{
		{"posted 3", post([]int64{1}, one)},
		{"duplicate 3", post([]int64{1}, one)},
		{"parent_not_found", post([]int64{4}, uuid.New())},
		{"parent_not_found", post([]int64{-1}, uuid.New())},
		{"duplicate 3, posted 4, posted 5, parent_not_found", post([]int64{1, 3, 0, 99}, one, two, uuid.New(), uuid.New())},
		{"posted 6", post([]int64{0}, uuid.New())},
		{"posted 7", post(nil, uuid.New())},
	} {
		if p.got != p.want {
			t.Errorf("%d: %s, want %s", i, p.got, p.want)
		}
	}
	wantWhole(t, pool)
	var told []string
	for _, n := range heard(t, pool, conn) {
		var p struct {
			Messages, Changes []struct {
				Seq   int64
				Extra map[string]map[string]any
			}
		}
		if err := json.Unmarshal([]byte(n.Payload), &p); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Messages {
			told = append(told, fmt.Sprint(m.Seq, " ", m.Extra["reply"]["author"], " ", m.Extra["reply"]["quote"], " ", m.Extra["reply"]["thread"]))
		}
		for _, m := range p.Changes {
			told = append(told, fmt.Sprint(m.Seq, " has ", m.Extra["thread"]["count"]))
		}
	}
	const none = " <nil> <nil> <nil>"
	if want := "3 ada who is in? 1|1 has 1|4 eve answer 0 1|5" + none + "|1 has 2|6" + none + "|7" + none; strings.Join(told, "|") != want {
		t.Errorf("told\n%s, want\n%s", strings.Join(told, "|"), want)
	}

	// The quote is what the message now says; nothing of it is stored, nor left where it was deleted.
	do(t, pool, `update chat.messages set body = 'who comes?' where room_id = $1 and seq = 1`, general)
	wantExtra(t, pool, 3, `"quote": "who comes?"`)
	do(t, pool, `update chat.messages set deleted_at = now() where room_id = $1 and seq = 1`, general)
	wantExtra(t, pool, 3, `"quote": null`, `"author": "ada"`)
	do(t, pool, `update chat.messages set deleted_at = null where room_id = $1 and seq = 1`, general)
	wantExtra(t, pool, 3, `"quote": "who comes?"`)
	do(t, pool, `update chat.messages set body = repeat('x', 8000) where room_id = $1 and seq = 1`, general)
	wantExtra(t, pool, 3, `"quote": "`+strings.Repeat("x", 300)+`"`)

	// Threads count what shows.
	wantExtra(t, pool, 1, `"count": 2`)
	wantExtra(t, pool, 4, `"thread": 1`, `"seq": 3`)
	do(t, pool, `update chat.messages set deleted_at = now() where room_id = $1 and seq in (3, 4)`, general)
	wantExtra(t, pool, 1, "")
	do(t, pool, `update chat.messages set deleted_at = null where room_id = $1 and seq = 4`, general)
	wantExtra(t, pool, 1, `"count": 1`)

	// By SQL.
	do(t, pool, `select chat.post('general', 'ada', 'by SQL', reply_to => 4)`)
	wantExtra(t, pool, 8, `"thread": 1`, `"quote": "answer 1"`)
	wantExtra(t, pool, 1, `"count": 2`)
	do(t, pool, `insert into chat.replies (room_id, seq, reply_to) values ($1, 6, 5), ($1, 7, 6)`, general)
	wantExtra(t, pool, 5, `"count": 2`)
	wantExtra(t, pool, 7, `"seq": 6`, `"thread": 5`)
	do(t, pool, `delete from chat.replies where room_id = $1 and seq = 7`, general)
	wantExtra(t, pool, 5, `"count": 1`)
	wantExtra(t, pool, 7, "")
	for sql, want := range map[string]string{
		`select chat.post('general', 'ada', 'x', reply_to => 9)`:                                                   `there is no message 9 in room 'general' to reply to`,
		`insert into chat.replies (room_id, seq, reply_to) select id, 99, 1 from chat.rooms`:                       `there is no message 99 in room ` + general.String(),
		`insert into chat.replies (room_id, seq, reply_to) select id, 2, 2 from chat.rooms`:                        `message 2 cannot answer message 2`,
		`insert into chat.replies (room_id, seq, reply_to) select id, 5, 2 from chat.rooms`:                        `message 5 cannot become a reply`,
		`update chat.replies set reply_to = 2 where seq = 3`:                                                       `reply 3 cannot be changed: its thread would not follow`,
		`insert into chat.replies (room_id, seq, reply_to) select gen_random_uuid(), 1, 0 from chat.rooms limit 1`: `there is no message 1 in room `,
	} {
		var refused *pgconn.PgError
		if _, err := pool.Exec(t.Context(), sql); !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, want) || refused.Hint == "" {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
	do(t, pool, `delete from chat.rooms where id = $1`, general)
	_ = ada
}

// The three who replied last, each once, of the newest 20 replies that show; as pages read it and as they are told.
func TestAThreadTellsWhoRepliedLast(t *testing.T) {
	pool := pgtest.Pool(t)
	for _, name := range []string{"ada", "bob", "carol", "dave"} {
		addUser(t, pool, name)
	}
	do(t, pool, `select chat.post('general', 'ada', 'who is in?')`)
	conn := listen(t, pool, one[uuid.UUID](t, pool, `select chat.find_room('general')`))
	read := func() string {
		t.Helper()
		return one[string](t, pool, `select coalesce((select string_agg(w ->> 'name', ' ' order by n) from jsonb_array_elements(chat.shown(m.room_id, m.seq, m.extra) -> 'thread' -> 'by') with ordinality as b (w, n)), '') from chat.messages m where m.seq = 1`)
	}
	by := func(want string) {
		t.Helper()
		told := ""
		for _, n := range heard(t, pool, conn) {
			var p struct {
				Changes []struct {
					Seq   int64
					Extra struct {
						Thread struct{ By []struct{ Name string } }
					}
				}
			}
			if err := json.Unmarshal([]byte(n.Payload), &p); err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Changes {
				if m.Seq == 1 {
					told = ""
					for _, who := range m.Extra.Thread.By {
						told = strings.TrimSpace(told + " " + who.Name)
					}
				}
			}
		}
		if read := read(); read != want || told != want {
			t.Errorf("%q replied last as it is read and %q as it is told, want %q", read, told, want)
		}
	}
	for i, reply := range []struct{ author, want string }{
		{"bob", "bob"}, {"ada", "bob ada"}, {"bob", "ada bob"}, {"carol", "ada bob carol"}, {"dave", "bob carol dave"}, {"ada", "carol dave ada"},
	} {
		do(t, pool, `select chat.post('general', $1, 'I am', reply_to => $2)`, reply.author, i+1)
		by(reply.want)
	}
	do(t, pool, `select chat.delete('general', 7)`)
	by("bob carol dave")
	do(t, pool, `select chat.undelete('general', 7)`)
	by("carol dave ada")
	do(t, pool, `delete from chat.messages where seq = 6`)
	by("bob carol ada")
	do(t, pool, `insert into chat.messages (room_id, author_id, body) select chat.find_room('general'), chat.find_user('dave'), 'again' from generate_series(1, 20)`)
	do(t, pool, `insert into chat.replies (room_id, seq, reply_to) select chat.find_room('general'), s, 1 from generate_series(8, 27) s`)
	if left := read(); left != "dave" {
		t.Errorf("of the newest 20 replies %q are the authors, want dave", left)
	}
	do(t, pool, `update chat.messages set deleted_at = now() where seq between 8 and 27`)
	if left := read(); left != "" {
		t.Errorf("with the newest 20 replies deleted %q have replied last", left)
	}
}

// Who replies, who edits and removes what is replied to, and who removes replies never wait for each other in a circle.
func TestNothingOfAMessageOutlivesItsDeletionBySQL(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	do(t, pool, `select chat.post('general', 'ada', 'who is in?')`)
	do(t, pool, `select chat.post('general', 'ada', 'the secret', reply_to => 1)`)
	do(t, pool, `select chat.post('general', 'ada', 'another', reply_to => 1)`)
	do(t, pool, `select chat.react('general', 2, 'ada', '👍')`)
	do(t, pool, `select chat.pin('general', 2, 'ada')`)
	do(t, pool, `select chat.index_messages(100)`)
	left := func() (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select (select count(*) from chat.search_documents where seq = 2) + (select count(*) from chat.replies where seq = 2)
			+ (select count(*) from chat.reactions where seq = 2) + (select count(*) from chat.pins where seq = 2)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := left(); n != 4 {
		t.Fatalf("there are %d rows about the message, want 4", n)
	}
	do(t, pool, `delete from chat.messages where body = 'the secret'`)
	if n := left(); n != 0 {
		t.Errorf("%d rows are left of it", n)
	}
	wantExtra(t, pool, 1, `"count": 1`)
}

func TestRepliesAndChangesOfTheirThreadNeverDeadlock(t *testing.T) {
	pool := pgtest.Pool(t)
	addUser(t, pool, "ada")
	do(t, pool, `select chat.post('general', 'ada', 'first')`)
	do(t, pool, `select chat.post('general', 'ada', 'second')`)
	var wg sync.WaitGroup
	for w, sql := range []string{
		`select chat.post('general', 'ada', 'reply', reply_to => 1)`,
		`select chat.post('general', 'ada', 'reply', reply_to => (select max(seq) from chat.messages))`,
		`update chat.messages set body = body || '.' where seq in (1, 2)`,
		`update chat.messages set deleted_at = now() where seq = (select max(seq) from chat.replies)`,
		`update chat.messages set deleted_at = case when deleted_at is null then now() end where seq = 1`,
	} {
		wg.Go(func() {
			for range 100 {
				if _, err := pool.Exec(t.Context(), sql); err != nil {
					t.Errorf("%d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	wantWhole(t, pool)
	var wrong int
	if err := pool.QueryRow(t.Context(), `
		select count(*) from chat.messages m
		left join lateral (select count(*) as n, max(s.created_at) as last from chat.replies r join chat.messages s using (room_id, seq)
		                   where r.room_id = m.room_id and r.thread = m.seq and s.deleted_at is null) c on true
		where (coalesce((m.extra -> 'thread' ->> 'count')::int, 0), (m.extra -> 'thread' ->> 'last')::timestamptz) is distinct from (c.n::int, c.last)`).Scan(&wrong); err != nil || wrong > 0 {
		t.Errorf("%d threads are counted wrong, err %v", wrong, err)
	}
}
