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
	name, value string
	severity    Severity
	means, mend string
}

const (
	system = "alter system set %s; select pg_reload_conf();"
	mine   = "alter role %s reset %s; -- or wherever it was set: select sourcefile, source from pg_settings where name = '%[2]s';"
)

func settings(ctx context.Context, v *visit) error {
	const lost = "What was acknowledged can be lost in a crash."
	wrongs := []wrong{
		{"fsync", "off", Error, "A crash of the machine can destroy the whole database.", fmt.Sprintf(system, "fsync = on")},
		{"full_page_writes", "off", Error, "A crash of the machine can leave pages half written, and destroy tables.", fmt.Sprintf(system, "full_page_writes = on")},
		{"synchronous_commit", "off", Warning, lost, fmt.Sprintf(system, "synchronous_commit = on")},
		{"autovacuum", "off", Warning, "Tables that change much grow without end, and so does the time that posting takes.", fmt.Sprintf(system, "autovacuum = on")},
		{"track_counts", "off", Warning, "Autovacuum does not know what there is to do.", fmt.Sprintf(system, "track_counts = on")},
		{"session_replication_role", "replica", Error, "Triggers do not fire: messages are not numbered, and nobody is told of them.", ""},
		{"session_replication_role", "local", Warning, "Triggers of others may not fire.", ""},
		{"default_transaction_read_only", "on", Error, "Nothing can be posted.", ""},
	}
	var name, value, user string
	err := v.all(ctx, `SELECT name, setting, current_user FROM pg_settings WHERE name = ANY ($1)`,
		[]any{[]string{"fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts", "session_replication_role", "default_transaction_read_only"}},
		[]any{&name, &value, &user}, func() {
			for _, w := range wrongs {
				if w.name != name || w.value != value {
					continue
				}
				if w.mend == "" {
					w.mend = fmt.Sprintf(mine, identifier(user), name)
				}
				v.found(w.severity, name+" is "+value, w.means, w.mend)
			}
		})
	if err != nil {
		return err
	}
	var encoding string
	var pages, usual int64
	if err := v.one(ctx, `SELECT current_setting('server_encoding'), coalesce(s.setting, '1048576')::bigint, coalesce(s.boot_val, '1048576')::bigint
		FROM (VALUES (1)) one LEFT JOIN pg_settings s ON s.name = 'max_notify_queue_pages'`, &encoding, &pages, &usual); err != nil {
		return err
	}
	if encoding != "UTF8" {
		v.found(Error, "the database's encoding is "+encoding, "Messages with letters that it has not cannot be posted.",
			"create database … encoding 'UTF8' template template0, and move the chat there with pg_dump and pg_restore")
	}
	if pages < usual {
		v.found(Warning, fmt.Sprintf("max_notify_queue_pages is %d, not %d", pages, usual), "The queue of notifications is full the sooner, and then nothing can be posted.",
			"alter system reset max_notify_queue_pages; -- and restart PostgreSQL")
	}
	return nil
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
