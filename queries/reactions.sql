-- name: AddReaction :execrows
INSERT INTO chat.reactions (room_id, seq, emoji, user_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: RemoveReaction :execrows
DELETE FROM chat.reactions WHERE room_id = $1 AND seq = $2 AND emoji = $3 AND user_id = $4;

-- name: Reactions :many
-- Who has reacted to a message that the user may see, in the order in which the message shows them.
SELECT r.emoji, u.name
FROM chat.messages m JOIN chat.rooms o ON o.id = m.room_id
JOIN chat.reactions r ON r.room_id = m.room_id AND r.seq = m.seq JOIN chat.users u ON u.id = r.user_id
LEFT JOIN chat.members b ON b.room_id = m.room_id AND b.user_id = sqlc.arg(user_id)
WHERE m.id = sqlc.arg(id) AND m.room_id = sqlc.arg(room_id) AND m.deleted_at IS NULL AND (o.kind = 'public' OR b.user_id IS NOT NULL) AND NOT chat.banned(sqlc.arg(user_id), o.id)
ORDER BY r.created_at, u.name;

-- name: AddPastReactions :exec
-- Reactions to messages that were said before now, one at each index.
WITH given AS (
    SELECT unnest(sqlc.arg(seqs)::bigint[]) AS seq, unnest(sqlc.arg(emojis)::text[]) AS emoji,
           unnest(sqlc.arg(users)::uuid[]) AS user_id, unnest(sqlc.arg(times)::timestamptz[]) AS created_at
)
INSERT INTO chat.reactions (room_id, seq, emoji, user_id, created_at)
SELECT sqlc.arg(room_id)::uuid, g.seq, g.emoji, g.user_id, g.created_at FROM given g;
