package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// BenchmarkListen is what one more channel on the list costs: notifications on the channels of a connection that listens to so
// many, 100 to a commit, until they have arrived. PostgreSQL before 19 looks through the list for each notification.
func BenchmarkListen(b *testing.B) {
	pool := syncing(b)
	for _, channels := range []int{10, 100, 1000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			listener, err := pgx.ConnectConfig(b.Context(), pool.Config().ConnConfig)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = listener.Close(context.Background()) }()
			if _, err := listener.Exec(b.Context(), `do $$ begin for i in 1..`+fmt.Sprint(channels)+` loop execute 'listen "channel-' || i || '"'; end loop; end $$`); err != nil {
				b.Fatal(err)
			}
			const atOnce = 100
			b.ResetTimer()
			for n := 0; n < b.N; n += atOnce {
				if _, err := pool.Exec(b.Context(), `select pg_notify('channel-' || 1 + (i * 7919) % $1::bigint, i::text) from generate_series($2::bigint, $3::bigint) i`,
					channels, n, n+atOnce-1); err != nil {
					b.Fatal(err)
				}
				for range atOnce {
					if _, err := listener.WaitForNotification(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
		})
	}
}
