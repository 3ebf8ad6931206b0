-- name: AddMember :exec
-- Who does it is noted by the triggers; see chat.room_events.
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(user_id)::uuid::text, true))
INSERT INTO chat.members (room_id, user_id)
SELECT r.id, sqlc.arg(user_id)::uuid FROM chat.rooms r CROSS JOIN actor WHERE r.id = sqlc.arg(room_id) AND r.archived_at IS NULL AND NOT chat.banned(sqlc.arg(user_id)::uuid, r.id)
ON CONFLICT DO NOTHING;

-- name: AddMembers :many
-- Returns the names of which there is no user, and those of who is banned from the room: then nobody is added.
WITH actor AS (
    SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true)
), given AS (
    SELECT g.name, u.id, chat.banned(u.id, sqlc.arg(room_id)::uuid) AS banned
    FROM (SELECT unnest(sqlc.arg(names)::text[]) AS name) g LEFT JOIN chat.users u ON lower(u.name) = lower(g.name)
), refused AS (
    SELECT g.name, g.id IS NOT NULL AS banned FROM given g WHERE g.id IS NULL OR g.banned
), added AS (
    INSERT INTO chat.members (room_id, user_id)
    SELECT sqlc.arg(room_id)::uuid, g.id FROM given g CROSS JOIN actor WHERE NOT EXISTS (SELECT FROM refused)
    ON CONFLICT DO NOTHING
)
SELECT r.name::text AS name, r.banned::boolean AS banned FROM refused r;

-- name: RemoveMember :execrows
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true))
DELETE FROM chat.members USING actor WHERE room_id = sqlc.arg(room_id) AND user_id = sqlc.arg(user_id);

-- name: SetMemberRole :execrows
-- The owners are locked: two who each take it from the other at the same time would leave none. Nobody is changed who is the last.
WITH actor AS (
    SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true)
), owners AS (
    SELECT o.user_id FROM chat.members o WHERE o.room_id = sqlc.arg(room_id) AND o.role = 'owner' ORDER BY o.user_id FOR NO KEY UPDATE
)
UPDATE chat.members m SET role = sqlc.arg(role) FROM actor WHERE m.room_id = sqlc.arg(room_id) AND m.user_id = sqlc.arg(user_id)
  AND (sqlc.arg(role) = 'owner' OR EXISTS (SELECT FROM owners o WHERE o.user_id <> sqlc.arg(user_id)));

-- name: SetPreferences :exec
UPDATE chat.members SET starred = sqlc.arg(starred), notify = sqlc.arg(notify) WHERE room_id = sqlc.arg(room_id) AND user_id = sqlc.arg(user_id);

-- name: MembersOf :many
SELECT u.id, u.name, m.role FROM chat.members m JOIN chat.users u ON u.id = m.user_id WHERE m.room_id = sqlc.arg(room_id) ORDER BY lower(u.name);

-- name: MembershipsOf :many
-- stamp changes with what the room looks like to the user, as in rooms.sql.
SELECT m.user_id, m.room_id, r.slug, h.last_seq, m.last_read_seq, hashtext(concat_ws('|', r.slug, r.name, r.topic, r.kind, r.archived_at, m.role, m.starred, m.notify, r.keep_days))::int AS stamp,
       ARRAY(SELECT x.seq FROM chat.mentions x
             WHERE x.user_id = m.user_id AND x.room_id = m.room_id AND x.seq > m.last_read_seq ORDER BY x.seq LIMIT 100)::bigint[] AS mentions
FROM chat.members m JOIN chat.room_heads h ON h.room_id = m.room_id JOIN chat.rooms r ON r.id = m.room_id
WHERE m.user_id = ANY (sqlc.arg(user_ids)::uuid[])
  AND NOT EXISTS (SELECT FROM chat.bans x WHERE x.user_id = m.user_id AND (x.room_id IS NULL OR x.room_id = m.room_id) AND x.until > now());

-- name: MarkRead :exec
-- The rows are locked in order: a user who reads on two devices is written by two servers. What is no longer kept is read.
WITH given AS (
    SELECT unnest(sqlc.arg(room_ids)::uuid[]) AS room_id, unnest(sqlc.arg(user_ids)::uuid[]) AS user_id,
           unnest(sqlc.arg(seqs)::bigint[]) AS seq, unnest(sqlc.arg(back)::boolean[]) AS back
), marked AS (
    SELECT m.room_id, m.user_id, greatest(least(r.seq, h.last_seq), h.first_seq - 1) AS seq
    FROM given r
    JOIN chat.members m ON m.room_id = r.room_id AND m.user_id = r.user_id
    JOIN chat.room_heads h ON h.room_id = r.room_id
    WHERE r.back OR m.last_read_seq < least(r.seq, h.last_seq)
    ORDER BY m.room_id, m.user_id FOR NO KEY UPDATE OF m
)
UPDATE chat.members m SET last_read_seq = k.seq FROM marked k
WHERE m.room_id = k.room_id AND m.user_id = k.user_id AND m.last_read_seq <> k.seq;

-- name: TellMoved :exec
-- By the table, and not by what a server remembers to have stored: meanwhile the database may have been set back.
SELECT chat.tell_activity('moved', string_agg('{"room":"' || h.room_id || '","seq":' || h.last_seq || '}', ','))
FROM chat.room_heads h WHERE h.room_id = ANY (sqlc.arg(room_ids)::uuid[]) HAVING count(*) > 0;
