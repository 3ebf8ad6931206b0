-- +goose Up
-- Replies. A reply is a message like any other, with its place in the room; that it answers another is kept here. Its thread is the
-- message that everything goes back to. messages.extra has of a reply {"reply": {"seq", "thread"}} and of a thread's first message
-- {"thread": {"count", "last"}}. What a reply quotes is not stored: it is read with the message that is quoted, so that the
-- quote is never older than that message, and nothing of a deleted one is left.
CREATE TABLE chat.replies (
    room_id  uuid   NOT NULL,
    seq      bigint NOT NULL,
    reply_to bigint NOT NULL,
    thread   bigint NOT NULL,
    CONSTRAINT replies_pkey PRIMARY KEY (room_id, seq),
    CONSTRAINT replies_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE,
    CONSTRAINT replies_order_check CHECK (0 < thread AND thread <= reply_to AND reply_to < seq)
);
CREATE INDEX replies_thread_idx ON chat.replies (room_id, thread, seq);
COMMENT ON TABLE chat.replies IS 'Which message answers which. INSERT (room_id, seq, reply_to) and DELETE show in every open browser; a reply that answers another message is deleted and inserted.';
COMMENT ON COLUMN chat.replies.room_id IS 'The room of both.';
COMMENT ON COLUMN chat.replies.seq IS 'The message that answers.';
COMMENT ON COLUMN chat.replies.reply_to IS 'The message that it answers, and quotes.';
COMMENT ON COLUMN chat.replies.thread IS 'The first message of the thread: the one that is answered, or the first of that one''s thread. Leave it out: a trigger sets it.';
COMMENT ON CONSTRAINT replies_pkey ON chat.replies IS 'A message answers one other.';
COMMENT ON INDEX chat.replies_pkey IS 'A message answers one other.';
COMMENT ON CONSTRAINT replies_room_id_fkey ON chat.replies IS 'Replies end with the room.';
COMMENT ON CONSTRAINT replies_order_check ON chat.replies IS 'What is answered was there before.';
COMMENT ON INDEX chat.replies_thread_idx IS 'The replies of a thread, in order.';

-- +goose StatementBegin
CREATE FUNCTION chat.replies_before_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    -- Numbers have no gaps: what is not beyond the head exists.
    IF NOT EXISTS (SELECT FROM room_heads h WHERE h.room_id = NEW.room_id AND NEW.seq BETWEEN 1 AND h.last_seq) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('there is no message %s in room %s', NEW.seq, NEW.room_id),
            HINT = 'Insert the message into chat.messages first, or post the reply: select chat.post(room, author, body, reply_to => seq).';
    ELSIF NEW.reply_to NOT BETWEEN 1 AND NEW.seq - 1 THEN
        RAISE check_violation USING
            MESSAGE = format('message %s cannot answer message %s', NEW.seq, NEW.reply_to),
            DETAIL = 'A reply answers a message that was there before, in the same room.',
            HINT = 'select seq, body from chat.messages where room_id = … order by seq desc;';
    ELSIF EXISTS (SELECT FROM replies r WHERE r.room_id = NEW.room_id AND r.thread = NEW.seq) THEN
        RAISE check_violation USING
            MESSAGE = format('message %s cannot become a reply', NEW.seq),
            DETAIL = 'It is the first of a thread.',
            HINT = 'Delete the replies of its thread from chat.replies first.';
    END IF;
    NEW.thread := coalesce((SELECT r.thread FROM replies r WHERE r.room_id = NEW.room_id AND r.seq = NEW.reply_to), NEW.reply_to);
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.replies_before_insert() IS 'Finds a reply''s thread, and refuses what no reply can be.';
CREATE TRIGGER replies_before_insert BEFORE INSERT ON chat.replies
    FOR EACH ROW EXECUTE FUNCTION chat.replies_before_insert();
COMMENT ON TRIGGER replies_before_insert ON chat.replies IS 'Plain INSERTs need no thread.';

