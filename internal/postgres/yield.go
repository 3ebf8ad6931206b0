package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Who waits for a lock on a table that nobody may use meanwhile keeps everybody out who comes after, for as long as somebody
// before has the table. So a migration waits for a moment only, gives up all that it has locked, and tries again later.
const (
	lockWithin = 50 * time.Millisecond  // for each lock: four in a row are no more than the 200 ms that posting may stand still
	gateWithin = 150 * time.Millisecond // for the gate alone, after some attempts
	yieldFor   = time.Second            // before it is tried again
	tryFor     = 10 * time.Minute
)

var (
	direction     = regexp.MustCompile(`(?m)^-- \+goose (Up|Down)[ \t]*$`)
	noTransaction = []byte("-- +goose NO TRANSACTION")
)

// impatient begins each transaction of a migration. A session that finds itself held up by autovacuum ends that, but only
// after deadlock_timeout, which not every role may set: others wait until autovacuum is done with the table.
//
// Who posts locks the table of heads first, then others. A migration that locks several of them meets somebody between two
// of them nearly each time where there is much posting. So from the second attempt on it begins where they do: once it has
// that lock nobody is under way.
func impatient(attempt int) string {
	set := fmt.Sprintf(`
SELECT set_config('lock_timeout', '%dms', true),
    CASE WHEN has_parameter_privilege('deadlock_timeout', 'SET') THEN set_config('deadlock_timeout', '%dms', true) END;
`, lockWithin.Milliseconds(), lockWithin.Milliseconds()/2)
	if attempt == 0 {
		return set
	}
	within := min(time.Duration(attempt)*lockWithin, gateWithin)
	return fmt.Sprintf(`
SET LOCAL lock_timeout = '%dms';
-- +goose StatementBegin
DO $$ BEGIN
    IF to_regclass('chat.room_heads') IS NOT NULL THEN
        LOCK TABLE chat.room_heads IN EXCLUSIVE MODE; -- they may be read
    END IF;
END $$;
-- +goose StatementEnd
`, within.Milliseconds()) + set
}

// yielding is migrations whose transactions are impatient. It is written into them, since a setting of the connection would
// not reach behind a transaction pooler, or not leave again. What runs outside a transaction takes no lock that keeps
// others out (a test of db/migrations holds that), and may wait.
type yielding struct {
	fs.FS
	attempt int // the first is 0
}

// Open implements [fs.FS].
func (y yielding) Open(name string) (fs.File, error) {
	file, err := y.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if !bytes.Contains(text, noTransaction) {
		text = direction.ReplaceAll(text, []byte("$0\n"+strings.ReplaceAll(impatient(y.attempt), "$", "$$")))
	}
	return migration{file, bytes.NewReader(text)}, nil
}

// migration is a file with another text.
type migration struct {
	fs.File
	text io.Reader
}

// Read implements [io.Reader].
func (m migration) Read(p []byte) (int, error) { return m.text.Read(p) }

// step takes one migration forward or back and returns its version. Where it does not get its locks it is tried again, and
// waiting is told each time who has them.
func (m migrator) step(ctx context.Context, do func(*goose.Provider, context.Context) (*goose.MigrationResult, error), waiting ...func(why string)) (version int64, err error) {
	began := time.Now()
	for attempt := 0; ; attempt++ {
		provider, err := m.provider(attempt)
		if err != nil {
			return 0, err
		}
		result, err := do(provider, ctx)
		if err == nil {
			return result.Source.Version, nil
		} else if !heldUp(err) {
			return 0, err
		}
		why := holders(ctx, m.db)
		if time.Since(began) > tryFor {
			return 0, fmt.Errorf("no lock could be had within %s, as a migration waits for each no longer than %s: %s; end that, and migrate again: %w", tryFor, lockWithin, why, err)
		}
		for _, tell := range waiting {
			tell(why)
		}
		select {
		case <-time.After(yieldFor):
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a lock (%s): %w", why, ctx.Err())
		}
	}
}

// heldUp reports whether a lock was not to be had in time, or only by a deadlock.
func heldUp(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "40P01")
}

// holders says who has locked tables of the schema for long enough to hold a migration up.
func holders(ctx context.Context, db *sql.DB) string {
	rows, err := db.QueryContext(ctx, `
		SELECT format('%s (pid %s, %s) has been in a transaction for %s s', coalesce(nullif(a.application_name, ''), a.backend_type), a.pid, coalesce(a.state, 'its state is not shown to this user'),
			coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::numeric(10, 1)::text, '?'))
		FROM pg_stat_activity a
		WHERE a.pid <> pg_backend_pid() AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - make_interval(secs => $1))
			AND EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = a.pid AND l.granted AND l.database =
				(SELECT oid FROM pg_database WHERE datname = current_database()) AND c.relnamespace = 'chat'::regnamespace)
		ORDER BY a.xact_start NULLS LAST LIMIT 3`, lockWithin.Seconds())
	if err != nil {
		return fmt.Sprintf("who has it could not be asked (%v)", err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return fmt.Sprintf("who has it could not be read (%v)", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return "others, none of them for long"
	}
	return strings.Join(all, "; ")
}
