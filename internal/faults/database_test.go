package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// nextPort gives ports below those that the system hands out, so that nobody takes one while its owner is down.
var nextPort atomic.Int32

// freePort returns a port of the loopback address that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20000 + (os.Getpid()*37+int(nextPort.Add(1)))%12000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// database is a PostgreSQL of a round's own, which listens on TCP so that a proxy can stand before it.
type database struct {
	*postgres.Cluster
	dir  string
	port int
}

const hba = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"

// postgresBin is the folder of PostgreSQL 18 from npm, or of what PGCHAT_TEST_PGBIN says.
func postgresBin(t *testing.T) string {
	t.Helper()
	var first []string
	if dir := os.Getenv("PGCHAT_TEST_PGBIN"); dir != "" {
		first = append(first, dir)
	}
	bin, err := postgres.FindBinaries(append(first, postgres.NPMBinaries()...)...)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// folder is one that PostgreSQL's user can reach.
func folder(t *testing.T) string {
	t.Helper()
	return pgtest.Folder(t, "pgchat-faults-")
}

// startDatabase starts the PostgreSQL of bin on the data in dir.
func startDatabase(t *testing.T, bin, dir string, settings ...string) *database {
	t.Helper()
	return startDatabaseOn(t, bin, dir, freePort(t), settings...)
}

func startDatabaseOn(t *testing.T, bin, dir string, port int, settings ...string) *database {
	t.Helper()
	d := &database{dir: dir, port: port}
	access := filepath.Join(dir, "hba.conf")
	if err := os.WriteFile(access, []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	var stop func() error
	var err error
	d.Cluster, stop, err = pgtest.Start(t.Context(), bin, dir, append([]string{
		"listen_addresses=127.0.0.1", fmt.Sprint("port=", d.port), "hba_file=" + access, "max_connections=200",
	}, settings...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() }) // a fault may have left it down
	return d
}

func (d *database) address() string { return fmt.Sprint("127.0.0.1:", d.port) }

// url is the connection string past all proxies.
func (d *database) url() string { return urlOf(d.port) }

func urlOf(port int) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=pgchat dbname=postgres sslmode=disable connect_timeout=5", port)
}

// migrate makes the schema.
func (d *database) migrate(t *testing.T) {
	t.Helper()
	if _, err := postgres.Migrate(t.Context(), d.url()); err != nil {
		t.Fatal(err)
	}
}

// connect opens a connection past all proxies that may write whatever the default is.
func (d *database) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(d.url())
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "faults"
	cfg.RuntimeParams["default_transaction_read_only"] = "off"
	return pgx.ConnectConfig(ctx, cfg)
}

// try runs a statement; that the database is down is no error of the harness.
func (d *database) try(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql, args...)
	return err
}

// query returns the rows of a statement, each as one T.
func query[T any](ctx context.Context, d *database, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// plainQueue says nothing of the queue: it has 8 GB, more than a test fills.
const plainQueue = "log_min_messages=warning"

// queueOf is the setting for a queue of notifications that can be filled, where the PostgreSQL has it.
func queueOf(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(postgresBin(t), "postgres"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "PostgreSQL) 15") || strings.Contains(string(out), "PostgreSQL) 16") {
		return plainQueue
	}
	return "max_notify_queue_pages=64" // 512 KiB
}
