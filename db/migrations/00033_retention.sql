-- +goose Up
-- Retention: messages of a room that are older than so many days are removed, from the oldest on, so that what is kept is numbered without a gap
-- from room_heads.first_seq to last_seq. Unlike what DELETE erases nothing is left of them, no number and no history.

ALTER TABLE chat.rooms ADD COLUMN keep_days integer, ADD CONSTRAINT rooms_keep_days_check CHECK (keep_days BETWEEN 1 AND 36500);
COMMENT ON COLUMN chat.rooms.keep_days IS 'For how many days messages are kept; NULL: for ever. Servers remove older ones within a minute or two, for good: update chat.rooms set keep_days = 90 where slug = ''general''; chat.retention shows how many that are.';
COMMENT ON CONSTRAINT rooms_keep_days_check ON chat.rooms IS 'A day to a hundred years.';
ALTER TABLE chat.room_heads ADD COLUMN first_seq bigint NOT NULL DEFAULT 1, ADD CONSTRAINT room_heads_first_seq_check CHECK (first_seq BETWEEN 1 AND last_seq + 1);
COMMENT ON COLUMN chat.room_heads.first_seq IS 'seq of its oldest message that is kept; last_seq + 1: none is. Older ones were removed by chat.retain.';
COMMENT ON CONSTRAINT room_heads_first_seq_check ON chat.room_heads IS 'From 1 to beyond the newest message.';

ALTER TABLE chat.room_events DROP CONSTRAINT room_events_kind_check,
    ADD CONSTRAINT room_events_kind_check CHECK (kind IN ('joined', 'left', 'renamed', 'topic', 'archived', 'restored', 'private', 'public', 'retention'));
COMMENT ON CONSTRAINT room_events_kind_check ON chat.room_events IS 'The kinds that pages know.';
COMMENT ON COLUMN chat.room_events.kind IS '"joined", "left", "renamed", "topic", "archived", "restored", "private", "public", or "retention": messages are kept for another time.';
COMMENT ON COLUMN chat.room_events.detail IS '"from" and "to": the name, topic or days before and after; "count": how many joined or left at once.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.seq_since(room_id uuid, since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    first  bigint := (SELECT h.first_seq FROM room_heads h WHERE h.room_id = seq_since.room_id);
    low    bigint := first;
    high   bigint := (SELECT h.last_seq + 1 FROM room_heads h WHERE h.room_id = seq_since.room_id);
    step   bigint := 1; -- doubled until something earlier is found: most of what is asked for is near the end
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := CASE WHEN low = first THEN greatest(first, high - step) ELSE (low + high) / 2 END;
        IF (SELECT m.created_at FROM messages m WHERE m.room_id = seq_since.room_id AND m.seq >= middle ORDER BY m.seq LIMIT 1) < since THEN
            low := middle + 1;
        ELSE
            high := middle;
            step := step * 2;
        END IF;
    END LOOP;
    RETURN low;
END $$;
-- +goose StatementEnd

CREATE OR REPLACE VIEW chat.gaps AS
SELECT coalesce(h.room_id, m.room_id) AS room_id, r.slug AS room, coalesce(h.last_seq, 0) AS last_seq,
       coalesce(m.messages, 0) AS messages, coalesce(m.first_seq, 0) AS first_seq, coalesce(m.newest_seq, 0) AS newest_seq
FROM chat.room_heads h
FULL JOIN (
    SELECT room_id, count(*) AS messages, min(seq) AS first_seq, max(seq) AS newest_seq FROM chat.messages GROUP BY room_id
) m ON m.room_id = h.room_id
LEFT JOIN chat.rooms r ON r.id = coalesce(h.room_id, m.room_id)
WHERE h.room_id IS NULL
   OR (h.last_seq - h.first_seq + 1, h.last_seq, h.first_seq) <> (coalesce(m.messages, 0), coalesce(m.newest_seq, h.last_seq), coalesce(m.first_seq, h.first_seq));
