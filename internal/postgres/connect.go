package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// OldestVersion is the oldest PostgreSQL that is supported.
const OldestVersion = 15

// Connect makes a pool and proves that the database can be used. Its errors say what is wrong and what to do.
func Connect(ctx context.Context, url string, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL cannot be read; it is like postgres://user:password@host:5432/database: %w", err)
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "pgchat"
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // else a uuid.UUID travels as text that is made, read and parsed
		return nil
	}
	Patience(cfg.ConnConfig)
	for _, option := range options {
		option(cfg)
	}
	return open(ctx, url, cfg)
}

// usable reports whether a pooler stands between pgchat and the database: then the server process that answers is not the
// one that answered when the connection was made, whose id the pooler makes up. The error is why the database cannot be used.
func usable(ctx context.Context, pool *pgxpool.Pool) (pooled bool, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	var version string
	var mayCreate bool
	var process uint32
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num'), pg_backend_pid(),
		EXISTS (SELECT FROM pg_namespace WHERE nspname = 'chat') OR has_database_privilege(current_database(), 'CREATE')`,
		pgx.QueryExecModeExec).Scan(&version, &process, &mayCreate)
	if err != nil {
		return false, err
	}
	if err := supported(version); err != nil {
		return false, err
	}
	if !mayCreate {
		return false, errors.New("the user may not create the schema chat: GRANT CREATE ON DATABASE … TO … as the database's owner, " +
			"or migrate as a user who may")
	}
	return process != conn.Conn().PgConn().PID(), nil
}

// supported checks a server_version_num, such as 150012.
func supported(version string) error {
	n, err := strconv.Atoi(version)
	if err != nil {
		return fmt.Errorf("the server's version is %q, which is not a number: %w", version, err)
	}
	if n/10000 < OldestVersion {
		return fmt.Errorf("the server is PostgreSQL %d; pgchat needs %d or newer", n/10000, OldestVersion)
	}
	return nil
}

// explain adds what to do to the errors that everybody meets.
func explain(err error, cfg *pgx.ConnConfig) error {
	where := fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "28P01", "28000":
			return fmt.Errorf("the server at %s refuses user %q: check name and password in DATABASE_URL: %w", where, cfg.User, err)
		case "3D000":
			return fmt.Errorf("there is no database %q at %s: create it (createdb %s) or correct DATABASE_URL: %w", cfg.Database, where, cfg.Database, err)
		case "42501":
			return fmt.Errorf("user %q has not the rights that pgchat needs in database %q: %w", cfg.User, cfg.Database, err)
		}
		return err
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fmt.Errorf("no PostgreSQL answers at %s: check the host and port in DATABASE_URL, and that the server runs: %w", where, err)
	}
	return err
}