-- +goose StatementBegin
CREATE FUNCTION chat.replies_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = format('reply %s cannot be changed: its thread would not follow', OLD.seq),
        HINT = 'Delete the row, and insert it anew.';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.replies_before_update() IS 'Refuses what would tear threads apart.';
CREATE TRIGGER replies_before_update BEFORE UPDATE ON chat.replies
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION chat.replies_before_update();
COMMENT ON TRIGGER replies_before_update ON chat.replies IS 'A reply never answers another message.';

-- +goose StatementBegin
CREATE FUNCTION chat.replies_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    -- The number is that of the row as it is when it is locked: replies that are told at the same time wait for each other here.
    UPDATE messages m SET extra = coalesce(m.extra, '{}') || CASE WHEN s.reply IS NOT NULL THEN jsonb_build_object('reply', s.reply)
        ELSE jsonb_build_object('thread', jsonb_build_object(
            'count', coalesce((m.extra -> 'thread' ->> 'count')::bigint, 0) + s.n,
            'last', greatest((m.extra -> 'thread' ->> 'last')::timestamptz, s.last))) END
    FROM (
        SELECT n.room_id, n.seq, jsonb_build_object('seq', n.reply_to, 'thread', n.thread) AS reply, NULL::bigint AS n, NULL::timestamptz AS last
        FROM new_replies n
        UNION ALL
        SELECT n.room_id, n.thread, NULL, count(*), max(r.created_at)
        FROM new_replies n JOIN messages r ON r.room_id = n.room_id AND r.seq = n.seq
        WHERE r.deleted_at IS NULL GROUP BY n.room_id, n.thread
    ) s
    WHERE m.room_id = s.room_id AND m.seq = s.seq AND (s.reply IS NULL OR (m.extra -> 'reply') IS DISTINCT FROM s.reply);
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.replies_after_insert() IS 'Has the messages say what they answer, and threads'' first messages how many replies they have.';
CREATE TRIGGER replies_after_insert AFTER INSERT ON chat.replies
    REFERENCING NEW TABLE AS new_replies FOR EACH STATEMENT EXECUTE FUNCTION chat.replies_after_insert();
COMMENT ON TRIGGER replies_after_insert ON chat.replies IS 'Replies show on all pages.';

-- +goose StatementBegin
CREATE FUNCTION chat.recount_threads(room_ids uuid[], threads bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    -- Nothing is counted before the rows are locked, nor are they locked while a head is.
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT unnest(room_ids), unnest(threads)) ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    UPDATE messages m SET extra = nullif(coalesce(m.extra - 'thread', '{}') || coalesce(c.shown, '{}'), '{}')
    FROM (
        SELECT t.room_id, t.thread, CASE WHEN count(s.seq) > 0
            THEN jsonb_build_object('thread', jsonb_build_object('count', count(s.seq), 'last', max(s.created_at))) END AS shown
        FROM (SELECT DISTINCT unnest(room_ids) AS room_id, unnest(threads) AS thread) t
        LEFT JOIN replies r ON r.room_id = t.room_id AND r.thread = t.thread
        LEFT JOIN messages s ON s.room_id = r.room_id AND s.seq = r.seq AND s.deleted_at IS NULL
        GROUP BY t.room_id, t.thread
    ) c
    WHERE m.room_id = c.room_id AND m.seq = c.thread AND (m.extra -> 'thread') IS DISTINCT FROM (c.shown -> 'thread');
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.recount_threads(uuid[], bigint[]) IS 'Counts the replies that show of threads, given rooms and first messages, one at each index.';

-- +goose StatementBegin
CREATE FUNCTION chat.replies_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    threads bigint[];
BEGIN
    SELECT array_agg(o.room_id), array_agg(o.thread) INTO rooms, threads
    FROM old_replies o JOIN rooms r ON r.id = o.room_id; -- else the room itself was deleted
    IF rooms IS NULL THEN
        RETURN NULL;
    END IF;
    -- In the order of who posts replies: the update takes the head, and whoever holds a head waits for no message.
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT o.room_id, o.seq FROM old_replies o UNION SELECT o.room_id, o.thread FROM old_replies o)
    ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    UPDATE messages m SET extra = nullif(m.extra - 'reply', '{}') FROM old_replies o
    WHERE m.room_id = o.room_id AND m.seq = o.seq AND m.extra ? 'reply';
    PERFORM recount_threads(rooms, threads);
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.replies_after_delete() IS 'What is no reply any more says so.';
CREATE TRIGGER replies_after_delete AFTER DELETE ON chat.replies
    REFERENCING OLD TABLE AS old_replies FOR EACH STATEMENT EXECUTE FUNCTION chat.replies_after_delete();