COMMENT ON VIEW chat.gaps IS 'Rooms whose messages are not numbered from room_heads.first_seq to last_seq without a gap. It must be empty, always; a row says that messages were removed past the chat, or that the chat has a defect. Reads every message: not for a dashboard.';
COMMENT ON COLUMN chat.gaps.messages IS 'How many messages there are; should be last_seq - room_heads.first_seq + 1.';
COMMENT ON COLUMN chat.gaps.first_seq IS 'seq of the oldest of them; should be room_heads.first_seq, which is 1 where none were removed for their age.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.integrity_of(room uuid) RETURNS TABLE ("check" text, object text, detail text)
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    WITH this AS MATERIALIZED (
        SELECT coalesce(o.slug, integrity_of.room::text) AS name, o.id IS NOT NULL AS exists, o.kind, o.everyone, o.direct_key, h.first_seq, h.last_seq, h.last_rev, p.seq AS searched, p.rev AS searched_rev
        FROM (SELECT integrity_of.room AS id) i LEFT JOIN rooms o ON o.id = i.id LEFT JOIN room_heads h ON h.room_id = i.id LEFT JOIN search_progress p ON p.room_id = i.id
    ), numbered AS (
        SELECT m.seq, lag(m.seq, 1, coalesce((SELECT t.first_seq FROM this t), 1) - 1) OVER (ORDER BY m.seq) AS seq_before FROM messages m WHERE m.room_id = integrity_of.room
    ), shown AS ( -- in messages.extra; instants are written in the time zone of whoever caused them
        SELECT m.seq, e.key, CASE WHEN e.value ->> t.field ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d' THEN jsonb_set(e.value, ARRAY[t.field], to_jsonb((e.value ->> t.field)::timestamptz)) ELSE e.value END AS value
        FROM messages m
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(m.extra) WHEN 'object' THEN m.extra ELSE jsonb_build_object('', m.extra) END) e
        LEFT JOIN (VALUES ('pinned', 'at'), ('thread', 'last')) t (key, field) ON t.key = e.key
        WHERE m.room_id = integrity_of.room AND m.extra IS NOT NULL
    ), kept AS ( -- in the tables that hold the truth
        SELECT r.seq, 'reactions' AS key, reactions_of(integrity_of.room, r.seq) AS value FROM (SELECT DISTINCT r.seq FROM reactions r WHERE r.room_id = integrity_of.room) r
        UNION ALL
        SELECT p.seq, 'pinned', pin_of(integrity_of.room, p.seq) FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL
        SELECT f.seq, 'files', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'name', f.name, 'type', f.type, 'size', f.size, 'width', f.width, 'height', f.height)) ORDER BY f.place, f.id)
        FROM files f WHERE f.room_id = integrity_of.room AND f.seq IS NOT NULL GROUP BY f.seq
        UNION ALL
        SELECT a.seq, 'reply', jsonb_build_object('seq', a.reply_to, 'thread', a.thread) FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL
        SELECT a.thread, 'thread', jsonb_build_object('count', count(*), 'last', max(m.created_at))
        FROM replies a JOIN messages m ON m.room_id = a.room_id AND m.seq = a.seq
        WHERE a.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY a.thread
    ), parts AS ( -- what belongs to a message, without a foreign key
        SELECT DISTINCT 'reactions' AS part, r.seq FROM reactions r WHERE r.room_id = integrity_of.room
        UNION ALL SELECT 'pins', p.seq FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL SELECT 'replies', a.seq FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL SELECT DISTINCT 'replies', a.reply_to FROM replies a WHERE a.room_id = integrity_of.room AND a.reply_to >= (SELECT t.first_seq FROM this t) -- what it answers may be too old to be kept
        UNION ALL SELECT DISTINCT 'mentions', x.seq FROM mentions x WHERE x.room_id = integrity_of.room
        UNION ALL SELECT 'search', d.seq FROM search_documents d WHERE d.room_id = integrity_of.room
    )
    SELECT 'room', t.name, CASE WHEN t.exists THEN 'has no row in room_heads' ELSE 'there is no such room, and messages or parts of them that say they are in it' END
    FROM this t WHERE NOT t.exists OR t.last_seq IS NULL
    UNION ALL
    SELECT 'seq', t.name, format('there is no message %s', CASE n.seq - n.seq_before WHEN 2 THEN (n.seq - 1)::text ELSE format('%s to %s', n.seq_before + 1, n.seq - 1) END)
    FROM numbered n CROSS JOIN this t WHERE n.seq > n.seq_before + 1
    UNION ALL
    SELECT 'seq', t.name, format('messages %s to %s are there, first_seq says %s', min(n.seq), max(n.seq), t.first_seq)
    FROM numbered n CROSS JOIN this t WHERE n.seq < t.first_seq GROUP BY t.name, t.first_seq
    UNION ALL
    SELECT 'seq', t.name, format('the newest message is %s, last_seq says %s', n.seq, t.last_seq)
    FROM this t CROSS JOIN (SELECT coalesce(max(n.seq), max(t.first_seq) - 1, 0) AS seq FROM this t LEFT JOIN numbered n ON true) n WHERE n.seq <> t.last_seq
    UNION ALL
    SELECT 'rev', t.name, format('change %s is there %s times', v.rev, count(*))
    FROM (SELECT m.rev FROM messages m WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL
          UNION ALL SELECT e.rev FROM room_events e WHERE e.room_id = integrity_of.room) v CROSS JOIN this t GROUP BY t.name, v.rev HAVING count(*) > 1
    UNION ALL
    SELECT 'rev', t.name || '#' || m.seq, format('is change %s, last_rev says %s', m.rev, t.last_rev)
    FROM messages m CROSS JOIN this t WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL AND (m.rev < 1 OR m.rev > t.last_rev)
    UNION ALL
    SELECT 'room_events', t.name, format('line %s (%s) is after message %s, last_rev says %s, first_seq %s, last_seq %s', e.rev, e.kind, e.after_seq, t.last_rev, t.first_seq, t.last_seq)
    FROM room_events e CROSS JOIN this t WHERE e.room_id = integrity_of.room AND (e.rev NOT BETWEEN 1 AND t.last_rev OR e.after_seq NOT BETWEEN t.first_seq - 1 AND t.last_seq)
    UNION ALL
    SELECT 'extra.' || coalesce(s.key, k.key), t.name || '#' || coalesce(s.seq, k.seq), format('is %s, should be %s', coalesce(s.value::text, 'missing'), coalesce(k.value::text, 'missing'))
    FROM shown s FULL JOIN kept k ON k.seq = s.seq AND k.key = s.key CROSS JOIN this t
    WHERE s.value IS DISTINCT FROM k.value
      AND (s.seq IS NOT NULL OR EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = k.seq))
    UNION ALL
    SELECT p.part, t.name || '#' || p.seq, 'there is no such message'
    FROM parts p CROSS JOIN this t WHERE NOT EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = p.seq)
    UNION ALL
    SELECT 'replies', t.name || '#' || a.seq, format('belongs to the thread of message %s, which itself is a reply', a.thread)
    FROM replies a JOIN replies b ON b.room_id = a.room_id AND b.seq = a.thread CROSS JOIN this t WHERE a.room_id = integrity_of.room
    UNION ALL
    SELECT 'pins', t.name, format('%s messages are pinned, at most 100 may be', count(*))
    FROM pins p JOIN messages m ON m.room_id = p.room_id AND m.seq = p.seq CROSS JOIN this t
    WHERE p.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY t.name HAVING count(*) > 100
    UNION ALL
    SELECT 'reactions', t.name || '#' || r.seq, format('has %s different ones, at most 20 may be', count(DISTINCT r.emoji))
    FROM reactions r CROSS JOIN this t WHERE r.room_id = integrity_of.room GROUP BY t.name, r.seq HAVING count(DISTINCT r.emoji) > 20
    UNION ALL
    SELECT 'mentions', t.name || '#' || m.seq, CASE WHEN m.deleted_at IS NULL THEN 'addresses nobody' ELSE 'is deleted' END || format(', and is noted to address %s', string_agg(coalesce(u.name, x.user_id::text), ', ' ORDER BY u.name))
    FROM mentions x JOIN messages m ON m.room_id = x.room_id AND m.seq = x.seq LEFT JOIN users u ON u.id = x.user_id CROSS JOIN this t
    WHERE x.room_id = integrity_of.room AND (m.deleted_at IS NOT NULL OR position('@' IN m.body) = 0) GROUP BY t.name, m.seq, m.deleted_at
    UNION ALL
    SELECT 'files', format('%s %s', f.id, f.name), format('has %s bytes in %s pieces of which the last is number %s, size says %s', c.bytes, c.pieces, c.last, f.size)
    FROM files f CROSS JOIN LATERAL (SELECT count(*) AS pieces, coalesce(max(c.n), -1) AS last, coalesce(sum(octet_length(c.data)), 0) AS bytes FROM file_chunks c WHERE c.file_id = f.id) c
    WHERE f.room_id = integrity_of.room AND f.completed_at IS NOT NULL AND (c.bytes <> f.size OR c.pieces <> c.last + 1)
    UNION ALL
    SELECT 'search', t.name, format('the index says it has messages up to %s and changes up to %s, the room is at %s and %s', t.searched, t.searched_rev, t.last_seq, t.last_rev)
    FROM this t WHERE t.searched > t.last_seq OR t.searched_rev > t.last_rev
    UNION ALL
    SELECT 'search', t.name || '#' || m.seq, CASE WHEN d.seq IS NULL THEN 'is not in the index' WHEN m.seq <= t.searched AND m.deleted_at IS NULL THEN 'has another created_at in the index' ELSE 'is in the index, and should not be' END
    FROM messages m LEFT JOIN search_documents d ON d.room_id = integrity_of.room AND d.seq = m.seq CROSS JOIN this t
    WHERE m.room_id = integrity_of.room AND CASE
        WHEN m.seq > coalesce(t.searched, 0) THEN d.seq IS NOT NULL
        WHEN m.rev > t.searched_rev THEN false -- its turn will come
        WHEN m.deleted_at IS NOT NULL THEN d.seq IS NOT NULL
        ELSE d.created_at IS DISTINCT FROM m.created_at END
    UNION ALL
    SELECT 'members', t.name, format('%s has read up to %s, last_seq says %s', u.name, b.last_read_seq, t.last_seq)
    FROM members b JOIN users u ON u.id = b.user_id CROSS JOIN this t WHERE b.room_id = integrity_of.room AND b.last_read_seq > t.last_seq
    UNION ALL
    SELECT 'members', t.name, format('%s is not a member of a room for everyone', u.name)
    FROM this t CROSS JOIN users u WHERE t.everyone AND NOT EXISTS (SELECT FROM members b WHERE b.room_id = integrity_of.room AND b.user_id = u.id)
    UNION ALL
    SELECT 'direct', t.name, CASE WHEN k.id IS NULL THEN format('%s is a member of the direct conversation, and not in direct_key', b.user_id) ELSE format('%s is in direct_key, and not a member', k.id) END
    FROM (SELECT b.user_id::text AS user_id FROM members b WHERE b.room_id = integrity_of.room) b
    FULL JOIN (SELECT k.id FROM this t CROSS JOIN LATERAL string_to_table(t.direct_key, ',') AS k (id) WHERE EXISTS (SELECT FROM users u WHERE u.id::text = k.id)) k ON k.id = b.user_id
    CROSS JOIN this t WHERE t.kind = 'direct' AND (k.id IS NULL OR b.user_id IS NULL)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    SELECT string_agg('{"room":"' || c.id || '"}', ',') INTO entries
    FROM (SELECT n.id, n.slug, n.name, n.topic, n.kind, n.archived_at, n.keep_days FROM new_rooms n
          EXCEPT SELECT o.id, o.slug, o.name, o.topic, o.kind, o.archived_at, o.keep_days FROM old_rooms o LIMIT 200) c;
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

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.rooms_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    kinds   text[];
    details jsonb[];
