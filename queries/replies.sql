-- name: ThreadReplies :many
-- The newest replies of a thread that come before a message, newest first.
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, (CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END)::text AS body, m.created_at, coalesce(m.rev, 0)::bigint AS rev,
       m.edited_at, m.deleted_at, (CASE WHEN m.deleted_at IS NULL THEN chat.shown(m.room_id, m.seq, m.extra) END)::jsonb AS extra
FROM chat.replies r JOIN chat.messages m ON m.room_id = r.room_id AND m.seq = r.seq JOIN chat.users u ON u.id = m.author_id
WHERE r.room_id = sqlc.arg(room_id) AND r.thread = sqlc.arg(thread) AND r.seq < sqlc.arg(before)
ORDER BY r.seq DESC LIMIT sqlc.arg(max_rows);

-- name: ThreadOf :one
-- seq of the first message of the thread that a reply belongs to. reply_to is above 0, and has it found by its key: the index by threads, which
-- does not have reply_to, would be read as far as the room's threads go.
SELECT thread FROM chat.replies WHERE room_id = sqlc.arg(room_id) AND seq = sqlc.arg(seq) AND reply_to > 0;

-- name: AddReplies :exec
-- Makes messages of a room replies, in the order given.
WITH given AS (SELECT unnest(sqlc.arg(seqs)::bigint[]) AS seq, unnest(sqlc.arg(reply_tos)::bigint[]) AS reply_to)
INSERT INTO chat.replies (room_id, seq, reply_to) SELECT sqlc.arg(room_id)::uuid, g.seq, g.reply_to FROM given g;
