// Package pgtest gives tests a real PostgreSQL: one private cluster for a test binary, and for every test its own
// database, cloned from a migrated template. Only tests import it.
package pgtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/pgchat/pgchat/internal/postgres"
)

// Run starts a cluster, runs the tests and removes it; TestMain calls it. PGCHAT_TEST_PGBIN chooses the folder of the
// PostgreSQL programs. A missing PostgreSQL is a failure, never a skip, and so is a goroutine that outlives the tests.
func Run(m interface{ Run() int }) {
	code, err := run(m)
	if err == nil && code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = 1
	}
	os.Exit(code)
}

var cluster *postgres.Cluster

func binaries() (string, error) {
	var bins []string
	if dir := os.Getenv("PGCHAT_TEST_PGBIN"); dir != "" {
		bins = append(bins, dir)
	}
	return postgres.FindBinaries(append(bins, postgres.NPMBinaries()...)...)
}

func run(m interface{ Run() int }) (code int, err error) {
	defer Interruptible()()
	ctx := context.Background()
	bin, err := binaries()
	if err != nil {
		return 1, err
	}
	dir, remove, err := folder("pgchat-test-")
	if err != nil {
		return 1, err
	}
	defer remove()
	// Nothing here outlives the run: speed over durability.
	var stop func() error
	if cluster, stop, err = Start(ctx, bin, dir, "fsync=off", "max_connections=300"); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}

var template = sync.OnceValue(func() error {
	ctx := context.Background()
	if err := admin(ctx, "CREATE DATABASE pgchat_template"); err != nil {
		return err
	}
	_, err := postgres.Migrate(ctx, cluster.URL("pgchat_template"))
	return err
})

func admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// URL makes a migrated database for the test and returns its connection string.
func URL(t testing.TB) string {
	t.Helper()
	if err := template(); err != nil {
		t.Fatal(err)
	}
	return clone(t, "pgchat_template")
}

// As returns the connection string of a user who is a member of the role and may nothing else; role "": of none.
func As(t testing.TB, url, role string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	user, member := "test_"+role, ""
	if role != "" {
		member = "IN ROLE " + role
	}
	// Users are the cluster's: another test may have made it, or be about to.
	_, err = conn.Exec(t.Context(), fmt.Sprintf(`DO $$ BEGIN CREATE ROLE %s LOGIN %s; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`, user, member))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(url, "user=pgchat", "user="+user, 1)
}

// EmptyURL makes a database without the schema and returns its connection string.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return clone(t, "template0")
}

// Clone makes a copy of a test's database, which nobody is connected to, and returns its connection string.
func Clone(t testing.TB, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return clone(t, config.Database)
}

func clone(t testing.TB, from string) string {
	t.Helper()
	name := "t" + uuid.NewString()
	if err := admin(t.Context(), fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q", name, from)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin(context.Background(), fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)); err != nil {
			t.Error(err)
		}
	})
	return cluster.URL(name)
}

// Pool makes a migrated database for the test and returns a pool on it.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Connect opens a connection of the test's own, which is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Folder makes a folder whose path is short enough for a socket, and removes it when the test ends. Its name begins with prefix.
func Folder(t testing.TB, prefix string) string {
	t.Helper()
	dir, remove, err := folder(prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return dir
}

// Rows is how many rows a statement over very many has: what PGCHAT_TEST_ROWS says, or as many as the test has time for.
func Rows(t testing.TB, otherwise int) int {
	t.Helper()
	text := cmp.Or(os.Getenv("PGCHAT_TEST_ROWS"), strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("PGCHAT_TEST_ROWS is %q, want a number of at least 1000", text)
	}
	return n
}

// Cluster starts a PostgreSQL for this test alone, which it may restart or kill, and returns it with the connection
// string of a migrated database.
func Cluster(t testing.TB) (own *postgres.Cluster, url string) {
	t.Helper()
	own = ClusterIn(t, Folder(t, "pgchat-test-"))
	url = own.URL("postgres")
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return own, url
}

// ClusterIn starts a PostgreSQL for this test alone on the data in a folder, which outlives it.
func ClusterIn(t testing.TB, dir string) *postgres.Cluster {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, bin, dir)
}

// start starts a server that is stopped when the test ends.
func start(t testing.TB, bin, dir string, settings ...string) *postgres.Cluster {
	t.Helper()
	c, stop, err := Start(t.Context(), bin, dir, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Standby starts a hot standby of the cluster, which is stopped for a moment to be copied, and returns the connection string
// of a database on it.
func Standby(t testing.TB, of *postgres.Cluster, database string) string {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), of.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	var data, socket string
	err = conn.QueryRow(t.Context(), `SELECT current_setting('data_directory'), current_setting('unix_socket_directories')`).Scan(&data, &socket)
	if err = errors.Join(err, conn.Close(t.Context()), of.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	dir := Folder(t, "pgchat-test-")
	copied := filepath.Join(dir, "data")
	if out, err := exec.Command("cp", "-a", data, copied).CombinedOutput(); err != nil {
		t.Fatalf("copy the cluster: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(copied, "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := of.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return start(t, bin, dir, fmt.Sprintf("primary_conninfo=host=%s user=pgchat", socket)).URL(database)
}