COMMENT ON TRIGGER replies_after_delete ON chat.replies IS 'Replies end on all pages.';

-- Its name comes before messages_after_update: that one takes the heads, and whoever holds a head waits for no message.
-- +goose StatementBegin
CREATE FUNCTION chat.messages_after_removal() RETURNS trigger
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
CREATE TRIGGER messages_after_removal AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_messages NEW TABLE AS new_messages
    FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_removal();
COMMENT ON TRIGGER messages_after_removal ON chat.messages IS 'Threads count the replies that show. By its name it comes before messages_after_update.';

CREATE FUNCTION chat.reply_of(room_id uuid, reply_to bigint) RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_build_object('reply', jsonb_build_object('seq', reply_of.reply_to, 'thread', coalesce(
    (SELECT r.thread FROM chat.replies r WHERE r.room_id = reply_of.room_id AND r.seq = reply_of.reply_to), reply_of.reply_to)));
COMMENT ON FUNCTION chat.reply_of(uuid, bigint) IS 'What messages.extra has of a reply to this message.';

-- A text is cut here so that notifications hold it; pages show less of it.
CREATE FUNCTION chat.quoted(room_id uuid, extra jsonb) RETURNS jsonb
LANGUAGE sql STABLE STRICT
RETURN CASE WHEN quoted.extra ? 'reply' THEN coalesce((
    SELECT jsonb_set(quoted.extra, '{reply}', (quoted.extra -> 'reply') || jsonb_build_object('id', m.id, 'author', u.name,
        'quote', CASE WHEN m.deleted_at IS NULL THEN left(m.body, 300) END))
    FROM chat.messages m JOIN chat.users u ON u.id = m.author_id
    WHERE m.room_id = quoted.room_id AND m.seq = (quoted.extra -> 'reply' ->> 'seq')::bigint), quoted.extra)
    ELSE quoted.extra END;
COMMENT ON FUNCTION chat.quoted(uuid, jsonb) IS 'A message''s extra with what it quotes, as that now is: {"reply": {…, "id", "author", "quote"}}; no quote where that was deleted.';

CREATE FUNCTION chat.message_json(seq bigint, id uuid, author_id uuid, author text, body text, created_at timestamptz, extra jsonb) RETURNS text
LANGUAGE sql STABLE
RETURN '{"seq":' || seq || ',"id":"' || id || '","author_id":"' || author_id || '","author":' || to_json(author)
    || ',"body":' || to_json(body) || ',"created_at":' || to_json(created_at) || coalesce(',"extra":' || extra::text, '') || '}';
COMMENT ON FUNCTION chat.message_json(bigint, uuid, uuid, text, text, timestamptz, jsonb) IS 'A message as notifications hold it, with what belongs to it beyond its text.';

-- Beside post_batch, not a part of it: what only replies need would cost each message a twentieth of its time there.
-- +goose StatementBegin
CREATE FUNCTION chat.post_replies(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], reply_tos bigint[], tell boolean DEFAULT true)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    outer_depth text := coalesce(current_setting('chat.accounted', true), '');
    accounted   text := set_config('chat.accounted', pg_trigger_depth()::text, true);
