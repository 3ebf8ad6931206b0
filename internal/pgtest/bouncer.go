package pgtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Bouncer starts PgBouncer in front of a database of the cluster, in pool mode "transaction" or "session", and returns the
// connection string through it. It ends with the test. A missing PgBouncer is a failure, never a skip.
func Bouncer(t testing.TB, url, mode string) string {
	t.Helper()
	b := StartBouncer(t, url, mode)
	Cleanup(t, b.Stop)
	return b.URL
}

// PgBouncer is one that the test may stop, and start again with another mode.
type PgBouncer struct {
	URL string // through it

	t    testing.TB
	dir  string
	to   *pgx.ConnConfig
	as   *syscall.Credential // nil: as whoever runs the test
	cmd  *exec.Cmd
	done chan struct{}
}

// StartBouncer is like Bouncer.
func StartBouncer(t testing.TB, url, mode string) *PgBouncer {
	t.Helper()
	to, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	b := &PgBouncer{t: t, to: to, dir: Folder(t, "pgchat-bouncer-")}
	// It refuses to run as root, and the cluster's socket is open to the cluster's user alone.
	if os.Geteuid() == 0 {
		info, err := os.Stat(to.Host)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		b.as = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
		if err := os.Chown(b.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	b.URL = fmt.Sprintf("host='%s' port=6432 user='%s' dbname='%s'", b.dir, to.User, to.Database)
	b.Start(mode)
	return b
}

// Start starts it; it is ready when Start returns.
func (b *PgBouncer) Start(mode string) {
	b.t.Helper()
	file := filepath.Join(b.dir, "pgbouncer.ini")
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = %s
`, b.to.Host, b.to.Port, b.to.User, b.dir, mode)
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.cmd, b.done = exec.Command(bouncerProgram(b.t), file), make(chan struct{})
	b.cmd.Dir = "/"
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.as}
	log, err := b.cmd.StderrPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	up := make(chan struct{})
	go func() {
		defer close(b.done)
		var said strings.Builder
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "process up") {
				close(up)
			}
		}
		_ = b.cmd.Wait()
		select {
		case <-up:
		default:
			b.t.Errorf("pgbouncer did not start:\n%s", said.String())
		}
	}()
	select {
	case <-up:
	case <-b.done:
		b.t.FailNow()
	}
}

// Stop cuts all connections.
func (b *PgBouncer) Stop() {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	<-b.done
}

func bouncerProgram(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no pgbouncer: run .ci/install-deps")
	return ""
}
