-- +goose Up
-- Views for DBAs. They read the big tables by their keys only, so that they answer at once however much there is; golden files in
-- internal/store/testdata/plans hold them to it. Times are cut to seconds: the tables have them whole.

-- What a server knows of itself, and no table says: written with its heartbeat, in the one statement that it is.
ALTER TABLE chat.instances
    ADD COLUMN connections   integer NOT NULL DEFAULT 0,
    ADD COLUMN rooms         integer NOT NULL DEFAULT 0,
    ADD COLUMN listener      text    NOT NULL DEFAULT '',
    ADD COLUMN listener_pid  integer,
    ADD COLUMN listener_lag  interval,
    ADD COLUMN queue         integer NOT NULL DEFAULT 0,
    ADD COLUMN batches       integer NOT NULL DEFAULT 0,
    ADD COLUMN messages      integer NOT NULL DEFAULT 0,
    ADD COLUMN largest_batch integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT instances_listener_check CHECK (listener IN ('', 'hears', 'polls', 'lost'));
COMMENT ON CONSTRAINT instances_listener_check ON chat.instances IS '"hears", "polls" or "lost"; empty: not told yet.';
COMMENT ON COLUMN chat.instances.connections IS 'Open WebSocket connections at its latest heartbeat, as all that follows.';
COMMENT ON COLUMN chat.instances.rooms IS 'Rooms that are open there, each a channel that it listens to.';
COMMENT ON COLUMN chat.instances.listener IS '"hears": notifications reach it; "polls": it stands behind a transaction pooler; "lost": it has no connection to listen on; empty: it has not had its first heartbeat.';
COMMENT ON COLUMN chat.instances.listener_pid IS 'The process of PostgreSQL that it listens on, as in pg_stat_activity; NULL: none.';
COMMENT ON COLUMN chat.instances.listener_lag IS 'How long its latest notification to itself took, every 10 s; NULL: it has heard none on this connection.';
COMMENT ON COLUMN chat.instances.queue IS 'Messages that wait for its writer''s next statement.';
COMMENT ON COLUMN chat.instances.batches IS 'Statements by which its writer has stored messages since the heartbeat before.';
COMMENT ON COLUMN chat.instances.messages IS 'Messages in them.';
COMMENT ON COLUMN chat.instances.largest_batch IS 'The most messages in one of them.';

CREATE VIEW chat.instance_health AS
SELECT i.name AS instance, i.version,
       CASE WHEN age.up >= interval '1 day' THEN extract(day FROM age.up) || ' d ' ELSE '' END || to_char(age.up, 'HH24:MI') AS up,
       i.heartbeat_at BETWEEN now() - interval '30 seconds' AND now() + interval '30 seconds' AS alive,
       date_trunc('second', now() - i.heartbeat_at) AS heartbeat, i.connections, i.rooms,
       CASE WHEN i.listener = 'hears' AND i.listener_lag IS NOT NULL THEN round(extract(epoch FROM i.listener_lag) * 1000, 1) || ' ms' ELSE i.listener END AS listener,
       i.queue, round(i.messages::numeric / nullif(i.batches, 0), 1) AS batch, i.largest_batch AS largest
