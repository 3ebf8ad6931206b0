-- +goose Up
-- Plain DML keeps every invariant, whatever its form and size. Three rules make that so:
-- Transition tables are compared as sets, never joined with each other: the plan of a trigger's statement is kept by the session, and one that
-- was made for one row joins 10,000 rows by 100 million comparisons. EXCEPT and GROUP BY hash or sort whatever the plan.
-- What was compared goes on in arrays, and from there to tables by their keys only, as in post_batch.
-- A statement sends one notification for each room, and one for each kind to all instances.

CREATE INDEX messages_author_id_idx ON chat.messages (author_id);
COMMENT ON INDEX chat.messages_author_id_idx IS 'What somebody has said: whether they can be deleted is seen without reading every message.';
CREATE INDEX rooms_created_by_idx ON chat.rooms (created_by);
COMMENT ON INDEX chat.rooms_created_by_idx IS 'Removing a user.';

-- What was erased has no text.
ALTER TABLE chat.messages DROP CONSTRAINT messages_body_check,
    ADD CONSTRAINT messages_body_check CHECK (char_length(body) <= 8000 AND (body ~ '\S' OR body = '' AND deleted_at IS NOT NULL)) NOT VALID;
COMMENT ON CONSTRAINT messages_body_check ON chat.messages IS '1 to 8000 characters, not only white space; empty only where it was erased.';
COMMENT ON TABLE chat.messages IS 'What was said. INSERT, UPDATE and DELETE here show in every open browser; triggers number and notify. To remove a message from sight, so that it can be brought back: update chat.messages set deleted_at = now() where …. DELETE erases it for good: text, files, reactions, pins, mentions and search are gone; an empty row with deleted_at keeps its number, so that none is missing.';
COMMENT ON COLUMN chat.messages.body IS 'What was said, plain text, 1 to 8000 characters; empty where it was erased by DELETE.';

-- +goose StatementBegin
CREATE FUNCTION chat.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = format('chat.%s is not truncated', TG_TABLE_NAME),
        DETAIL = 'TRUNCATE tells no triggers what it removes: pages would keep it, and what belongs to it would stay behind.',
        HINT = format('delete from chat.%s where …;', CASE TG_TABLE_NAME WHEN 'room_heads' THEN 'rooms' ELSE TG_TABLE_NAME END);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.refuse_truncate() IS 'Refuses TRUNCATE, also by CASCADE.';