BEGIN
    -- The first messages of the threads change with each reply, and whoever holds a head waits for no message.
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (
        SELECT i.room_id, coalesce(r.thread, i.reply_to)
        FROM unnest(room_ids, reply_tos) AS i (room_id, reply_to)
        LEFT JOIN replies r ON r.room_id = i.room_id AND r.seq = i.reply_to)
    ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    PERFORM 1 FROM room_heads h WHERE h.room_id = ANY (room_ids) ORDER BY h.room_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH judged AS ( -- in a new statement, as in post_batch
        SELECT i.*, u.name, h.last_seq, old.seq AS old_seq, clock_timestamp() AS created_at,
            CASE WHEN i.reply_to > 0 THEN reply_of(i.room_id, i.reply_to) END AS extra,
            CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN i.reply_to NOT BETWEEN 0 AND h.last_seq AND m.user_id IS NOT NULL AND old.id IS NULL THEN 'parent_not_found'
                 ELSE verdict(m.user_id, old.author_id, i.author_id, r.archived_at, i.body) END AS verdict
        FROM unnest(room_ids, ids, author_ids, bodies, reply_tos) WITH ORDINALITY AS i (room_id, id, author_id, body, reply_to, ord)
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
        INSERT INTO messages (room_id, seq, id, author_id, body, created_at, extra)
        SELECT n.room_id, n.new_seq, n.id, n.author_id, n.body, n.created_at, n.extra FROM numbered n WHERE n.verdict = 'posted'
    ), told AS (
        SELECT n.room_id, min(n.new_seq) AS first, max(n.new_seq) AS last,
               string_agg(message_json(n.new_seq, n.id, n.author_id, n.name, n.body, n.created_at, quoted(n.room_id, n.extra)), ',' ORDER BY n.new_seq)
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
    INSERT INTO replies (room_id, seq, reply_to)
    SELECT m.room_id, m.seq, i.reply_to
    FROM unnest(room_ids, ids, reply_tos) AS i (room_id, id, reply_to)
    JOIN messages m ON m.id = i.id AND m.room_id IS NOT DISTINCT FROM i.room_id
    WHERE (m.extra -> 'reply' ->> 'seq')::bigint = i.reply_to -- else it was not posted
    ORDER BY m.room_id, m.seq
    ON CONFLICT DO NOTHING;
    IF tell THEN
        PERFORM tell_activity('moved', string_agg('{"room":"' || h.room_id || '","seq":' || h.last_seq || '}', ','))
        FROM room_heads h WHERE h.room_id = ANY (room_ids) HAVING count(*) > 0;
    END IF;
    PERFORM note_mentions(array_agg(i.room_id), array_agg(i.id)) FROM unnest(room_ids, ids, bodies) AS i (room_id, id, body)
        WHERE position('@' IN i.body) > 0 HAVING count(*) > 0;
    accounted := set_config('chat.accounted', outer_depth, true);
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean) SET enable_seqscan = off;
ALTER FUNCTION chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean) SET enable_hashjoin = off;
ALTER FUNCTION chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean) SET enable_mergejoin = off;
ALTER FUNCTION chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean) SET enable_material = off;
COMMENT ON FUNCTION chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean) IS 'Posts many messages, as chat.post_batch does; reply_tos has the seq of the message of its room that each answers, 0 or NULL: none. One outcome more: parent_not_found.';