FROM chat.instances i CROSS JOIN LATERAL (SELECT now() - i.started_at AS up) age
ORDER BY i.name;
COMMENT ON VIEW chat.instance_health IS 'How the servers are, by what they said with their latest heartbeat, every 10 s; chat.instances has the figures for programs. Alive with the lease of 30 s that servers have unless told otherwise.';
COMMENT ON COLUMN chat.instance_health.instance IS 'Its name: host and address, or what PGCHAT_NAME says.';
COMMENT ON COLUMN chat.instance_health.version IS 'The version of pgchat that it runs.';
COMMENT ON COLUMN chat.instance_health.up IS 'Since when it runs: days, hours and minutes.';
COMMENT ON COLUMN chat.instance_health.alive IS 'True: its lease has not ended. False: it does not answer, and the next server that looks removes it.';
COMMENT ON COLUMN chat.instance_health.heartbeat IS 'How long ago its latest heartbeat was; negative: the clock was set back.';
COMMENT ON COLUMN chat.instance_health.connections IS 'Open WebSocket connections.';
COMMENT ON COLUMN chat.instance_health.rooms IS 'Rooms that are open there, each a channel that it listens to.';
COMMENT ON COLUMN chat.instance_health.listener IS 'How long a notification takes to reach it; or "hears": none was timed yet; "polls": it is behind a transaction pooler, and messages come late; "lost": it has no connection to listen on; empty: not told yet.';
COMMENT ON COLUMN chat.instance_health.queue IS 'Messages that wait to be stored. Above 1,000 for long: PostgreSQL cannot keep up, or does not answer.';
COMMENT ON COLUMN chat.instance_health.batch IS 'Messages in one statement, on average between the two latest heartbeats; NULL: none were stored.';
COMMENT ON COLUMN chat.instance_health.largest IS 'The most messages in one of them; 500 at most.';

