package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// folder is a data folder with a space in its path, short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir := pgtest.Folder(t, "pg chat ")
	return filepath.Join(dir, "data folder")
}

func start(t *testing.T, dir string) *postgres.Embedded {
	t.Helper()
	e, err := postgres.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t *testing.T, e *postgres.Embedded) {
	t.Helper()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// started is when the server was started, as it says; the error tells that none answers.
func started(t *testing.T, e *postgres.Embedded) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var at string
	return at, conn.QueryRow(t.Context(), `select pg_postmaster_start_time()::text`).Scan(&at)
}

func TestServersOnOneFolderShareItsPostgreSQLAndTheLastStopsIt(t *testing.T) {
	dir := folder(t)
	servers := make([]*postgres.Embedded, 4)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			var err error
			if servers[i], err = postgres.StartEmbedded(t.Context(), dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	first, err := started(t, servers[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range servers[:3] {
		stop(t, e)
	}
	if at, err := started(t, servers[3]); err != nil || at != first {
		t.Errorf("with one server left PostgreSQL started at %s, error %v; want it running since %s", at, err, first)
	}
	stop(t, servers[3])
	if _, err := started(t, servers[3]); err == nil {
		t.Error("PostgreSQL runs after the last server has left")
	}
}

func TestAKilledServersPostgreSQLIsTakenOver(t *testing.T) {
	dir := folder(t)
	killed := start(t, dir)
	at, err := started(t, killed)
	if err != nil {
		t.Fatal(err)
	}
	killed.Abandon() // what the end of its process does
	next := start(t, dir)
	if again, err := started(t, next); err != nil || again != at {
		t.Errorf("PostgreSQL started at %s, error %v; want it taken over, since %s", again, err, at)
	}
	stop(t, next)
	if _, err := started(t, next); err == nil {
		t.Error("PostgreSQL that was taken over was not stopped")
	}
}

func TestAKilledPostgreSQLRecovers(t *testing.T) {
	dir := folder(t)
	e := start(t, dir)
	if applied, err := postgres.Migrate(t.Context(), e.URL("postgres")); err != nil || len(applied) == 0 {
		t.Fatalf("applied %v, error %v", applied, err)
	}
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	e.Abandon()
	e = start(t, dir)
	defer stop(t, e)
	if applied, err := postgres.Migrate(t.Context(), e.URL("postgres")); err != nil || len(applied) != 0 {
		t.Errorf("after recovery migrations %v were applied again, error %v", applied, err)
	}
}

func TestAnInterruptedInitdbIsDoneAnew(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	stop(t, start(t, dir))
}

func TestDataOfAnotherMajorVersionIsRefusedWithBothNamed(t *testing.T) {
	dir := folder(t)
	stop(t, start(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.StartEmbedded(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "made by PostgreSQL 9") || !strings.Contains(err.Error(), "--postgres-bin") {
		t.Errorf("got %v", err)
	}
}

func TestAPathTooLongForASocketGetsAShortOne(t *testing.T) {
	dir := filepath.Join(folder(t), strings.Repeat("x", 100))
	e := start(t, dir)
	if _, err := started(t, e); err != nil {
		t.Error(err)
	}
	socket, _, _ := strings.Cut(strings.TrimPrefix(e.Psql("postgres"), "psql -h "), " ")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder %s: %v, error %v; want it private", socket, info, err)
	}
	stop(t, e)
	if _, err := os.Stat(socket); err == nil {
		t.Errorf("the socket's folder %s was left behind", socket)
	}
	// A folder that others may enter is not used.
	if err := os.Mkdir(socket, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(socket) }()
	if _, err := postgres.StartEmbedded(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("with a socket folder that is open to others: got %v", err)
	}
}

func TestManyWhoMigrateAtOnceMigrateOnce(t *testing.T) {
	e := start(t, folder(t))
	defer stop(t, e)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	for range 4 {
		wg.Go(func() {
			applied, err := postgres.Migrate(t.Context(), e.URL("postgres"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(applied)
		})
	}
	wg.Wait()
	all, err := postgres.Migrations(t.Context(), e.URL("postgres"))
	if err != nil || total != len(all) {
		t.Errorf("%d migrations were applied, there are %d, error %v", total, len(all), err)
	}
	for range all {
		if _, err := postgres.MigrateDown(t.Context(), e.URL("postgres")); err != nil {
			t.Error(err)
		}
	}
	if applied, err := postgres.Migrate(t.Context(), e.URL("postgres")); err != nil || len(applied) != len(all) {
		t.Errorf("after going down and up again: %v, error %v", applied, err)
	}
	if conn, err := pgx.Connect(t.Context(), e.URL("postgres")); err != nil {
		t.Error(err)
	} else {
		_, _ = conn.Exec(t.Context(), `insert into chat.schema_version (version_id, is_applied) values (99999, true)`)
		_ = conn.Close(t.Context())
	}
	if _, err := postgres.Migrate(t.Context(), e.URL("postgres")); err == nil || !strings.Contains(err.Error(), "newer pgchat") {
		t.Errorf("a schema from the future: got %v", err)
	}
}

func TestConnectingSaysWhatIsWrong(t *testing.T) {
	e := start(t, folder(t))
	defer stop(t, e)
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `create role weak login`); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"postgres://nobody@127.0.0.1:1/x?connect_timeout=2": "no PostgreSQL answers",
		"http://x":  "cannot be read",
		e.URL("no"): `there is no database "no"`,
		strings.Replace(e.URL("postgres"), "user=pgchat", "user=nobody-known", 1): "refuses user",
		strings.Replace(e.URL("postgres"), "user=pgchat", "user=weak", 1):         "GRANT CREATE",
	} {
		pool, err := postgres.Connect(t.Context(), url)
		if err == nil {
			pool.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

func TestServersOlderThanFifteenAreRefused(t *testing.T) {
	for version, want := range map[string]string{"90624": "PostgreSQL 9", "140012": "PostgreSQL 14", "150012": "", "180004": "", "": "not a number"} {
		if err := postgres.Supported(version); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("version %s: got %v, want %q", version, err, want)
		}
	}
}

func TestWithoutBinariesItIsSaidWhatToInstall(t *testing.T) {
	empty := t.TempDir()
	if _, err := postgres.FindIn([]string{empty}, filepath.Join(empty, "*", "bin")); !errors.Is(err, postgres.ErrNoBinaries) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("got %v", err)
	}
	// The newest of those that are complete is taken.
	for _, dir := range []string{"9/bin", "15/bin", "17/bin"} {
		for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
			if dir == "17/bin" && name == "postgres" {
				continue
			}
			if err := errors.Join(os.MkdirAll(filepath.Join(empty, dir), 0o755), os.WriteFile(filepath.Join(empty, dir, name), nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if bin, err := postgres.FindIn(nil, filepath.Join(empty, "*", "bin")); err != nil || bin != filepath.Join(empty, "15/bin") {
		t.Errorf("got %s, error %v; want 15's", bin, err)
	}
}

func TestRootsPrivateFoldersAreReached(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: its own folders are reached as they are")
	}
	dir := pgtest.Folder(t, "closed-")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := start(t, filepath.Join(dir, "data"))
	_, err := started(t, e)
	stop(t, e)
	if err != nil {
		t.Error(err)
	}
}

func TestStoppingAPostgreSQLThatHasDiedIsNoError(t *testing.T) {
	e := start(t, folder(t))
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	stop(t, e)
}

func TestAPostgreSQLThatDoesNotEndIsEndedAtOnce(t *testing.T) {
	e := start(t, folder(t))
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	// A session that hangs keeps an orderly stop waiting without end.
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	postgres.StopWithin(1)
	defer postgres.StopWithin(15)
	stop(t, e)
	if _, err := started(t, e); err == nil {
		t.Error("it runs on")
	}
}