DROP FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[]);
-- +goose StatementBegin
CREATE FUNCTION chat.post_files(room_id uuid, id uuid, author_id uuid, body text, file_ids uuid[], reply_to bigint DEFAULT NULL)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    names text[];
BEGIN
    -- Locked: what is being posted is neither swept nor posted by another message.
    PERFORM FROM files f WHERE f.id = ANY (file_ids) ORDER BY f.id FOR UPDATE;
    SELECT array_agg(f.name ORDER BY i.place) INTO names
    FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) JOIN files f ON f.id = i.file_id
    WHERE f.room_id = post_files.room_id AND f.uploader_id = post_files.author_id AND f.seq IS NULL AND f.completed_at IS NOT NULL;
    IF coalesce(cardinality(names), 0) <> cardinality(file_ids)
        AND NOT EXISTS (SELECT FROM messages m WHERE m.room_id = post_files.room_id AND m.id = post_files.id) THEN
        RETURN QUERY SELECT 1::bigint, 'file_missing'::text, NULL::bigint;
        RETURN;
    END IF;
    body := coalesce(nullif(post_files.body, ''), array_to_string(names, ', '), '-');
    IF coalesce(reply_to, 0) = 0 THEN
        SELECT p.outcome, p.seq INTO outcome, seq FROM post_batch(ARRAY[post_files.room_id], ARRAY[post_files.id], ARRAY[post_files.author_id], ARRAY[body], tell => false) p;
    ELSE
        SELECT p.outcome, p.seq INTO outcome, seq FROM post_replies(ARRAY[post_files.room_id], ARRAY[post_files.id], ARRAY[post_files.author_id], ARRAY[body], ARRAY[reply_to], tell => false) p;
    END IF;
    IF outcome = 'posted' THEN
        UPDATE files f SET seq = post_files.seq, place = i.place
        FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) WHERE f.id = i.file_id;
    END IF;
    ord := 1;
    RETURN NEXT;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[], bigint) IS 'Posts a message with files that its author has uploaded to the room; it answers the message reply_to, where that is given. Without a body their names are one. The outcome is as post_batch''s, or file_missing: one of them is not there, or posted already.';

DROP FUNCTION chat.post(text, text, text);
-- +goose StatementBegin
CREATE FUNCTION chat.post(room text, author text, body text, reply_to bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    room_id   uuid := (SELECT r.id FROM rooms r WHERE r.slug = post.room);
    author_id uuid := (SELECT u.id FROM users u WHERE lower(u.name) = lower(post.author));
    result    record;
BEGIN
    IF room_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', room), HINT = 'select slug from chat.rooms;';
    ELSIF author_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no user %L', author), HINT = 'select name from chat.users;';
    END IF;
    body := regexp_replace(body, '^\s+|\s+$', '', 'g');
    IF reply_to IS NULL THEN
        SELECT * INTO result FROM post_batch(ARRAY[room_id], ARRAY[gen_random_uuid()], ARRAY[author_id], ARRAY[body]);
    ELSE
        SELECT * INTO result FROM post_replies(ARRAY[room_id], ARRAY[gen_random_uuid()], ARRAY[author_id], ARRAY[body], ARRAY[reply_to]);
    END IF;
    IF result.outcome <> 'posted' THEN
        RAISE check_violation USING
            MESSAGE = CASE result.outcome
                WHEN 'room_archived' THEN format('room %L is archived', room)
                WHEN 'not_a_member' THEN format('%L is not a member of room %L', author, room)
                WHEN 'body_empty' THEN 'a message needs a text'
                WHEN 'body_too_long' THEN format('a message has at most 8000 characters, this one %s', char_length(body))
                WHEN 'parent_not_found' THEN format('there is no message %s in room %L to reply to', reply_to, room)
                ELSE result.outcome END,
            HINT = CASE result.outcome
                WHEN 'room_archived' THEN 'update chat.rooms set archived_at = null where slug = …'
                WHEN 'not_a_member' THEN 'insert into chat.members (room_id, user_id) values (…)'
                WHEN 'parent_not_found' THEN format('select m.seq, m.body from chat.messages m join chat.rooms r on r.id = m.room_id where r.slug = %L order by m.seq desc;', room)
                ELSE 'Post 1 to 8000 characters besides white space at either end.' END;
    END IF;
    RETURN result.seq;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post(text, text, text, bigint) IS 'Posts a message: select chat.post(''general'', ''ada'', ''hello''), or a reply to message 41: select chat.post(''general'', ''ada'', ''hello'', reply_to => 41). Takes the room''s slug and the author''s name; returns the message''s seq.';

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

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    DELETE FROM reactions r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM pins p USING old_messages o WHERE p.room_id = o.room_id AND p.seq = o.seq;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_delete() IS 'Removes the reactions to messages that were removed, and their pins.';
-- What messages answer is forgotten; the messages stay.
UPDATE chat.messages SET extra = nullif(extra - 'reply' - 'thread', '{}') WHERE extra ?| ARRAY['reply', 'thread'];
DROP TRIGGER messages_after_removal ON chat.messages;
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
DROP FUNCTION chat.post(text, text, text, bigint), chat.post_files(uuid, uuid, uuid, text, uuid[], bigint), chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean),
    chat.message_json(bigint, uuid, uuid, text, text, timestamptz, jsonb), chat.messages_after_removal(), chat.reply_of(uuid, bigint), chat.quoted(uuid, jsonb);