DROP TRIGGER room_heads_before_truncate ON chat.room_heads;
DROP FUNCTION chat.room_heads_before_truncate();
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['files', 'members', 'mentions', 'messages', 'pins', 'reactions', 'replies', 'room_heads', 'rooms', 'sessions', 'tokens', 'users'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON chat.%I FOR EACH STATEMENT EXECUTE FUNCTION chat.refuse_truncate()', name);
        EXECUTE format('COMMENT ON TRIGGER refuse_truncate ON chat.%I IS ''DELETE is told, TRUNCATE is not.''', name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION chat.refuse_new_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = format('%s of chat.%s never changes', TG_ARGV[0], TG_TABLE_NAME),
        DETAIL = 'Servers, pages and programs know the row by it.',
        HINT = 'Insert a new row, and delete this one.';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.refuse_new_key() IS 'Refuses another key for a row; its argument names the key.';
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.users
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION chat.refuse_new_key('id');
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.rooms
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION chat.refuse_new_key('id');
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.files
    FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.room_id <> NEW.room_id) EXECUTE FUNCTION chat.refuse_new_key('id and room_id');
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.members
    FOR EACH ROW WHEN (OLD.room_id <> NEW.room_id OR OLD.user_id <> NEW.user_id) EXECUTE FUNCTION chat.refuse_new_key('room_id and user_id');
COMMENT ON TRIGGER refuse_new_key ON chat.users IS 'A user stays the same user.';
COMMENT ON TRIGGER refuse_new_key ON chat.rooms IS 'A room stays the same room.';
COMMENT ON TRIGGER refuse_new_key ON chat.files IS 'A file stays in its room.';
COMMENT ON TRIGGER refuse_new_key ON chat.members IS 'A membership is not handed on.';

-- Messages, inserted.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_before_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
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
    ELSE
        NEW.seq := given::bigint;
    END IF;
    NEW.seq := NEW.seq + 1;
    NEW.created_at := coalesce(NEW.created_at, clock_timestamp());
    -- What is stored already is not stored again, by an error or by ON CONFLICT: it uses up no number.
    IF NOT EXISTS (SELECT FROM messages m WHERE m.id = NEW.id AND m.room_id IS NOT DISTINCT FROM NEW.room_id) THEN
        PERFORM set_config(setting, NEW.seq::text, true);
        IF coalesce(given, '') = '' THEN
            PERFORM set_config('chat.given', 'on', true);
        END IF;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
DECLARE
    rooms bigint;
    moved bigint;
    told_rooms bigint;
    heads text;
    wrong record;
BEGIN
    SELECT n.seq, n.room_id INTO wrong FROM new_messages n WHERE n.rev IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('rev of a new message in room %s is not given by hand', wrong.room_id),
            DETAIL = 'It counts the changes of a room, and servers catch up by it.',
            HINT = 'Leave rev out: a trigger sets it when the message is changed.';
    END IF;
    WITH rooms_told AS (
        SELECT count(*) > 100 AS many FROM (SELECT DISTINCT m.room_id FROM new_messages m LIMIT 101) r
    ), told AS (
        SELECT m.room_id, min(m.seq) AS first, max(m.seq) AS last, count(*) AS n,
               string_agg(message_json(m.seq, m.id, m.author_id, u.name, m.body, m.created_at), ',' ORDER BY m.seq)
                   -- More cannot fit into a notification, and is not put together in vain; of very many rooms at once the ranges do.
                   FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL AND NOT t.many) AS messages,
               count(*) FILTER (WHERE octet_length(m.body) < 8000 AND m.seq < h.last_seq + 100 AND m.deleted_at IS NULL AND NOT t.many) = count(*) AS whole
        FROM rooms_told t CROSS JOIN new_messages m LEFT JOIN users u ON u.id = m.author_id LEFT JOIN room_heads h ON h.room_id = m.room_id
        GROUP BY m.room_id
    ), moves AS (
        UPDATE room_heads h SET last_seq = t.last FROM told t
        WHERE h.room_id = t.room_id AND h.last_seq = t.first - 1 AND t.n = t.last - t.first + 1
        RETURNING h.room_id
    )
    SELECT count(*), (SELECT count(*) FROM moves),
           count(pg_notify('room:' || t.room_id, notice(t.first, t.last, CASE WHEN t.whole THEN t.messages END))),
           CASE WHEN count(*) > 150 THEN '' ELSE string_agg('{"room":"' || t.room_id || '","seq":' || t.last || '}', ',') END
        INTO rooms, moved, told_rooms, heads FROM told t;
    IF rooms <> moved THEN
        SELECT n.room_id, min(n.seq) AS first, max(n.seq) AS last, count(h.room_id) AS known, h.last_seq INTO wrong
        FROM new_messages n LEFT JOIN room_heads h ON h.room_id = n.room_id
        GROUP BY n.room_id, h.last_seq HAVING max(n.seq) IS DISTINCT FROM h.last_seq OR count(*) <> max(n.seq) - min(n.seq) + 1 LIMIT 1;
        IF wrong.known = 0 THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                HINT = 'select id, slug from chat.rooms;';
        END IF;
        RAISE check_violation USING
            MESSAGE = format('seq %s to %s do not follow the last message of room %s', wrong.first, wrong.last, wrong.room_id),
            DETAIL = format('Its newest message is %s. A room''s messages are numbered from 1 without gaps.', wrong.last_seq),
            HINT = 'Leave seq out: a trigger gives the next number.';
    END IF;
    IF heads IS NOT NULL THEN
        PERFORM tell_activity('moved', heads);
    END IF;
    IF EXISTS (SELECT FROM new_messages WHERE position('@' IN body) > 0) THEN
        PERFORM note_mentions(array_agg(n.room_id), array_agg(n.id)) FROM new_messages n WHERE position('@' IN n.body) > 0;
    END IF;
    IF current_setting('chat.given', true) = 'on' THEN
        PERFORM set_config('chat.seq_' || replace(n.room_id::text, '-', ''), '', true) FROM (SELECT DISTINCT room_id FROM new_messages) n;
        PERFORM set_config('chat.given', '', true);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Messages, changed.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF NEW.room_id <> OLD.room_id OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id THEN
        RAISE check_violation USING
            MESSAGE = 'room_id, seq and id of a message never change: clients know it by them',
            DETAIL = format('Message %s of room %s.', OLD.seq, OLD.room_id),
            HINT = 'To move a message, insert it into the other room and set deleted_at here.';
    ELSIF NEW.rev IS DISTINCT FROM OLD.rev OR NEW.created_at <> OLD.created_at THEN
        RAISE check_violation USING
            MESSAGE = 'rev and created_at of a message are not changed by hand',
            DETAIL = format('Message %s of room %s. Servers catch up by rev; time goes with seq.', OLD.seq, OLD.room_id),
            HINT = 'Leave them out: a trigger counts rev.';
    ELSIF OLD.body = '' AND NEW.body = '' AND NEW.deleted_at IS NULL THEN
        RAISE check_violation USING
            MESSAGE = format('message %s of room %s was erased: it has no text to be brought back', OLD.seq, OLD.room_id),
            HINT = 'Set body as well.',
            CONSTRAINT = 'messages_body_check';
    END IF;
    IF NEW.body <> OLD.body THEN
        NEW.edited_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- One function instead of three, each of which found anew what had changed, and once more after the numbering.
