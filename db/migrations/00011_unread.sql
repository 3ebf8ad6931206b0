-- +goose Up
-- What a user has not read is arithmetic, last_seq - last_read_seq, from the day they join; who was a member before this has
-- read everything. Mentions are kept apart: they are few.
ALTER TABLE chat.members ALTER COLUMN last_read_seq DROP DEFAULT,
    ADD CONSTRAINT members_last_read_seq_check CHECK (last_read_seq >= 0);
COMMENT ON CONSTRAINT members_last_read_seq_check ON chat.members IS '0: nothing is read.';
COMMENT ON COLUMN chat.members.last_read_seq IS 'seq up to which they have read; unread = last_seq - last_read_seq. Leave it out: who joins has read what was said before.';
UPDATE chat.members m SET last_read_seq = h.last_seq FROM chat.room_heads h WHERE h.room_id = m.room_id AND m.last_read_seq < h.last_seq;

-- +goose StatementBegin
CREATE FUNCTION chat.members_before_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    NEW.last_read_seq := coalesce((SELECT last_seq FROM room_heads WHERE room_id = NEW.room_id), 0);
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.members_before_insert() IS 'Who joins has read what was said before.';
CREATE TRIGGER members_before_insert BEFORE INSERT ON chat.members
    FOR EACH ROW WHEN (NEW.last_read_seq IS NULL) EXECUTE FUNCTION chat.members_before_insert();
COMMENT ON TRIGGER members_before_insert ON chat.members IS 'Plain INSERTs need no last_read_seq.';

CREATE TABLE chat.mentions (
    user_id uuid   NOT NULL,
    room_id uuid   NOT NULL,
    seq     bigint NOT NULL,
    CONSTRAINT mentions_pkey PRIMARY KEY (user_id, room_id, seq),
    CONSTRAINT mentions_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT mentions_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE
);
CREATE INDEX mentions_room_id_idx ON chat.mentions (room_id, seq);
COMMENT ON TABLE chat.mentions IS 'Who is addressed by which message, with @name. Kept by triggers from what messages say.';
COMMENT ON COLUMN chat.mentions.user_id IS 'Who is addressed: a member of the room, not the author.';
COMMENT ON COLUMN chat.mentions.room_id IS 'The message''s room.';
COMMENT ON COLUMN chat.mentions.seq IS 'The message''s place in it.';
COMMENT ON CONSTRAINT mentions_pkey ON chat.mentions IS 'A message addresses a user once; the unread ones of a user are found by it.';
COMMENT ON INDEX chat.mentions_pkey IS 'A message addresses a user once; the unread ones of a user are found by it.';
COMMENT ON CONSTRAINT mentions_user_id_fkey ON chat.mentions IS 'Mentions end with the user.';
COMMENT ON CONSTRAINT mentions_room_id_fkey ON chat.mentions IS 'Mentions end with the room.';
COMMENT ON INDEX chat.mentions_room_id_idx IS 'The mentions of a message that was edited or deleted; those of a room.';

-- The channel "activity", which every instance hears: what moved, what was read, who was addressed. A list that does not fit
-- into a notification is told as an empty one: the instances read for themselves.
-- +goose StatementBegin
CREATE FUNCTION chat.tell_activity(kind text, entries text) RETURNS void
LANGUAGE sql SET search_path = chat, pg_temp
RETURN pg_notify('activity', '{"' || kind || '":['
    || CASE WHEN octet_length(entries) < 7900 THEN entries ELSE '' END || ']}');
-- +goose StatementEnd
COMMENT ON FUNCTION chat.tell_activity(text, text) IS 'Notifies the channel "activity" of a list of JSON objects; of an empty list where they do not fit into 7999 bytes, which says: many.';

-- +goose StatementBegin
CREATE FUNCTION chat.members_after_update() RETURNS trigger
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
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.members_after_update() IS 'Tells every instance who has read how far, so that all pages of the user show it.';
CREATE TRIGGER members_after_update AFTER UPDATE ON chat.members
    REFERENCING OLD TABLE AS old_members NEW TABLE AS new_members
    FOR EACH STATEMENT EXECUTE FUNCTION chat.members_after_update();
COMMENT ON TRIGGER members_after_update ON chat.members IS 'What is read on one device is read on all.';

-- +goose StatementBegin
CREATE FUNCTION chat.members_after_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"user":"' || user_id || '"}', ',') INTO entries FROM (SELECT DISTINCT user_id FROM changed_members LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('members', entries);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.members_after_change() IS 'Tells every instance whose memberships have changed, so that their pages list the rooms that they now have.';
CREATE TRIGGER members_after_insert AFTER INSERT ON chat.members
    REFERENCING NEW TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_after_change();
COMMENT ON TRIGGER members_after_insert ON chat.members IS 'A room that somebody joins, or is put into, appears on their pages.';
CREATE TRIGGER members_after_delete AFTER DELETE ON chat.members
    REFERENCING OLD TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_after_change();
COMMENT ON TRIGGER members_after_delete ON chat.members IS 'A room that somebody leaves, or is put out of, or that is deleted, goes from their pages.';

