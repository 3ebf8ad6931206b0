-- +goose Up
-- The servers' way in judges, stores, moves the heads and tells the rooms in one statement, and takes a lone message without
-- the windows and aggregates of a batch, whose plan alone takes longer than a message: docs/adr/0010.

-- What may be stored already is looked for by its id, and the room is compared in a way that no index takes. While the table is
-- known to be empty the key by number, which begins with the room, was as good to the planner: it read the whole room for each
-- message, and kept that plan.
ALTER TABLE chat.messages DROP CONSTRAINT messages_id_key, ADD CONSTRAINT messages_id_key UNIQUE (id, room_id);
COMMENT ON CONSTRAINT messages_id_key ON chat.messages IS 'A message that is sent again is stored once.';
COMMENT ON INDEX chat.messages_id_key IS 'A message that is sent again is stored once.';

CREATE FUNCTION chat.message_json(seq bigint, id uuid, author_id uuid, author text, body text, created_at timestamptz) RETURNS text
LANGUAGE sql STABLE
RETURN '{"seq":' || seq || ',"id":"' || id || '","author_id":"' || author_id || '","author":' || to_json(author)
    || ',"body":' || to_json(body) || ',"created_at":' || to_json(created_at) || '}';
COMMENT ON FUNCTION chat.message_json(bigint, uuid, uuid, text, text, timestamptz) IS 'A message as notifications hold it.';

CREATE FUNCTION chat.notice(first bigint, last bigint, messages text) RETURNS text
LANGUAGE sql STABLE
RETURN CASE WHEN octet_length('{"first":' || first || ',"last":' || last || ',"messages":[' || messages || ']}') <= 7999
    THEN '{"first":' || first || ',"last":' || last || ',"messages":[' || messages || ']}'
    ELSE '{"first":' || first || ',"last":' || last || '}' END;
COMMENT ON FUNCTION chat.notice(bigint, bigint, text) IS 'The notification of new messages: with them, where they are given and fit into 7999 bytes, else their range.';

CREATE FUNCTION chat.verdict(member uuid, stored_author uuid, author uuid, archived_at timestamptz, body text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN member IS NULL THEN 'not_a_member'
    WHEN stored_author = author THEN 'duplicate'
    WHEN stored_author IS NOT NULL THEN 'id_taken'
    WHEN archived_at IS NOT NULL THEN 'room_archived'
    WHEN coalesce(body, '') = '' THEN 'body_empty'
    WHEN char_length(body) > 8000 THEN 'body_too_long'
    ELSE 'posted' END;
COMMENT ON FUNCTION chat.verdict(uuid, uuid, uuid, timestamptz, text) IS 'What becomes of a post: given the author as a member of the room, the author of what is stored under its id, its author, when the room was archived, and its body.';

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
               string_agg(message_json(m.seq, m.id, m.author_id, u.name, m.body, m.created_at), ',' ORDER BY m.seq)
                   -- More cannot fit into a notification, and is not put together in vain.
                   FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL) AS messages,
               count(*) FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL) = count(*) AS whole
        FROM new_messages m LEFT JOIN users u ON u.id = m.author_id LEFT JOIN room_heads h ON h.room_id = m.room_id
        GROUP BY m.room_id
    ), moves AS (
        UPDATE room_heads h SET last_seq = t.last FROM told t
        WHERE h.room_id = t.room_id AND h.last_seq = t.first - 1 AND t.n = t.last - t.first + 1
        RETURNING h.room_id
    )
    SELECT count(*), (SELECT count(*) FROM moves),
           count(pg_notify('room:' || t.room_id, notice(t.first, t.last, CASE WHEN t.whole THEN t.messages END)))
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
-- Nor is a table read whole once per statement, which a plan made while it is empty takes for the same as by its key.
ALTER FUNCTION chat.messages_after_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_hashjoin = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_mergejoin = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_material = off;

-- What post_batch inserts it accounts for itself, at its own depth: what a trigger of somebody else's inserts meanwhile is not that.
DROP TRIGGER messages_after_insert ON chat.messages;
CREATE TRIGGER messages_after_insert AFTER INSERT ON chat.messages
    REFERENCING NEW TABLE AS new_messages FOR EACH STATEMENT
    WHEN (current_setting('chat.accounted', true) IS DISTINCT FROM pg_trigger_depth()::text)
    EXECUTE FUNCTION chat.messages_after_insert();
COMMENT ON TRIGGER messages_after_insert ON chat.messages IS 'Heads and notifications, once per statement; chat.post_batch sees to its own.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[])
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    -- What is inserted until the function returns is accounted for here. It may be called by a trigger while it runs.
    outer_depth text := coalesce(current_setting('chat.accounted', true), '');
    accounted   text := set_config('chat.accounted', pg_trigger_depth()::text, true);
    new_seq     bigint;
    name        text;
    now         timestamptz;
    message     text;