DROP TRIGGER messages_after_removal ON chat.messages;
DROP TRIGGER messages_renote ON chat.messages;
DROP TRIGGER messages_after_update ON chat.messages;
DROP TRIGGER messages_before_update ON chat.messages;
DROP FUNCTION chat.messages_after_removal(), chat.messages_renote();
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
DECLARE
    rooms   uuid[]; -- of the messages that have changed, one at each index
    seqs    bigint[];
    ids     uuid[];
    heads   uuid[];
    r       record;
    payload text;
BEGIN
    SELECT array_agg(c.room_id ORDER BY c.room_id, c.seq), array_agg(c.seq ORDER BY c.room_id, c.seq) INTO rooms, seqs
    FROM (SELECT n.* FROM new_messages n EXCEPT SELECT o.* FROM old_messages o) c;
    IF rooms IS NULL THEN
        RETURN NULL;
    END IF;
    -- Threads count the replies that show. First: whoever holds a head waits for no message.
    PERFORM recount_threads(array_agg(p.room_id), array_agg(p.thread))
    FROM (SELECT n.room_id, n.seq, n.deleted_at IS NULL FROM new_messages n EXCEPT SELECT o.room_id, o.seq, o.deleted_at IS NULL FROM old_messages o) c
    JOIN replies p ON p.room_id = c.room_id AND p.seq = c.seq HAVING count(*) > 0;
    heads := ARRAY(SELECT DISTINCT c FROM unnest(rooms) c);
    PERFORM FROM room_heads h WHERE h.room_id = ANY (heads) ORDER BY h.room_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL; -- the rooms are being deleted
    END IF;
    PERFORM set_config('chat.numbering', 'on', true);
    FOR r IN
        WITH changed AS MATERIALIZED (
            SELECT c.room_id, c.seq, h.last_rev, row_number() OVER (PARTITION BY c.room_id ORDER BY c.seq) AS n
            FROM unnest(rooms, seqs) AS c (room_id, seq) JOIN room_heads h ON h.room_id = c.room_id
        ), numbered AS (
            -- An array of one: no index gives an order for it, and so the messages are not read in the order of theirs.
            UPDATE messages m SET rev = c.last_rev + c.n FROM changed c WHERE m.room_id = ANY (ARRAY[c.room_id]) AND m.seq = ANY (ARRAY[c.seq])
            RETURNING m.*, c.n
        )
        SELECT m.room_id, min(m.rev) AS first, max(m.rev) AS last,
               json_agg(json_build_object(
                   'seq', m.seq, 'id', m.id, 'author_id', m.author_id, 'author', u.name,
                   'body', CASE WHEN m.deleted_at IS NULL THEN m.body ELSE '' END, 'created_at', m.created_at,
                   'rev', m.rev, 'edited_at', m.edited_at, 'deleted_at', m.deleted_at,
                   'extra', CASE WHEN m.deleted_at IS NULL THEN quoted(m.room_id, m.extra) END) ORDER BY m.rev)
                   FILTER (WHERE m.n <= 100 AND octet_length(m.body) < 8000 AND cardinality(heads) <= 100) AS changes,
               -- More cannot fit into a notification, and is not put together in vain; of very many rooms at once the ranges do.
               count(*) > 100 OR bool_or(octet_length(m.body) >= 8000) OR cardinality(heads) > 100 AS large
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
    -- Whom messages address follows what they say, who says it, and whether they show.
    SELECT array_agg(m.room_id), array_agg(m.seq), array_agg(m.id) INTO rooms, seqs, ids
    FROM (
        (SELECT n.room_id, n.seq, n.id, n.author_id, n.body, n.deleted_at IS NULL FROM new_messages n
         EXCEPT SELECT o.room_id, o.seq, o.id, o.author_id, o.body, o.deleted_at IS NULL FROM old_messages o)
        UNION ALL
        (SELECT o.room_id, o.seq, o.id, o.author_id, o.body, o.deleted_at IS NULL FROM old_messages o
         EXCEPT SELECT n.room_id, n.seq, n.id, n.author_id, n.body, n.deleted_at IS NULL FROM new_messages n)
    ) m WHERE position('@' IN m.body) > 0;
    IF rooms IS NOT NULL THEN
        DELETE FROM mentions m USING unnest(rooms, seqs) AS c (room_id, seq) WHERE m.room_id = c.room_id AND m.seq = c.seq;
        PERFORM note_mentions(rooms, ids);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_update() IS 'Numbers changes and tells them to the rooms, counts threads anew, and notes whom messages address.';