BEGIN
    WITH both_ways AS (
        SELECT true AS after, n.id, n.name, n.topic, n.kind, n.archived_at, n.keep_days FROM new_rooms n WHERE n.kind <> 'direct'
        UNION ALL SELECT false, o.id, o.name, o.topic, o.kind, o.archived_at, o.keep_days FROM old_rooms o
    ), changed AS (
        SELECT id, min(name) FILTER (WHERE after) AS name, min(topic) FILTER (WHERE after) AS topic, min(kind) FILTER (WHERE after) AS kind, min(archived_at) FILTER (WHERE after) AS archived_at, min(keep_days) FILTER (WHERE after) AS keep_days,
               min(name) FILTER (WHERE NOT after) AS old_name, min(topic) FILTER (WHERE NOT after) AS old_topic, min(kind) FILTER (WHERE NOT after) AS old_kind, min(archived_at) FILTER (WHERE NOT after) AS old_archived_at, min(keep_days) FILTER (WHERE NOT after) AS old_keep_days
        FROM both_ways GROUP BY id
    ), events AS (
        SELECT id, 1 AS ord, 'renamed' AS what, jsonb_build_object('from', old_name, 'to', name) AS detail FROM changed WHERE name <> old_name
        UNION ALL SELECT id, 2, 'topic', jsonb_build_object('from', old_topic, 'to', topic) FROM changed WHERE topic <> old_topic
        UNION ALL SELECT id, 3, kind, '{}' FROM changed WHERE kind <> old_kind
        UNION ALL SELECT id, 4, CASE WHEN archived_at IS NULL THEN 'restored' ELSE 'archived' END, '{}' FROM changed WHERE kind IS NOT NULL AND (archived_at IS NULL) <> (old_archived_at IS NULL)
        UNION ALL SELECT id, 5, 'retention', jsonb_build_object('from', old_keep_days::text, 'to', keep_days::text) FROM changed WHERE kind IS NOT NULL AND keep_days IS DISTINCT FROM old_keep_days
    )
    SELECT array_agg(id ORDER BY id, ord), array_agg(what ORDER BY id, ord), array_agg(detail ORDER BY id, ord) INTO rooms, kinds, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, array_fill(NULL::uuid, ARRAY[cardinality(rooms)]), details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_note() IS 'Notes which rooms were renamed, have another topic, became private or public, were archived or restored, or keep messages for another time.';