-- +goose StatementBegin
CREATE FUNCTION chat.seq_since(room_id uuid, since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    low    bigint := 1;
    high   bigint := (SELECT h.last_seq + 1 FROM room_heads h WHERE h.room_id = seq_since.room_id);
    step   bigint := 1; -- doubled until something earlier is found: most of what is asked for is near the end
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := CASE WHEN low = 1 THEN greatest(1, high - step) ELSE (low + high) / 2 END;
        IF (SELECT m.created_at FROM messages m WHERE m.room_id = seq_since.room_id AND m.seq >= middle ORDER BY m.seq LIMIT 1) < since THEN
            low := middle + 1;
        ELSE
            high := middle;
            step := step * 2;
        END IF;
    END LOOP;
    RETURN low;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.seq_since(uuid, timestamptz) IS 'seq of the first message of a room that was stored at an instant or later; beyond its newest message: there is none. By binary search: created_at rises with seq, but where the clock was set back, so that no index on it is needed. select last_seq + 1 - chat.seq_since(room_id, now() - interval ''1 week'') from chat.room_heads;';

CREATE VIEW chat.room_stats AS
SELECT r.slug AS room, r.kind, r.archived_at IS NOT NULL AS archived,
       (SELECT count(*) FROM chat.members m WHERE m.room_id = r.id) AS members,
       (SELECT count(DISTINCT p.user_id) FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id
        WHERE p.room_id = r.id AND i.heartbeat_at BETWEEN now() - interval '30 seconds' AND now() + interval '30 seconds') AS online,
       h.last_seq AS messages,
       h.last_seq + 1 - chat.seq_since(r.id, now() - interval '1 hour') AS last_hour,
       h.last_seq + 1 - chat.seq_since(r.id, now() - interval '1 day') AS last_day,
       date_trunc('second', (SELECT m.created_at FROM chat.messages m WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT 1)) AS last_message
FROM chat.rooms r LEFT JOIN chat.room_heads h ON h.room_id = r.id;
COMMENT ON VIEW chat.room_stats IS 'The rooms, who is in them, and how much is said: select * from chat.room_stats order by last_day desc;';
COMMENT ON COLUMN chat.room_stats.room IS 'Its slug.';
COMMENT ON COLUMN chat.room_stats.kind IS '"public", "private" or "direct".';
COMMENT ON COLUMN chat.room_stats.archived IS 'True: nothing can be posted.';
COMMENT ON COLUMN chat.room_stats.members IS 'How many members it has.';
COMMENT ON COLUMN chat.room_stats.online IS 'How many people have it open, on all servers that live.';
COMMENT ON COLUMN chat.room_stats.messages IS 'How many messages there have been, those that were deleted since among them.';
COMMENT ON COLUMN chat.room_stats.last_hour IS 'How many of them came within the last hour.';
COMMENT ON COLUMN chat.room_stats.last_day IS 'How many came within the last 24 hours.';
COMMENT ON COLUMN chat.room_stats.last_message IS 'When the newest one was stored; NULL: there is none.';

-- Who wrote is read of the messages of the last day alone: an index by author would cost every message, and this costs as much as there
-- was that day. A range with two ends, neither of which the planner knows, it takes for a small one.
CREATE VIEW chat.user_activity AS
SELECT u.name, u.role, o.user_id IS NOT NULL AS online,
       (SELECT count(*) FROM chat.members m WHERE m.user_id = u.id) AS rooms,
       coalesce(d.messages, 0) AS last_day, date_trunc('second', d.newest) AS last_message,
       date_trunc('second', greatest(CASE WHEN o.user_id IS NOT NULL THEN now() END, d.newest,
           (SELECT max(greatest(s.created_at, s.expires_at - interval '30 days')) FROM chat.sessions s WHERE s.user_id = u.id),
           (SELECT max(t.last_used_at) FROM chat.tokens t WHERE t.user_id = u.id))) AS last_seen,
       date_trunc('second', u.created_at) AS created
FROM chat.users u
LEFT JOIN (
    SELECT DISTINCT p.user_id FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id
    WHERE i.heartbeat_at BETWEEN now() - interval '30 seconds' AND now() + interval '30 seconds'
) o ON o.user_id = u.id
LEFT JOIN (
    SELECT m.author_id, count(*) AS messages, max(m.created_at) AS newest
    FROM chat.room_heads h CROSS JOIN LATERAL (
        SELECT m.author_id, m.created_at FROM chat.messages m
        WHERE m.room_id = h.room_id AND m.seq BETWEEN chat.seq_since(h.room_id, now() - interval '1 day') AND h.last_seq OFFSET 0) m
    GROUP BY m.author_id
) d ON d.author_id = u.id;
COMMENT ON VIEW chat.user_activity IS 'The users, and when they were last there: select * from chat.user_activity order by last_seen desc nulls last; It takes as long as there were messages within the last day.';
COMMENT ON COLUMN chat.user_activity.name IS 'Their name.';
COMMENT ON COLUMN chat.user_activity.role IS '"member" or "admin".';
COMMENT ON COLUMN chat.user_activity.online IS 'True: they have a page or a program open, on a server that lives.';
COMMENT ON COLUMN chat.user_activity.rooms IS 'How many rooms they are a member of.';
COMMENT ON COLUMN chat.user_activity.last_day IS 'How many messages they wrote within the last 24 hours.';
COMMENT ON COLUMN chat.user_activity.last_message IS 'When they wrote the newest of these; NULL: none within the last 24 hours.';
COMMENT ON COLUMN chat.user_activity.last_seen IS 'When they were last seen, as far as it is noted: now, where they are online; else by their messages of the last day, and by the sessions and tokens that they have: sessions note their use once a day, tokens once a minute. NULL: nothing is known.';
COMMENT ON COLUMN chat.user_activity.created IS 'When the account was made.';

CREATE VIEW chat.listeners AS
SELECT a.pid, i.name AS instance, a.application_name,
       CASE WHEN i.id IS NOT NULL OR a.application_name = 'pgchat listener' THEN 'yes' WHEN a.query ~* '^\s*listen\M' THEN 'probably' ELSE 'no' END AS listens,
       a.state, date_trunc('second', clock_timestamp() - a.xact_start) AS in_transaction, a.wait_event
FROM pg_catalog.pg_stat_activity a LEFT JOIN chat.instances i ON i.listener_pid = a.pid
WHERE a.pid <> pg_backend_pid() AND (i.id IS NOT NULL OR a.application_name ~ '^pgchat\M' OR a.query ~* '^\s*listen\M')
ORDER BY 4 DESC, 1;
COMMENT ON VIEW chat.listeners IS 'The sessions of servers of pgchat, and others that seem to listen, in all databases: PostgreSQL tells nobody what another session listens to. Who is neither superuser nor in pg_read_all_stats sees of other users'' sessions only that they are there.';
COMMENT ON COLUMN chat.listeners.pid IS 'The process, for pg_terminate_backend; pg_stat_activity has more of it.';
COMMENT ON COLUMN chat.listeners.instance IS 'The server whose listener it is; NULL: a session of a pool, or not of pgchat.';
COMMENT ON COLUMN chat.listeners.application_name IS 'What it calls itself: "pgchat listener", "pgchat" for the pools, where DATABASE_URL gives no other.';
COMMENT ON COLUMN chat.listeners.listens IS '"yes": it is a listener of pgchat''s; "probably": its latest statement was LISTEN; "no": it belongs to a pool.';
COMMENT ON COLUMN chat.listeners.state IS '"idle", "active", "idle in transaction" …';
COMMENT ON COLUMN chat.listeners.in_transaction IS 'For how long it has been in a transaction; NULL: in none. A listener in a transaction hears nothing, and holds back the queue of all: chat.notify_queue.';
COMMENT ON COLUMN chat.listeners.wait_event IS 'What it waits for, as in pg_stat_activity; "ClientRead": for its client.';

CREATE VIEW chat.notify_queue AS
SELECT round((100 * q.used)::numeric, 4) AS used_percent,
       pg_size_pretty((q.used * coalesce(current_setting('max_notify_queue_pages', true)::bigint, 1048576) * 8192)::bigint) AS used,
       b.pid, b.application_name, b.listens, b.state, b.in_transaction, b.wait_event
FROM (SELECT pg_notification_queue_usage() AS used OFFSET 0) q
LEFT JOIN LATERAL (
    SELECT a.pid, a.application_name, coalesce(l.listens, 'unknown') AS listens, a.state, date_trunc('second', clock_timestamp() - a.xact_start) AS in_transaction, a.wait_event
    FROM pg_catalog.pg_stat_activity a LEFT JOIN chat.listeners l ON l.pid = a.pid
    WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() AND l.listens IS DISTINCT FROM 'no'
    ORDER BY l.listens IS NULL, a.xact_start LIMIT 1
) b ON q.used > 0;
COMMENT ON VIEW chat.notify_queue IS 'How full the queue of notifications is, and who holds it back: the oldest transaction of a session that listens, or may. The queue belongs to the whole PostgreSQL cluster, and is freed as far as all who listen have heard; when it is full, nobody can notify, and so nothing can be posted.';
COMMENT ON COLUMN chat.notify_queue.used_percent IS 'How much of the queue is in use. Where it rises, somebody does not hear.';
COMMENT ON COLUMN chat.notify_queue.used IS 'The same in bytes, by pages of 8 kB; 0: all is on one page.';
COMMENT ON COLUMN chat.notify_queue.pid IS 'Who most probably holds the queue back; select pg_terminate_backend(pid) from chat.notify_queue; frees it. NULL: nothing is held, or by nobody that is in a transaction.';
COMMENT ON COLUMN chat.notify_queue.application_name IS 'What that session calls itself.';
COMMENT ON COLUMN chat.notify_queue.listens IS '"yes", "probably", as in chat.listeners; "unknown": it does not look like it, but is in the oldest transaction.';
COMMENT ON COLUMN chat.notify_queue.state IS 'Its state, as in pg_stat_activity.';
COMMENT ON COLUMN chat.notify_queue.in_transaction IS 'For how long it has been in its transaction.';
COMMENT ON COLUMN chat.notify_queue.wait_event IS 'What it waits for; "ClientRead": for its client to go on; "ClientWrite": for its client to take what it is sent.';

CREATE VIEW chat.table_sizes AS
SELECT c.relname AS "table", coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) AS rows, pg_stat_get_dead_tuples(c.oid) AS dead,
       pg_size_pretty(pg_table_size(c.oid) - t.bytes) AS heap, pg_size_pretty(pg_indexes_size(c.oid)) AS indexes, pg_size_pretty(t.bytes) AS toast,
       pg_size_pretty(pg_total_relation_size(c.oid)) AS total,
       date_trunc('second', greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid))) AS last_vacuum
