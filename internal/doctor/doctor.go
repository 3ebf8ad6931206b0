// Package doctor looks a database over for all that troubles a chat which lives on it, and says of each finding what it
// means and what mends it. It changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/postgres"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Note    Severity = "note"    // nothing is wrong; worth knowing
	Warning Severity = "warning" // something will go wrong, or is slow, or nobody sees that it is
	Error   Severity = "error"   // something is wrong
)

// Finding is one thing that was found.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Means    string   `json:"means"` // for the chat
	Mend     string   `json:"mend"`  // a statement, or where it takes more, what to do
}

// Check is what came of one check.
type Check struct {
	Name     string    `json:"name"`
	Findings []Finding `json:"findings"`
	Skipped  string    `json:"skipped,omitempty"` // why it was left out
	Failed   string    `json:"failed,omitempty"`  // why it could not be made
}

// Report is all that was found.
type Report struct {
	Server   string  `json:"server"` // its version
	Database string  `json:"database"`
	User     string  `json:"user"`
	Checks   []Check `json:"checks"`
}

// Status is 0 where nothing is wrong, 1 where something is, and 2 where a check could not be made, whatever the others found.
func (r *Report) Status() (status int) {
	for _, c := range r.Checks {
		if c.Failed != "" {
			return 2
		}
		for _, f := range c.Findings {
			if f.Severity != Note {
				status = 1
			}
		}
	}
	return status
}

// Limits are from where on something is a finding.
type Limits struct {
	Idle        time.Duration // idle in a transaction
	Transaction time.Duration // in a transaction at all
	Queue       float64       // share of the queue of notifications that is in use
	Clock       time.Duration // difference of two clocks
	Dead        int64         // dead rows of a table, where autovacuum should have come for them long ago
	Size        int64         // bytes of a table of few rows
	WAL         int64         // bytes that a standby lacks, or a slot holds
	Echo        time.Duration // for a notification to come back
}

// Usual are the limits that pgchat doctor has.
func Usual() Limits {
	return Limits{
		Idle: time.Minute, Transaction: time.Hour, Queue: 0.01, Clock: 2 * time.Second, Dead: 10_000, Size: 16 << 20, WAL: 512 << 20,
		Echo: 3 * time.Second,
	}
}

// Config says what to look at.
type Config struct {
	URL, ListenURL string        // ListenURL is URL where there is no other
	Quick          bool          // leaves out what reads all messages
	Timeout        time.Duration // for what reads all messages
	Limits         Limits
	Now            func() time.Time // this machine's clock
}

const statementWithin = 10 * time.Second

// check is a check's name and what it does; deep ones read all messages.
type check struct {
	name    string
	do      func(context.Context, *visit) error
	deep    bool
	primary bool // what it looks at a standby has not: unlogged tables, LISTEN, standbys of its own
}

// visit is one check at work, in a transaction of its own that writes nothing.
type visit struct {
	Config
	conn    *pgx.Conn
	tx      pgx.Tx
	standby bool // it is one
	schema  bool // there is one, of the version that this pgchat knows
	result  *Check
}

func (v *visit) found(s Severity, what, means, mend string) {
	v.result.Findings = append(v.result.Findings, Finding{s, what, means, mend})
}

// Examine makes all checks. The error says why the database cannot be looked at.
func Examine(ctx context.Context, cfg Config) (*Report, error) {
	conn, err := postgres.ConnectOnce(ctx, "DATABASE_URL", cfg.URL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	report := &Report{Checks: []Check{}}
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_database(), current_user`).
		Scan(&report.Server, &report.Database, &report.User); err != nil {
		return nil, fmt.Errorf("ask the database who it is: %w", err)
	}
	v := &visit{Config: cfg, conn: conn}
	for _, c := range []check{
		{name: "server", do: server},
		{name: "settings", do: settings},
		{name: "migrations", do: migrated},
		{name: "rights", do: rights},
		{name: "schema", do: schema},
		{name: "connections", do: connections, primary: true},
		{name: "listening", do: listening, primary: true},
		{name: "clock", do: clock},
		{name: "transactions", do: transactions},
		{name: "notifications", do: notifications},
		{name: "bloat", do: bloat},
		{name: "replication", do: replication, primary: true},
		{name: "integrity", do: integrity, deep: true},
	} {
		report.Checks = append(report.Checks, v.make(ctx, c))
	}
	return report, nil
}

// make makes one check.
func (v *visit) make(ctx context.Context, c check) Check {
	v.result = &Check{Name: c.name, Findings: []Finding{}}
	if c.deep && v.Quick {
		v.result.Skipped = "it reads all messages; --quick leaves it out"
		return *v.result
	}
	if c.primary && v.standby {
		v.result.Skipped = "the server is a standby: look at the primary"
		return *v.result
	}
	within := statementWithin
	if c.deep {
		within = v.Timeout
	}
	if err := v.transact(ctx, within, c.do); err != nil {
		v.result.Failed = err.Error()
		if c.deep && postgres.TimedOut(err) {
			v.result.Failed = fmt.Sprintf("it took longer than %s: give it more by --timeout, or leave it out by --quick", within)
		}
	}
	return *v.result
}

func (v *visit) transact(ctx context.Context, within time.Duration, do func(context.Context, *visit) error) (err error) {
	v.tx, err = v.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if end := v.tx.Rollback(ctx); end != nil && !errors.Is(end, pgx.ErrTxClosed) {
			err = errors.Join(err, end)
		}
	}()
	if _, err := v.tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = '5s'`, within.Milliseconds())); err != nil {
		return fmt.Errorf("bound the time of statements: %w", err)
	}
	return do(ctx, v)
}

// all calls f with each row of a query, scanned into the same places.
func (v *visit) all(ctx context.Context, sql string, args []any, into []any, f func()) error {
	rows, err := v.tx.Query(ctx, sql, args...)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error { f(); return nil })
	}
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// one scans the one row of a query.
func (v *visit) one(ctx context.Context, sql string, into ...any) error {
	if err := v.tx.QueryRow(ctx, sql).Scan(into...); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }

// size is a number of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<30 {
		return fmt.Sprintf("%.0f MB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
}
