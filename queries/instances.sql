-- name: RegisterInstance :exec
INSERT INTO chat.instances (id, name, version) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now();

-- name: Heartbeat :execrows
UPDATE chat.instances SET heartbeat_at = now(), connections = sqlc.arg(connections), rooms = sqlc.arg(rooms), listener = sqlc.arg(listener), listener_pid = sqlc.narg(listener_pid),
    listener_lag = sqlc.narg(lag_seconds)::float8 * interval '1 second', queue = sqlc.arg(queue), batches = sqlc.arg(batches), messages = sqlc.arg(messages), largest_batch = sqlc.arg(largest_batch)
WHERE id = sqlc.arg(id);

-- name: RemoveInstance :exec
WITH held AS (
    SELECT DISTINCT room_id FROM chat.presence WHERE instance_id = $1
), removed AS (
    DELETE FROM chat.instances WHERE id = $1
)
SELECT (SELECT count(pg_notify('room:' || room_id, '{"presence":true}')) FROM held),
       (SELECT count(chat.tell_activity('status', '')) WHERE EXISTS (SELECT FROM held));

-- name: SweepInstances :many
-- Removes the instances whose lease has ended, tells their rooms, and returns their names. A heartbeat from the future
-- is one from before the clock was set back: who lives beats again soon, who does not would haunt the rooms until then.
WITH dead AS (
    DELETE FROM chat.instances WHERE heartbeat_at NOT BETWEEN now() - sqlc.arg(lease_seconds)::float8 * interval '1 second' AND now() + sqlc.arg(lease_seconds)::float8 * interval '1 second' RETURNING id, name
), told AS (
    SELECT pg_notify('room:' || p.room_id, '{"presence":true}')
    FROM (SELECT DISTINCT room_id FROM chat.presence WHERE instance_id IN (SELECT id FROM dead)) p
)
SELECT name, (SELECT count(*) FROM told)::bigint AS rooms, (SELECT count(chat.tell_activity('status', '')) WHERE EXISTS (SELECT FROM told))::bigint AS activities FROM dead;

-- name: NextLeaseEnd :one
-- Seconds until the earliest lease ends; -1 without instances.
SELECT coalesce(extract(epoch FROM min(heartbeat_at) + sqlc.arg(lease_seconds)::float8 * interval '1 second' - now()), -1)::float8 AS seconds FROM chat.instances;
