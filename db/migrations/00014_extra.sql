-- +goose Up
-- What belongs to a message beyond its text (reactions, what it answers, files) is read wherever messages are read. It has tables
-- of its own; as the message shows it, triggers keep it in one column here, so that a page of messages is one read of one table,
-- and each change of it is a change of the message: numbered, told, caught up with.
ALTER TABLE chat.messages ADD COLUMN extra jsonb;
COMMENT ON COLUMN chat.messages.extra IS 'What belongs to it beyond its text, as it is shown: a key for each kind; NULL: nothing. Triggers keep it from the tables that hold the truth; do not write to it.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    r       record;
    payload text;
BEGIN
    IF current_setting('chat.numbering', true) = 'on' THEN
        RETURN NULL; -- this is the UPDATE below
    END IF;
    PERFORM FROM room_heads h WHERE h.room_id IN (
        SELECT n.room_id FROM new_messages n JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq WHERE n IS DISTINCT FROM o)
        ORDER BY h.room_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL; -- nothing has changed
    END IF;
    PERFORM set_config('chat.numbering', 'on', true);
    FOR r IN
        WITH changed AS (
            SELECT n.room_id, n.seq, h.last_rev, row_number() OVER (PARTITION BY n.room_id ORDER BY n.seq) AS n
            FROM new_messages n
            JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq
            JOIN room_heads h ON h.room_id = n.room_id
            WHERE n IS DISTINCT FROM o
        ), numbered AS (
            UPDATE messages m SET rev = c.last_rev + c.n FROM changed c WHERE m.room_id = c.room_id AND m.seq = c.seq
            RETURNING m.*, c.n
        )
        SELECT m.room_id, min(m.rev) AS first, max(m.rev) AS last,
               json_agg(json_build_object(
                   'seq', m.seq, 'id', m.id, 'author_id', m.author_id, 'author', u.name,
                   'body', CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END, 'created_at', m.created_at,
                   'rev', m.rev, 'edited_at', m.edited_at, 'deleted_at', m.deleted_at,
                   'extra', CASE WHEN m.deleted_at IS NULL THEN m.extra END) ORDER BY m.rev)
                   FILTER (WHERE m.n <= 100 AND octet_length(m.body) < 8000) AS changes,
               -- More cannot fit into a notification, and is not put together in vain.
               count(*) > 100 OR bool_or(octet_length(m.body) >= 8000) AS large
        FROM numbered m JOIN users u ON u.id = m.author_id GROUP BY m.room_id ORDER BY m.room_id
    LOOP
        UPDATE room_heads SET last_rev = r.last WHERE room_id = r.room_id;
        payload := json_build_object('rev_first', r.first, 'rev_last', r.last, 'changes', r.changes)::text;
        IF r.large OR octet_length(payload) > 7999 THEN
            payload := json_build_object('rev_first', r.first, 'rev_last', r.last)::text;
        END IF;
        PERFORM pg_notify('room:' || r.room_id, payload);
    END LOOP;
    PERFORM set_config('chat.numbering', '', true);
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    r       record;
    payload text;
BEGIN
    IF current_setting('chat.numbering', true) = 'on' THEN
        RETURN NULL; -- this is the UPDATE below
    END IF;
    PERFORM FROM room_heads h WHERE h.room_id IN (
        SELECT n.room_id FROM new_messages n JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq WHERE n IS DISTINCT FROM o)
        ORDER BY h.room_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL; -- nothing has changed
    END IF;
    PERFORM set_config('chat.numbering', 'on', true);
    FOR r IN
        WITH changed AS (
            SELECT n.room_id, n.seq, h.last_rev, row_number() OVER (PARTITION BY n.room_id ORDER BY n.seq) AS n
            FROM new_messages n
            JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq
            JOIN room_heads h ON h.room_id = n.room_id
            WHERE n IS DISTINCT FROM o
        ), numbered AS (
            UPDATE messages m SET rev = c.last_rev + c.n FROM changed c WHERE m.room_id = c.room_id AND m.seq = c.seq
            RETURNING m.*, c.n
        )
        SELECT m.room_id, min(m.rev) AS first, max(m.rev) AS last,
               json_agg(json_build_object(
                   'seq', m.seq, 'id', m.id, 'author_id', m.author_id, 'author', u.name,
                   'body', CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END, 'created_at', m.created_at,
                   'rev', m.rev, 'edited_at', m.edited_at, 'deleted_at', m.deleted_at) ORDER BY m.rev)
                   FILTER (WHERE m.n <= 100 AND octet_length(m.body) < 8000) AS changes,
               -- More cannot fit into a notification, and is not put together in vain.
               count(*) > 100 OR bool_or(octet_length(m.body) >= 8000) AS large
        FROM numbered m JOIN users u ON u.id = m.author_id GROUP BY m.room_id ORDER BY m.room_id
    LOOP
        UPDATE room_heads SET last_rev = r.last WHERE room_id = r.room_id;
        payload := json_build_object('rev_first', r.first, 'rev_last', r.last, 'changes', r.changes)::text;
        IF r.large OR octet_length(payload) > 7999 THEN
            payload := json_build_object('rev_first', r.first, 'rev_last', r.last)::text;
        END IF;
        PERFORM pg_notify('room:' || r.room_id, payload);
    END LOOP;
    PERFORM set_config('chat.numbering', '', true);
    RETURN NULL;
END $$;
-- +goose StatementEnd
ALTER TABLE chat.messages DROP COLUMN extra;
