package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/postgres"
)

// connections compares those that the servers may open with those that there may be.
func connections(ctx context.Context, v *visit) error {
	cfg, err := pgxpool.ParseConfig(v.URL)
	if err != nil {
		return fmt.Errorf("read DATABASE_URL: %w", err)
	}
	var allowed, ours, others, limit int64
	var database, user string
	// A limit of -1 is none. The servers of other databases are others.
	if err := v.one(ctx, `SELECT current_database(), current_user, current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
			- coalesce(current_setting('reserved_connections', true)::bigint, 0), a.ours, a.connected - a.ours,
		coalesce((SELECT min(l) FROM (SELECT datconnlimit::bigint AS l FROM pg_database WHERE datname = current_database()
			UNION ALL SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) limits WHERE l >= 0), -1)
		FROM (SELECT count(*) FILTER (WHERE datname = current_database() AND application_name ~ '^pgchat') AS ours, count(*) AS connected
			FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) a`,
		&database, &user, &allowed, &ours, &others, &limit); err != nil {
		return err
	}
	servers := int64(1)
	if v.schema {
		if err := v.one(ctx, `SELECT greatest(count(*), 1) FROM chat.instances WHERE heartbeat_at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'`, &servers); err != nil {
			return err
		}
	}
	need := servers * (int64(cfg.MaxConns) + 1) // and the listener's
	opens, has := fmt.Sprintf("%d servers open", servers), fmt.Sprintf("%d servers have", servers)
	if servers == 1 {
		opens, has = "one server opens", "one server has"
	}
	what := fmt.Sprintf("%s up to %d connections (pool_max_conns=%d, and one to listen each)", opens, need, cfg.MaxConns)
	if ours > need { // which only those can have that are set otherwise than this DATABASE_URL
		what = fmt.Sprintf("%s %d connections open already, more than pool_max_conns=%d gives: it is larger there", has, ours, cfg.MaxConns)
		need = ours
	}
	const means = "At the busiest moments servers cannot connect, and messages are refused."
	if need+others > allowed {
		v.found(Warning, fmt.Sprintf("%s, others have %d, and max_connections leaves %d", what, others, allowed), means,
			fmt.Sprintf("put a smaller pool_max_conns into DATABASE_URL, or: alter system set max_connections = %d; -- and restart PostgreSQL", need+others+20))
	}
	if limit >= 0 && need > limit {
		v.found(Warning, fmt.Sprintf("%s, and the database or its user may have %d", what, limit), means,
			fmt.Sprintf("alter database %s connection limit -1; alter role %s connection limit -1;", identifier(database), identifier(user)))
	}
	return nil
}

// listening sends a notification by one connection and waits for it on another, as a server's listener does. Behind a
// transaction pooler it does not come: LISTEN is lost there without an error.
func listening(ctx context.Context, v *visit) error {
	var database string
	const which = `SELECT concat_ws(' ', pg_postmaster_start_time(), (SELECT oid FROM pg_database WHERE datname = current_database()))`
	if err := v.one(ctx, which, &database); err != nil {
		return err
	}
	// What follows is not of the transaction: a notification leaves when it ends.
	if err := v.tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	listener, err := postgres.ConnectOnce(ctx, "LISTEN_DATABASE_URL", v.ListenURL)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close(context.WithoutCancel(ctx)) }()
	var other string
	if err := listener.QueryRow(ctx, which).Scan(&other); err != nil {
		return fmt.Errorf("ask the database of LISTEN_DATABASE_URL who it is: %w", err)
	}
	if other != database {
		v.found(Error, "LISTEN_DATABASE_URL leads to another database than DATABASE_URL", "No live message arrives.", "correct LISTEN_DATABASE_URL")
		return nil
	}
	channel := "doctor:" + uuid.NewString()
	if _, err := listener.Exec(ctx, "LISTEN "+identifier(channel)); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _, _ = listener.Exec(context.WithoutCancel(ctx), "UNLISTEN "+identifier(channel)) }() // a pooler may keep the connection
	if _, err := v.conn.Exec(ctx, `SELECT pg_notify($1, '')`, channel); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, v.Limits.Echo)
	defer cancel()
	for {
		n, err := listener.WaitForNotification(waiting)
		switch {
		case err == nil && n.Channel == channel:
			return nil
		case err == nil:
		case ctx.Err() == nil && errors.Is(waiting.Err(), context.DeadlineExceeded):
			variable := "DATABASE_URL"
			if v.ListenURL != v.URL {
				variable = "LISTEN_DATABASE_URL"
			}
			v.found(Warning, "notifications do not arrive by "+variable+": it leads through a transaction pooler such as PgBouncer",
				"Servers poll: live messages come half a second late, nobody sees who is typing, and the database has more to do.",
				"give the direct connection, past the pooler, in LISTEN_DATABASE_URL")
			return nil
		default:
			return fmt.Errorf("wait for the notification: %w", err)
		}
	}
}

