-- name: AddToken :one
INSERT INTO chat.tokens (user_id, name, token_hash, expires_at)
SELECT u.id, sqlc.arg(name), sqlc.arg(token_hash), coalesce(sqlc.narg(expires_at)::timestamptz, 'infinity') FROM chat.users u WHERE lower(u.name) = lower(sqlc.arg(user_name))
RETURNING id;

-- name: TokenUser :one
SELECT u.id, u.name, u.role, u.created_at, (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')::boolean AS touch, chat.banned(u.id, NULL)::boolean AS banned
FROM chat.tokens t JOIN chat.users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND t.expires_at > now();

-- name: TouchToken :exec
UPDATE chat.tokens SET last_used_at = now() WHERE token_hash = $1;

-- name: Tokens :many
-- A user's tokens, or everybody's where user_name is ''.
SELECT u.name AS user_name, t.name, t.created_at, t.last_used_at, x.expires_at
FROM chat.tokens t JOIN chat.users u ON u.id = t.user_id
LEFT JOIN chat.tokens x ON x.id = t.id AND x.expires_at < 'infinity'
WHERE sqlc.arg(user_name)::text = '' OR lower(u.name) = lower(sqlc.arg(user_name))
ORDER BY lower(u.name), t.created_at;

-- name: RevokeToken :execrows
DELETE FROM chat.tokens t USING chat.users u
WHERE u.id = t.user_id AND lower(u.name) = lower(sqlc.arg(user_name)) AND t.name = sqlc.arg(name);

-- name: StandingTokens :many
-- Those of the tokens that have not ended, and whose user is not banned from all of the chat.
SELECT token_hash FROM chat.tokens t WHERE token_hash = ANY (sqlc.arg(token_hashes)::bytea[]) AND expires_at > now() AND NOT chat.banned(t.user_id, NULL);