-- +goose StatementBegin
CREATE FUNCTION chat.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"room":"' || id || '"}', ',') INTO entries FROM (
        SELECT n.id FROM new_rooms n JOIN old_rooms o ON o.id = n.id
        WHERE (n.slug, n.name, n.topic) <> (o.slug, o.name, o.topic) OR n.archived_at IS DISTINCT FROM o.archived_at LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('rooms', entries);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_after_update() IS 'Tells every instance which rooms are called otherwise, have another topic, or were archived or restored.';
CREATE TRIGGER rooms_after_update AFTER UPDATE ON chat.rooms
    REFERENCING OLD TABLE AS old_rooms NEW TABLE AS new_rooms
    FOR EACH STATEMENT EXECUTE FUNCTION chat.rooms_after_update();
COMMENT ON TRIGGER rooms_after_update ON chat.rooms IS 'What a room is called changes on all pages.';

-- +goose StatementBegin
CREATE FUNCTION chat.note_mentions(room_ids uuid[], ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    WITH called AS (
        SELECT DISTINCT s.room_id, s.seq, u.id AS user_id
        FROM unnest(room_ids, ids) AS i (room_id, id)
        JOIN messages s ON s.id = i.id AND s.room_id IS NOT DISTINCT FROM i.room_id
        CROSS JOIN LATERAL regexp_matches(s.body, '(?:^|[^[:alnum:]_.@-])@([[:alnum:]_.-]{2,33})', 'g') AS found (words)
        JOIN users u ON lower(u.name) IN (lower(found.words[1]), lower(rtrim(found.words[1], '._-')))
        JOIN members m ON m.room_id = s.room_id AND m.user_id = u.id
        WHERE s.deleted_at IS NULL AND u.id <> s.author_id
    ), stored AS (
        INSERT INTO mentions (user_id, room_id, seq) SELECT user_id, room_id, seq FROM called ON CONFLICT DO NOTHING
        RETURNING user_id, room_id, seq
    )
    SELECT string_agg('{"room":"' || room_id || '","user":"' || user_id || '","seq":' || seq || '}', ',') INTO entries FROM stored;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('mentioned', entries);
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.note_mentions(uuid[], uuid[]) IS 'Notes whom messages address, and tells every instance. Takes rooms and messages'' ids, one at each index; what is noted already stays.';

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

DROP FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]);
-- +goose StatementBegin
CREATE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], tell boolean DEFAULT true)
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
            IF tell THEN
                PERFORM tell_activity('moved', '{"room":"' || room_ids[1] || '","seq":' || new_seq || '}');
            END IF;
            IF position('@' IN bodies[1]) > 0 THEN
                PERFORM note_mentions(room_ids, ids);
            END IF;
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
    IF tell THEN
        PERFORM tell_activity('moved', string_agg('{"room":"' || h.room_id || '","seq":' || h.last_seq || '}', ','))
        FROM room_heads h WHERE h.room_id = ANY (room_ids) HAVING count(*) > 0;
    END IF;
    IF EXISTS (SELECT FROM unnest(bodies) AS b WHERE position('@' IN b) > 0) THEN
        PERFORM note_mentions(array_agg(i.room_id), array_agg(i.id)) FROM unnest(room_ids, ids, bodies) AS i (room_id, id, body) WHERE position('@' IN i.body) > 0;
    END IF;
    accounted := set_config('chat.accounted', outer_depth, true);
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) SET enable_seqscan = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) SET enable_hashjoin = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) SET enable_mergejoin = off;
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) SET enable_material = off;
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, not_a_member, body_empty, body_too_long. With tell false the caller tells the channel "activity" how far the rooms have come, as servers do for many batches at once.';


-- +goose StatementBegin
CREATE FUNCTION chat.messages_renote() RETURNS trigger
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
CREATE TRIGGER messages_renote AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages
    FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_renote();
COMMENT ON TRIGGER messages_renote ON chat.messages IS 'Mentions follow what a message says.';

-- +goose Down
DROP TRIGGER messages_renote ON chat.messages;
DROP FUNCTION chat.messages_renote(), chat.post_batch(uuid[], uuid[], uuid[], text[], boolean);
-- As they were in migration 10.
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

DROP FUNCTION chat.note_mentions(uuid[], uuid[]);
DROP TRIGGER rooms_after_update ON chat.rooms;
DROP TRIGGER members_after_update ON chat.members;
DROP TRIGGER members_after_delete ON chat.members;
DROP TRIGGER members_after_insert ON chat.members;
DROP FUNCTION chat.rooms_after_update(), chat.members_after_change(), chat.members_after_update(), chat.tell_activity(text, text);
DROP TABLE chat.mentions;
DROP TRIGGER members_before_insert ON chat.members;
DROP FUNCTION chat.members_before_insert();
ALTER TABLE chat.members DROP CONSTRAINT members_last_read_seq_check, ALTER COLUMN last_read_seq SET DEFAULT 0;
COMMENT ON COLUMN chat.members.last_read_seq IS 'seq up to which they have read; unread = last_seq - last_read_seq.';
