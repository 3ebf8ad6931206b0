package chat_test

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// BenchmarkIndexing has 256 posters post all the time, by turns for a second without anybody who indexes and for one with, on a
// PostgreSQL that syncs. cost-% is by how much fewer messages were stored with the index, of the median turn.
//
//	go test -run '^$' -bench Indexing -benchtime 20x ./internal/chat
func BenchmarkIndexing(b *testing.B) {
	const rooms, posters, turn = 100, 256, time.Second
	_, url := pgtest.Cluster(b)
	pool, err := postgres.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	for _, sql := range []string{
		`insert into chat.rooms (slug, name) select 'room-' || g, 'room-' || g from generate_series(1, 100) g`,
		`insert into chat.users (name) select 'user-' || g from generate_series(1, 64) g`,
		`insert into chat.members (room_id, user_id) select r.id, u.id from chat.rooms r, chat.users u on conflict do nothing`,
		`vacuum analyze`, `checkpoint`,
	} {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	var roomIDs, userIDs []uuid.UUID
	if err := pool.QueryRow(b.Context(), `select (select array_agg(id) from chat.rooms where slug like 'room-%'), (select array_agg(id) from chat.users)`).Scan(&roomIDs, &userIDs); err != nil {
		b.Fatal(err)
	}
	w := chat.NewWriter(pool)
	w.Start(b.Context())
	defer func() { _ = w.Stop(context.Background()) }()
	var stored atomic.Int64
	var posting sync.WaitGroup
	stop := make(chan struct{})
	for n := range posters {
		posting.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var body strings.Builder
				for range 8 { // words as frequent as those of a language
					body.WriteString("w" + strconv.FormatInt(int64(math.Pow(50_000, rand.Float64())), 36) + "ord ")
				}
				post := chat.Post{RoomID: roomIDs[i%rooms], ID: uuid.Must(uuid.NewV7()), AuthorID: userIDs[n%len(userIDs)], Body: body.String()}
				if _, err := w.Post(b.Context(), post); err != nil {
					b.Error(err)
					return
				}
				stored.Add(1)
			}
		})
	}
	measure := func() float64 {
		before, began := stored.Load(), time.Now()
		time.Sleep(turn)
		return float64(stored.Load()-before) / time.Since(began).Seconds()
	}
	measure() // the first messages are slow
	var without, with, cost []float64
	for b.Loop() {
		without = append(without, measure())
		indexer := chat.NewIndexer(pool, slog.New(slog.DiscardHandler))
		indexer.Start(b.Context())
		with = append(with, measure())
		if err := indexer.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		cost = append(cost, 100*(1-with[len(with)-1]/without[len(without)-1]))
	}
	close(stop)
	posting.Wait()
	var indexed int64
	if err := pool.QueryRow(b.Context(), `select count(*) from chat.search_documents`).Scan(&indexed); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(median(without), "messages/s")
	b.ReportMetric(median(with), "messages/s-indexed")
	b.ReportMetric(median(cost), "cost-%")
	b.ReportMetric(float64(indexed)/float64(len(with))/turn.Seconds(), "documents/s")
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
