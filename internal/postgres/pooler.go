package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pooledMode is how queries are sent behind a pooler that may run each on another connection of the server: by name, as pgx
// does otherwise, the next one would not find the statement that this one prepared. Types are still asked for once and kept,
// so that a query takes one round trip; only its text travels each time.
const pooledMode = pgx.QueryExecModeCacheDescribe

// modeOption is what a connection string says where it chooses the mode itself, such as for a PgBouncer of 1.21 or newer
// that knows prepared statements.
const modeOption = "default_query_exec_mode"

// open makes a pool that works behind a transaction pooler, too.
func open(ctx context.Context, url string, cfg *pgxpool.Config) (*pgxpool.Pool, error) {
	// A pooler may give a connection what another one has listened to: pgx would keep it.
	cfg.ConnConfig.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make a connection pool: %w", err)
	}
	pooled, err := usable(ctx, pool)
	if err == nil && (!pooled || strings.Contains(url, modeOption)) {
		return pool, nil
	}
	pool.Close()
	if err != nil {
		return nil, explain("DATABASE_URL", err, cfg.ConnConfig)
	}
	cfg.ConnConfig.DefaultQueryExecMode = pooledMode
	if pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("make a connection pool: %w", err)
	}
	return pool, nil
}
