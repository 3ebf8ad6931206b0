package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// OldestVersion is the oldest PostgreSQL that is supported.
const OldestVersion = 15

// Connect makes a pool and proves that the database can be used. Its errors say what is wrong and what to do.
func Connect(ctx context.Context, url string, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, unreadable("DATABASE_URL", err)
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
	r, err := examine(ctx, conn)
	return r.process != conn.Conn().PgConn().PID(), err
}

// CheckListen proves that the database at url, which the environment variable LISTEN_DATABASE_URL gave, answers.
func CheckListen(ctx context.Context, url string) error {
	conn, err := ConnectOnce(ctx, "LISTEN_DATABASE_URL", url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// ConnectOnce makes one connection by the url that the variable gave, which works behind a transaction pooler, too. Nothing
// is asked of the database but that it answers.
func ConnectOnce(ctx context.Context, variable, url string) (*pgx.Conn, error) {
	cfg, err := Parse(url)
	if err != nil {
		return nil, unreadable(variable, err)
	}
	Patience(cfg)
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, explain(variable, err, cfg)
	}
	return conn, nil
}

// Parse reads a connection string for a connection outside a pool. What it says of a pool, such as pool_max_conns, is left out.
func Parse(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return cfg.ConnConfig, nil
}

// rights are what the database lets its user do.
type rights struct {
	user, owner string // owner of the schema chat; "": there is no such schema yet
	owns        bool   // the user is the owner, or has its rights
	process     uint32 // of the server that told
}

// examine returns the user's rights, or an error where the server is too old or they do not suffice to look into the schema.
func examine(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (rights, error) {
	var r rights
	var version string
	var mayCreate, mayRead bool
	// Tables are looked for by name, since what has no USAGE on the schema may not say chat.users at all.
	err := db.QueryRow(ctx, `SELECT current_setting('server_version_num'), pg_backend_pid(), current_user, coalesce(pg_get_userbyid(n.nspowner), ''),
			coalesce(pg_has_role(n.nspowner, 'USAGE'), false), has_database_privilege(current_database(), 'CREATE'),
			coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AND NOT EXISTS (SELECT FROM pg_class c
				WHERE c.relnamespace = n.oid AND c.relname IN ('schema_version', 'users', 'messages') AND NOT has_table_privilege(c.oid, 'SELECT'))
		FROM (VALUES (1)) one LEFT JOIN pg_namespace n ON n.nspname = 'chat'`, pgx.QueryExecModeExec).
		Scan(&version, &r.process, &r.user, &r.owner, &r.owns, &mayCreate, &mayRead)
	if err != nil {
		return r, err
	}
	switch err := supported(version); {
	case err != nil:
		return r, err
	case r.owner == "" && !mayCreate:
		return r, fmt.Errorf("user %q may not create the schema chat: GRANT CREATE ON DATABASE … TO %s as the database's owner, "+
			"or migrate as a user who may", r.user, identifier(r.user))
	case r.owner != "" && !mayRead:
		return r, fmt.Errorf("user %q may not use the schema chat, which belongs to %q: as a superuser GRANT %s TO %s to serve, or GRANT %s TO %s to migrate, too",
			r.user, r.owner, identifier("chat_app"), identifier(r.user), identifier(r.owner), identifier(r.user))
	}
	return r, nil
}

func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }

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
