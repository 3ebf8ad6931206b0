package chat_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// BenchmarkRetain removes 100,000 messages of a room of 1,000 people, on a PostgreSQL that syncs, while somebody posts to it without a pause. All
// are in the index of the search, a tenth has a reaction, a tenth is a reply, and half of the people have not read them. It gives the longest that a
// posting took, meanwhile and in as long a time before, and the write-ahead log of the whole, with that of the postings.
//
//	go test -run '^$' -bench Retain -benchtime 1x ./internal/chat
func BenchmarkRetain(b *testing.B) {
	const messages = 100_000
	log := slog.New(slog.DiscardHandler)
	for b.Loop() {
		b.StopTimer()
		_, url := pgtest.Cluster(b)
		pool, err := postgres.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		fill := []string{
			`set session_replication_role = replica`,
			`insert into chat.users (id, name) select gen_random_uuid(), 'user-' || g from generate_series(1, 1000) g`,
			`insert into chat.members (room_id, user_id, last_read_seq) select r.id, u.id, case when random() < 0.5 then 0 else 100000 end from chat.rooms r, chat.users u where r.slug = 'general'`,
			`update chat.room_heads set last_seq = 100000 where room_id = (select id from chat.rooms where slug = 'general')`,
			`insert into chat.messages (room_id, seq, id, author_id, body, created_at, extra)
				select r.id, g, gen_random_uuid(), u.id, 'message w' || g % 9000 || ' of w' || g % 400 || ' and some more words', now() - interval '2 years' + g * interval '1 minute', case when g % 10 = 5 then jsonb_build_object('reply', jsonb_build_object('seq', g - 1, 'thread', g - 1)) end
				from chat.rooms r, (select id from chat.users limit 1) u, generate_series(1, 100000) g where r.slug = 'general'`,
			`insert into chat.replies (room_id, seq, reply_to, thread) select room_id, seq, seq - 1, seq - 1 from chat.messages where seq % 10 = 5`,
			`insert into chat.reactions (room_id, seq, emoji, user_id) select room_id, seq, '👍', author_id from chat.messages where seq % 10 = 3`,
			`reset session_replication_role`,
		}
		if _, err := pool.Exec(b.Context(), strings.Join(fill, ";\n")); err != nil {
			b.Fatal(err)
		}
		if _, err := chat.NewIndexer(pool, log).Run(b.Context()); err != nil {
			b.Fatal(err)
		}
		for _, sql := range []string{`vacuum analyze`, `checkpoint`} {
			if _, err := pool.Exec(b.Context(), sql); err != nil {
				b.Fatal(err)
			}
		}
		var room, author uuid.UUID
		if err := pool.QueryRow(b.Context(), `select m.room_id, m.user_id from chat.members m join chat.rooms r on r.id = m.room_id and r.slug = 'general' limit 1`).Scan(&room, &author); err != nil {
			b.Fatal(err)
		}
		alone := postUntil(b, pool, room, author, func() { time.Sleep(10 * time.Second) })
		if _, err := pool.Exec(b.Context(), `update chat.rooms set keep_days = 90 where id = $1`, room); err != nil {
			b.Fatal(err)
		}
		wal := func() (lsn string) {
			if err := pool.QueryRow(b.Context(), `select pg_current_wal_insert_lsn()::text`).Scan(&lsn); err != nil {
				b.Fatal(err)
			}
			return lsn
		}
		before, began := wal(), time.Now()
		b.StartTimer()
		meanwhile := postUntil(b, pool, room, author, func() {
			if n, err := chat.Retain(b.Context(), pool, log); err != nil || n != messages {
				b.Errorf("removed %d, error %v", n, err)
			}
		})
		b.StopTimer()
		took := time.Since(began)
		var bytes int64
		if err := pool.QueryRow(b.Context(), `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::bigint`, before).Scan(&bytes); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(messages/took.Seconds(), "removed/s")
		b.ReportMetric(float64(bytes)/1e6, "MB-WAL")
		b.ReportMetric(alone.Seconds()*1e3, "ms-longest-alone")
		b.ReportMetric(meanwhile.Seconds()*1e3, "ms-longest-meanwhile")
		pool.Close()
		b.StartTimer()
	}
}

// postUntil posts one message after the other until what is done is done, and returns the longest that one took.
func postUntil(b *testing.B, pool *pgxpool.Pool, room, author uuid.UUID, do func()) (longest time.Duration) {
	b.Helper()
	w := chat.NewWriter(pool)
	w.Start(b.Context())
	defer func() { _ = w.Stop(context.Background()) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for {
		select {
		case <-done:
			return longest
		default:
		}
		began := time.Now()
		if _, err := w.Post(b.Context(), chat.Post{RoomID: room, ID: uuid.New(), AuthorID: author, Body: "meanwhile"}); err != nil {
			b.Error(err)
			return longest
		}
		longest = max(longest, time.Since(began))
	}
}
