-- name: SetStatus :exec
UPDATE chat.users SET status_emoji = sqlc.arg(emoji), status_text = sqlc.arg(text), status_until = sqlc.narg(until) WHERE id = sqlc.arg(id);

-- name: SetDoNotDisturb :exec
UPDATE chat.users SET dnd_until = CASE WHEN sqlc.arg(always)::boolean THEN 'infinity' ELSE sqlc.narg(until)::timestamptz END WHERE id = sqlc.arg(id);