FROM pg_catalog.pg_class c CROSS JOIN LATERAL (SELECT CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END AS bytes OFFSET 0) t
WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind = 'r'
ORDER BY pg_total_relation_size(c.oid) DESC, c.relname;
COMMENT ON VIEW chat.table_sizes IS 'What the chat''s tables take on the disk, the largest first.';
COMMENT ON COLUMN chat.table_sizes."table" IS 'Its name in schema chat.';
COMMENT ON COLUMN chat.table_sizes.rows IS 'About how many rows it has, as PostgreSQL''s statistics count.';
COMMENT ON COLUMN chat.table_sizes.dead IS 'About how many rows are dead: the next vacuum frees them. Many more than a fifth of rows: autovacuum does not keep up.';
COMMENT ON COLUMN chat.table_sizes.heap IS 'The rows themselves.';
COMMENT ON COLUMN chat.table_sizes.indexes IS 'All its indexes.';
COMMENT ON COLUMN chat.table_sizes.toast IS 'Large values, such as the pieces of files.';
COMMENT ON COLUMN chat.table_sizes.total IS 'All together.';
COMMENT ON COLUMN chat.table_sizes.last_vacuum IS 'When it was last vacuumed, by hand or by autovacuum; NULL: never, or statistics were reset.';

-- The files of a room, those that are not posted yet among them: deleting a room looked through all files.
DROP INDEX chat.files_message_idx;
CREATE INDEX files_message_idx ON chat.files (room_id, seq);
COMMENT ON INDEX chat.files_message_idx IS 'The files of a message, and of a room.';

