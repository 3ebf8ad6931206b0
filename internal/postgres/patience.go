package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectWithin   = 3 * time.Second // to each host of the URL, unless that says connect_timeout
	pongWithin      = time.Second     // an idle connection that does not answer for so long is replaced
	statementWithin = 10 * time.Second
)

// Patience bounds how long a connection may take to be made. Without a bound a host that is gone, and does not even
// refuse, keeps the next one in the URL from being tried.
func Patience(cfg *pgx.ConnConfig) {
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, connectWithin)
}

// Serving is for [Connect]: every statement without a deadline gets one. A connection whose other end has gone without a
// word would be waited on for minutes, and with it whoever reads through it.
func Serving(cfg *pgxpool.Config) {
	cfg.PingTimeout = cmp.Or(cfg.PingTimeout, pongWithin)
	cfg.ConnConfig.Tracer = deadlines{}
}

// deadlines is a tracer, since pgx takes the context of a statement from that.
type deadlines struct{}

type cancelKey struct{}

// TraceQueryStart implements [pgx.QueryTracer].
func (deadlines) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if _, has := ctx.Deadline(); has {
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, statementWithin)
	return context.WithValue(ctx, cancelKey{}, cancel)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (deadlines) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if cancel, ok := ctx.Value(cancelKey{}).(context.CancelFunc); ok {
		cancel()
	}
}
