package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Run(m) }

// The server's connection changes from query to query, and the queries of many clients meet on each.
func TestQueriesWorkBehindATransactionPooler(t *testing.T) {
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			url := pgtest.Bouncer(t, pgtest.URL(t), mode)
			var clients sync.WaitGroup
			for range 3 {
				pool, err := postgres.Connect(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(pool.Close)
				for c := range 4 {
					clients.Go(func() {
						for i := range 50 {
							ids := []uuid.UUID{uuid.New(), uuid.New()}
							var n int
							var id uuid.UUID
							query := fmt.Sprintf(`select cardinality($1::uuid[]), $2::uuid, %d`, i%7)
							if err := pool.QueryRow(t.Context(), query, ids, ids[1]).Scan(&n, &id, new(int)); err != nil || n != 2 || id != ids[1] {
								t.Errorf("client %d: got %d and %s, error %v", c, n, id, err)
								return
							}
						}
					})
				}
			}
			clients.Wait()
		})
	}
}

func TestOnlyBehindAPoolerStatementsAreNotPrepared(t *testing.T) {
	direct := pgtest.URL(t)
	pooled := pgtest.Bouncer(t, direct, "transaction")
	for url, want := range map[string]pgx.QueryExecMode{
		direct: pgx.QueryExecModeCacheStatement,
		pooled: pgx.QueryExecModeCacheDescribe,
		// Who chooses a mode has it.
		pooled + " default_query_exec_mode=exec":            pgx.QueryExecModeExec,
		pooled + " default_query_exec_mode=cache_statement": pgx.QueryExecModeCacheStatement,
	} {
		pool, err := postgres.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().ConnConfig.DefaultQueryExecMode; got != want {
			t.Errorf("%s: got mode %s, want %s", url, got, want)
		}
		pool.Close()
	}
}

func TestMigratingThroughATransactionPoolerIsDoneByOne(t *testing.T) {
	url := pgtest.Bouncer(t, pgtest.EmptyURL(t), "transaction")
	ctx := context.Background()
	applied := make(chan int, 4)
	var migrating sync.WaitGroup
	for range cap(applied) {
		migrating.Go(func() {
			versions, err := postgres.Migrate(ctx, url)
			if err != nil {
				t.Error(err)
			}
			applied <- len(versions)
		})
	}
	migrating.Wait()
	all, _ := postgres.Migrations(ctx, url)
	for range cap(applied) {
		if n := <-applied; n != 0 && n != len(all) {
			t.Errorf("one applied %d migrations of %d", n, len(all))
		}
	}
	// Nobody holds the lock any more, on whichever connection.
	if _, err := postgres.MigrateDown(ctx, url); err != nil {
		t.Error(err)
	}
	if _, err := postgres.Migrate(ctx, url); err != nil {
		t.Error(err)
	}
	if err := postgres.CheckSchema(ctx, url); err != nil {
		t.Error(err)
	}
}
