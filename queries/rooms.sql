-- name: RoomsFor :many
SELECT r.id, r.slug, r.name, r.topic, r.everyone, (r.archived_at IS NOT NULL)::boolean AS archived,
       (m.user_id IS NOT NULL)::boolean AS member,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.last_seq, h.last_rev, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
WHERE r.archived_at IS NULL OR m.user_id IS NOT NULL
ORDER BY lower(r.name);

-- name: RoomBySlug :one
SELECT r.id, r.slug, r.name, r.topic, r.everyone, (r.archived_at IS NOT NULL)::boolean AS archived,
       (m.user_id IS NOT NULL)::boolean AS member,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.last_seq, h.last_rev, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
WHERE r.slug = sqlc.arg(slug);

-- name: RoomByID :one
SELECT r.id, r.slug, r.name, r.topic, r.everyone, (r.archived_at IS NOT NULL)::boolean AS archived,
       (m.user_id IS NOT NULL)::boolean AS member,
       (SELECT count(*) FROM chat.members c WHERE c.room_id = r.id)::int AS members, h.last_seq, h.last_rev, r.created_at,
       coalesce(m.last_read_seq, h.last_seq)::bigint AS last_read_seq,
       (SELECT count(*) FROM chat.mentions x WHERE x.user_id = m.user_id AND x.room_id = r.id AND x.seq > m.last_read_seq)::int AS mentions
FROM chat.rooms r
JOIN chat.room_heads h ON h.room_id = r.id
LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(user_id)
WHERE r.id = sqlc.arg(id);

-- name: SlugsLike :many
-- The slugs that are this one or this one with a number.
SELECT slug FROM chat.rooms WHERE slug = sqlc.arg(slug)::text OR starts_with(slug, sqlc.arg(slug)::text || '-');

-- name: AddRoom :one
INSERT INTO chat.rooms (slug, name, topic, created_by) VALUES ($1, $2, $3, $4) RETURNING id;
