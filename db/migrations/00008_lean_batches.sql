-- +goose Up
-- A batch of 500 took 18 to 28 ms and now takes 8 to 11: docs/performance.md, "What was tried".

-- Messages belong to a room through its head, whose row every insert updates and which itself refers to the room. The
-- constraint asked the rooms once more for each message, and locked and logged the room's row (6 µs a message).
ALTER TABLE chat.messages DROP CONSTRAINT messages_room_id_fkey;

-- +goose StatementBegin
CREATE FUNCTION chat.room_heads_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM rooms r JOIN old_heads o ON o.room_id = r.id) THEN
        RAISE restrict_violation USING
            MESSAGE = 'the head of a room that exists cannot be deleted: messages are numbered by it',
            HINT = 'To remove a room and its messages: delete from chat.rooms where slug = …';
    END IF;
    DELETE FROM messages m USING old_heads o WHERE m.room_id = o.room_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.room_heads_after_delete() IS 'Removes the messages of rooms that were deleted; refuses to delete the head of a room that exists.';
CREATE TRIGGER room_heads_after_delete AFTER DELETE ON chat.room_heads
    REFERENCING OLD TABLE AS old_heads FOR EACH STATEMENT EXECUTE FUNCTION chat.room_heads_after_delete();
COMMENT ON TRIGGER room_heads_after_delete ON chat.room_heads IS 'Messages go with their room.';

-- +goose StatementBegin
CREATE FUNCTION chat.room_heads_before_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = 'rooms are not truncated: their messages would stay behind',
        HINT = 'delete from chat.rooms where …;';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.room_heads_before_truncate() IS 'Refuses TRUNCATE, also of chat.rooms, which would not take the messages along.';
CREATE TRIGGER room_heads_before_truncate BEFORE TRUNCATE ON chat.room_heads
    FOR EACH STATEMENT EXECUTE FUNCTION chat.room_heads_before_truncate();
COMMENT ON TRIGGER room_heads_before_truncate ON chat.room_heads IS 'Messages go with their room, and TRUNCATE does not take them.';

-- Numbering within a statement is remembered in settings, which the statement's end clears; it looks for them only where
-- there are any.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_before_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    setting text := 'chat.seq_' || replace(NEW.room_id::text, '-', '');
    given   text := current_setting(setting, true);
BEGIN
    IF coalesce(given, '') = '' THEN
        SELECT last_seq INTO NEW.seq FROM room_heads WHERE room_id = NEW.room_id FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', NEW.room_id),
                HINT = 'select id, slug from chat.rooms;';
        END IF;
        PERFORM set_config('chat.given', 'on', true);
    ELSE
        NEW.seq := given::bigint;
    END IF;
    NEW.seq := NEW.seq + 1;
    PERFORM set_config(setting, NEW.seq::text, true);
    NEW.created_at := coalesce(NEW.created_at, clock_timestamp());
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- One statement moves the heads and tells the rooms: what it costs is mostly its beginning (a lone message: 0.08 ms).
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rooms bigint;
    moved bigint;
    wrong record;
BEGIN
    WITH told AS (
        SELECT m.room_id, min(m.seq) AS first, max(m.seq) AS last, count(*) AS n,
               '{"first":' || min(m.seq) || ',"last":' || max(m.seq) || ',"messages":[' || string_agg('{"seq":' || m.seq || ',"id":"' || m.id || '","author_id":"' || m.author_id || '","author":' || to_json(u.name)
                   || ',"body":' || to_json(m.body) || ',"created_at":' || to_json(m.created_at) || '}', ',' ORDER BY m.seq)
                   -- More cannot fit into a notification, and is not put together in vain.
                   FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL) || ']}' AS payload,
               count(*) FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL) = count(*) AS whole
        FROM new_messages m JOIN users u ON u.id = m.author_id LEFT JOIN room_heads h ON h.room_id = m.room_id
        GROUP BY m.room_id
    ), moves AS (
        UPDATE room_heads h SET last_seq = t.last FROM told t
        WHERE h.room_id = t.room_id AND h.last_seq = t.first - 1 AND t.n = t.last - t.first + 1
        RETURNING h.room_id
    )
    SELECT count(*), (SELECT count(*) FROM moves),
           count(pg_notify('room:' || t.room_id,
               CASE WHEN t.whole AND octet_length(t.payload) <= 7999 THEN t.payload
                    ELSE '{"first":' || t.first || ',"last":' || t.last || '}' END))
        INTO rooms, moved FROM told t;
    IF rooms <> moved THEN
        SELECT n.room_id, min(n.seq) AS first, max(n.seq) AS last, count(h.room_id) AS known INTO wrong
        FROM new_messages n LEFT JOIN room_heads h ON h.room_id = n.room_id
        GROUP BY n.room_id, h.last_seq HAVING max(n.seq) IS DISTINCT FROM h.last_seq OR count(*) <> max(n.seq) - min(n.seq) + 1 LIMIT 1;
        IF wrong.known = 0 THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                HINT = 'select id, slug from chat.rooms;';
        END IF;
        RAISE check_violation USING
            MESSAGE = format('seq %s to %s do not follow the last message of room %s', wrong.first, wrong.last, wrong.room_id),
            HINT = 'Leave seq out: a trigger gives the next number.';
    END IF;
    IF current_setting('chat.given', true) = 'on' THEN
        PERFORM set_config('chat.seq_' || replace(n.room_id::text, '-', ''), '', true) FROM (SELECT DISTINCT room_id FROM new_messages) n;
        PERFORM set_config('chat.given', '', true);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Plans are kept, and one made while a table was small or newly vacuumed empty would read all of it for every batch once it
