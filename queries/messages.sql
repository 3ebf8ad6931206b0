-- name: PostBatch :many
-- Fails where it has to wait for a lock for long, such as for a room's head that a transaction of another program holds. The function is called
-- after the setting, on which an argument depends. When it has returned the setting is what it was: the commit, which waits for all that notify, takes
-- the time that it takes.
SELECT p.ord::bigint AS ord, p.outcome::text AS outcome, coalesce(p.seq, 0)::bigint AS seq
FROM (SELECT current_setting('lock_timeout') AS usual, set_config('lock_timeout', '250ms', true) AS within) l
CROSS JOIN LATERAL chat.post_batch(CASE WHEN l.within IS NOT NULL THEN sqlc.arg(room_ids)::uuid[] END, sqlc.arg(ids)::uuid[], sqlc.arg(author_ids)::uuid[], sqlc.arg(bodies)::text[], tell => false) p
WHERE p.ord > 1 OR set_config('lock_timeout', l.usual, true) IS NOT NULL;

-- name: PostReplies :many
-- As PostBatch, of messages some of which answer others.
SELECT p.ord::bigint AS ord, p.outcome::text AS outcome, coalesce(p.seq, 0)::bigint AS seq
FROM (SELECT current_setting('lock_timeout') AS usual, set_config('lock_timeout', '250ms', true) AS within) l
CROSS JOIN LATERAL chat.post_replies(CASE WHEN l.within IS NOT NULL THEN sqlc.arg(room_ids)::uuid[] END, sqlc.arg(ids)::uuid[], sqlc.arg(author_ids)::uuid[], sqlc.arg(bodies)::text[], sqlc.arg(reply_tos)::bigint[], tell => false) p
WHERE p.ord > 1 OR set_config('lock_timeout', l.usual, true) IS NOT NULL;