DROP TABLE chat.replies;
DROP FUNCTION chat.replies_before_insert(), chat.replies_before_update(), chat.replies_after_insert(), chat.replies_after_delete(), chat.recount_threads(uuid[], bigint[]);
-- +goose StatementBegin
CREATE FUNCTION chat.post(room text, author text, body text) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    room_id   uuid := (SELECT r.id FROM rooms r WHERE r.slug = post.room);
    author_id uuid := (SELECT u.id FROM users u WHERE lower(u.name) = lower(post.author));
    result    record;
BEGIN
    IF room_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', room), HINT = 'select slug from chat.rooms;';
    ELSIF author_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no user %L', author), HINT = 'select name from chat.users;';
    END IF;
    SELECT * INTO result FROM post_batch(ARRAY[room_id], ARRAY[gen_random_uuid()], ARRAY[author_id],
        ARRAY[regexp_replace(body, '^\s+|\s+$', '', 'g')]);
    IF result.outcome <> 'posted' THEN
        RAISE check_violation USING
            MESSAGE = CASE result.outcome
                WHEN 'room_archived' THEN format('room %L is archived', room)
                WHEN 'not_a_member' THEN format('%L is not a member of room %L', author, room)
                WHEN 'body_empty' THEN 'a message needs a text'
                WHEN 'body_too_long' THEN format('a message has at most 8000 characters, this one %s', char_length(body))
                ELSE result.outcome END,
            HINT = CASE result.outcome
                WHEN 'room_archived' THEN 'update chat.rooms set archived_at = null where slug = …'
                WHEN 'not_a_member' THEN 'insert into chat.members (room_id, user_id) values (…)'
                ELSE 'Post 1 to 8000 characters besides white space at either end.' END;
    END IF;
    RETURN result.seq;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post(text, text, text) IS 'Posts a message: select chat.post(''general'', ''ada'', ''hello''). Takes the room''s slug and the author''s name; returns the message''s seq.';
-- +goose StatementBegin
CREATE FUNCTION chat.post_files(room_id uuid, id uuid, author_id uuid, body text, file_ids uuid[])
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    names text[];
BEGIN
    -- Locked: what is being posted is neither swept nor posted by another message.
    PERFORM FROM files f WHERE f.id = ANY (file_ids) ORDER BY f.id FOR UPDATE;
    SELECT array_agg(f.name ORDER BY i.place) INTO names
    FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) JOIN files f ON f.id = i.file_id
    WHERE f.room_id = post_files.room_id AND f.uploader_id = post_files.author_id AND f.seq IS NULL AND f.completed_at IS NOT NULL;
    IF coalesce(cardinality(names), 0) <> cardinality(file_ids)
        AND NOT EXISTS (SELECT FROM messages m WHERE m.room_id = post_files.room_id AND m.id = post_files.id) THEN
        RETURN QUERY SELECT 1::bigint, 'file_missing'::text, NULL::bigint;
        RETURN;
    END IF;
    SELECT p.outcome, p.seq INTO outcome, seq FROM post_batch(ARRAY[post_files.room_id], ARRAY[post_files.id], ARRAY[post_files.author_id],
        ARRAY[coalesce(nullif(post_files.body, ''), array_to_string(names, ', '), '-')], tell => false) p;
    IF outcome = 'posted' THEN
        UPDATE files f SET seq = post_files.seq, place = i.place
        FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) WHERE f.id = i.file_id;
    END IF;
    ord := 1;
    RETURN NEXT;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[]) IS 'Posts a message with files that its author has uploaded to the room. Without a body their names are one. The outcome is as post_batch''s, or file_missing: one of them is not there, or posted already.';
