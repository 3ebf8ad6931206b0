package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a private PostgreSQL server: its data, its socket and its processes. It listens on a Unix socket only.
type Cluster struct {
	bin, dir   string
	data       string              // in dir
	socket     string              // the folder of its socket: dir, or a short one where dir's path is too long
	credential *syscall.Credential // nil: as whoever runs pgchat
	reach      bool                // that user may not pass a folder above the data
}

// StartCluster starts PostgreSQL from the programs in bin on the data in dir, which it makes where it is missing. After a
// crash PostgreSQL recovers by itself. Started by root, PostgreSQL runs as an unprivileged user, since it refuses root.
// The settings are lines of postgresql.conf, passed on the command line.
func StartCluster(ctx context.Context, bin, dir string, settings ...string) (*Cluster, error) {
	c, err := newCluster(bin, dir)
	if err != nil {
		return nil, err
	}
	return c, c.start(ctx, settings...)
}

func newCluster(bin, dir string) (*Cluster, error) {
	c := &Cluster{bin: bin, dir: dir, data: filepath.Join(dir, "data"), socket: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := c.giveUpRoot(dir); err != nil {
			return nil, err
		}
	}
	if len(dir)+len("/.s.PGSQL.5432") > maxSocketPath {
		if err := c.shortSocket(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// maxSocketPath is the most bytes that the address of a Unix socket may have on Linux, without the NUL at its end.
const maxSocketPath = 107

// shortSocket puts the socket into a private folder with a short path, the same one at every start on the same data.
func (c *Cluster) shortSocket() error {
	sum := sha256.Sum256([]byte(c.dir))
	c.socket = filepath.Join(os.TempDir(), "pgchat-"+hex.EncodeToString(sum[:6]))
	if err := os.Mkdir(c.socket, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the socket's folder: %w", err)
	}
	owner := os.Geteuid()
	if c.credential != nil {
		owner = int(c.credential.Uid)
		if err := os.Lchown(c.socket, owner, int(c.credential.Gid)); err != nil {
			return fmt.Errorf("give the socket's folder away: %w", err)
		}
	}
	// Who made the folder first, with other rights, could read along.
	info, err := os.Lstat(c.socket)
	if err != nil {
		return fmt.Errorf("look at the socket's folder: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(stat.Uid) != owner {
		return fmt.Errorf("the path %q is too long for a Unix socket, and %s is not a private folder of ours: remove that, or "+
			"choose a --data-dir of at most %d bytes", c.dir, c.socket, maxSocketPath-len("/.s.PGSQL.5432"))
	}
	return nil
}

// join waits for a server that runs on the data, whoever started it, and reports false where none does. One that was
// just killed looks for a moment as if it ran, and one that recovers does not answer yet.
func (c *Cluster) join(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if c.run(ctx, "pg_ctl", "status", "-D", c.data) != nil {
			return false, ctx.Err()
		}
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return true, conn.Close(ctx)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return false, fmt.Errorf("a PostgreSQL runs on %s and does not answer: %w", c.data, err)
		}
	}
}

func (c *Cluster) start(ctx context.Context, settings ...string) error {
	if err := c.initialise(ctx); err != nil {
		return err
	}
	if err := c.checkMajor(ctx); err != nil {
		return err
	}
	options := []string{"-c listen_addresses=", "-c unix_socket_directories=" + quote(c.socket)}
	for _, s := range settings {
		options = append(options, "-c "+quote(s))
	}
	return c.run(ctx, "pg_ctl", "start", "-w", "-t", "60", "-D", c.data, "-l", filepath.Join(c.dir, "postgres.log"),
		"-o", strings.Join(options, " "))
}

// initialise makes the data where there is none. It is made beside its place and then moved there: what an interrupted
// initdb left behind is made anew.
func (c *Cluster) initialise(ctx context.Context) error {
	_, err := os.Stat(c.data)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fresh := c.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove what an interrupted initdb left: %w", err)
	}
	if err := c.run(ctx, "initdb", "-D", fresh, "-U", "pgchat", "-E", "UTF8", "--locale=C.UTF-8", "-A", "peer",
		"--no-instructions"); err != nil {
		return err
	}
	// The socket's folder is open to its owner alone; who may enter it may connect.
	hba := []byte("local all all trust\nlocal replication all trust\n")
	if err := os.WriteFile(filepath.Join(fresh, "pg_hba.conf"), hba, 0o600); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	if err := os.Rename(fresh, c.data); err != nil {
		return fmt.Errorf("move the new data to its place: %w", err)
	}
	return nil
}

// checkMajor compares the data's major version with that of the programs, which cannot read another one's.
func (c *Cluster) checkMajor(ctx context.Context) error {
	data, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("%s is not the data of a PostgreSQL: %w", c.data, err)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(c.bin, "postgres"), "--version").Output() //nolint:gosec // the found PostgreSQL
	if err != nil {
		return fmt.Errorf("ask %s/postgres for its version: %w", c.bin, err)
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 18.4
	major, _, _ := strings.Cut(fields[len(fields)-1], ".")
	if len(fields) > 2 {
		major, _, _ = strings.Cut(fields[2], ".")
	}
	if want := strings.TrimSpace(string(data)); want != major {
		return fmt.Errorf("the data in %s was made by PostgreSQL %s, the programs in %s are %s: point --postgres-bin to "+
			"PostgreSQL %s, or choose another --data-dir", c.data, want, c.bin, major, want)
	}
	return nil
}

// URL is the connection string of a database on the cluster.
func (c *Cluster) URL(database string) string {
	return fmt.Sprintf("host='%s' user=pgchat dbname='%s'", c.socket, database)
}

// Stop ends the server: sessions are cut, data is flushed ("fast" shutdown). One that has ended is stopped.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.halt(ctx)
	if err == nil && c.socket != c.dir {
		_ = os.Remove(c.socket)
	}
	return err
}

