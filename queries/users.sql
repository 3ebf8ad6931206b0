-- name: LockFirstUser :exec
-- Two first sign-ups at once would both become administrator.
SELECT pg_advisory_xact_lock(hashtext('pgchat: first user'));

-- name: AnyUser :one
SELECT EXISTS (SELECT FROM chat.users WHERE password_hash IS NOT NULL);

-- name: AddUser :one
INSERT INTO chat.users (name, role, password_hash) VALUES ($1, $2, $3)
RETURNING id, name, role, created_at;

-- name: UserByName :one
SELECT id, name, role, created_at, coalesce(password_hash, '')::text AS password_hash
FROM chat.users WHERE lower(name) = lower(sqlc.arg(name));

-- name: SetUserPassword :one
UPDATE chat.users SET password_hash = sqlc.arg(password_hash)::text WHERE lower(name) = lower(sqlc.arg(name)) RETURNING id;

-- name: PromoteUser :execrows
UPDATE chat.users SET role = 'admin' WHERE lower(name) = lower(sqlc.arg(name));

-- name: Users :many
-- Users whose names hold the text, those that begin with it first.
SELECT id, name FROM chat.users WHERE position(lower(sqlc.arg(part)::text) IN lower(name)) > 0
ORDER BY NOT starts_with(lower(name), lower(sqlc.arg(part)::text)), lower(name) LIMIT sqlc.arg(max_rows);

-- name: UsersCalled :many
-- Users whose names begin with the text, and after them those that hold one of three characters or more: by indexes, however many
-- users there are.
WITH starting AS (
    SELECT u.id, u.name FROM chat.users u WHERE starts_with(lower(u.name) COLLATE "C", lower(sqlc.arg(part)::text))
    ORDER BY lower(u.name) COLLATE "C" LIMIT sqlc.arg(max_rows)
), holding AS (
    SELECT u.id, u.name FROM chat.users u
    WHERE char_length(sqlc.arg(part)::text) >= 3 AND lower(u.name) LIKE '%' || regexp_replace(lower(sqlc.arg(part)::text), '([\\%_])', '\\\1', 'g') || '%'
      AND NOT starts_with(lower(u.name), lower(sqlc.arg(part)::text)) LIMIT sqlc.arg(max_rows)
)
SELECT f.id::uuid AS id, f.name::text AS name FROM (SELECT 0 AS rank, s.id, s.name FROM starting s UNION ALL SELECT 1, h.id, h.name FROM holding h) f
ORDER BY f.rank, lower(f.name) COLLATE "C" LIMIT sqlc.arg(max_rows);

-- name: Addressable :many
-- Users whose names hold the text, members of the room first, and of them those that begin with it.
SELECT u.name, (m.user_id IS NOT NULL)::boolean AS member FROM chat.users u
LEFT JOIN chat.members m ON m.room_id = sqlc.arg(room_id) AND m.user_id = u.id
WHERE position(lower(sqlc.arg(part)::text) IN lower(u.name)) > 0
ORDER BY m.user_id IS NULL, NOT starts_with(lower(u.name), lower(sqlc.arg(part)::text)), lower(u.name) LIMIT sqlc.arg(max_rows);
