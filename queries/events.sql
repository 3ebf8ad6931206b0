-- name: Notify :exec
-- Notifies channels in the order of the arrays, and stores the events that the notifications name.
WITH stored AS (
    INSERT INTO chat.events (id, payload) SELECT unnest(sqlc.arg(event_ids)::uuid[]), unnest(sqlc.arg(event_payloads)::text[])
)
SELECT count(pg_notify(n.channel, n.payload))
FROM (SELECT unnest(sqlc.arg(channels)::text[]) AS channel, unnest(sqlc.arg(payloads)::text[]) AS payload) n;

-- name: Event :one
-- The payload of an event that a notification names.
SELECT payload FROM chat.events WHERE id = sqlc.arg(id) AND expires_at > now();

-- name: DeleteExpiredEvents :exec
DELETE FROM chat.events WHERE expires_at <= now();