BEGIN
    IF cardinality(ids) = 1 THEN
        UPDATE room_heads h SET last_seq = h.last_seq + 1 WHERE h.room_id = room_ids[1] RETURNING h.last_seq INTO new_seq;
        ord := 1;
        -- A new statement sees what was committed while this one waited for the row: only now can a duplicate be told.
        SELECT u.name, verdict(m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]), old.seq INTO name, outcome, seq
        FROM rooms r
        LEFT JOIN members m ON m.room_id = r.id AND m.user_id = author_ids[1]
        LEFT JOIN users u ON u.id = m.user_id
        LEFT JOIN messages old ON old.id = ids[1] AND old.room_id IS NOT DISTINCT FROM r.id
        WHERE r.id = room_ids[1];
        IF outcome = 'posted' THEN
            seq := new_seq;
            now := clock_timestamp();
            INSERT INTO messages (room_id, seq, id, author_id, body, created_at)
            VALUES (room_ids[1], new_seq, ids[1], author_ids[1], bodies[1], now);
            message := message_json(new_seq, ids[1], author_ids[1], name, bodies[1], now);
            PERFORM pg_notify('room:' || room_ids[1], notice(new_seq, new_seq, message));
        ELSIF outcome IS NULL THEN
            outcome := 'room_not_found';
        ELSE
            UPDATE room_heads h SET last_seq = h.last_seq - 1 WHERE h.room_id = room_ids[1];
            seq := CASE WHEN outcome = 'duplicate' THEN seq END;
        END IF;
        accounted := set_config('chat.accounted', outer_depth, true);
        RETURN NEXT;
        RETURN;
    END IF;

    -- In room order: two instances that post to the same rooms in opposite orders would deadlock.
    PERFORM 1 FROM room_heads h WHERE h.room_id = ANY (room_ids) ORDER BY h.room_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH judged AS ( -- as above, in a new statement
        SELECT i.*, u.name, h.last_seq, old.seq AS old_seq, clock_timestamp() AS created_at,
            CASE WHEN r.id IS NULL THEN 'room_not_found'
                 ELSE verdict(m.user_id, old.author_id, i.author_id, r.archived_at, i.body) END AS verdict
        FROM unnest(room_ids, ids, author_ids, bodies) WITH ORDINALITY AS i (room_id, id, author_id, body, ord)
        LEFT JOIN rooms r ON r.id = i.room_id
        LEFT JOIN room_heads h ON h.room_id = i.room_id
        LEFT JOIN members m ON m.room_id = i.room_id AND m.user_id = i.author_id
        LEFT JOIN users u ON u.id = i.author_id
        LEFT JOIN messages old ON old.id = i.id AND old.room_id IS NOT DISTINCT FROM i.room_id
    ), numbered AS (
        SELECT j.*, j.last_seq + count(*) FILTER (WHERE j.verdict = 'posted')
            OVER (PARTITION BY j.room_id ORDER BY j.ord ROWS UNBOUNDED PRECEDING) AS new_seq
        FROM judged j
    ), stored AS (
        INSERT INTO messages (room_id, seq, id, author_id, body, created_at)
        SELECT n.room_id, n.new_seq, n.id, n.author_id, n.body, n.created_at FROM numbered n WHERE n.verdict = 'posted'
    ), told AS (
        SELECT n.room_id, min(n.new_seq) AS first, max(n.new_seq) AS last,
               string_agg(message_json(n.new_seq, n.id, n.author_id, n.name, n.body, n.created_at), ',' ORDER BY n.new_seq)
                   -- More cannot fit into a notification, and is not put together in vain.
                   FILTER (WHERE octet_length(n.body) < 8000 AND n.new_seq < n.last_seq + 100) AS messages,
               bool_and(octet_length(n.body) < 8000 AND n.new_seq < n.last_seq + 100) AS whole
        FROM numbered n WHERE n.verdict = 'posted' GROUP BY n.room_id
    ), moved AS (
        UPDATE room_heads h SET last_seq = t.last FROM told t WHERE h.room_id = t.room_id
        RETURNING pg_notify('room:' || t.room_id, notice(t.first, t.last, CASE WHEN t.whole THEN t.messages END))
    )
    SELECT n.ord, n.verdict, CASE n.verdict WHEN 'posted' THEN n.new_seq WHEN 'duplicate' THEN n.old_seq END
    FROM numbered n ORDER BY n.ord;
    accounted := set_config('chat.accounted', outer_depth, true);
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_seqscan = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_hashjoin = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_mergejoin = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET enable_material = off;
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, not_a_member, body_empty, body_too_long.';

-- +goose Down
-- As they were in migration 8: what a migration has made is not read from another.
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
ALTER FUNCTION chat.messages_after_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_hashjoin = off;
ALTER FUNCTION chat.messages_after_insert() SET enable_mergejoin = off;
DROP TRIGGER messages_after_insert ON chat.messages;
CREATE TRIGGER messages_after_insert AFTER INSERT ON chat.messages
    REFERENCING NEW TABLE AS new_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_insert();
COMMENT ON TRIGGER messages_after_insert ON chat.messages IS 'Heads and notifications, once per statement.';
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
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) IS 'Posts many messages in one statement; arrays of one length, a message at each index. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, not_a_member, body_empty, body_too_long.';
DROP FUNCTION chat.notice(bigint, bigint, text), chat.message_json(bigint, uuid, uuid, text, text, timestamptz), chat.verdict(uuid, uuid, uuid, timestamptz, text);
ALTER TABLE chat.messages DROP CONSTRAINT messages_id_key, ADD CONSTRAINT messages_id_key UNIQUE (room_id, id);
COMMENT ON CONSTRAINT messages_id_key ON chat.messages IS 'A message that is sent again is stored once.';
COMMENT ON INDEX chat.messages_id_key IS 'A message that is sent again is stored once.';
