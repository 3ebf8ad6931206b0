-- name: Overview :one
-- The chat as a whole, in one statement: its servers, its rooms and how far they have come, the database's sessions and its queue of
-- notifications. Of some rooms also when their newest message was stored, and of one who is there and what was said last.
WITH live AS MATERIALIZED (
    SELECT i.*, i.heartbeat_at BETWEEN now() - interval '30 s' AND now() + interval '30 s' AS alive FROM chat.instances i
), there AS MATERIALIZED (
    SELECT p.room_id, p.user_id FROM chat.presence p JOIN live l ON l.id = p.instance_id WHERE l.alive
), sessions AS MATERIALIZED (
    SELECT a.pid, a.usename, a.application_name, a.state, a.xact_start FROM pg_catalog.pg_stat_activity a WHERE a.datname = current_database()
)
SELECT clock_timestamp()::timestamptz AS at, current_database()::text AS database, current_setting('server_version')::text AS server,
    current_setting('max_connections')::int AS max_connections,
    (SELECT json_build_object('used_percent', q.used_percent, 'pid', q.pid, 'application', q.application_name, 'seconds', extract(epoch FROM q.in_transaction))
        FROM chat.notify_queue q)::json AS queue,
    (SELECT count(*) FROM sessions)::int AS connections,
    (SELECT count(*) FROM sessions s WHERE s.state = 'active')::int AS active,
    (SELECT count(*) FROM chat.listeners l WHERE l.listens = 'yes')::int AS listeners,
    (SELECT count(DISTINCT t.user_id) FROM there t)::int AS online,
    coalesce((SELECT json_build_object('pid', s.pid, 'user', s.usename, 'application', s.application_name, 'state', s.state,
                'seconds', extract(epoch FROM clock_timestamp() - s.xact_start))
            FROM sessions s WHERE s.xact_start IS NOT NULL AND s.pid <> pg_backend_pid() ORDER BY s.xact_start LIMIT 1), 'null')::json AS transaction,
    coalesce((SELECT json_agg(json_build_object('name', l.name, 'version', l.version, 'alive', l.alive, 'up', extract(epoch FROM now() - l.started_at),
                'heartbeat', extract(epoch FROM now() - l.heartbeat_at), 'connections', l.connections, 'rooms', l.rooms, 'listener', l.listener,
                'lag', extract(epoch FROM l.listener_lag), 'waiting', l.queue) ORDER BY l.name) FROM live l), '[]')::json AS instances,
    coalesce((SELECT json_agg(json_build_object('id', r.id, 'room', CASE r.kind WHEN 'direct' THEN r.name ELSE r.slug END, 'kind', r.kind,
                'seq', h.last_seq, 'rev', h.last_rev, 'online', coalesce(o.online, 0),
                'last', CASE WHEN r.id = ANY (sqlc.arg(shown)::uuid[]) THEN
                    (SELECT m.created_at FROM chat.messages m WHERE m.room_id = r.id AND m.seq = h.last_seq) END))
            FROM chat.rooms r JOIN chat.room_heads h ON h.room_id = r.id
            LEFT JOIN (SELECT t.room_id, count(DISTINCT t.user_id) AS online FROM there t GROUP BY t.room_id) o ON o.room_id = r.id), '[]')::json AS rooms,
    coalesce((SELECT json_build_object('id', r.id, 'name', r.name, 'topic', r.topic, 'archived', r.archived_at IS NOT NULL,
                'members', (SELECT count(*) FROM chat.members b WHERE b.room_id = r.id),
                'people', (SELECT coalesce(json_agg(p.name ORDER BY lower(p.name)), '[]') FROM (
                    SELECT DISTINCT u.name FROM there t JOIN chat.users u ON u.id = t.user_id WHERE t.room_id = r.id LIMIT 100) p),
                'said', (SELECT coalesce(json_agg(s ORDER BY s.seq), '[]') FROM (
                    SELECT m.seq, u.name AS author, CASE WHEN m.deleted_at IS NULL THEN left(m.body, 300) END AS body, m.created_at AS at
                    FROM chat.messages m JOIN chat.users u ON u.id = m.author_id WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT 50) s))
            FROM chat.rooms r WHERE r.id = sqlc.narg(opened)::uuid), 'null')::json AS opened;