// transactions are those that are open for long.
func transactions(ctx context.Context, v *visit) error {
	var all bool
	if err := v.one(ctx, `SELECT pg_has_role('pg_read_all_stats', 'USAGE')`, &all); err != nil {
		return err
	}
	if !all {
		var user string
		if err := v.one(ctx, `SELECT current_user`, &user); err != nil {
			return err
		}
		v.found(Note, "the sessions of other users are not shown to "+user, "Whether they hold a transaction open is not known.",
			fmt.Sprintf("grant pg_read_all_stats to %s;", identifier(user)))
	}
	var pid int
	var who, state string
	var seconds float64
	return v.all(ctx, `SELECT a.pid, concat_ws(', ', nullif(application_name, ''), 'user ' || usename, 'database ' || datname), state,
			extract(epoch FROM clock_timestamp() - CASE WHEN state LIKE 'idle%' THEN state_change ELSE xact_start END)::float8
		FROM pg_stat_activity a WHERE backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND (
			state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - make_interval(secs => $1)
			OR xact_start < clock_timestamp() - make_interval(secs => $2))
		ORDER BY xact_start LIMIT 20`, []any{v.Limits.Idle.Seconds(), v.Limits.Transaction.Seconds()}, []any{&pid, &who, &state, &seconds}, func() {
		v.found(Warning, fmt.Sprintf("session %d (%s) is %s for %s", pid, who, state, time.Duration(seconds*float64(time.Second)).Round(time.Second)),
			"What has been deleted since it began cannot be cleared away. If it listens, the queue of notifications of the whole cluster fills, and at last nothing can be posted.",
			fmt.Sprintf("select pg_terminate_backend(%d); -- and for good, for its user: alter role … set idle_in_transaction_session_timeout = '5min';", pid))
	})
}

// notifications are those that somebody who listens has not taken yet.
func notifications(ctx context.Context, v *visit) error {
	var used float64
	if err := v.one(ctx, `SELECT pg_notification_queue_usage()`, &used); err != nil {
		return err
	}
	if used <= v.Limits.Queue {
		return nil
	}
	severity := Warning
	if used > 0.5 {
		severity = Error
	}
	v.found(severity, fmt.Sprintf("%.3g%% of the queue of notifications is in use", 100*used), "Somebody who listens is in a transaction and hears nothing. When the queue is full nothing can be posted.",
		"select pid, application_name, state, query, pg_terminate_backend(pid) from pg_stat_activity where xact_start is not null and pid <> pg_backend_pid() order by xact_start limit 1;")
	return nil
}

// late is by how many times what makes autovacuum come to a table may be exceeded: it comes within a minute, and takes its time.
const late = 2

