-- name: InsertPastMessages :exec
-- Messages of a room that were said before now, in the order given.
WITH given AS (
    SELECT unnest(sqlc.arg(authors)::uuid[]) AS author_id, unnest(sqlc.arg(bodies)::text[]) AS body, unnest(sqlc.arg(times)::timestamptz[]) AS created_at
)
INSERT INTO chat.messages (room_id, author_id, body, created_at)
SELECT sqlc.arg(room_id)::uuid, g.author_id, g.body, g.created_at FROM given g;

-- name: ReadAll :exec
-- Everybody in the room has read it, but for the newest of the one reader.
UPDATE chat.members m SET last_read_seq = greatest(0, h.last_seq - CASE WHEN u.name = sqlc.arg(reader)::text THEN sqlc.arg(unread)::bigint ELSE 0 END)
FROM chat.room_heads h, chat.users u
WHERE m.room_id = sqlc.arg(room_id) AND h.room_id = m.room_id AND u.id = m.user_id;

-- name: AttachPastFile :exec
-- Gives an uploaded file to a message of the past.
UPDATE chat.files SET seq = sqlc.arg(seq)::bigint, place = sqlc.arg(place), created_at = sqlc.arg(at), completed_at = sqlc.arg(at)::timestamptz WHERE id = sqlc.arg(id);
