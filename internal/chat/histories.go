package chat

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// NoticeRestores is for a pool: on each new connection, before it is used, a new history begins where the database was restored or a
// standby has taken over; see chat.check_history. So nobody posts through the pool before that is noted. A database that still
// recovers counts as one that is starting: what it has is of a moment on the way, without those who signed up since.
func NoticeRestores(cfg *pgxpool.Config) {
	const asked = "pgchat history"
	cfg.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		known := conn.PgConn().CustomData()
		if known[asked] == true {
			return true, nil
		}
		// Where it fails nothing can be posted either: the schema is not there yet, or nothing can be written. It is asked again.
		var done bool
		err := conn.QueryRow(ctx, `SELECT chat.check_history()`, pgx.QueryExecModeExec).Scan(&done)
		if err == nil && !done {
			return false, &pgconn.PgError{Severity: "FATAL", Code: "57P03", Message: "the database system recovers"} // cannot_connect_now
		}
		known[asked] = done
		return true, nil
	}
}
