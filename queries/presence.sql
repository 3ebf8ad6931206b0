-- name: SetPresence :exec
-- One row of the arrays says how many connections a user has in a room through this instance; 0: none any more.
WITH given AS (
    SELECT unnest(sqlc.arg(room_ids)::uuid[]) AS room_id, unnest(sqlc.arg(user_ids)::uuid[]) AS user_id,
           unnest(sqlc.arg(connections)::int[]) AS connections
), gone AS (
    DELETE FROM chat.presence p USING given g
    WHERE p.room_id = g.room_id AND p.user_id = g.user_id AND p.instance_id = sqlc.arg(instance_id) AND g.connections = 0
), there AS (
    INSERT INTO chat.presence (room_id, user_id, instance_id, connections)
    SELECT room_id, user_id, sqlc.arg(instance_id), connections FROM given WHERE connections > 0
    ON CONFLICT (room_id, user_id, instance_id) DO UPDATE SET connections = excluded.connections
)
SELECT pg_notify('room:' || room_id, '{"presence":true}') FROM (SELECT unnest(sqlc.arg(announce)::uuid[]) AS room_id) a;

-- name: OnlineUsers :many
SELECT u.id, u.name FROM chat.users u
WHERE u.id IN (
    SELECT p.user_id FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id
    WHERE p.room_id = sqlc.arg(room_id) AND i.heartbeat_at BETWEEN now() - sqlc.arg(lease_seconds)::float8 * interval '1 second' AND now() + sqlc.arg(lease_seconds)::float8 * interval '1 second')
ORDER BY lower(u.name);