-- name: HeldRooms :many
-- Those of the rooms in which nobody can post at the moment, since a transaction holds their head.
WITH free AS MATERIALIZED (
    SELECT h.room_id FROM chat.room_heads h WHERE h.room_id = ANY (sqlc.arg(room_ids)::uuid[]) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT h.room_id FROM chat.room_heads h WHERE h.room_id = ANY (sqlc.arg(room_ids)::uuid[]) AND h.room_id NOT IN (SELECT f.room_id FROM free f);

-- name: NewestMessages :many
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, (CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END)::text AS body, m.created_at, coalesce(m.rev, 0)::bigint AS rev,
       m.edited_at, m.deleted_at, (CASE WHEN m.deleted_at IS NULL THEN chat.shown(m.room_id, m.seq, m.extra) END)::jsonb AS extra
FROM chat.messages m JOIN chat.users u ON u.id = m.author_id
WHERE m.room_id = sqlc.arg(room_id) AND m.seq < sqlc.arg(before)
ORDER BY m.seq DESC LIMIT sqlc.arg(max_rows);

-- name: MessagesBetween :many
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, (CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END)::text AS body, m.created_at, coalesce(m.rev, 0)::bigint AS rev,
       m.edited_at, m.deleted_at, (CASE WHEN m.deleted_at IS NULL THEN chat.shown(m.room_id, m.seq, m.extra) END)::jsonb AS extra
FROM chat.messages m JOIN chat.users u ON u.id = m.author_id
WHERE m.room_id = sqlc.arg(room_id) AND m.seq BETWEEN sqlc.arg(first) AND sqlc.arg(last)
ORDER BY m.seq;

-- name: ChangedMessages :many
-- Messages as they now are that changed since one rev and up to another.
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, (CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END)::text AS body, m.created_at, coalesce(m.rev, 0)::bigint AS rev,
       m.edited_at, m.deleted_at, (CASE WHEN m.deleted_at IS NULL THEN chat.shown(m.room_id, m.seq, m.extra) END)::jsonb AS extra
FROM chat.messages m JOIN chat.users u ON u.id = m.author_id
WHERE m.room_id = sqlc.arg(room_id) AND m.rev > sqlc.arg(after)::bigint AND m.rev <= sqlc.arg(up_to)::bigint
ORDER BY m.rev LIMIT sqlc.arg(max_rows);

-- name: Heads :many
SELECT room_id, first_seq, last_seq, last_rev, chat.history()::text AS history FROM chat.room_heads WHERE room_id = ANY (sqlc.arg(room_ids)::uuid[]);

-- name: Reaches :many
-- How far cursors of a history hold in the current one: in each room up to where the histories since then began. Nothing where it is unknown.
SELECT h.room_id, min(CASE WHEN later.n IS NULL THEN h.last_seq ELSE coalesce(b.last_seq, 0) END)::bigint AS seq,
       min(CASE WHEN later.n IS NULL THEN h.last_rev ELSE coalesce(b.last_rev, 0) END)::bigint AS rev
FROM chat.room_heads h JOIN chat.histories given ON given.id = sqlc.arg(history)
LEFT JOIN chat.histories later ON later.n > given.n
LEFT JOIN chat.history_heads b ON b.room_id = h.room_id AND b.n = later.n
WHERE h.room_id = ANY (sqlc.arg(room_ids)::uuid[]) GROUP BY h.room_id;

-- name: ProbeWriting :exec
-- Fails where a batch would: it writes and notifies as one does, without a message.
SELECT pg_notify('probe', '') FROM (SELECT count(*) FROM chat.post_batch('{}', '{}', '{}', '{}')) p;

-- name: AdvanceNotifications :exec
-- Removes from the queue of notifications what everybody has heard. After the queue was full nothing else does.
SELECT pg_notification_queue_usage();

-- name: MessageForChange :one
-- A message, and what decides whether the user may change it.
SELECT m.seq, m.author_id, (m.deleted_at IS NOT NULL)::boolean AS deleted, (m.body = '')::boolean AS erased, coalesce(m.deleted_by = sqlc.arg(user_id), false)::boolean AS deleted_by_user,
       (r.archived_at IS NOT NULL)::boolean AS archived, (b.user_id IS NOT NULL)::boolean AS member, chat.banned(u.id, r.id)::boolean AS banned,
       (r.kind <> 'direct' AND (coalesce(b.role = 'owner', false) OR u.role = 'admin'))::boolean AS moderates
FROM chat.messages m JOIN chat.rooms r ON r.id = m.room_id
JOIN chat.users u ON u.id = sqlc.arg(user_id)
LEFT JOIN chat.members b ON b.room_id = m.room_id AND b.user_id = sqlc.arg(user_id)
WHERE m.id = sqlc.arg(id) AND m.room_id = sqlc.arg(room_id) AND (r.kind = 'public' OR b.user_id IS NOT NULL)
FOR NO KEY UPDATE OF m;

-- name: SetMessageBody :exec
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(user_id)::uuid::text, true))
UPDATE chat.messages SET body = sqlc.arg(body) FROM actor WHERE room_id = sqlc.arg(room_id) AND seq = sqlc.arg(seq) AND body <> sqlc.arg(body);

-- name: SetMessageDeleted :exec
WITH actor AS (SELECT set_config('chat.actor', sqlc.arg(user_id)::uuid::text, true))
UPDATE chat.messages SET deleted_at = CASE WHEN sqlc.arg(deleted)::boolean THEN now() END, deleted_by = CASE WHEN sqlc.arg(deleted)::boolean THEN sqlc.arg(user_id)::uuid END
FROM actor WHERE room_id = sqlc.arg(room_id) AND seq = sqlc.arg(seq);

-- name: SweepHistory :one
-- How many rows of chat.message_history and chat.audit_log were too old and are gone.
SELECT chat.sweep_history(make_interval(secs => sqlc.arg(history_seconds)::float8), make_interval(secs => sqlc.arg(audit_seconds)::float8))::bigint AS removed;