-- What chat.retain removes it removes with all that belongs to it, by ranges; what the triggers do for each message is for what is erased.
DROP TRIGGER messages_after_delete ON chat.messages;
CREATE TRIGGER messages_after_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_messages FOR EACH STATEMENT
    WHEN (current_setting('chat.retaining', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION chat.messages_after_delete();
COMMENT ON TRIGGER messages_after_delete ON chat.messages IS 'What belongs to a message goes with it; its number stays, unless chat.retain removes it.';
DROP TRIGGER zz_keep_delete ON chat.messages;
CREATE TRIGGER zz_keep_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
    WHEN (current_setting('chat.retaining', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION chat.keep_messages();
COMMENT ON TRIGGER zz_keep_delete ON chat.messages IS 'What was erased is kept for a while, and who has done it is noted; by its name the last. Not so what chat.retain removes.';

-- The index of the search begins where the room does.
-- +goose StatementBegin
CREATE FUNCTION chat.search_progress_before_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    NEW.seq := greatest(NEW.seq, (SELECT h.first_seq - 1 FROM room_heads h WHERE h.room_id = NEW.room_id));
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_progress_before_insert() IS 'Has the index of the search begin with the oldest message that is kept.';
CREATE TRIGGER search_progress_before_insert BEFORE INSERT ON chat.search_progress FOR EACH ROW EXECUTE FUNCTION chat.search_progress_before_insert();
COMMENT ON TRIGGER search_progress_before_insert ON chat.search_progress IS 'What is not kept is not looked for.';

-- A batch: the room's oldest messages, at most so many, and fewer where they have large files. The room's head is locked at the end, for as
-- long as it takes to commit: what is posted waits for nothing else. Messages are locked before heads are, as everywhere.
-- As the owner: the server's role deletes no message by itself, and this deletes only what rooms say.
-- +goose StatementBegin
CREATE FUNCTION chat.retain(most integer DEFAULT 1000, OUT room text, OUT removed bigint, OUT oldest bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
DECLARE
    most_bytes constant bigint := 64 * 1024 * 1024; -- of files in a batch, unless one message alone has more
    due  record;
    last bigint; -- seq up to which messages go
    gone record;
BEGIN
    removed := 0;
    IF most IS NULL OR most NOT BETWEEN 1 AND 10000 THEN
        RAISE invalid_parameter_value USING MESSAGE = format('at once are removed 1 to 10000 messages, not %s', coalesce(most::text, 'NULL')),
            HINT = 'select * from chat.retain(); and again, until removed is 0.';
    ELSIF NOT pg_try_advisory_xact_lock(hashtext('chat.retain')) THEN
        RETURN;
    END IF;
    FOR due IN
        SELECT r.id, r.slug, r.keep_days, h.first_seq, now() - make_interval(days => r.keep_days) AS before
        FROM rooms r JOIN room_heads h ON h.room_id = r.id JOIN messages m ON m.room_id = h.room_id AND m.seq = h.first_seq
        WHERE r.keep_days IS NOT NULL AND m.created_at NOT BETWEEN now() - make_interval(days => r.keep_days) AND now() ORDER BY r.id
    LOOP
        -- Up to the last one that is too old, before any that is not: an import has times as it pleases, and nothing goes before its time. One of
        -- the future says nothing of its age, and goes with those after it.
        SELECT max(m.seq) INTO last FROM messages m
        WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND due.first_seq + most - 1 AND m.created_at < due.before
          AND m.seq < coalesce((SELECT min(k.seq) FROM messages k WHERE k.room_id = due.id AND k.seq BETWEEN due.first_seq AND due.first_seq + most - 1
                                AND k.created_at BETWEEN due.before AND now()), due.first_seq + most);
        EXIT WHEN last IS NOT NULL;
    END LOOP;
    IF last IS NULL THEN
        RETURN;
    END IF;
    last := greatest(due.first_seq, least(last, (
        SELECT min(f.seq) - 1 FROM (
            SELECT f.seq, sum(f.size) OVER (ORDER BY f.seq) AS bytes FROM files f WHERE f.room_id = due.id AND f.seq BETWEEN due.first_seq AND last) f
        WHERE f.bytes > most_bytes)));
    PERFORM pg_advisory_xact_lock(hashtext('pgchat: search')); -- the indexer has not read what goes now, and does not store it after
    PERFORM set_config('chat.retaining', 'on', true);
    WITH deleted AS (
        DELETE FROM messages m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last RETURNING m.created_at
    )
    SELECT count(*) AS messages, min(d.created_at) AS first_at, max(d.created_at) AS last_at INTO gone FROM deleted d;
    PERFORM set_config('chat.retaining', '', true);
    DELETE FROM reactions r WHERE r.room_id = due.id AND r.seq BETWEEN due.first_seq AND last;
    DELETE FROM pins p WHERE p.room_id = due.id AND p.seq BETWEEN due.first_seq AND last;
    DELETE FROM replies r WHERE r.room_id = due.id AND r.seq BETWEEN due.first_seq AND last;
    DELETE FROM mentions m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
    DELETE FROM message_history m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
    DELETE FROM room_events e WHERE e.room_id = due.id AND e.after_seq BETWEEN due.first_seq - 1 AND last - 1; -- before what goes
    DELETE FROM search_documents d WHERE d.room_id = due.id AND d.seq BETWEEN due.first_seq AND last;
    UPDATE search_progress p SET seq = last WHERE p.room_id = due.id AND p.seq < last;
    PERFORM FROM members m WHERE m.room_id = due.id AND m.last_read_seq < last ORDER BY m.user_id FOR NO KEY UPDATE;
    UPDATE members m SET last_read_seq = last WHERE m.room_id = due.id AND m.last_read_seq < last;
    room := due.slug; removed := gone.messages; oldest := last + 1;
    INSERT INTO audit_log (table_name, operation, rows, key, old)
    VALUES ('messages', 'DELETE', removed, jsonb_build_object('room_id', due.id),
            jsonb_build_object('keep_days', due.keep_days, 'first_seq', due.first_seq, 'last_seq', last, 'first_at', gone.first_at, 'last_at', gone.last_at));
    UPDATE room_heads h SET first_seq = oldest WHERE h.room_id = due.id;
    PERFORM pg_notify('room:' || due.id, '{"first_kept":' || oldest || '}');
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.retain(integer) IS 'Removes a batch of messages that are older than their room keeps them (rooms.keep_days), at most so many, with all that belongs to them, and notes it in chat.audit_log. Servers call it every minute, and again at once until removed is 0; so may you: select * from chat.retain(); Returns the room, how many were removed, and the seq of its oldest message from then on; 0: none are too old, or another session is at it.';

CREATE VIEW chat.retention AS
SELECT r.slug AS room, r.keep_days, h.last_seq - h.first_seq + 1 AS messages, h.first_seq,
       date_trunc('second', (SELECT m.created_at FROM chat.messages m WHERE m.room_id = h.room_id AND m.seq = h.first_seq)) AS oldest,
       CASE WHEN r.keep_days IS NULL THEN 0 ELSE chat.seq_since(r.id, now() - make_interval(days => r.keep_days)) - h.first_seq END AS due
FROM chat.rooms r JOIN chat.room_heads h ON h.room_id = r.id
WHERE r.keep_days IS NOT NULL OR h.first_seq > 1;
COMMENT ON VIEW chat.retention IS 'The rooms that do not keep all their messages for ever. What has been removed is in chat.audit_log: select * from chat.audit_log where table_name = ''messages'' and old ? ''keep_days'' order by id desc;';
COMMENT ON COLUMN chat.retention.room IS 'Its slug.';
COMMENT ON COLUMN chat.retention.keep_days IS 'For how many days messages are kept; NULL: for ever from now on.';
COMMENT ON COLUMN chat.retention.messages IS 'How many it has, those that were deleted from sight or erased among them.';
COMMENT ON COLUMN chat.retention.first_seq IS 'seq of the oldest one that is kept; those before it were removed.';
COMMENT ON COLUMN chat.retention.oldest IS 'When that one was stored; NULL: none is kept.';
COMMENT ON COLUMN chat.retention.due IS 'About how many are too old and go at the next run: exactly so many where times rise with seq.';
COMMENT ON COLUMN chat.audit_log.rows IS '1; of a statement over more than 100 rows its last entry stands for all those that are not noted one by one; of messages that chat.retain has removed, how many.';

-- +goose Down
-- What was removed does not come back: chat.gaps then has the rooms.
DROP VIEW chat.retention;
DROP FUNCTION chat.retain(integer);
DROP TRIGGER search_progress_before_insert ON chat.search_progress;
DROP FUNCTION chat.search_progress_before_insert();
DROP TRIGGER zz_keep_delete ON chat.messages;
CREATE TRIGGER zz_keep_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat.keep_messages();
COMMENT ON TRIGGER zz_keep_delete ON chat.messages IS 'What was erased is kept for a while, and who has done it is noted; by its name the last.';
DROP TRIGGER messages_after_delete ON chat.messages;
CREATE TRIGGER messages_after_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_delete();
COMMENT ON TRIGGER messages_after_delete ON chat.messages IS 'What belongs to a message goes with it; its number stays.';
CREATE OR REPLACE VIEW chat.gaps AS
SELECT coalesce(h.room_id, m.room_id) AS room_id, r.slug AS room, coalesce(h.last_seq, 0) AS last_seq,
       coalesce(m.messages, 0) AS messages, coalesce(m.first_seq, 0) AS first_seq, coalesce(m.newest_seq, 0) AS newest_seq
FROM chat.room_heads h
FULL JOIN (
    SELECT room_id, count(*) AS messages, min(seq) AS first_seq, max(seq) AS newest_seq FROM chat.messages GROUP BY room_id
) m ON m.room_id = h.room_id
LEFT JOIN chat.rooms r ON r.id = coalesce(h.room_id, m.room_id)
WHERE h.room_id IS NULL
   OR (h.last_seq, h.last_seq, least(h.last_seq, 1)) <> (coalesce(m.messages, 0), coalesce(m.newest_seq, 0), coalesce(m.first_seq, 0));
COMMENT ON VIEW chat.gaps IS 'Rooms whose messages are not numbered 1 to last_seq without a gap. It must be empty, always; a row says that messages were removed past the chat, or that the chat has a defect. Reads every message: not for a dashboard.';
COMMENT ON COLUMN chat.gaps.messages IS 'How many messages there are; should be last_seq.';
COMMENT ON COLUMN chat.gaps.first_seq IS 'seq of the oldest of them; should be 1.';
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.integrity_of(room uuid) RETURNS TABLE ("check" text, object text, detail text)
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    WITH this AS MATERIALIZED (
        SELECT coalesce(o.slug, integrity_of.room::text) AS name, o.id IS NOT NULL AS exists, o.kind, o.everyone, o.direct_key, h.last_seq, h.last_rev, p.seq AS searched, p.rev AS searched_rev
        FROM (SELECT integrity_of.room AS id) i LEFT JOIN rooms o ON o.id = i.id LEFT JOIN room_heads h ON h.room_id = i.id LEFT JOIN search_progress p ON p.room_id = i.id
    ), numbered AS (
        SELECT m.seq, lag(m.seq, 1, 0::bigint) OVER (ORDER BY m.seq) AS seq_before FROM messages m WHERE m.room_id = integrity_of.room
    ), shown AS ( -- in messages.extra; instants are written in the time zone of whoever caused them
        SELECT m.seq, e.key, CASE WHEN e.value ->> t.field ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d' THEN jsonb_set(e.value, ARRAY[t.field], to_jsonb((e.value ->> t.field)::timestamptz)) ELSE e.value END AS value
        FROM messages m
        CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(m.extra) WHEN 'object' THEN m.extra ELSE jsonb_build_object('', m.extra) END) e
        LEFT JOIN (VALUES ('pinned', 'at'), ('thread', 'last')) t (key, field) ON t.key = e.key
        WHERE m.room_id = integrity_of.room AND m.extra IS NOT NULL
    ), kept AS ( -- in the tables that hold the truth
        SELECT r.seq, 'reactions' AS key, reactions_of(integrity_of.room, r.seq) AS value FROM (SELECT DISTINCT r.seq FROM reactions r WHERE r.room_id = integrity_of.room) r
        UNION ALL
        SELECT p.seq, 'pinned', pin_of(integrity_of.room, p.seq) FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL
        SELECT f.seq, 'files', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'name', f.name, 'type', f.type, 'size', f.size, 'width', f.width, 'height', f.height)) ORDER BY f.place, f.id)
        FROM files f WHERE f.room_id = integrity_of.room AND f.seq IS NOT NULL GROUP BY f.seq
        UNION ALL
        SELECT a.seq, 'reply', jsonb_build_object('seq', a.reply_to, 'thread', a.thread) FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL
        SELECT a.thread, 'thread', jsonb_build_object('count', count(*), 'last', max(m.created_at))
        FROM replies a JOIN messages m ON m.room_id = a.room_id AND m.seq = a.seq
        WHERE a.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY a.thread
    ), parts AS ( -- what belongs to a message, without a foreign key
        SELECT DISTINCT 'reactions' AS part, r.seq FROM reactions r WHERE r.room_id = integrity_of.room
        UNION ALL SELECT 'pins', p.seq FROM pins p WHERE p.room_id = integrity_of.room
        UNION ALL SELECT 'replies', a.seq FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL SELECT DISTINCT 'replies', a.reply_to FROM replies a WHERE a.room_id = integrity_of.room
        UNION ALL SELECT DISTINCT 'mentions', x.seq FROM mentions x WHERE x.room_id = integrity_of.room
        UNION ALL SELECT 'search', d.seq FROM search_documents d WHERE d.room_id = integrity_of.room
    )
    SELECT 'room', t.name, CASE WHEN t.exists THEN 'has no row in room_heads' ELSE 'there is no such room, and messages or parts of them that say they are in it' END
    FROM this t WHERE NOT t.exists OR t.last_seq IS NULL
    UNION ALL
    SELECT 'seq', t.name, format('there is no message %s', CASE n.seq - n.seq_before WHEN 2 THEN (n.seq - 1)::text ELSE format('%s to %s', n.seq_before + 1, n.seq - 1) END)
    FROM numbered n CROSS JOIN this t WHERE n.seq <> n.seq_before + 1
    UNION ALL
    SELECT 'seq', t.name, format('the newest message is %s, last_seq says %s', n.seq, t.last_seq)
    FROM this t CROSS JOIN (SELECT coalesce(max(n.seq), 0) AS seq FROM numbered n) n WHERE n.seq <> t.last_seq
    UNION ALL
    SELECT 'rev', t.name, format('change %s is there %s times', v.rev, count(*))
    FROM (SELECT m.rev FROM messages m WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL
          UNION ALL SELECT e.rev FROM room_events e WHERE e.room_id = integrity_of.room) v CROSS JOIN this t GROUP BY t.name, v.rev HAVING count(*) > 1
    UNION ALL
    SELECT 'rev', t.name || '#' || m.seq, format('is change %s, last_rev says %s', m.rev, t.last_rev)
    FROM messages m CROSS JOIN this t WHERE m.room_id = integrity_of.room AND m.rev IS NOT NULL AND (m.rev < 1 OR m.rev > t.last_rev)
    UNION ALL
    SELECT 'room_events', t.name, format('line %s (%s) is after message %s, last_rev says %s, last_seq %s', e.rev, e.kind, e.after_seq, t.last_rev, t.last_seq)
    FROM room_events e CROSS JOIN this t WHERE e.room_id = integrity_of.room AND (e.rev NOT BETWEEN 1 AND t.last_rev OR e.after_seq NOT BETWEEN 0 AND t.last_seq)
    UNION ALL
    SELECT 'extra.' || coalesce(s.key, k.key), t.name || '#' || coalesce(s.seq, k.seq), format('is %s, should be %s', coalesce(s.value::text, 'missing'), coalesce(k.value::text, 'missing'))
    FROM shown s FULL JOIN kept k ON k.seq = s.seq AND k.key = s.key CROSS JOIN this t
    WHERE s.value IS DISTINCT FROM k.value
      AND (s.seq IS NOT NULL OR EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = k.seq))
    UNION ALL
    SELECT p.part, t.name || '#' || p.seq, 'there is no such message'
    FROM parts p CROSS JOIN this t WHERE NOT EXISTS (SELECT FROM messages m WHERE m.room_id = integrity_of.room AND m.seq = p.seq)
    UNION ALL
    SELECT 'replies', t.name || '#' || a.seq, format('belongs to the thread of message %s, which itself is a reply', a.thread)
    FROM replies a JOIN replies b ON b.room_id = a.room_id AND b.seq = a.thread CROSS JOIN this t WHERE a.room_id = integrity_of.room
    UNION ALL
    SELECT 'pins', t.name, format('%s messages are pinned, at most 100 may be', count(*))
    FROM pins p JOIN messages m ON m.room_id = p.room_id AND m.seq = p.seq CROSS JOIN this t
    WHERE p.room_id = integrity_of.room AND m.deleted_at IS NULL GROUP BY t.name HAVING count(*) > 100
    UNION ALL
    SELECT 'reactions', t.name || '#' || r.seq, format('has %s different ones, at most 20 may be', count(DISTINCT r.emoji))
    FROM reactions r CROSS JOIN this t WHERE r.room_id = integrity_of.room GROUP BY t.name, r.seq HAVING count(DISTINCT r.emoji) > 20
    UNION ALL
    SELECT 'mentions', t.name || '#' || m.seq, CASE WHEN m.deleted_at IS NULL THEN 'addresses nobody' ELSE 'is deleted' END || format(', and is noted to address %s', string_agg(coalesce(u.name, x.user_id::text), ', ' ORDER BY u.name))
    FROM mentions x JOIN messages m ON m.room_id = x.room_id AND m.seq = x.seq LEFT JOIN users u ON u.id = x.user_id CROSS JOIN this t
    WHERE x.room_id = integrity_of.room AND (m.deleted_at IS NOT NULL OR position('@' IN m.body) = 0) GROUP BY t.name, m.seq, m.deleted_at
    UNION ALL
    SELECT 'files', format('%s %s', f.id, f.name), format('has %s bytes in %s pieces of which the last is number %s, size says %s', c.bytes, c.pieces, c.last, f.size)
    FROM files f CROSS JOIN LATERAL (SELECT count(*) AS pieces, coalesce(max(c.n), -1) AS last, coalesce(sum(octet_length(c.data)), 0) AS bytes FROM file_chunks c WHERE c.file_id = f.id) c
    WHERE f.room_id = integrity_of.room AND f.completed_at IS NOT NULL AND (c.bytes <> f.size OR c.pieces <> c.last + 1)
    UNION ALL
    SELECT 'search', t.name, format('the index says it has messages up to %s and changes up to %s, the room is at %s and %s', t.searched, t.searched_rev, t.last_seq, t.last_rev)
    FROM this t WHERE t.searched > t.last_seq OR t.searched_rev > t.last_rev
    UNION ALL
    SELECT 'search', t.name || '#' || m.seq, CASE WHEN d.seq IS NULL THEN 'is not in the index' WHEN m.seq <= t.searched AND m.deleted_at IS NULL THEN 'has another created_at in the index' ELSE 'is in the index, and should not be' END
    FROM messages m LEFT JOIN search_documents d ON d.room_id = integrity_of.room AND d.seq = m.seq CROSS JOIN this t
    WHERE m.room_id = integrity_of.room AND CASE
        WHEN m.seq > coalesce(t.searched, 0) THEN d.seq IS NOT NULL
        WHEN m.rev > t.searched_rev THEN false -- its turn will come
        WHEN m.deleted_at IS NOT NULL THEN d.seq IS NOT NULL
        ELSE d.created_at IS DISTINCT FROM m.created_at END
    UNION ALL
    SELECT 'members', t.name, format('%s has read up to %s, last_seq says %s', u.name, b.last_read_seq, t.last_seq)
    FROM members b JOIN users u ON u.id = b.user_id CROSS JOIN this t WHERE b.room_id = integrity_of.room AND b.last_read_seq > t.last_seq
    UNION ALL
    SELECT 'members', t.name, format('%s is not a member of a room for everyone', u.name)
    FROM this t CROSS JOIN users u WHERE t.everyone AND NOT EXISTS (SELECT FROM members b WHERE b.room_id = integrity_of.room AND b.user_id = u.id)
    UNION ALL
    SELECT 'direct', t.name, CASE WHEN k.id IS NULL THEN format('%s is a member of the direct conversation, and not in direct_key', b.user_id) ELSE format('%s is in direct_key, and not a member', k.id) END
    FROM (SELECT b.user_id::text AS user_id FROM members b WHERE b.room_id = integrity_of.room) b
    FULL JOIN (SELECT k.id FROM this t CROSS JOIN LATERAL string_to_table(t.direct_key, ',') AS k (id) WHERE EXISTS (SELECT FROM users u WHERE u.id::text = k.id)) k ON k.id = b.user_id
    CROSS JOIN this t WHERE t.kind = 'direct' AND (k.id IS NULL OR b.user_id IS NULL)
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.seq_since(room_id uuid, since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    low    bigint := 1;
    high   bigint := (SELECT h.last_seq + 1 FROM room_heads h WHERE h.room_id = seq_since.room_id);
    step   bigint := 1; -- doubled until something earlier is found: most of what is asked for is near the end
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := CASE WHEN low = 1 THEN greatest(1, high - step) ELSE (low + high) / 2 END;
        IF (SELECT m.created_at FROM messages m WHERE m.room_id = seq_since.room_id AND m.seq >= middle ORDER BY m.seq LIMIT 1) < since THEN
            low := middle + 1;
        ELSE
            high := middle;
            step := step * 2;
        END IF;
    END LOOP;
    RETURN low;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_note() IS 'Notes which rooms were renamed, have another topic, became private or public, were archived or restored.';
DELETE FROM chat.room_events WHERE kind = 'retention';
ALTER TABLE chat.room_events DROP CONSTRAINT room_events_kind_check,
    ADD CONSTRAINT room_events_kind_check CHECK (kind IN ('joined', 'left', 'renamed', 'topic', 'archived', 'restored', 'private', 'public'));
COMMENT ON CONSTRAINT room_events_kind_check ON chat.room_events IS 'The kinds that pages know.';
COMMENT ON COLUMN chat.room_events.kind IS '"joined", "left", "renamed", "topic", "archived", "restored", "private" or "public".';
COMMENT ON COLUMN chat.room_events.detail IS '"from" and "to": the name or topic before and after; "count": how many joined or left at once.';
COMMENT ON COLUMN chat.audit_log.rows IS '1; of a statement over more than 100 rows its last entry stands for all those that are not noted one by one.';
ALTER TABLE chat.room_heads DROP COLUMN first_seq;
ALTER TABLE chat.rooms DROP COLUMN keep_days;
