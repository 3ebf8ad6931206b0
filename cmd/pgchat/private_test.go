package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
)

// dataFolder is a place for a private PostgreSQL: with a space in its path, and its user's.
func dataFolder(t *testing.T, as *syscall.Credential) string {
	t.Helper()
	dir := pgtest.Folder(t, "pg chat ")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "data folder")
}

// postgresRuns reports whether the private PostgreSQL in dir answers.
func postgresRuns(t *testing.T, dir string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), "host='"+dir+"' user=pgchat dbname=postgres")
	if err != nil {
		return false
	}
	_ = conn.Close(t.Context())
	return true
}

// postmaster is the process id of the private PostgreSQL in dir.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// privatePostgreSQL walks through the life of a data folder: two servers on it, either ended first, both killed.
func privatePostgreSQL(t *testing.T, as *syscall.Credential) {
	dir, bin := dataFolder(t, as), build(t)
	t.Cleanup(func() {
		if postgresRuns(t, dir) {
			t.Error("PostgreSQL runs on after the last server")
		}
	})
	start := func() *instance { return serveAs(t, as, bin, "", "127.0.0.1:0", "--data-dir", dir) }
	one := start()
	two := start()
	newMember(t, one.address, "ada", 0, 0)
	newMember(t, two.address, "bob", 0, 0)
	if psql, err := osexec.LookPath("psql"); err != nil {
		t.Errorf("psql is missing (make deps): %v", err)
	} else if out, err := osexec.Command("sh", "-c", strings.Replace(two.psql, "psql", psql, 1)+` -Atc "select count(*) from chat.users"`).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "2" {
		t.Errorf("%s: %s, error %v; want 2 users", two.psql, out, err)
	}

	// The one that started PostgreSQL is killed: the other serves on, and stops PostgreSQL as the last.
	one.signal(syscall.SIGKILL)
	newMember(t, two.address, "carl", 0, 0)
	if status := two.signal(syscall.SIGINT); status != 0 || postgresRuns(t, dir) {
		t.Errorf("ended with status %d, PostgreSQL runs: %t", status, postgresRuns(t, dir))
	}

	// Server and PostgreSQL are killed: the next start recovers what was acknowledged.
	three := start()
	newMember(t, three.address, "dora", 0, 0)
	pid := postmaster(t, dir)
	three.signal(syscall.SIGKILL)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	four := start()
	signIn(t, four.address, "dora")
	if status := four.signal(syscall.SIGTERM); status != 0 {
		t.Errorf("ended with status %d", status)
	}
}

func TestAPrivatePostgreSQL(t *testing.T) { privatePostgreSQL(t, nil) }

func TestAPrivatePostgreSQLOfAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: the test above ran as an ordinary user")
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	privatePostgreSQL(t, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)})
}

func TestAPrivatePostgreSQLThatIsKilledIsStartedAgain(t *testing.T) {
	dir, bin := dataFolder(t, nil), build(t)
	servers := []*instance{
		serveAs(t, nil, bin, "", "127.0.0.1:0", "--data-dir", dir),
		serveAs(t, nil, bin, "", "127.0.0.1:0", "--data-dir", dir),
	}
	for round := range 2 {
		killed := postmaster(t, dir)
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i, s := range servers {
			for ready := false; !ready; {
				resp, err := http.Get(s.address + "/readyz")
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if ready = resp.StatusCode == http.StatusOK && errors.Is(syscall.Kill(killed, 0), syscall.ESRCH); ready {
					break
				}
				if ctx.Err() != nil {
					t.Fatal("not ready again")
				}
				pause(ctx)
			}
			if err := newMember(t, s.address, fmt.Sprint("ada-", round, "-", s.cmd.Process.Pid), 1, 2*round+i+1).work(ctx, func() {}); err != nil {
				t.Error(err)
			}
		}
	}
	for _, s := range servers {
		if status := s.signal(syscall.SIGTERM); status != 0 {
			t.Errorf("ended with status %d", status)
		}
	}
	if postgresRuns(t, dir) {
		t.Error("PostgreSQL runs on after the last server")
	}
}