CREATE TRIGGER messages_before_update BEFORE UPDATE ON chat.messages
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.* AND current_setting('chat.numbering', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION chat.messages_before_update();
COMMENT ON TRIGGER messages_before_update ON chat.messages IS 'Keys, numbers and times never change; a new body is an edit.';
CREATE TRIGGER messages_after_update AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages FOR EACH STATEMENT
    WHEN (current_setting('chat.numbering', true) IS DISTINCT FROM 'on') -- the UPDATE of rev in the function itself
    EXECUTE FUNCTION chat.messages_after_update();
COMMENT ON TRIGGER messages_after_update ON chat.messages IS 'Changes show in every open browser, numbered and told once per statement.';

-- Messages, erased. A number that is missing is a message that was lost, and who has the message on a page would never hear that it is
-- gone: so an empty row stays.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
DECLARE
    outer_depth text := coalesce(current_setting('chat.accounted', true), '');
    told        record;
BEGIN
    DELETE FROM reactions r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM pins p USING old_messages o WHERE p.room_id = o.room_id AND p.seq = o.seq;
    DELETE FROM replies r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM mentions m USING old_messages o WHERE m.room_id = o.room_id AND m.seq = o.seq;
    DELETE FROM search_documents d USING old_messages o WHERE d.room_id = o.room_id AND d.seq = o.seq;
    PERFORM FROM room_heads h WHERE h.room_id IN (SELECT o.room_id FROM old_messages o) ORDER BY h.room_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL; -- the rooms are being deleted
    END IF;
    PERFORM set_config('chat.accounted', pg_trigger_depth()::text, true);
    FOR told IN
        WITH numbered AS (
            SELECT o.*, h.last_rev + row_number() OVER (PARTITION BY o.room_id ORDER BY o.seq) AS new_rev
            FROM old_messages o JOIN room_heads h ON h.room_id = o.room_id
        ), stored AS (
            INSERT INTO messages (room_id, seq, id, author_id, body, created_at, rev, edited_at, deleted_at, deleted_by, extra)
            SELECT n.room_id, n.seq, n.id, n.author_id, '', n.created_at, n.new_rev, n.edited_at, coalesce(n.deleted_at, now()), n.deleted_by,
                   CASE WHEN n.extra ? 'thread' THEN jsonb_build_object('thread', n.extra -> 'thread') END
            FROM numbered n ORDER BY n.room_id, n.seq
            RETURNING room_id, seq, rev, extra
        )
        SELECT s.room_id, min(s.rev) AS first, max(s.rev) AS last, array_agg(s.seq) FILTER (WHERE s.extra ? 'thread') AS threads
        FROM stored s GROUP BY s.room_id ORDER BY s.room_id
    LOOP
        UPDATE room_heads SET last_rev = told.last WHERE room_id = told.room_id;
        PERFORM pg_notify('room:' || told.room_id, json_build_object('rev_first', told.first, 'rev_last', told.last)::text);
        IF told.threads IS NOT NULL THEN -- their replies may be gone as well
            PERFORM recount_threads(array_fill(told.room_id, ARRAY[cardinality(told.threads)]), told.threads);
        END IF;
    END LOOP;
    PERFORM set_config('chat.accounted', outer_depth, true);
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_delete() IS 'Removes what belongs to messages that are erased, and keeps their numbers in empty rows; of rooms that are deleted nothing stays.';
COMMENT ON TRIGGER messages_after_delete ON chat.messages IS 'What belongs to a message goes with it; its number stays.';

-- Members.
-- +goose StatementBegin
CREATE FUNCTION chat.members_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT n.user_id, h.room_id, h.last_seq, n.last_read_seq INTO wrong
    FROM new_members n JOIN room_heads h ON h.room_id = n.room_id WHERE n.last_read_seq > h.last_seq LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('user %s cannot have read message %s of room %s', wrong.user_id, wrong.last_read_seq, wrong.room_id),
            DETAIL = format('Its newest message is %s.', wrong.last_seq),
            HINT = 'Leave last_read_seq out to have all read, or take it from chat.room_heads.';
    END IF;
    SELECT n.user_id, n.room_id INTO wrong
    FROM new_members n JOIN rooms r ON r.id = n.room_id WHERE r.kind = 'direct' AND position(n.user_id::text IN r.direct_key) = 0 LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('user %s does not belong to the direct conversation %s', wrong.user_id, wrong.room_id),
            DETAIL = 'A direct conversation is found by its people, and stays theirs.',
            HINT = 'Make a room of kind private.';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.members_after_insert() IS 'Refuses members who have read what does not exist, and others in direct conversations.';
CREATE TRIGGER members_check_insert AFTER INSERT ON chat.members
    REFERENCING NEW TABLE AS new_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_after_insert();
COMMENT ON TRIGGER members_check_insert ON chat.members IS 'Unread counts are right, and direct conversations stay what they are.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    entries text;
    wrong   record;
BEGIN
    SELECT c.user_id, c.room_id, c.last_read_seq, h.last_seq INTO wrong
    FROM (SELECT n.room_id, n.user_id, n.last_read_seq FROM new_members n EXCEPT SELECT o.room_id, o.user_id, o.last_read_seq FROM old_members o) c
    JOIN room_heads h ON h.room_id = c.room_id WHERE c.last_read_seq > h.last_seq LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('user %s cannot have read message %s of room %s', wrong.user_id, wrong.last_read_seq, wrong.room_id),
            DETAIL = format('Its newest message is %s.', wrong.last_seq),
            HINT = 'update chat.members m set last_read_seq = h.last_seq from chat.room_heads h where h.room_id = m.room_id and …;';
    END IF;
    SELECT string_agg('{"room":"' || c.room_id || '","user":"' || c.user_id || '","seq":' || c.last_read_seq || '}', ',') INTO entries
    FROM (SELECT n.room_id, n.user_id, n.last_read_seq FROM new_members n EXCEPT SELECT o.room_id, o.user_id, o.last_read_seq FROM old_members o LIMIT 100) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('read', entries);
    END IF;
    SELECT string_agg('{"user":"' || c.user_id || '"}', ',') INTO entries
    FROM (SELECT DISTINCT x.user_id FROM (
              SELECT n.user_id, n.room_id, n.role, n.starred, n.notify FROM new_members n
              EXCEPT SELECT o.user_id, o.room_id, o.role, o.starred, o.notify FROM old_members o) x LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('members', entries);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    what     text := CASE TG_OP WHEN 'INSERT' THEN 'joined' ELSE 'left' END;
    rooms    uuid[];
    kinds    text[];
    subjects uuid[];
    details  jsonb[];
BEGIN
    WITH people AS (
        SELECT c.room_id, c.user_id, u.name, count(*) OVER (PARTITION BY c.room_id) AS n
        FROM changed_members c JOIN rooms r ON r.id = c.room_id JOIN users u ON u.id = c.user_id
        WHERE NOT r.everyone AND r.kind <> 'direct' AND (what = 'left' OR r.created_at <> now())
          AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = c.room_id LIMIT 101) m) <= 100
    ), events AS (
        SELECT room_id, user_id, lower(name) AS by, '{}'::jsonb AS detail FROM people WHERE n <= 20
        UNION ALL SELECT room_id, NULL, '', jsonb_build_object('count', n) FROM people WHERE n > 20 GROUP BY room_id, n
    )
    SELECT array_agg(room_id ORDER BY room_id, by), array_agg(what), array_agg(user_id ORDER BY room_id, by), array_agg(detail ORDER BY room_id, by)
        INTO rooms, kinds, subjects, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, subjects, details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Rooms.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"room":"' || c.id || '"}', ',') INTO entries
    FROM (SELECT n.id, n.slug, n.name, n.topic, n.kind, n.archived_at FROM new_rooms n
          EXCEPT SELECT o.id, o.slug, o.name, o.topic, o.kind, o.archived_at FROM old_rooms o LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('rooms', entries);
    END IF;
    IF EXISTS (SELECT FROM new_rooms n WHERE n.everyone) THEN
        INSERT INTO members (room_id, user_id)
            SELECT r.id, u.id FROM (SELECT n.id FROM new_rooms n WHERE n.everyone EXCEPT SELECT o.id FROM old_rooms o WHERE o.everyone) r CROSS JOIN users u
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_after_update() IS 'Tells every instance which rooms look different; of rooms that are for everyone from now on, everybody becomes a member.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    kinds   text[];
    details jsonb[];
BEGIN
    WITH both_ways AS (
        SELECT true AS after, n.id, n.name, n.topic, n.kind, n.archived_at FROM new_rooms n WHERE n.kind <> 'direct'
        UNION ALL SELECT false, o.id, o.name, o.topic, o.kind, o.archived_at FROM old_rooms o
    ), changed AS (
        SELECT id, min(name) FILTER (WHERE after) AS name, min(topic) FILTER (WHERE after) AS topic, min(kind) FILTER (WHERE after) AS kind, min(archived_at) FILTER (WHERE after) AS archived_at,
               min(name) FILTER (WHERE NOT after) AS old_name, min(topic) FILTER (WHERE NOT after) AS old_topic, min(kind) FILTER (WHERE NOT after) AS old_kind, min(archived_at) FILTER (WHERE NOT after) AS old_archived_at
        FROM both_ways GROUP BY id
    ), events AS (
        SELECT id, 1 AS ord, 'renamed' AS what, jsonb_build_object('from', old_name, 'to', name) AS detail FROM changed WHERE name <> old_name
        UNION ALL SELECT id, 2, 'topic', jsonb_build_object('from', old_topic, 'to', topic) FROM changed WHERE topic <> old_topic
        UNION ALL SELECT id, 3, kind, '{}' FROM changed WHERE kind <> old_kind
        UNION ALL SELECT id, 4, CASE WHEN archived_at IS NULL THEN 'restored' ELSE 'archived' END, '{}' FROM changed WHERE kind IS NOT NULL AND (archived_at IS NULL) <> (old_archived_at IS NULL)
    )
    SELECT array_agg(id ORDER BY id, ord), array_agg(what ORDER BY id, ord), array_agg(detail ORDER BY id, ord) INTO rooms, kinds, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, array_fill(NULL::uuid, ARRAY[cardinality(rooms)]), details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Users.
-- +goose StatementBegin
CREATE FUNCTION chat.users_before_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM messages m WHERE m.author_id = OLD.id) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('%L has said something, and cannot be deleted', OLD.name),
            DETAIL = 'Messages have an author, also those that were erased.',
            HINT = format('Erase what they said: delete from chat.messages where author_id = %L; then give the empty rows to another user: update chat.messages set author_id = … where author_id = %1$L;', OLD.id),
            CONSTRAINT = 'messages_author_id_fkey';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_before_delete() IS 'Says what to do with the messages of who is deleted.';
