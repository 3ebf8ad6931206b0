package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/postgres"
)

func TestALostDatabaseIsToldFromOtherErrors(t *testing.T) {
	e := start(t, folder(t))
	pool, err := pgxpool.New(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ask := func(ctx context.Context, sql string) error {
		_, err := pool.Exec(ctx, sql)
		return fmt.Errorf("ask: %w", err)
	}
	if err := ask(t.Context(), `select 1 / 0`); postgres.Unreachable(err) {
		t.Errorf("a division by zero counts as a lost database: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone, `select 1`); postgres.Unreachable(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("a client that went counts as a lost database: %v", err)
	}
	stop(t, e)
	for range 2 { // the connection that was open, then none
		if err := ask(t.Context(), `select 1`); !postgres.Unreachable(err) {
			t.Errorf("a stopped database: %v", err)
		}
	}
	if postgres.Unreachable(nil) {
		t.Error("no error counts as one")
	}
}
