package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// systemBin is the folder of a PostgreSQL of the system's, whose programs are more than those of npm's: pg_basebackup.
func systemBin(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_basebackup")
	if len(found) == 0 {
		t.Fatal("the system's PostgreSQL with pg_basebackup is missing: make deps")
	}
	return filepath.Dir(found[len(found)-1])
}

// owner is whom PostgreSQL runs as; nil: as whoever runs the tests.
func owner(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// startStandby copies the primary and follows it; when it returns, commits wait for the standby.
func startStandby(t *testing.T, primary *database, port int) *database {
	t.Helper()
	dir, as := folder(t), owner(t)
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	backup := exec.Command(filepath.Join(systemBin(t), "pg_basebackup"), "-d", fmt.Sprintf("host=127.0.0.1 port=%d user=pgchat", primary.port),
		"-D", filepath.Join(dir, "data"), "-R", "-X", "stream", "-c", "fast")
	backup.Dir = dir
	backup.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	standby := startDatabaseOn(t, systemBin(t), dir, port)
	for _, sql := range []string{"alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"} {
		if err := primary.try(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	primary.becomes(t, `select count(*) > 0 from pg_stat_replication where sync_state = 'sync'`)
	return standby
}

// becomes waits for the statement to say true: PostgreSQL has no signal for it.
func (d *database) becomes(t *testing.T, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		is, err := query(ctx, d, pgx.RowTo[bool], sql)
		if err == nil && is[0] {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: not within a minute (error %v)", sql, err)
		}
		pause(ctx, 20*time.Millisecond, 50*time.Millisecond)
	}
}

// promote makes the standby the primary. It was copied before it was waited for, and waits for none itself.
func (d *database) promote(t *testing.T) {
	t.Helper()
	for _, sql := range []string{"select pg_promote()", "alter system reset synchronous_standby_names", "select pg_reload_conf()"} {
		if err := d.try(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// roundOfFailover loses the primary and promotes its synchronous standby, twice: the first time the network to the primary
// goes without a word before it is stopped, the second time it is stopped and refuses.
func roundOfFailover(t *testing.T, random *rand.Rand, _ time.Duration) counts {
	bin, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	first := startDatabase(t, systemBin(t), folder(t))
	first.migrate(t)
	port := freePort(t)
	w := newWorld(t, random, first, plan{
		instances: 2, members: 8, rooms: 3, pace: 120 * time.Millisecond, bin: bin,
		url: func(l *link) string {
			return fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%s,%d user=pgchat dbname=postgres sslmode=disable target_session_attrs=read-write", l.port(), port)
		},
	})
	second := startStandby(t, first, port)
	w.start(t)
	w.flows(t, 100)
	for _, l := range w.pgLinks {
		if err := l.poison("timeout", `{"timeout":0}`); err != nil {
			t.Fatal(err)
		}
	}
	pause(t.Context(), 0, 2*time.Second)
	w.failover(t, first, second)

	// The new primary gets a standby where the old one was: it is first in everybody's list.
	for _, l := range w.pgLinks {
		l.heal(t.Context(), "timeout")
	}
	third := startStandby(t, second, first.port)
	w.flows(t, 100)
	w.failover(t, second, third)
	w.settle(t)
	c := w.counted()
	c.faults = map[string]int{"standby promoted, primary silent": 1, "standby promoted, primary refuses": 1}
	return c
}

// failover stops the primary for good and promotes the standby.
func (w *world) failover(t *testing.T, primary, standby *database) {
	t.Helper()
	if err := primary.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby.promote(t)
	w.db = standby
	w.flows(t, 100)
}