CREATE TRIGGER users_before_delete BEFORE DELETE ON chat.users FOR EACH ROW EXECUTE FUNCTION chat.users_before_delete();
COMMENT ON TRIGGER users_before_delete ON chat.users IS 'An author stays.';

DROP TRIGGER users_after_rename ON chat.users;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_rename() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    renamed uuid[] := ARRAY(SELECT c.id FROM (SELECT n.id, n.name FROM new_users n EXCEPT SELECT o.id, o.name FROM old_users o) c);
    rooms   uuid[];
    seqs    bigint[];
BEGIN
    SELECT array_agg(c.room_id), array_agg(c.seq) INTO rooms, seqs
    FROM (SELECT r.room_id, r.seq FROM unnest(renamed) u JOIN reactions r ON r.user_id = u UNION SELECT p.room_id, p.seq FROM unnest(renamed) u JOIN pins p ON p.user_id = u) c;
    IF rooms IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT unnest(rooms), unnest(seqs)) ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    UPDATE messages m SET extra = attach(attach(m.extra, 'reactions', reactions_of(m.room_id, m.seq)), 'pinned', pin_of(m.room_id, m.seq))
    WHERE (m.room_id, m.seq) IN (SELECT unnest(rooms), unnest(seqs));
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_after_rename() IS 'Names users anew in chat.messages.extra.';
CREATE TRIGGER users_after_rename AFTER UPDATE ON chat.users
    REFERENCING OLD TABLE AS old_users NEW TABLE AS new_users FOR EACH STATEMENT EXECUTE FUNCTION chat.users_after_rename();