// stopWithin is how many seconds the server has to end in order.
var stopWithin = 15

// halt ends the server. One that does not end in order in time is ended without flushing, from which the next start
// recovers: PostgreSQL 18.4 hangs when it is told to stop while it recovers from a crash.
func (c *Cluster) halt(ctx context.Context) error {
	err := c.run(ctx, "pg_ctl", "stop", "-w", "-t", strconv.Itoa(stopWithin), "-m", "fast", "-D", c.data)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var status *exec.ExitError
	switch told := c.run(ctx, "pg_ctl", "status", "-D", c.data); {
	case told == nil:
		return c.run(ctx, "pg_ctl", "stop", "-w", "-m", "immediate", "-D", c.data)
	case errors.As(told, &status) && status.ExitCode() == notRunning:
		return nil
	}
	return err
}

// notRunning is the exit status of pg_ctl status where no server runs on the data.
const notRunning = 3

// Restart stops the server and starts it again as it was.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.halt(ctx); err != nil {
		return err
	}
	return c.run(ctx, "pg_ctl", "restart", "-w", "-m", "fast", "-D", c.data, "-l", filepath.Join(c.dir, "postgres.log"))
}

func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...) //nolint:gosec // programs of the found PostgreSQL
	cmd.Dir = c.dir
	if c.reach {
		// The capability is in force from the first program on, which therefore must be one that everybody reaches.
		cmd = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `exec "$@"`, "sh", filepath.Join(c.bin, name)}, args...)...) //nolint:gosec // as above
		cmd.Dir = "/"
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = c.attributes()
	// A file and not a pipe: the server that pg_ctl leaves behind inherits it, and a pipe would never end.
	out, err := os.CreateTemp("", "pgchat-"+name)
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// giveUpRoot lets the cluster's processes run as the system's postgres user, else as nobody, and gives dir to it.
func (c *Cluster) giveUpRoot(dir string) error {
	var u *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if u, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("PostgreSQL refuses to run as root and there is no user postgres or nobody: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("user id of %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("group id of %s: %w", u.Username, err)
	}
	c.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	c.reach = !reachable(dir)
	if !reachable(c.bin) {
		if c.bin, err = publish(c.bin); err != nil {
			return err
		}
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return fmt.Errorf("give the data folder to %s: %w", u.Username, err)
	}
	return nil
}

// quote makes s one word of pg_ctl's -o, which a shell reads.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// reachable reports whether everybody may pass the folders above path.
func reachable(path string) bool {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// Kill ends the server at once, as a crash would; tests use it. The next start recovers.
func (c *Cluster) Kill() error {
	pid, err := c.pid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	return nil
}

// Crash stops the server at once, without a checkpoint ("immediate" shutdown); tests use it. The next start recovers.
func (c *Cluster) Crash(ctx context.Context) error {
	return c.run(ctx, "pg_ctl", "stop", "-w", "-m", "immediate", "-D", c.data)
}

// pid is the process id of the server that runs on the data, or that ended without clearing up.
func (c *Cluster) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("read the server's process id: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("read the server's process id: %w", err)
	}
	return pid, nil
}
