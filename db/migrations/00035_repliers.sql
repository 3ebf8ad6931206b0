-- +goose Up
-- Who has replied last in a thread shows beside the number of its replies. It is read with the thread's first message, as what a message quotes
-- is, so that it is never older than the replies, and nobody stands there for one that was deleted.

CREATE FUNCTION chat.repliers(room_id uuid, thread bigint) RETURNS jsonb
LANGUAGE sql STABLE
RETURN (
    SELECT jsonb_agg(jsonb_build_object('id', w.author_id, 'name', u.name) ORDER BY w.last)
    FROM (
        SELECT m.author_id, max(m.seq) AS last
        FROM (SELECT r.seq FROM chat.replies r WHERE r.room_id = repliers.room_id AND r.thread = repliers.thread ORDER BY r.seq DESC LIMIT 20) l
        JOIN chat.messages m ON m.room_id = repliers.room_id AND m.seq = l.seq
        WHERE m.deleted_at IS NULL GROUP BY m.author_id ORDER BY max(m.seq) DESC LIMIT 3
    ) w JOIN chat.users u ON u.id = w.author_id);
COMMENT ON FUNCTION chat.repliers(uuid, bigint) IS 'Who wrote the newest 20 replies of a thread that show: the last three of them, each once, who replied last at the end: [{"id", "name"}]. NULL: all of those were deleted.';

-- Not STRICT, so that it becomes a part of the query that calls it.
CREATE FUNCTION chat.shown(room_id uuid, seq bigint, extra jsonb) RETURNS jsonb
LANGUAGE sql STABLE
RETURN CASE WHEN shown.extra ? 'thread' -- what begins a thread answers nothing
    THEN jsonb_set(shown.extra, '{thread,by}', coalesce(chat.repliers(shown.room_id, shown.seq), '[]'))
    ELSE chat.quoted(shown.room_id, shown.extra) END;
COMMENT ON FUNCTION chat.shown(uuid, bigint, jsonb) IS 'A message''s extra as pages and programs get it: with what it quotes (chat.quoted), and with who has replied in its thread: {"thread": {…, "by"}} (chat.repliers).';

-- Told as it is read.
-- +goose StatementBegin
DO $$
DECLARE
    body text := pg_get_functiondef('chat.messages_after_update()'::regprocedure);
BEGIN
    ASSERT position('quoted(m.room_id, m.extra)' IN body) > 0;
    EXECUTE replace(body, 'quoted(m.room_id, m.extra)', 'shown(m.room_id, m.seq, m.extra)');
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
    EXECUTE replace(pg_get_functiondef('chat.messages_after_update()'::regprocedure), 'shown(m.room_id, m.seq, m.extra)', 'quoted(m.room_id, m.extra)');
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.shown(uuid, bigint, jsonb), chat.repliers(uuid, bigint);