COMMENT ON TRIGGER users_after_rename ON chat.users IS 'Who has reacted and pinned is called by the name that they now have.';

-- What these read they read by keys, however small the tables were when the session planned it.
ALTER FUNCTION chat.add_room_events(uuid[], text[], uuid[], jsonb[]) SET enable_seqscan = off;
ALTER FUNCTION chat.files_shown() SET enable_seqscan = off;
ALTER FUNCTION chat.members_before_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.members_succeed() SET enable_seqscan = off;
ALTER FUNCTION chat.note_mentions(uuid[], uuid[]) SET enable_seqscan = off;
ALTER FUNCTION chat.recount_threads(uuid[], bigint[]) SET enable_seqscan = off;
ALTER FUNCTION chat.replies_after_delete() SET enable_seqscan = off;
ALTER FUNCTION chat.replies_after_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.replies_before_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) SET enable_seqscan = off;

-- +goose Down
ALTER FUNCTION chat.add_room_events(uuid[], text[], uuid[], jsonb[]) RESET enable_seqscan;
ALTER FUNCTION chat.files_shown() RESET enable_seqscan;
ALTER FUNCTION chat.members_before_insert() RESET enable_seqscan;
ALTER FUNCTION chat.members_succeed() RESET enable_seqscan;
ALTER FUNCTION chat.note_mentions(uuid[], uuid[]) RESET enable_seqscan;
ALTER FUNCTION chat.recount_threads(uuid[], bigint[]) RESET enable_seqscan;
ALTER FUNCTION chat.replies_after_delete() RESET enable_seqscan;
ALTER FUNCTION chat.replies_after_insert() RESET enable_seqscan;
ALTER FUNCTION chat.replies_before_insert() RESET enable_seqscan;
ALTER FUNCTION chat.show_files(uuid[], bigint[]) RESET enable_seqscan;
DROP TRIGGER users_after_rename ON chat.users;
DROP TRIGGER users_before_delete ON chat.users;
DROP TRIGGER members_check_insert ON chat.members;
DROP TRIGGER messages_after_update ON chat.messages;
DROP TRIGGER messages_before_update ON chat.messages;
DROP TRIGGER refuse_new_key ON chat.members;
DROP TRIGGER refuse_new_key ON chat.files;
DROP TRIGGER refuse_new_key ON chat.rooms;
DROP TRIGGER refuse_new_key ON chat.users;
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['files', 'members', 'mentions', 'messages', 'pins', 'reactions', 'replies', 'room_heads', 'rooms', 'sessions', 'tokens', 'users'] LOOP
        EXECUTE format('DROP TRIGGER refuse_truncate ON chat.%I', name);
    END LOOP;
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.users_before_delete(), chat.members_after_insert(), chat.refuse_new_key(), chat.refuse_truncate();
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rooms bigint;
    moved bigint;
    told_rooms bigint;
    heads text;
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
           count(pg_notify('room:' || t.room_id, notice(t.first, t.last, CASE WHEN t.whole THEN t.messages END))),
           string_agg('{"room":"' || t.room_id || '","seq":' || t.last || '}', ',')
        INTO rooms, moved, told_rooms, heads FROM told t;
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
    IF heads IS NOT NULL THEN
        PERFORM tell_activity('moved', heads);
    END IF;
    IF EXISTS (SELECT FROM new_messages WHERE position('@' IN body) > 0) THEN
        PERFORM note_mentions(array_agg(n.room_id), array_agg(n.id)) FROM new_messages n WHERE position('@' IN n.body) > 0;
    END IF;
    IF current_setting('chat.given', true) = 'on' THEN
        PERFORM set_config('chat.seq_' || replace(n.room_id::text, '-', ''), '', true) FROM (SELECT DISTINCT room_id FROM new_messages) n;
        PERFORM set_config('chat.given', '', true);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_before_update() RETURNS trigger
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_removal() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    threads bigint[];
BEGIN
    SELECT array_agg(r.room_id), array_agg(r.thread) INTO rooms, threads
    FROM new_messages n JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq
    JOIN replies r ON r.room_id = n.room_id AND r.seq = n.seq
    WHERE n.extra ? 'reply' AND (n.deleted_at IS NULL) <> (o.deleted_at IS NULL);
    IF rooms IS NOT NULL THEN
        PERFORM recount_threads(rooms, threads);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_removal() IS 'Threads count the replies that show.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_renote() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms uuid[];
    ids   uuid[];
    seqs  bigint[];
