package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/pgchat/pgchat/internal/postgres"
)

func server(ctx context.Context, v *visit) error {
	var version int
	var recovering bool
	if err := v.one(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery()`, &version, &recovering); err != nil {
		return err
	}
	v.oldVersion(version)
	if recovering {
		v.standby = true
		v.found(Error, "the server is a standby, or recovers", "Nothing can be posted through it.",
			"connect to the primary: several hosts in DATABASE_URL with target_session_attrs=read-write find it")
	}
	return nil
}

func (v *visit) oldVersion(version int) {
	if version/10000 < postgres.OldestVersion {
		v.found(Error, fmt.Sprintf("the server is PostgreSQL %d", version/10000), "pgchat does not run on it.",
			fmt.Sprintf("upgrade it to PostgreSQL %d or newer", postgres.OldestVersion))
	}
}

// wrong is what a setting must not be.
type wrong struct {
	name, value, right string
	severity           Severity
	means              string
}

func settings(ctx context.Context, v *visit) error {
	const lost = "What was acknowledged can be lost in a crash."
	wrongs := []wrong{
		{"fsync", "off", "on", Error, "A crash of the machine can destroy the whole database."},
		{"full_page_writes", "off", "on", Error, "A crash of the machine can leave pages half written, and destroy tables."},
		{"synchronous_commit", "off", "on", Warning, lost},
		{"autovacuum", "off", "on", Warning, "Tables that change much grow without end, and so does the time that posting takes."},
		{"track_counts", "off", "on", Warning, "Autovacuum does not know what there is to do."},
		{"session_replication_role", "replica", "origin", Error, "Triggers do not fire: messages are not numbered, and nobody is told of them."},
		{"default_transaction_read_only", "on", "off", Error, "Nothing can be posted."},
	}
	var name, value, source, user, database string
	err := v.all(ctx, `SELECT name, setting, source, current_user, current_database() FROM pg_settings WHERE name = ANY ($1)`,
		[]any{[]string{"fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts", "session_replication_role", "default_transaction_read_only"}},
		[]any{&name, &value, &source, &user, &database}, func() {
			for _, w := range wrongs {
				if w.name == name && w.value == value {
					v.found(w.severity, name+" is "+value, w.means, reset(w, source, identifier(user), identifier(database)))
				}
			}
		})
	if err != nil {
		return err
	}
	var encoding string
	var pages, usual int64
	if err := v.one(ctx, `SELECT current_database(), current_setting('server_encoding'), coalesce(s.setting, '1048576')::bigint, coalesce(s.boot_val, '1048576')::bigint
		FROM (VALUES (1)) one LEFT JOIN pg_settings s ON s.name = 'max_notify_queue_pages'`, &database, &encoding, &pages, &usual); err != nil {
		return err
	}
	if encoding != "UTF8" {
		v.found(Error, "the database's encoding is "+encoding, "Letters beyond ASCII are taken for others, or refused: lengths are counted wrong, the search misses words, and psql shows something else than pages.",
			fmt.Sprintf("create database %s encoding 'UTF8' locale 'C.UTF-8' template template0; -- and move the chat there with pg_dump and pg_restore", identifier(database+"_utf8")))
	}
	if pages < usual {
		v.found(Warning, fmt.Sprintf("max_notify_queue_pages is %d, not %d", pages, usual), "The queue of notifications is full the sooner, and then nothing can be posted.",
			"alter system reset max_notify_queue_pages; -- and restart PostgreSQL")
	}
	return nil
}

// reset is the statement that takes a setting back where it was set.
func reset(w wrong, source, user, database string) string {
	switch source {
	case "user":
		return fmt.Sprintf("alter role %s reset %s;", user, w.name)
	case "database":
		return fmt.Sprintf("alter database %s reset %s;", database, w.name)
	case "database user":
		return fmt.Sprintf("alter role %s in database %s reset %s;", user, database, w.name)
	case "client", "environment variable", "session":
		return fmt.Sprintf("take %s out of DATABASE_URL, its options, or PGOPTIONS", w.name)
	case "global":
		return fmt.Sprintf("alter role all reset %s;", w.name)
	case "command line":
		return fmt.Sprintf("start PostgreSQL without -c %s=%s", w.name, w.value)
	}
	return fmt.Sprintf("alter system set %s = %s; select pg_reload_conf();", w.name, w.right)
}

// clock compares this machine's clock with the database's, by which sessions and leases end.
func clock(ctx context.Context, v *visit) error {
	var theirs time.Time
	began := v.Now()
	if err := v.one(ctx, `SELECT clock_timestamp()`, &theirs); err != nil {
		return err
	}
	took := v.Now().Sub(began)
	off := theirs.Sub(began.Add(took / 2))
	if off.Abs() <= v.Limits.Clock+took/2 {
		return nil
	}
	where := "ahead of"
	if off < 0 {
		where = "behind"
	}
	v.found(Warning, fmt.Sprintf("the database's clock is %s %s this machine's", off.Abs().Round(time.Millisecond), where),
		"Times in pages, and when sessions and statuses end, are off for people and programs that go by their own clocks.",
		"set both by NTP: timedatectl set-ntp true")
	return nil
}
