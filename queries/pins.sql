-- name: AddPin :execrows
INSERT INTO chat.pins (room_id, seq, user_id) VALUES (sqlc.arg(room_id), sqlc.arg(seq), sqlc.arg(user_id)::uuid) ON CONFLICT DO NOTHING;

-- name: RemovePin :execrows
DELETE FROM chat.pins WHERE room_id = $1 AND seq = $2;

-- name: PinnedMessages :many
-- The pinned messages of a room, those pinned last first.
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, m.body, m.created_at, coalesce(m.rev, 0)::bigint AS rev, m.edited_at, m.deleted_at, m.extra
FROM chat.pins p JOIN chat.messages m ON m.room_id = p.room_id AND m.seq = p.seq JOIN chat.users u ON u.id = m.author_id
WHERE p.room_id = sqlc.arg(room_id) AND m.deleted_at IS NULL
ORDER BY p.created_at DESC, p.seq DESC;

-- name: PinnedSeqs :many
SELECT p.seq FROM chat.pins p JOIN chat.messages m ON m.room_id = p.room_id AND m.seq = p.seq
WHERE p.room_id = sqlc.arg(room_id) AND m.deleted_at IS NULL ORDER BY p.seq;