-- What triggers keep, and no constraint does. Each check is a query that returns what is wrong, and reads of the room alone.
-- +goose StatementBegin
CREATE FUNCTION chat.integrity_of(room uuid) RETURNS TABLE ("check" text, object text, detail text)
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    WITH this AS MATERIALIZED (
        SELECT coalesce(o.slug, integrity_of.room::text) AS name, o.id IS NOT NULL AS exists, o.kind, o.everyone, o.direct_key, h.last_seq, h.last_rev, p.seq AS searched, p.rev AS searched_rev
        FROM (SELECT integrity_of.room AS id) i LEFT JOIN rooms o ON o.id = i.id LEFT JOIN room_heads h ON h.room_id = i.id LEFT JOIN search_progress p ON p.room_id = i.id
    ), numbered AS (
        SELECT m.seq, lag(m.seq, 1, 0::bigint) OVER (ORDER BY m.seq) AS seq_before FROM messages m WHERE m.room_id = integrity_of.room
    ), shown AS ( -- in messages.extra; instants are written in the time zone of whoever caused them
        SELECT m.seq, e.key, CASE WHEN e.value ->> t.field ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d' THEN jsonb_set(e.value, ARRAY[t.field], to_jsonb((e.value ->> t.field)::timestamptz)) ELSE e.value END AS value
        FROM messages m
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(m.extra) WHEN 'object' THEN m.extra ELSE jsonb_build_object('', m.extra) END) e
        LEFT JOIN (VALUES ('pinned', 'at'), ('thread', 'last')) t (key, field) ON t.key = e.key
        WHERE m.room_id = integrity_of.room AND m.extra IS NOT NULL
    ), kept AS ( -- in the tables that hold the truth
        SELECT r.seq, 'reactions' AS key, reactions_of(integrity_of.room, r.seq) AS value FROM (SELECT DISTINCT r.seq FROM reactions r WHERE r.room_id = integrity_of.room) r
        UNION ALL
        SELECT p.seq, 'pinned', pin_of(integrity_of.room, p.seq) FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL
        SELECT f.seq, 'files', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'name', f.name, 'type', f.type, 'size', f.size, 'width', f.width, 'height', f.height)) ORDER BY f.place, f.id)
        FROM files f WHERE f.room_id = integrity_of.room AND f.seq IS NOT NULL GROUP BY f.seq
        UNION ALL
        SELECT a.seq, 'reply', jsonb_build_object('seq', a.reply_to, 'thread', a.thread) FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL
        SELECT a.thread, 'thread', jsonb_build_object('count', count(*), 'last', max(m.created_at))
        FROM replies a JOIN messages m ON m.room_id = a.room_id AND m.seq = a.seq
        WHERE a.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY a.thread
    ), parts AS ( -- what belongs to a message, without a foreign key
        SELECT DISTINCT 'reactions' AS part, r.seq FROM reactions r WHERE r.room_id = integrity_of.room
        UNION ALL SELECT 'pins', p.seq FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL SELECT 'replies', a.seq FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL SELECT DISTINCT 'replies', a.reply_to FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL SELECT DISTINCT 'mentions', x.seq FROM mentions x WHERE x.room_id = integrity_of.room
        UNION ALL SELECT 'search', d.seq FROM search_documents d WHERE d.room_id = integrity_of.room
    )
    SELECT 'room', t.name, CASE WHEN t.exists THEN 'has no row in room_heads' ELSE 'there is no such room, and messages or parts of them that say they are in it' END
    FROM this t WHERE NOT t.exists OR t.last_seq IS NULL
    UNION ALL
    SELECT 'seq', t.name, format('there is no message %s', CASE n.seq - n.seq_before WHEN 2 THEN (n.seq - 1)::text ELSE format('%s to %s', n.seq_before + 1, n.seq - 1) END)
    FROM numbered n CROSS JOIN this t WHERE n.seq <> n.seq_before + 1
    UNION ALL
    SELECT 'seq', t.name, format('the newest message is %s, last_seq says %s', n.seq, t.last_seq)
    FROM this t CROSS JOIN (SELECT coalesce(max(n.seq), 0) AS seq FROM numbered n) n WHERE n.seq <> t.last_seq
    UNION ALL
    SELECT 'rev', t.name, format('change %s is there %s times', v.rev, count(*))
    FROM (SELECT m.rev FROM messages m WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL
          UNION ALL SELECT e.rev FROM room_events e WHERE e.room_id = integrity_of.room) v CROSS JOIN this t GROUP BY t.name, v.rev HAVING count(*) > 1
    UNION ALL
    SELECT 'rev', t.name || '#' || m.seq, format('is change %s, last_rev says %s', m.rev, t.last_rev)
    FROM messages m CROSS JOIN this t WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL AND (m.rev < 1 OR m.rev > t.last_rev)
    UNION ALL
    SELECT 'room_events', t.name, format('line %s (%s) is after message %s, last_rev says %s, last_seq %s', e.rev, e.kind, e.after_seq, t.last_rev, t.last_seq)
    FROM room_events e CROSS JOIN this t WHERE e.room_id = integrity_of.room AND (e.rev NOT BETWEEN 1 AND t.last_rev OR e.after_seq NOT BETWEEN 0 AND t.last_seq)
    UNION ALL
    SELECT 'extra.' || coalesce(s.key, k.key), t.name || '#' || coalesce(s.seq, k.seq), format('is %s, should be %s', coalesce(s.value::text, 'missing'), coalesce(k.value::text, 'missing'))
    FROM shown s FULL JOIN kept k ON k.seq = s.seq AND k.key = s.key CROSS JOIN this t
    WHERE s.value IS DISTINCT FROM k.value
      AND (s.seq IS NOT NULL OR EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = k.seq))
    UNION ALL
    SELECT p.part, t.name || '#' || p.seq, 'there is no such message'
    FROM parts p CROSS JOIN this t WHERE NOT EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = p.seq)
    UNION ALL
    SELECT 'replies', t.name || '#' || a.seq, format('belongs to the thread of message %s, which itself is a reply', a.thread)
    FROM replies a JOIN replies b ON b.room_id = a.room_id AND b.seq = a.thread CROSS JOIN this t WHERE a.room_id = integrity_of.room
    UNION ALL
    SELECT 'pins', t.name, format('%s messages are pinned, at most 100 may be', count(*))
    FROM pins p JOIN messages m ON m.room_id = p.room_id AND m.seq = p.seq CROSS JOIN this t
    WHERE p.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY t.name HAVING count(*) > 100
    UNION ALL
    SELECT 'reactions', t.name || '#' || r.seq, format('has %s different ones, at most 20 may be', count(DISTINCT r.emoji))
    FROM reactions r CROSS JOIN this t WHERE r.room_id = integrity_of.room GROUP BY t.name, r.seq HAVING count(DISTINCT r.emoji) > 20
    UNION ALL
    SELECT 'mentions', t.name || '#' || m.seq, CASE WHEN m.deleted_at IS NULL THEN 'addresses nobody' ELSE 'is deleted' END || format(', and is noted to address %s', string_agg(coalesce(u.name, x.user_id::text), ', ' ORDER BY u.name))
    FROM mentions x JOIN messages m ON m.room_id = x.room_id AND m.seq = x.seq LEFT JOIN users u ON u.id = x.user_id CROSS JOIN this t
    WHERE x.room_id = integrity_of.room AND (m.deleted_at IS NOT NULL OR position('@' IN m.body) = 0) GROUP BY t.name, m.seq, m.deleted_at
    UNION ALL
    SELECT 'files', format('%s %s', f.id, f.name), format('has %s bytes in %s pieces of which the last is number %s, size says %s', c.bytes, c.pieces, c.last, f.size)
    FROM files f CROSS JOIN LATERAL (SELECT count(*) AS pieces, coalesce(max(c.n), -1) AS last, coalesce(sum(octet_length(c.data)), 0) AS bytes FROM file_chunks c WHERE c.file_id = f.id) c
    WHERE f.room_id = integrity_of.room AND f.completed_at IS NOT NULL AND (c.bytes <> f.size OR c.pieces <> c.last + 1)
    UNION ALL
    SELECT 'search', t.name, format('the index says it has messages up to %s and changes up to %s, the room is at %s and %s', t.searched, t.searched_rev, t.last_seq, t.last_rev)
    FROM this t WHERE t.searched > t.last_seq OR t.searched_rev > t.last_rev
    UNION ALL
    SELECT 'search', t.name || '#' || m.seq, CASE WHEN d.seq IS NULL THEN 'is not in the index' WHEN m.seq <= t.searched AND m.deleted_at IS NULL THEN 'has another created_at in the index' ELSE 'is in the index, and should not be' END
    FROM messages m LEFT JOIN search_documents d ON d.room_id = integrity_of.room AND d.seq = m.seq CROSS JOIN this t
    WHERE m.room_id = integrity_of.room AND CASE
        WHEN m.seq > coalesce(t.searched, 0) THEN d.seq IS NOT NULL
        WHEN m.rev > t.searched_rev THEN false -- its turn will come
        WHEN m.deleted_at IS NOT NULL THEN d.seq IS NOT NULL
        ELSE d.created_at IS DISTINCT FROM m.created_at END
    UNION ALL
    SELECT 'members', t.name, format('%s has read up to %s, last_seq says %s', u.name, b.last_read_seq, t.last_seq)
    FROM members b JOIN users u ON u.id = b.user_id CROSS JOIN this t WHERE b.room_id = integrity_of.room AND b.last_read_seq > t.last_seq
    UNION ALL
    SELECT 'members', t.name, format('%s is not a member of a room for everyone', u.name)
    FROM this t CROSS JOIN users u WHERE t.everyone AND NOT EXISTS (SELECT FROM members b WHERE b.room_id = integrity_of.room AND b.user_id = u.id)
    UNION ALL
    SELECT 'direct', t.name, CASE WHEN k.id IS NULL THEN format('%s is a member of the direct conversation, and not in direct_key', b.user_id) ELSE format('%s is in direct_key, and not a member', k.id) END
    FROM (SELECT b.user_id::text AS user_id FROM members b WHERE b.room_id = integrity_of.room) b
    FULL JOIN (SELECT k.id FROM this t CROSS JOIN LATERAL string_to_table(t.direct_key, ',') AS k (id) WHERE EXISTS (SELECT FROM users u WHERE u.id::text = k.id)) k ON k.id = b.user_id
    CROSS JOIN this t WHERE t.kind = 'direct' AND (k.id IS NULL OR b.user_id IS NULL)
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.integrity_of(uuid) IS 'What is wrong in the room with this id: check, object, detail, as in chat.integrity. No row: all is well.';

