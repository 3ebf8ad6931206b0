-- name: RoomsFor :many
-- The rooms that the user may see and, of those that are archived, is a member of. A direct conversation is called by its other people.
SELECT r.id, r.slug, (CASE WHEN r.kind = 'direct' THEN coalesce(d.names, 'you') ELSE r.name END)::text AS name, r.topic, r.kind, r.everyone,
       (r.archived_at IS NOT NULL)::boolean AS archived, coalesce(r.keep_days, 0)::int AS keep_days,
       (m.user_id IS NOT NULL)::boolean AS member, coalesce(m.role = 'owner', false)::boolean AS owner, coalesce(m.starred, false)::boolean AS starred,
       coalesce(m.notify, 'nothing')::text AS notify,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.first_seq, h.last_seq, h.last_rev, chat.history()::text AS history, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions,
       coalesce(d.other, r.id)::uuid AS other, hashtext(concat_ws('|', r.slug, r.name, r.topic, r.kind, r.archived_at, m.role, m.starred, m.notify, r.keep_days))::int AS stamp
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
LEFT JOIN LATERAL (
    SELECT string_agg(u.name, ', ' ORDER BY lower(u.name)) AS names, (array_agg(u.id ORDER BY lower(u.name)))[1] AS other
    FROM chat.members c CROSS JOIN LATERAL (SELECT x.id, x.name FROM chat.users x WHERE x.id = c.user_id OFFSET 0) u WHERE r.kind = 'direct' AND c.room_id = r.id AND c.user_id <> sqlc.arg(user_id)
) d ON true
WHERE (m.user_id IS NOT NULL OR r.kind = 'public' AND r.archived_at IS NULL)
  AND NOT EXISTS (SELECT FROM chat.bans x WHERE x.user_id = sqlc.arg(user_id) AND (x.room_id IS NULL OR x.room_id = r.id) AND x.until > now());

-- name: RoomBySlug :one
SELECT r.id, r.slug, (CASE WHEN r.kind = 'direct' THEN coalesce(d.names, 'you') ELSE r.name END)::text AS name, r.topic, r.kind, r.everyone,
       (r.archived_at IS NOT NULL)::boolean AS archived, coalesce(r.keep_days, 0)::int AS keep_days,
       (m.user_id IS NOT NULL)::boolean AS member, coalesce(m.role = 'owner', false)::boolean AS owner, coalesce(m.starred, false)::boolean AS starred,
       coalesce(m.notify, 'nothing')::text AS notify,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.first_seq, h.last_seq, h.last_rev, chat.history()::text AS history, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions,
       coalesce(d.other, r.id)::uuid AS other, hashtext(concat_ws('|', r.slug, r.name, r.topic, r.kind, r.archived_at, m.role, m.starred, m.notify, r.keep_days))::int AS stamp
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
LEFT JOIN LATERAL (
    SELECT string_agg(u.name, ', ' ORDER BY lower(u.name)) AS names, (array_agg(u.id ORDER BY lower(u.name)))[1] AS other
    FROM chat.members c CROSS JOIN LATERAL (SELECT x.id, x.name FROM chat.users x WHERE x.id = c.user_id OFFSET 0) u WHERE r.kind = 'direct' AND c.room_id = r.id AND c.user_id <> sqlc.arg(user_id)
) d ON true
WHERE r.slug = sqlc.arg(slug) AND (r.kind = 'public' OR m.user_id IS NOT NULL) AND NOT chat.banned(sqlc.arg(user_id), r.id);

-- name: RoomByID :one
SELECT r.id, r.slug, (CASE WHEN r.kind = 'direct' THEN coalesce(d.names, 'you') ELSE r.name END)::text AS name, r.topic, r.kind, r.everyone,
       (r.archived_at IS NOT NULL)::boolean AS archived, coalesce(r.keep_days, 0)::int AS keep_days,
       (m.user_id IS NOT NULL)::boolean AS member, coalesce(m.role = 'owner', false)::boolean AS owner, coalesce(m.starred, false)::boolean AS starred,
       coalesce(m.notify, 'nothing')::text AS notify,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.first_seq, h.last_seq, h.last_rev, chat.history()::text AS history, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions,
       coalesce(d.other, r.id)::uuid AS other, hashtext(concat_ws('|', r.slug, r.name, r.topic, r.kind, r.archived_at, m.role, m.starred, m.notify, r.keep_days))::int AS stamp
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
LEFT JOIN LATERAL (
    SELECT string_agg(u.name, ', ' ORDER BY lower(u.name)) AS names, (array_agg(u.id ORDER BY lower(u.name)))[1] AS other
    FROM chat.members c CROSS JOIN LATERAL (SELECT x.id, x.name FROM chat.users x WHERE x.id = c.user_id OFFSET 0) u WHERE r.kind = 'direct' AND c.room_id = r.id AND c.user_id <> sqlc.arg(user_id)
) d ON true
WHERE r.id = sqlc.arg(id) AND (r.kind = 'public' OR m.user_id IS NOT NULL) AND NOT chat.banned(sqlc.arg(user_id), r.id);

