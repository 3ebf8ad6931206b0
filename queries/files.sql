-- name: BeginFile :one
SELECT chat.begin_file(sqlc.arg(id), sqlc.arg(room_id), sqlc.arg(uploader_id), sqlc.arg(name), sqlc.arg(most), sqlc.arg(most_in_all))::boolean AS begun;

-- name: AddFileChunk :exec
INSERT INTO chat.file_chunks (file_id, n, data) VALUES (sqlc.arg(file_id), sqlc.arg(n), sqlc.arg(data));

-- name: TouchFile :exec
UPDATE chat.files SET touched_at = now() WHERE id = sqlc.arg(id);

-- name: CompleteFile :execrows
UPDATE chat.files SET size = sqlc.arg(size), type = sqlc.arg(type), width = sqlc.narg(width), height = sqlc.narg(height), thumbnail = sqlc.narg(thumbnail), completed_at = now()
WHERE id = sqlc.arg(id) AND completed_at IS NULL;

-- name: RemoveFile :exec
DELETE FROM chat.files WHERE id = sqlc.arg(id);

-- name: DiscardFile :execrows
-- Removes what its uploader has not posted.
DELETE FROM chat.files WHERE id = sqlc.arg(id) AND uploader_id = sqlc.arg(user_id) AND seq IS NULL;

-- name: FileFor :one
-- A file that the user may see: one of a room that they may see, whose message shows, or their own that is not posted yet.
SELECT f.id, f.name, f.type, f.size, coalesce(f.width, 0)::int AS width, coalesce(f.height, 0)::int AS height, f.completed_at::timestamptz AS completed_at
FROM chat.files f
JOIN chat.rooms r ON r.id = f.room_id
LEFT JOIN chat.members b ON b.room_id = f.room_id AND b.user_id = sqlc.arg(user_id)
LEFT JOIN chat.messages m ON m.room_id = f.room_id AND m.seq = f.seq
WHERE f.id = sqlc.arg(id) AND f.completed_at IS NOT NULL AND (r.kind = 'public' OR b.user_id IS NOT NULL) AND NOT chat.banned(sqlc.arg(user_id), r.id)
  AND (m.deleted_at IS NULL AND m.seq IS NOT NULL OR f.seq IS NULL AND f.uploader_id = sqlc.arg(user_id));

-- name: FileThumbnail :one
SELECT coalesce(thumbnail, '')::bytea AS thumbnail FROM chat.files WHERE id = sqlc.arg(id);

-- name: FileChunk :one
SELECT data FROM chat.file_chunks WHERE file_id = sqlc.arg(file_id) AND n = sqlc.arg(n);

-- name: PostFiles :one
SELECT p.ord::bigint AS ord, p.outcome::text AS outcome, coalesce(p.seq, 0)::bigint AS seq
FROM (SELECT current_setting('lock_timeout') AS usual, set_config('lock_timeout', '250ms', true) AS within) l
CROSS JOIN LATERAL chat.post_files(CASE WHEN l.within IS NOT NULL THEN sqlc.arg(room_id)::uuid END, sqlc.arg(id), sqlc.arg(author_id), sqlc.arg(body), sqlc.arg(file_ids)::uuid[], sqlc.arg(reply_to)) p
WHERE p.ord > 1 OR set_config('lock_timeout', l.usual, true) IS NOT NULL;

-- name: SweepFiles :one
SELECT chat.sweep_files(make_interval(secs => sqlc.arg(upload_seconds)::float8), make_interval(secs => sqlc.arg(unposted_seconds)::float8), make_interval(secs => sqlc.arg(deleted_seconds)::float8))::bigint AS removed;
