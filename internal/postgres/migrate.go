package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/db/migrations"
)

// Migrate brings the schema up to date and returns the versions that it applied, in order. Instances that start at
// once wait for each other: an advisory lock lets one of them migrate, the others find nothing left to do. What is new is
// granted to the roles; see [GrantRights].
//
// Who uses the tables meanwhile is not held up for long: a migration that does not get its locks at once gives up those that it
// has and is tried again each second, for ten minutes. Each time waiting is told who is in its way.
func Migrate(ctx context.Context, url string, waiting ...func(why string)) ([]int64, error) {
	return MigrateBy(ctx, url, migrations.FS, waiting...)
}

// MigrateBy is like [Migrate], by other migrations than those in the binary: earlier ones only, or what is tried out.
func MigrateBy(ctx context.Context, url string, files fs.FS, waiting ...func(why string)) ([]int64, error) {
	applied := []int64{}
	err := withMigrator(ctx, url, files, func(m migrator) error {
		known := m.ListSources()
		at, err := m.GetDBVersion(ctx)
		if err != nil {
			return err
		}
		if newest := known[len(known)-1].Version; at > newest {
			return fmt.Errorf("the schema is at version %d, this pgchat knows %d: it was migrated by a newer pgchat; run that one", at, newest)
		} else if at < newest && m.owner != "" && !m.owns {
			return fmt.Errorf("the schema is at version %d, this pgchat needs %d, and user %q may not migrate it: it belongs to %q; "+
				"run `pgchat migrate up` as that user", at, newest, m.user, m.owner)
		}
		for {
			version, err := m.step(ctx, (*goose.Provider).UpByOne, waiting...)
			if errors.Is(err, goose.ErrNoNextVersion) {
				return nil
			} else if err != nil {
				return err
			}
			applied = append(applied, version)
		}
	})
	if err == nil && len(applied) > 0 {
		_, err = GrantRights(ctx, url)
	}
	return applied, err
}

// GrantRights gives the roles their rights anew, and returns the names of those that do not exist and that the user may not
// make. It does nothing where the schema is not the user's, or is from before there were roles.
func GrantRights(ctx context.Context, url string) (lacking []string, err error) {
	conn, err := ConnectOnce(ctx, "DATABASE_URL", url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var may bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'chat' AND p.proname = 'grant_rights' AND pg_has_role(p.proowner, 'USAGE'))`).Scan(&may)
	if err == nil && may {
		err = conn.QueryRow(ctx, `SELECT chat.grant_rights()`).Scan(&lacking)
	}
	if err != nil {
		return nil, explain("DATABASE_URL", fmt.Errorf("give the roles their rights: %w", err), conn.Config())
	}
	return lacking, nil
}

// MigrateDown takes the latest migration back and returns its version.
func MigrateDown(ctx context.Context, url string) (version int64, err error) {
	err = withMigrator(ctx, url, migrations.FS, func(m migrator) (err error) {
		// Asked before, since a migration may have nothing to take back that its user could be refused.
		if m.owner != "" && !m.owns {
			return fmt.Errorf("user %q may not take a migration back: the schema belongs to %q; run `pgchat migrate down` as that user", m.user, m.owner)
		}
		version, err = m.step(ctx, (*goose.Provider).Down)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return errors.New("there is no migration to take back")
		}
		return err
	})
	if err == nil {
		_, err = GrantRights(ctx, url)
	}
	return version, err
}

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string // the file's
	Applied bool
	At      time.Time // when it was applied
}

// Migrations lists all that the binary has, in order.
func Migrations(ctx context.Context, url string) (list []Migration, err error) {
	err = withMigrator(ctx, url, migrations.FS, func(m migrator) error {
		status, err := m.Status(ctx)
		for _, s := range status {
			list = append(list, Migration{
				Version: s.Source.Version, Name: filepath.Base(s.Source.Path), Applied: s.State == goose.StateApplied, At: s.AppliedAt,
			})
		}
		return err
	})
	return list, err
}

// CheckSchema returns an error where a migration that this pgchat needs was not applied.
func CheckSchema(ctx context.Context, url string) error {
	list, err := Migrations(ctx, url)
	if err != nil {
		return err
	}
	for _, m := range list {
		if !m.Applied {
			return fmt.Errorf("the schema lacks migration %05d: run `pgchat migrate up`, or serve without --no-migrate", m.Version)
		}
	}
	return nil
}

// migrator is what migrates a database, and the rights that its user had before.
type migrator struct {
	*goose.Provider
	rights
	db    *sql.DB
	files fs.FS
}

// provider returns what takes steps in their nth attempt.
func (m migrator) provider(attempt int) (*goose.Provider, error) {
	p, err := goose.NewProvider(goose.DialectPostgres, m.db, yielding{m.files, attempt}, goose.WithTableName("chat.schema_version"))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return p, nil
}

// withMigrator calls do with what migrates the database, once it is proved that it can be used.
func withMigrator(ctx context.Context, url string, files fs.FS, do func(migrator) error) error {
	cfg, err := Parse(url)
	if err != nil {
		return unreadable("DATABASE_URL", err)
	}
	Patience(cfg)
	cfg.DefaultQueryExecMode = pooledMode // the same everywhere: it need not be fast
	m := migrator{files: files}
	if m.rights, err = prepare(ctx, cfg); err != nil {
		return explain("DATABASE_URL", err, cfg)
	}
	m.db = stdlib.OpenDB(*cfg)
	defer func() { _ = m.db.Close() }()
	if m.Provider, err = m.provider(0); err != nil {
		return err
	}
	if err := alone(ctx, m.db, func() error { return do(m) }); err != nil {
		return explain("DATABASE_URL", fmt.Errorf("migrate: %w", err), cfg)
	}
	return nil
}

// prepare makes the table of versions where it is missing, and returns the user's rights as they were before.
func prepare(ctx context.Context, cfg *pgx.ConnConfig) (rights, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return rights{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	r, err := examine(ctx, conn)
	if err != nil {
		return rights{}, err
	}
	if _, err := conn.Exec(ctx, migrations.Prepare); err != nil {
		return rights{}, fmt.Errorf("make the table of versions: %w", err)
	}
	return r, nil
}