-- name: SlugsLike :many
-- The slugs that are this one or this one with a number.
SELECT slug FROM chat.rooms WHERE slug = sqlc.arg(slug)::text OR starts_with(slug, sqlc.arg(slug)::text || '-');

-- name: AddRoom :one
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(created_by)::uuid::text, true))
INSERT INTO chat.rooms (slug, name, topic, kind, created_by)
SELECT sqlc.arg(slug), sqlc.arg(name), sqlc.arg(topic), sqlc.arg(kind), sqlc.arg(created_by)::uuid FROM actor RETURNING id;

-- name: AddDirect :one
-- The direct conversation of these people, the user among them; a new one, or the one that they have. Nothing where one of them does not exist.
WITH people AS (
    SELECT u.id, u.name FROM chat.users u WHERE u.id = ANY (sqlc.arg(people)::uuid[])
), made AS (
    INSERT INTO chat.rooms (slug, name, kind, direct_key, created_by)
    SELECT 'direct-' || left(replace(gen_random_uuid()::text, '-', ''), 12), left(string_agg(p.name, ', ' ORDER BY lower(p.name)), 80), 'direct',
           string_agg(p.id::text, ',' ORDER BY p.id), sqlc.arg(user_id)
    FROM people p HAVING count(*) = cardinality(sqlc.arg(people)::uuid[])
    ON CONFLICT (direct_key) DO UPDATE SET kind = 'direct'
    RETURNING slug
)
SELECT slug FROM made;

-- name: UpdateRoom :exec
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true))
UPDATE chat.rooms SET name = sqlc.arg(name), topic = sqlc.arg(topic) FROM actor WHERE id = sqlc.arg(id);

-- name: ArchiveRoom :exec
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true))
UPDATE chat.rooms SET archived_at = CASE WHEN sqlc.arg(archived)::boolean THEN coalesce(archived_at, now()) END FROM actor WHERE id = sqlc.arg(id);

-- name: KeepMessages :exec
-- For so many days; 0: for ever.
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(actor)::uuid::text, true))
UPDATE chat.rooms SET keep_days = nullif(sqlc.arg(days)::int, 0) FROM actor WHERE id = sqlc.arg(id);

-- name: OlderMessages :one
-- How many messages of the room are older than so many days.
SELECT greatest(0, chat.seq_since(h.room_id, now() - make_interval(days => sqlc.arg(days)::int)) - h.first_seq)::bigint AS messages FROM chat.room_heads h WHERE h.room_id = sqlc.arg(room_id);

-- name: Retain :one
-- A batch of what is too old: which room has lost how many messages. 0: there is nothing, or another server is at it.
SELECT coalesce(room, '')::text AS room, removed::bigint AS removed, coalesce(oldest, 0)::bigint AS oldest FROM chat.retain(sqlc.arg(most)::int);

-- name: HiddenRooms :many
-- Of users and rooms at the same index, the indexes, from 1, where the user may not see the room, and whether that is for a ban. A room
-- that is gone is not hidden.
WITH given AS (
    SELECT unnest(sqlc.arg(user_ids)::uuid[]) AS user_id, unnest(sqlc.arg(room_ids)::uuid[]) AS room_id, generate_series(1, cardinality(sqlc.arg(user_ids)::uuid[])) AS n
)
SELECT g.n::int AS n, false AS banned FROM given g JOIN chat.rooms r ON r.id = g.room_id
LEFT JOIN chat.members m ON m.room_id = g.room_id AND m.user_id = g.user_id
WHERE r.kind <> 'public' AND m.user_id IS NULL
UNION ALL
SELECT g.n::int, true FROM given g JOIN chat.rooms r ON r.id = g.room_id
JOIN chat.bans x ON x.user_id = g.user_id AND (x.room_id IS NULL OR x.room_id = g.room_id) WHERE x.until > now();

-- name: AllRooms :many
-- Every room, whoever may see it, and how far it has come.
SELECT r.id, r.slug, r.name, r.kind, (r.archived_at IS NOT NULL)::boolean AS archived, h.first_seq, h.last_seq, h.last_rev, chat.history()::text AS history, r.created_at
FROM chat.rooms r JOIN chat.room_heads h ON h.room_id = r.id
ORDER BY r.slug;