// bloat is what tables keep of rows that are gone.
func bloat(ctx context.Context, v *visit) error {
	var name string
	var live, dead, due, bytes int64
	var off, small bool
	// From how many dead rows on a table is due is as autovacuum reckons it, by what is set for the table, else for the server. The most is
	// of PostgreSQL 18 and newer; -1 is none.
	return v.all(ctx, `SELECT c.oid::regclass::text, greatest(s.n_live_tup, c.reltuples::bigint, 0), s.n_dead_tup,
			least(o.threshold + o.scale * greatest(c.reltuples, 0), CASE WHEN o.most >= 0 THEN o.most END)::bigint, pg_relation_size(c.oid),
			coalesce('autovacuum_enabled=false' = ANY (c.reloptions) OR 'autovacuum_enabled=off' = ANY (c.reloptions), false),
			s.relname IN ('room_heads', 'instances', 'presence', 'events', 'search_progress', 'search_buckets', 'sessions', 'tokens')
		FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid CROSS JOIN LATERAL (
			SELECT coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold'))::float8 AS threshold,
				coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor'), current_setting('autovacuum_vacuum_scale_factor'))::float8 AS scale,
				coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold'), current_setting('autovacuum_vacuum_max_threshold', true))::float8 AS most
			FROM pg_options_to_table(c.reloptions)) o
		WHERE s.schemaname = 'chat' ORDER BY s.relname`,
		nil, []any{&name, &live, &dead, &due, &bytes, &off, &small}, func() {
			if off {
				v.found(Warning, "autovacuum is off for "+name, "It grows without end.", fmt.Sprintf("alter table %s reset (autovacuum_enabled);", name))
			}
			if dead > v.Limits.Dead && dead > late*due {
				v.found(Warning, fmt.Sprintf("%s has %d dead rows beside %d living ones, and is vacuumed from %d on", name, dead, live, due),
					"Autovacuum does not keep up, or a long transaction stops it: posting gets slower.", fmt.Sprintf("vacuum (analyze) %s;", name))
			}
			// Even a wide row of these takes a few hundred bytes.
			if small && bytes > v.Limits.Size && bytes > 4096*live {
				v.found(Warning, fmt.Sprintf("%s takes %s for %d rows", name, size(bytes), live), "It has been left with empty pages, which are read with it.",
					fmt.Sprintf("vacuum full %s; -- nobody can post meanwhile; it is short", name))
			}
		})
}

// replication is what standbys lack, and what is kept for those that are gone.
func replication(ctx context.Context, v *visit) error {
	var waits bool
	if err := v.one(ctx, `SELECT current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') NOT IN ('off', 'local')
		AND pg_has_role('pg_read_all_stats', 'USAGE') AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))`, &waits); err != nil {
		return err
	}
	if waits {
		v.found(Error, "synchronous_standby_names names a standby, and none is connected", "Every commit waits for it: nothing can be posted.",
			"start the standby, or: alter system reset synchronous_standby_names; select pg_reload_conf();")
	}
	var name, state string
	var bytes int64
	err := v.all(ctx, `SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text), state, pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn, sent_lsn))::bigint
		FROM pg_stat_replication WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn, sent_lsn)) > $1`, []any{v.Limits.WAL}, []any{&name, &state, &bytes}, func() {
		v.found(Warning, fmt.Sprintf("standby %s (%s) is %s behind", name, state, size(bytes)), "If the server is lost now, so is that for whoever goes on with the standby.",
			"look at the standby's log, network and disk; select * from pg_stat_replication;")
	})
	if err != nil {
		return err
	}
	return v.all(ctx, `SELECT slot_name::text, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, 0) FROM pg_replication_slots
		WHERE wal_status = 'lost' OR NOT active AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > $1`, []any{v.Limits.WAL}, []any{&name, &state, &bytes}, func() {
		drop := fmt.Sprintf("select pg_drop_replication_slot('%s'); -- where nobody will come back to it", name)
		if state == "lost" {
			v.found(Warning, fmt.Sprintf("what replication slot %q needs is gone", name), "Its standby cannot go on.", drop+"; then make the standby anew")
			return
		}
		v.found(Warning, fmt.Sprintf("replication slot %q, which nobody uses, holds %s of WAL", name, size(bytes)), "The disk fills, and when it is full PostgreSQL stops.", drop)
	})
}
