package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

const (
	askEvery = time.Second // waiting inside PostgreSQL would hold up CREATE INDEX CONCURRENTLY
	askFor   = 10 * time.Minute
)

// alone runs do while nobody else migrates. The lock is a transaction's, which a transaction pooler leaves on one connection
// of the server, while goose's own is a session's: that would be taken on one connection and given back on another. It has
// the same id, so that older versions of pgchat wait for it.
func alone(ctx context.Context, db *sql.DB, do func() error) error {
	for began := time.Now(); ; {
		locked, err := tryAlone(ctx, db, do)
		if locked || err != nil {
			return err
		}
		if time.Since(began) > askFor {
			return fmt.Errorf("another pgchat has been migrating for %s", askFor)
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return fmt.Errorf("wait for another pgchat to migrate: %w", ctx.Err())
		}
	}
}

func tryAlone(ctx context.Context, db *sql.DB, do func() error) (locked bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock($1)`, lock.DefaultLockID).Scan(&locked); err != nil || !locked {
		return false, err
	}
	// It may be idle for as long as the longest migration takes.
	if _, err := tx.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return false, fmt.Errorf("lock the schema: %w", err)
	}
	return true, do()
}
