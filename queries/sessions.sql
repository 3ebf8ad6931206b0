-- name: AddSession :exec
INSERT INTO chat.sessions (token_hash, user_id, expires_at, user_agent) VALUES ($1, $2, $3, $4);

-- name: SessionUser :one
SELECT u.id, u.name, u.role, u.created_at, s.expires_at, chat.banned(u.id, NULL)::boolean AS banned
FROM chat.sessions s JOIN chat.users u ON u.id = s.user_id
WHERE s.token_hash = $1 AND s.expires_at > now();

-- name: ExtendSession :exec
UPDATE chat.sessions SET expires_at = $2 WHERE token_hash = $1;

-- name: EndSession :exec
DELETE FROM chat.sessions WHERE token_hash = $1;

-- name: EndSessionsOf :exec
DELETE FROM chat.sessions WHERE user_id = $1;

-- name: SweepSessions :execrows
DELETE FROM chat.sessions WHERE expires_at <= now();

-- name: StandingSessions :many
-- Those of the sessions that have not ended, and whose user is not banned from all of the chat.
SELECT token_hash FROM chat.sessions s WHERE token_hash = ANY (sqlc.arg(token_hashes)::bytea[]) AND expires_at > now() AND NOT chat.banned(s.user_id, NULL);
