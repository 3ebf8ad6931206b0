-- +goose Up
-- What read all files from one end to the other, with each upload and every ten minutes.
CREATE INDEX files_size_idx ON chat.files (size);
CREATE INDEX files_unposted_idx ON chat.files (id) WHERE seq IS NULL;
CREATE INDEX messages_deleted_files_idx ON chat.messages (deleted_at) WHERE deleted_at IS NOT NULL AND extra ? 'files';
COMMENT ON INDEX chat.files_size_idx IS 'What all files have together; holds nothing but that.';
COMMENT ON INDEX chat.files_unposted_idx IS 'Files that are being uploaded, or were and are not posted: few.';
COMMENT ON INDEX chat.messages_deleted_files_idx IS 'Deleted messages whose files are to be removed: few, for then they have none.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.sweep_files(upload_for interval, unposted_for interval, deleted_for interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
DECLARE
    removed bigint := 0;
BEGIN
    IF pg_try_advisory_xact_lock(hashtext('chat.sweep_files')) THEN
        DELETE FROM files f USING (
            -- Who is posting a file has locked it; who has posted it meanwhile has given it a seq.
            SELECT f.id FROM (
                SELECT u.id, u.seq FROM files u WHERE u.seq IS NULL
                UNION ALL
                SELECT d.id, d.seq FROM messages m JOIN files d ON d.room_id = m.room_id AND d.seq = m.seq
                WHERE m.deleted_at < now() - deleted_for AND m.extra ? 'files'
            ) s JOIN files f ON f.id = s.id AND f.seq IS NOT DISTINCT FROM s.seq
            WHERE f.seq IS NOT NULL OR f.completed_at IS NULL AND f.touched_at < now() - upload_for OR f.completed_at < now() - unposted_for
            ORDER BY f.id FOR UPDATE OF f SKIP LOCKED
        ) old WHERE f.id = old.id;
        GET DIAGNOSTICS removed = ROW_COUNT;
    END IF;
    RETURN removed;
END $$;
-- +goose StatementEnd

-- Few messages at a time get or change files, and somebody who is called otherwise has few reactions and pins: by index, however small
-- the tables were when the plan was made.
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) SET enable_seqscan = off;
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) SET enable_hashjoin = off;
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) SET enable_mergejoin = off;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) SET enable_seqscan = off;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) SET enable_hashjoin = off;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) SET enable_mergejoin = off;
ALTER FUNCTION chat.users_after_rename() SET enable_seqscan = off;
ALTER FUNCTION chat.users_after_rename() SET enable_hashjoin = off;
ALTER FUNCTION chat.users_after_rename() SET enable_mergejoin = off;

-- Who hears something is in a transaction for a moment, which is said to have begun with their latest statement: idle, unless their client
-- does not take what it is sent.
CREATE OR REPLACE VIEW chat.notify_queue AS
SELECT round((100 * q.used)::numeric, 4) AS used_percent,
       pg_size_pretty((q.used * coalesce(current_setting('max_notify_queue_pages', true)::bigint, 1048576) * 8192)::bigint) AS used,
       b.pid, b.application_name, b.listens, b.state, b.in_transaction, b.wait_event
FROM (SELECT pg_notification_queue_usage() AS used OFFSET 0) q
LEFT JOIN LATERAL (
    SELECT a.pid, a.application_name, coalesce(l.listens, 'unknown') AS listens, a.state, date_trunc('second', clock_timestamp() - a.xact_start) AS in_transaction, a.wait_event
    FROM pg_catalog.pg_stat_activity a LEFT JOIN chat.listeners l ON l.pid = a.pid
    WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND (a.state <> 'idle' OR a.wait_event = 'ClientWrite') AND a.pid <> pg_backend_pid() AND l.listens IS DISTINCT FROM 'no'
    ORDER BY l.listens IS NULL, a.xact_start LIMIT 1
) b ON q.used > 0;

-- +goose Down
CREATE OR REPLACE VIEW chat.notify_queue AS
SELECT round((100 * q.used)::numeric, 4) AS used_percent,
       pg_size_pretty((q.used * coalesce(current_setting('max_notify_queue_pages', true)::bigint, 1048576) * 8192)::bigint) AS used,
       b.pid, b.application_name, b.listens, b.state, b.in_transaction, b.wait_event
FROM (SELECT pg_notification_queue_usage() AS used OFFSET 0) q
LEFT JOIN LATERAL (
    SELECT a.pid, a.application_name, coalesce(l.listens, 'unknown') AS listens, a.state, date_trunc('second', clock_timestamp() - a.xact_start) AS in_transaction, a.wait_event
    FROM pg_catalog.pg_stat_activity a LEFT JOIN chat.listeners l ON l.pid = a.pid
    WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() AND l.listens IS DISTINCT FROM 'no'
    ORDER BY l.listens IS NULL, a.xact_start LIMIT 1
) b ON q.used > 0;
ALTER FUNCTION chat.users_after_rename() RESET enable_seqscan;
ALTER FUNCTION chat.users_after_rename() RESET enable_hashjoin;
ALTER FUNCTION chat.users_after_rename() RESET enable_mergejoin;
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) RESET enable_seqscan;
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) RESET enable_hashjoin;
ALTER FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) RESET enable_mergejoin;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) RESET enable_seqscan;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) RESET enable_hashjoin;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) RESET enable_mergejoin;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.sweep_files(upload_for interval, unposted_for interval, deleted_for interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    removed bigint := 0;
BEGIN
    IF pg_try_advisory_xact_lock(hashtext('chat.sweep_files')) THEN
        DELETE FROM files f USING (
            SELECT f.id FROM files f LEFT JOIN messages m ON m.room_id = f.room_id AND m.seq = f.seq
            WHERE f.completed_at IS NULL AND f.touched_at < now() - upload_for
               OR f.seq IS NULL AND f.completed_at < now() - unposted_for
               OR m.deleted_at < now() - deleted_for
            ORDER BY f.id FOR UPDATE OF f SKIP LOCKED
        ) old WHERE f.id = old.id;
        GET DIAGNOSTICS removed = ROW_COUNT;
    END IF;
    RETURN removed;
END $$;
-- +goose StatementEnd
DROP INDEX chat.messages_deleted_files_idx, chat.files_unposted_idx, chat.files_size_idx;
