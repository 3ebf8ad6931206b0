-- name: LinesBetween :many
-- The room's lines that stand after one message and before another, the newest where they are too many, in order.
SELECT l.* FROM (
    SELECT e.rev, e.after_seq AS after, e.kind, coalesce(a.name, '') AS actor, coalesce(s.name, '') AS subject, coalesce(e.detail ->> 'from', '')::text AS "from",
           coalesce(e.detail ->> 'to', '')::text AS "to", coalesce((e.detail ->> 'count')::int, 0)::int AS people, e.created_at AS at
    FROM chat.room_events e LEFT JOIN chat.users a ON a.id = e.actor_id LEFT JOIN chat.users s ON s.id = e.subject_id
    WHERE e.room_id = sqlc.arg(room_id) AND e.after_seq >= sqlc.arg(after)::bigint AND e.after_seq < sqlc.arg(before)::bigint
    ORDER BY e.after_seq DESC, e.rev DESC LIMIT sqlc.arg(max_rows)
) l ORDER BY l.rev;

-- name: LinesSince :many
-- The room's lines with numbers above one and up to another.
SELECT e.rev, e.after_seq AS after, e.kind, coalesce(a.name, '') AS actor, coalesce(s.name, '') AS subject, coalesce(e.detail ->> 'from', '')::text AS "from",
       coalesce(e.detail ->> 'to', '')::text AS "to", coalesce((e.detail ->> 'count')::int, 0)::int AS people, e.created_at AS at
FROM chat.room_events e LEFT JOIN chat.users a ON a.id = e.actor_id LEFT JOIN chat.users s ON s.id = e.subject_id
WHERE e.room_id = sqlc.arg(room_id) AND e.rev > sqlc.arg(after)::bigint AND e.rev <= sqlc.arg(up_to)::bigint
ORDER BY e.rev LIMIT sqlc.arg(max_rows);

-- name: DateLines :exec
-- What happened to the room before a message happened no later than that was said.
UPDATE chat.room_events e SET created_at = m.created_at FROM chat.messages m
WHERE e.room_id = sqlc.arg(room_id) AND m.room_id = e.room_id AND m.seq = e.after_seq + 1;
