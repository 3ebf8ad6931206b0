package postgres_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgchat/pgchat/db/migrations"
	"github.com/pgchat/pgchat/internal/pgtest"
	"github.com/pgchat/pgchat/internal/postgres"
)

// andAnother returns all migrations and one more.
func andAnother(t *testing.T, up string) fs.FS {
	t.Helper()
	all := fstest.MapFS{"99999_another.sql": {Data: []byte("-- +goose Up\n" + up + "\n")}}
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	return all
}

// Somebody reads in a transaction that stays open, as pg_dump does. A migration that waited for it would have everybody
// wait who comes after: posts would end with the reader's transaction only.
func TestNobodyWaitsBehindAMigrationThatGetsNoLock(t *testing.T) {
	url := pgtest.URL(t)
	reader, poster := pgtest.Connect(t, url), pgtest.Connect(t, url)
	exec := func(conn *pgx.Conn, sql string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(poster, `insert into chat.users (name) values ('ada')`)
	exec(reader, `begin`)
	exec(reader, `select count(*) from chat.messages`)
	waits, migrated := make(chan string), make(chan error, 1)
	go func() {
		// What the first statement has locked, and posting reads, is given up with the rest.
		_, err := postgres.MigrateBy(t.Context(), url, andAnother(t, "ALTER TABLE chat.rooms ADD COLUMN x integer;\nALTER TABLE chat.messages ADD COLUMN x integer;"),
			func(why string) { waits <- why })
		migrated <- err
	}()
	for told := 0; told < 3; {
		select {
		case why := <-waits:
			told++
			if want := fmt.Sprintf("(pid %d, idle in transaction) has been in a transaction for", reader.PgConn().PID()); !strings.Contains(why, want) {
				t.Errorf("who is in the way is told as %q, want %q", why, want)
			}
		case err := <-migrated:
			t.Fatalf("migrated while somebody read: %v", err)
		default:
			exec(poster, `select chat.post('general', 'ada', 'hello')`)
		}
	}
	exec(reader, `commit`)
	for {
		select {
		case <-waits: // it tried once more before
			continue
		case err := <-migrated:
			if err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	exec(poster, `select m.x, r.x from chat.messages m, chat.rooms r limit 0`)
}

// Autovacuum keeps a table from being altered, and does not end for who gives up before deadlock_timeout.
func TestAMigrationEndsAnAutovacuumInItsWay(t *testing.T) {
	cluster, url := pgtest.Cluster(t)
	db := pgtest.Connect(t, cluster.URL("postgres"))
	for _, sql := range []string{
		`alter system set autovacuum_naptime = '1s'`,
		`alter system set autovacuum_vacuum_cost_delay = '100ms'`,
		`alter system set autovacuum_vacuum_cost_limit = 1`,
		`select pg_reload_conf()`,
		`insert into chat.users (name) values ('ada')`,
		`insert into chat.messages (room_id, author_id, body) select r.id, u.id, 'message ' || g from chat.rooms r, chat.users u, generate_series(1, 5000) g`,
		`alter table chat.messages set (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0)`,
		`delete from chat.messages where seq < 4000`,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	const running = `select exists (select from pg_locks l join pg_stat_activity a using (pid) where a.backend_type = 'autovacuum worker' and l.relation = 'chat.messages'::regclass), pg_sleep(0.01)`
	for there := false; !there; {
		if err := db.QueryRow(t.Context(), running).Scan(&there, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := postgres.MigrateBy(t.Context(), url, andAnother(t, "ALTER TABLE chat.messages ADD COLUMN x integer;"), func(why string) { t.Log(why) }); err != nil {
		t.Fatal(err)
	}
	var ended int
	if err := db.QueryRow(t.Context(), `select autovacuum_count from pg_stat_user_tables where relid = 'chat.messages'::regclass`).Scan(&ended); err != nil || ended != 0 {
		t.Errorf("the migration waited until %d autovacuums were done (%v)", ended, err)
	}
}