-- is large (20 times as slow with 20,000 messages, until autovacuum comes by): only plans by index, which suit any size.
ALTER FUNCTION chat.messages_after_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_hashjoin = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_mergejoin = off;

-- Numbers are counted where they are given, not looked up by joining what was stored with what was sent, which the planner,
-- who cannot know how long the arrays are, did row by row (500 messages: 250,000 comparisons).
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[])
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    -- In room order: two instances that post to the same rooms in opposite orders would deadlock.
    PERFORM 1 FROM room_heads h WHERE h.room_id = ANY (room_ids) ORDER BY h.room_id FOR NO KEY UPDATE;
    -- A new statement sees what was committed while this one waited for the locks: only now can duplicates be told.
    RETURN QUERY
    WITH judged AS (
        SELECT i.*, h.last_seq, old.seq AS old_seq,
            CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN m.user_id IS NULL THEN 'not_a_member'
                 WHEN old.seq IS NOT NULL THEN
                     CASE WHEN old.author_id = i.author_id THEN 'duplicate' ELSE 'id_taken' END
                 WHEN r.archived_at IS NOT NULL THEN 'room_archived'
                 WHEN i.body IS NULL OR i.body = '' THEN 'body_empty'
                 WHEN char_length(i.body) > 8000 THEN 'body_too_long'
                 ELSE 'posted' END AS verdict
        FROM unnest(room_ids, ids, author_ids, bodies) WITH ORDINALITY AS i (room_id, id, author_id, body, ord)
        LEFT JOIN rooms r ON r.id = i.room_id
        LEFT JOIN room_heads h ON h.room_id = i.room_id
        LEFT JOIN members m ON m.room_id = i.room_id AND m.user_id = i.author_id
        LEFT JOIN messages old ON old.room_id = i.room_id AND old.id = i.id
    ), copies AS ( -- of an id in this batch the first is stored
        SELECT j.*, row_number() OVER same AS copy, first_value(j.author_id) OVER same AS first_author
        FROM judged j WINDOW same AS (PARTITION BY j.room_id, j.id, j.verdict ORDER BY j.ord)
    ), numbered AS (
        SELECT c.*, c.last_seq + count(*) FILTER (WHERE c.verdict = 'posted' AND c.copy = 1)
            OVER (PARTITION BY c.room_id ORDER BY c.ord ROWS UNBOUNDED PRECEDING) AS new_seq
        FROM copies c
    ), stored AS (
        INSERT INTO messages (room_id, seq, id, author_id, body, created_at)
        SELECT n.room_id, n.new_seq, n.id, n.author_id, n.body, clock_timestamp() FROM numbered n
        WHERE n.verdict = 'posted' AND n.copy = 1 ORDER BY n.room_id, n.new_seq
    )
    SELECT n.ord,
           CASE WHEN n.verdict <> 'posted' OR n.copy = 1 THEN n.verdict
                WHEN n.first_author = n.author_id THEN 'duplicate' ELSE 'id_taken' END,
           CASE WHEN n.verdict = 'duplicate' THEN n.old_seq
                WHEN n.verdict <> 'posted' THEN NULL
                WHEN n.copy = 1 THEN n.new_seq
                WHEN n.first_author = n.author_id THEN (SELECT f.new_seq FROM numbered f
                    WHERE f.room_id = n.room_id AND f.id = n.id AND f.verdict = 'posted' AND f.copy = 1) END
    FROM numbered n ORDER BY n.ord;
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_seqscan = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_hashjoin = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_mergejoin = off;

-- +goose Down
DROP TRIGGER room_heads_before_truncate ON chat.room_heads;
DROP TRIGGER room_heads_after_delete ON chat.room_heads;
DROP FUNCTION chat.room_heads_before_truncate(), chat.room_heads_after_delete();
ALTER TABLE chat.messages ADD CONSTRAINT messages_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE;
-- The functions above serve the schema before just as well.