BEGIN
    SELECT array_agg(n.room_id), array_agg(n.id), array_agg(n.seq) INTO rooms, ids, seqs
    FROM new_messages n JOIN old_messages o ON o.room_id = n.room_id AND o.seq = n.seq
    WHERE (n.body <> o.body OR (n.deleted_at IS NULL) <> (o.deleted_at IS NULL)) AND (position('@' IN n.body) > 0 OR position('@' IN o.body) > 0);
    IF rooms IS NOT NULL THEN
        DELETE FROM mentions m USING unnest(rooms, seqs) AS c (room_id, seq) WHERE m.room_id = c.room_id AND m.seq = c.seq;
        PERFORM note_mentions(rooms, ids);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_renote() IS 'Notes anew whom messages address that were edited, deleted or brought back.';
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
                   'extra', CASE WHEN m.deleted_at IS NULL THEN quoted(m.room_id, m.extra) END) ORDER BY m.rev)
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    DELETE FROM reactions r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM pins p USING old_messages o WHERE p.room_id = o.room_id AND p.seq = o.seq;
    DELETE FROM replies r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM search_documents d USING old_messages o WHERE d.room_id = o.room_id AND d.seq = o.seq;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_delete() IS 'Removes what belonged to messages that were removed: reactions, pins, which message they answered, their words in the search.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"room":"' || n.room_id || '","user":"' || n.user_id || '","seq":' || n.last_read_seq || '}', ',') INTO entries
    FROM (SELECT n.* FROM new_members n JOIN old_members o ON o.room_id = n.room_id AND o.user_id = n.user_id
          WHERE o.last_read_seq <> n.last_read_seq LIMIT 100) n;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('read', entries);
    END IF;
    SELECT string_agg('{"user":"' || user_id || '"}', ',') INTO entries
    FROM (SELECT DISTINCT n.user_id FROM new_members n JOIN old_members o ON o.room_id = n.room_id AND o.user_id = n.user_id
          WHERE (o.role, o.starred, o.notify) <> (n.role, n.starred, n.notify) LIMIT 200) n;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('members', entries);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"room":"' || id || '"}', ',') INTO entries FROM (
        SELECT n.id FROM new_rooms n JOIN old_rooms o ON o.id = n.id
        WHERE (n.slug, n.name, n.topic, n.kind) <> (o.slug, o.name, o.topic, o.kind) OR n.archived_at IS DISTINCT FROM o.archived_at LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('rooms', entries);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_after_update() IS 'Tells every instance which rooms are called otherwise, have another topic, became private or public, were archived or restored.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    kinds   text[];
    details jsonb[];
