-- name: SetPresence :exec
-- One row of the arrays says how many connections a user has in a room through this instance, 0: none any more, and how many of
-- them nobody uses. Told are these rooms, and everywhere that these people are online, are offline, or are away otherwise than before.
WITH given AS (
    SELECT unnest(sqlc.arg(room_ids)::uuid[]) AS room_id, unnest(sqlc.arg(user_ids)::uuid[]) AS user_id,
           unnest(sqlc.arg(connections)::int[]) AS connections, unnest(sqlc.arg(idle)::int[]) AS idle
), gone AS (
    DELETE FROM chat.presence p USING given g
    WHERE p.room_id = g.room_id AND p.user_id = g.user_id AND p.instance_id = sqlc.arg(instance_id) AND g.connections = 0
), there AS (
    INSERT INTO chat.presence (room_id, user_id, instance_id, connections, idle)
    SELECT room_id, user_id, sqlc.arg(instance_id), connections, idle FROM given WHERE connections > 0
    ON CONFLICT (room_id, user_id, instance_id) DO UPDATE SET connections = excluded.connections, idle = excluded.idle
)
SELECT (SELECT count(pg_notify('room:' || a.room_id, '{"presence":true}')) FROM (
            SELECT unnest(sqlc.arg(announce)::uuid[]) AS room_id UNION SELECT room_id FROM chat.presence WHERE user_id = ANY (sqlc.arg(people)::uuid[])) a),
       (SELECT count(chat.tell_activity('status', p.entries)) FROM (
            SELECT string_agg('{"user":"' || u.id || '"}', ',') AS entries FROM (SELECT unnest(sqlc.arg(people)::uuid[]) AS id) u) p WHERE p.entries IS NOT NULL);

-- name: OnlineUsers :many
-- 9999: until it is ended by hand; 1970: not. NULL is no end of a status: least takes no notice of it.
-- Away is who is so in all rooms.
SELECT s.user_id, s.name, (CASE WHEN p.away THEN NOT EXISTS (SELECT FROM chat.presence e JOIN chat.instances i ON i.id = e.instance_id
           WHERE e.user_id = s.user_id AND e.idle < e.connections AND i.heartbeat_at BETWEEN now() - sqlc.arg(lease_seconds)::float8 * interval '1 second' AND now() + sqlc.arg(lease_seconds)::float8 * interval '1 second')
       ELSE false END)::boolean AS away, s.emoji, s.text, least(s.until, '9999-06-01Z')::timestamptz AS until,
       (CASE WHEN s.dnd_until IS NULL THEN 'epoch' ELSE least(s.dnd_until, '9999-06-01Z') END)::timestamptz AS dnd_until
FROM chat.statuses s JOIN (
    SELECT p.user_id, bool_and(p.idle = p.connections) AS away FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id
    WHERE p.room_id = sqlc.arg(room_id) AND i.heartbeat_at BETWEEN now() - sqlc.arg(lease_seconds)::float8 * interval '1 second' AND now() + sqlc.arg(lease_seconds)::float8 * interval '1 second'
    GROUP BY p.user_id
) p ON p.user_id = s.user_id
ORDER BY lower(s.name);

-- name: PeopleNow :many
-- How these users are at the moment, wherever they are.
SELECT s.user_id, s.name, (p.away IS NOT NULL)::boolean AS online, coalesce(p.away, false)::boolean AS away, s.emoji, s.text,
       least(s.until, '9999-06-01Z')::timestamptz AS until,
       (CASE WHEN s.dnd_until IS NULL THEN 'epoch' ELSE least(s.dnd_until, '9999-06-01Z') END)::timestamptz AS dnd_until
FROM chat.statuses s LEFT JOIN (
    SELECT p.user_id, bool_and(p.idle = p.connections) AS away FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id
    WHERE p.user_id = ANY (sqlc.arg(user_ids)::uuid[])
      AND i.heartbeat_at BETWEEN now() - sqlc.arg(lease_seconds)::float8 * interval '1 second' AND now() + sqlc.arg(lease_seconds)::float8 * interval '1 second'
    GROUP BY p.user_id
) p ON p.user_id = s.user_id
WHERE s.user_id = ANY (sqlc.arg(user_ids)::uuid[]);
