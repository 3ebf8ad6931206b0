package chat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// Retention says how long what is kept about the past stays; 0: for ever.
type Retention struct {
	History time.Duration // of chat.message_history: what messages were before they were edited or deleted
	Audit   time.Duration // of chat.audit_log: who has changed what
}

// Sweep removes what is older, unless another instance does it just now, and returns how many rows there were.
func (r Retention) Sweep(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	n, err := store.New(pool).SweepHistory(ctx, store.SweepHistoryParams{HistorySeconds: r.History.Seconds(), AuditSeconds: r.Audit.Seconds()})
	if err != nil {
		return 0, fmt.Errorf("sweep the history of messages and the audit log: %w", err)
	}
	return n, nil
}