BEGIN
    WITH changed AS (
        SELECT n.id, n.name, n.topic, n.kind, n.archived_at, o.name AS old_name, o.topic AS old_topic, o.kind AS old_kind, o.archived_at AS old_archived_at
        FROM new_rooms n JOIN old_rooms o ON o.id = n.id WHERE n.kind <> 'direct'
    ), events AS (
        SELECT id, 1 AS ord, 'renamed' AS what, jsonb_build_object('from', old_name, 'to', name) AS detail FROM changed WHERE name <> old_name
        UNION ALL SELECT id, 2, 'topic', jsonb_build_object('from', old_topic, 'to', topic) FROM changed WHERE topic <> old_topic
        UNION ALL SELECT id, 3, kind, '{}' FROM changed WHERE kind <> old_kind
        UNION ALL SELECT id, 4, CASE WHEN archived_at IS NULL THEN 'restored' ELSE 'archived' END, '{}' FROM changed WHERE (archived_at IS NULL) <> (old_archived_at IS NULL)
    )
    SELECT array_agg(id ORDER BY id, ord), array_agg(what ORDER BY id, ord), array_agg(detail ORDER BY id, ord) INTO rooms, kinds, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, array_fill(NULL::uuid, ARRAY[cardinality(rooms)]), details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_rename() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    PERFORM FROM messages m
    WHERE (m.room_id, m.seq) IN (SELECT r.room_id, r.seq FROM reactions r WHERE r.user_id = NEW.id
                                 UNION SELECT p.room_id, p.seq FROM pins p WHERE p.user_id = NEW.id)
    ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    IF FOUND THEN
        UPDATE messages m SET extra = attach(attach(m.extra, 'reactions', reactions_of(m.room_id, m.seq)), 'pinned', pin_of(m.room_id, m.seq))
        WHERE (m.room_id, m.seq) IN (SELECT r.room_id, r.seq FROM reactions r WHERE r.user_id = NEW.id
                                     UNION SELECT p.room_id, p.seq FROM pins p WHERE p.user_id = NEW.id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_after_rename() IS 'Names the user anew in chat.messages.extra.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.room_heads_before_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = 'rooms are not truncated: their messages would stay behind',
        HINT = 'delete from chat.rooms where …;';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.room_heads_before_truncate() IS 'Refuses TRUNCATE, also of chat.rooms, which would not take the messages along.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    what     text := CASE TG_OP WHEN 'INSERT' THEN 'joined' ELSE 'left' END;
    rooms    uuid[];
    kinds    text[];
    subjects uuid[];
    details  jsonb[];
BEGIN
    WITH small AS (
        SELECT r.id FROM rooms r
        WHERE r.id IN (SELECT room_id FROM changed_members) AND NOT r.everyone AND r.kind <> 'direct' AND (what = 'left' OR r.created_at <> now())
          AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = r.id LIMIT 101) m) <= 100
    ), people AS (
        SELECT c.room_id, c.user_id, u.name, count(*) OVER (PARTITION BY c.room_id) AS n FROM changed_members c JOIN small s ON s.id = c.room_id JOIN users u ON u.id = c.user_id
    ), events AS (
        SELECT room_id, user_id, lower(name) AS by, '{}'::jsonb AS detail FROM people WHERE n <= 20
        UNION ALL SELECT room_id, NULL, '', jsonb_build_object('count', n) FROM people WHERE n > 20 GROUP BY room_id, n
    )
    SELECT array_agg(room_id ORDER BY room_id, by), array_agg(what), array_agg(user_id ORDER BY room_id, by), array_agg(detail ORDER BY room_id, by)
        INTO rooms, kinds, subjects, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, subjects, details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER messages_after_removal AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_removal();
CREATE TRIGGER messages_after_update AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_update();
CREATE TRIGGER messages_renote AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_renote();
CREATE TRIGGER messages_before_update BEFORE UPDATE ON chat.messages
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION chat.messages_before_update();
CREATE TRIGGER room_heads_before_truncate BEFORE TRUNCATE ON chat.room_heads
    FOR EACH STATEMENT EXECUTE FUNCTION chat.room_heads_before_truncate();
CREATE TRIGGER users_after_rename AFTER UPDATE ON chat.users
    FOR EACH ROW WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION chat.users_after_rename();
COMMENT ON TRIGGER messages_after_removal ON chat.messages IS 'Threads count the replies that show. By its name it comes before messages_after_update.';
COMMENT ON TRIGGER messages_after_update ON chat.messages IS 'Changes are numbered and told, once per statement.';
COMMENT ON TRIGGER messages_renote ON chat.messages IS 'Mentions follow what a message says.';
COMMENT ON TRIGGER messages_before_update ON chat.messages IS 'Keys never change; edits are dated.';
COMMENT ON TRIGGER messages_after_delete ON chat.messages IS 'Reactions and pins go with their message.';
COMMENT ON TRIGGER room_heads_before_truncate ON chat.room_heads IS 'Messages go with their room, and TRUNCATE does not take them.';
COMMENT ON TRIGGER users_after_rename ON chat.users IS 'Who has reacted and pinned is called by the name that they now have.';
ALTER TABLE chat.messages DROP CONSTRAINT messages_body_check,
    ADD CONSTRAINT messages_body_check CHECK (char_length(body) <= 8000 AND body ~ '\S') NOT VALID;
COMMENT ON TABLE chat.messages IS 'What was said. INSERT, UPDATE and DELETE here show in every open browser; triggers number and notify.';
COMMENT ON COLUMN chat.messages.body IS 'What was said, plain text, 1 to 8000 characters.';
COMMENT ON CONSTRAINT messages_body_check ON chat.messages IS '1 to 8000 characters, not only white space.';
DROP INDEX chat.rooms_created_by_idx, chat.messages_author_id_idx;