-- +goose StatementBegin
CREATE FUNCTION chat.integrity_of(room text) RETURNS TABLE ("check" text, object text, detail text)
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    id uuid := (SELECT r.id FROM rooms r WHERE r.slug = integrity_of.room);
BEGIN
    IF id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', room), HINT = 'select slug from chat.rooms;';
    END IF;
    RETURN QUERY SELECT * FROM integrity_of(id);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.integrity_of(text) IS 'What is wrong in one room: select * from chat.integrity_of(''general''); check, object, detail, as in chat.integrity. No row: all is well.';

CREATE VIEW chat.integrity AS
WITH RECURSIVE ids (id) AS ( -- of rooms, and of rooms that are said to be and are not: the next one by all indexes that begin with it
    SELECT '00000000-0000-0000-0000-000000000000'::uuid
    UNION ALL
    SELECT least((SELECT r.id FROM chat.rooms r WHERE r.id > i.id ORDER BY r.id LIMIT 1),
                 (SELECT m.room_id FROM chat.messages m WHERE m.room_id > i.id ORDER BY m.room_id LIMIT 1),
                 (SELECT r.room_id FROM chat.reactions r WHERE r.room_id > i.id ORDER BY r.room_id LIMIT 1),
                 (SELECT p.room_id FROM chat.pins p WHERE p.room_id > i.id ORDER BY p.room_id LIMIT 1),
                 (SELECT d.room_id FROM chat.search_documents d WHERE d.room_id > i.id ORDER BY d.room_id LIMIT 1))
    FROM ids i WHERE i.id IS NOT NULL
)
SELECT c."check", c.object, c.detail FROM ids i CROSS JOIN LATERAL chat.integrity_of(i.id) AS c ("check", object, detail) WHERE i.id > '00000000-0000-0000-0000-000000000000'
UNION ALL
SELECT 'search_buckets', b.bucket::text, format('is number %s, and starts at %s after one that starts at %s', b.n, b.starts, b.before)
FROM (SELECT b.bucket, b.starts, row_number() OVER w AS n, lag(b.starts) OVER w AS before FROM chat.search_buckets b WINDOW w AS (ORDER BY b.bucket)) b
WHERE b.bucket <> b.n OR b.starts <= b.before OR (b.n = 1) <> (b.starts = '-infinity');
COMMENT ON VIEW chat.integrity IS 'What must always hold and does not: it must be empty. A row says that something was written past the triggers, or that the chat has a defect. Reads everything, room by room: not for a dashboard; chat.integrity_of(''general'') looks at one room.';
COMMENT ON COLUMN chat.integrity."check" IS 'What does not hold: "room", "seq", "rev", "room_events", "extra." and the key in messages.extra, or the table that is wrong.';
COMMENT ON COLUMN chat.integrity.object IS 'What is wrong: the room''s slug, or slug#seq of a message, or a file, or the number of a bucket.';
COMMENT ON COLUMN chat.integrity.detail IS 'What was found, and what should be.';

-- +goose Down
DROP VIEW chat.integrity, chat.table_sizes, chat.notify_queue, chat.listeners, chat.user_activity, chat.room_stats, chat.instance_health;
DROP FUNCTION chat.integrity_of(text), chat.integrity_of(uuid), chat.seq_since(uuid, timestamptz);
DROP INDEX chat.files_message_idx;
CREATE INDEX files_message_idx ON chat.files (room_id, seq) WHERE seq IS NOT NULL;
COMMENT ON INDEX chat.files_message_idx IS 'The files of a message.';
ALTER TABLE chat.instances DROP COLUMN connections, DROP COLUMN rooms, DROP COLUMN listener, DROP COLUMN listener_pid, DROP COLUMN listener_lag,
    DROP COLUMN queue, DROP COLUMN batches, DROP COLUMN messages, DROP COLUMN largest_batch;
