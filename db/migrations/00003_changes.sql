-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION chat.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF NEW.room_id <> OLD.room_id OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id THEN
        RAISE check_violation USING
            MESSAGE = 'room_id, seq and id of a message never change: clients know it by them',
            HINT = 'To move a message, insert it into the other room and set deleted_at here.';
    END IF;
    IF NEW.body <> OLD.body THEN
        NEW.edited_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_before_update() IS 'Refuses changes of what clients know a message by, and says when its body was edited.';
CREATE TRIGGER messages_before_update BEFORE UPDATE ON chat.messages
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION chat.messages_before_update();
COMMENT ON TRIGGER messages_before_update ON chat.messages IS 'Keys never change; edits are dated.';

-- Changes are numbered after the rows are locked, and the heads are locked last and in order: whoever holds a head waits
-- for no message any more. Numbering in a row trigger would be cheaper and was seen to deadlock: a statement that
-- changes many messages holds the head and wants the next message, which another one holds that waits for the head.
-- +goose StatementBegin
CREATE FUNCTION chat.messages_after_update() RETURNS trigger
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
COMMENT ON FUNCTION chat.messages_after_update() IS 'Gives changed messages the room''s next revs, moves the heads and sends one notification for each room: the changed messages where they fit into 7999 bytes, else the range of their revs.';
CREATE TRIGGER messages_after_update AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages
    FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_update();
COMMENT ON TRIGGER messages_after_update ON chat.messages IS 'Changes are numbered and told, once per statement.';

-- +goose Down
DROP TRIGGER messages_after_update ON chat.messages;
DROP TRIGGER messages_before_update ON chat.messages;
DROP FUNCTION chat.messages_after_update(), chat.messages_before_update();
