-- name: AddMember :exec
INSERT INTO chat.members (room_id, user_id)
SELECT r.id, sqlc.arg(user_id) FROM chat.rooms r WHERE r.id = sqlc.arg(room_id) AND r.archived_at IS NULL
ON CONFLICT DO NOTHING;
