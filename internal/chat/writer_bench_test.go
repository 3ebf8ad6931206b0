package chat_test

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// BenchmarkWriter has 64 posters post to 1,000 rooms, each its next message when the one before is stored, on a PostgreSQL
// that syncs. x/commits is the ratio to what pgbench reaches on it with one INSERT and NOTIFY per commit, before and after.
//
//	go test -run '^$' -bench Writer -benchtime 5s -count 5 ./internal/chat
func BenchmarkWriter(b *testing.B) {
	const rooms, posters = 1000, 64
	_, url := pgtest.Cluster(b)
	pool, err := postgres.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	for _, sql := range []string{
		`insert into chat.rooms (slug, name) select 'room-' || g, 'room-' || g from generate_series(1, 1000) g`,
		`insert into chat.users (name) select 'user-' || g from generate_series(1, 64) g`,
		`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`,
		`vacuum analyze`, `checkpoint`,
	} {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	ids := func(sql string) (ids []uuid.UUID) {
		if err := pool.QueryRow(b.Context(), sql).Scan(&ids); err != nil {
			b.Fatal(err)
		}
		return ids
	}
	roomIDs, userIDs := ids(`select array_agg(id) from chat.rooms where slug like 'room-%'`), ids(`select array_agg(id) from chat.users`)
	w := chat.NewWriter(pool)
	w.Start(b.Context())
	defer func() { _ = w.Stop(context.Background()) }()
	before := commits(b, url)
	var posted atomic.Int64
	var posting sync.WaitGroup
	b.ResetTimer()
	for n := range posters {
		posting.Go(func() {
			for i := posted.Add(1); i <= int64(b.N); i = posted.Add(1) {
				post := chat.Post{RoomID: roomIDs[i%rooms], ID: uuid.Must(uuid.NewV7()), AuthorID: userIDs[n], Body: strings.Repeat("x", 64)}
				if _, err := w.Post(b.Context(), post); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	posting.Wait()
	b.StopTimer()
	perSecond := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond, "messages/s")
	if b.N > 1000 { // the last, long round
		b.ReportMetric(2*perSecond/(before+commits(b, url)), "x/commits")
	}
}

// commits is what pgbench reaches, a second, with one INSERT and NOTIFY per commit.
func commits(b *testing.B, url string) float64 {
	b.Helper()
	conn, err := postgres.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Exec(b.Context(), `create table if not exists bench (id bigint generated always as identity primary key, body text)`); err != nil {
		b.Fatal(err)
	}
	const seconds = 3
	cmd := exec.CommandContext(b.Context(), "pgbench", "--no-vacuum", "--protocol=prepared", "--client=64", "--jobs=2",
		fmt.Sprint("--time=", seconds), "--file=-", url)
	cmd.Stdin = strings.NewReader(`with m as (insert into bench (body) values (repeat('x', 64))) select pg_notify('bench', repeat('x', 64));`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v: %s", err, out)
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		b.Fatalf("pgbench told no tps: %s", out)
	}
	perSecond, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return perSecond
}
