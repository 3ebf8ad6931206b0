-- +goose Up
-- Bans. Who is banned from a room, or from all of the chat, may neither post nor read there, while the ban lasts; membership stays as it
-- was, and holds again when the ban ends, by itself: every check compares it with now(). What servers write is checked in the statement
-- that writes it; see chat.post_batch.
CREATE TABLE chat.bans (
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    user_id    uuid        NOT NULL,
    room_id    uuid,
    until      timestamptz NOT NULL DEFAULT 'infinity',
    reason     text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    banned_by  text        NOT NULL DEFAULT session_user,
    CONSTRAINT bans_pkey PRIMARY KEY (id),
    CONSTRAINT bans_key UNIQUE NULLS NOT DISTINCT (user_id, room_id),
    CONSTRAINT bans_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT bans_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE,
    CONSTRAINT bans_reason_check CHECK (char_length(reason) <= 500)
);
CREATE INDEX bans_room_id_idx ON chat.bans (room_id);
COMMENT ON TABLE chat.bans IS 'Who may neither post nor read, where, and until when. INSERT, UPDATE and DELETE hold at once, in open pages as well; chat.ban and chat.unban do it by names. Those that have ended stay, and mean nothing.';
COMMENT ON COLUMN chat.bans.id IS 'Its identity.';
COMMENT ON COLUMN chat.bans.user_id IS 'Who is banned.';
COMMENT ON COLUMN chat.bans.room_id IS 'From which room; NULL: from all of the chat, they cannot sign in and their tokens are refused.';
COMMENT ON COLUMN chat.bans.until IS 'When it ends, by itself; ''infinity'': when it is deleted.';
COMMENT ON COLUMN chat.bans.reason IS 'Why, as the banned user is told; at most 500 characters, may be empty.';
COMMENT ON COLUMN chat.bans.created_at IS 'Since when.';
COMMENT ON COLUMN chat.bans.banned_by IS 'The role of PostgreSQL that was signed in.';
COMMENT ON CONSTRAINT bans_pkey ON chat.bans IS 'One row for each ban.';
COMMENT ON INDEX chat.bans_pkey IS 'One row for each ban.';
COMMENT ON CONSTRAINT bans_key ON chat.bans IS 'A user is banned from a room, or from all, once; every check looks here.';
COMMENT ON INDEX chat.bans_key IS 'A user is banned from a room, or from all, once; every check looks here.';
COMMENT ON CONSTRAINT bans_user_id_fkey ON chat.bans IS 'Bans end with the user.';
COMMENT ON CONSTRAINT bans_room_id_fkey ON chat.bans IS 'Bans end with the room.';
COMMENT ON CONSTRAINT bans_reason_check ON chat.bans IS 'At most 500 characters.';
COMMENT ON INDEX chat.bans_room_id_idx IS 'Removing a room.';

CREATE FUNCTION chat.banned(user_id uuid, room_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN EXISTS (SELECT FROM chat.bans b WHERE b.user_id = banned.user_id AND (b.room_id IS NULL OR b.room_id = banned.room_id) AND b.until > now());
COMMENT ON FUNCTION chat.banned(uuid, uuid) IS 'Whether a user is banned from a room at the moment; with NULL as the room: from all of the chat.';

-- +goose StatementBegin
CREATE FUNCTION chat.refuse_banned(room_id uuid, user_id uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    ban record;
BEGIN
    SELECT b.*, u.name, r.slug INTO ban FROM bans b JOIN users u ON u.id = b.user_id LEFT JOIN rooms r ON r.id = b.room_id
    WHERE b.user_id = refuse_banned.user_id AND (b.room_id IS NULL OR b.room_id = refuse_banned.room_id) AND b.until > now()
    ORDER BY b.until DESC, b.room_id NULLS FIRST LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('%L is banned from %s%s', ban.name, coalesce('room ' || quote_literal(ban.slug), 'the chat'), CASE WHEN isfinite(ban.until) THEN ' until ' || ban.until ELSE '' END),
            DETAIL = CASE WHEN ban.reason = '' THEN 'No reason was given.' ELSE ban.reason END,
            HINT = format('select chat.unban(%s);', concat_ws(', ', quote_literal(ban.name), quote_literal(ban.slug)));
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.refuse_banned(uuid, uuid) IS 'An error that says until when and why, where the user is banned from the room, or from all of the chat.';

-- Connections are looked at as when a membership or a session has ended.
-- +goose StatementBegin
CREATE FUNCTION chat.bans_tell() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    signed_out uuid[] := ARRAY(SELECT DISTINCT c.user_id FROM changed c WHERE c.room_id IS NULL AND c.until > now() LIMIT 151);
    entries    text;
BEGIN
    SELECT string_agg('{"user":"' || user_id || '"}', ',') INTO entries FROM (SELECT DISTINCT c.user_id FROM changed c LIMIT 200) c;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('members', entries);
    END IF;
    IF signed_out <> '{}' THEN
        PERFORM pg_notify('activity', json_build_object('signed_out', CASE WHEN cardinality(signed_out) > 150 THEN '{}' ELSE signed_out END)::text);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.bans_tell() IS 'Tells every instance who may see other rooms than before, and who is banned from all of the chat.';
CREATE TRIGGER bans_after_insert AFTER INSERT ON chat.bans
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.bans_tell();
CREATE TRIGGER bans_after_delete AFTER DELETE ON chat.bans
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.bans_tell();
CREATE TRIGGER bans_after_update_from AFTER UPDATE ON chat.bans
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.bans_tell();
CREATE TRIGGER bans_after_update_to AFTER UPDATE ON chat.bans
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.bans_tell();
COMMENT ON TRIGGER bans_after_insert ON chat.bans IS 'Open pages lose the room at once.';
COMMENT ON TRIGGER bans_after_delete ON chat.bans IS 'Open pages list the room again.';
COMMENT ON TRIGGER bans_after_update_from ON chat.bans IS 'Who and what a ban was about is looked at.';
COMMENT ON TRIGGER bans_after_update_to ON chat.bans IS 'Who and what a ban is about is looked at.';

-- +goose StatementBegin
CREATE FUNCTION chat.ban(username text, room text DEFAULT NULL, reason text DEFAULT '', until timestamptz DEFAULT 'infinity') RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    banned_user uuid := find_user(ban.username);
    banned_room uuid := CASE WHEN ban.room IS NOT NULL THEN find_room(ban.room) END;
    ends        timestamptz := coalesce(ban.until, 'infinity');
    why         text := coalesce(btrim(ban.reason), '');
BEGIN
    IF ends <= now() THEN
        RAISE check_violation USING
            MESSAGE = format('the ban would have ended at %s', ends), DETAIL = format('It is %s.', now()),
            HINT = format('select chat.ban(%L, until => now() + interval ''1 day'');', ban.username);
    ELSIF char_length(why) > 500 THEN
        RAISE check_violation USING
            MESSAGE = format('a reason has at most 500 characters, this one %s', char_length(why)), HINT = 'Shorten it.', CONSTRAINT = 'bans_reason_check';
    END IF;
    INSERT INTO bans AS b (user_id, room_id, until, reason) VALUES (banned_user, banned_room, ends, why)
    ON CONFLICT ON CONSTRAINT bans_key DO UPDATE SET until = excluded.until, reason = excluded.reason, created_at = now(), banned_by = session_user
    WHERE (b.until, b.reason) <> (excluded.until, excluded.reason);
    RETURN FOUND;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.ban(text, text, text, timestamptz) IS 'Bans a user from a room: select chat.ban(''eve'', ''general'', reason => ''advertising'', until => now() + interval ''1 day''), or from all of the chat: select chat.ban(''eve''). Without until it lasts until chat.unban. Their open pages lose the room at once, or are signed out; they are told the reason. A ban of the same user and room is replaced. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.unban(username text, room text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    banned_user uuid := find_user(unban.username);
    banned_room uuid := CASE WHEN unban.room IS NOT NULL THEN find_room(unban.room) END;
BEGIN
    DELETE FROM bans b WHERE b.user_id = banned_user AND b.room_id IS NOT DISTINCT FROM banned_room;
    RETURN FOUND;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.unban(text, text) IS 'Ends a user''s ban from a room: select chat.unban(''eve'', ''general''), or that from all of the chat: select chat.unban(''eve''); bans from single rooms stay. Returns whether that has changed anything.';

CREATE FUNCTION chat.verdict(banned boolean, member uuid, stored_author uuid, author uuid, archived_at timestamptz, body text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN banned THEN 'banned'
    WHEN member IS NULL THEN 'not_a_member'
    WHEN stored_author = author THEN 'duplicate'
    WHEN stored_author IS NOT NULL THEN 'id_taken'
    WHEN archived_at IS NOT NULL THEN 'room_archived'
    WHEN coalesce(body, '') = '' THEN 'body_empty'
    WHEN char_length(body) > 8000 THEN 'body_too_long'
    ELSE 'posted' END;
COMMENT ON FUNCTION chat.verdict(boolean, uuid, uuid, uuid, timestamptz, text) IS 'What becomes of a post: given whether its author is banned, the author as a member of the room, the author of what is stored under its id, its author, when the room was archived, and its body.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], tell boolean DEFAULT true)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
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
        SELECT u.name, verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = author_ids[1] AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
            m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]), old.seq INTO name, outcome, seq
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
                 ELSE verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = i.author_id AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
                     m.user_id, old.author_id, i.author_id, r.archived_at, i.body) END AS verdict
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
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, banned, not_a_member, body_empty, body_too_long. With tell false the caller tells the channel "activity" how far the rooms have come, as servers do for many batches at once.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post_replies(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], reply_tos bigint[], tell boolean DEFAULT true)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
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
                 ELSE verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = i.author_id AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
                     m.user_id, old.author_id, i.author_id, r.archived_at, i.body) END AS verdict
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
DROP FUNCTION chat.verdict(uuid, uuid, uuid, timestamptz, text);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post(room text, author text, body text, reply_to bigint DEFAULT NULL) RETURNS bigint
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
    IF result.outcome = 'banned' THEN
        PERFORM refuse_banned(room_id, author_id);
    ELSIF result.outcome <> 'posted' THEN
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

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.may_attach(room text, seq bigint, username text, OUT room_id uuid, OUT user_id uuid)
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found_room    record;
    found_message record;
BEGIN
    SELECT r.id, r.archived_at, h.last_seq INTO found_room FROM rooms r JOIN room_heads h ON h.room_id = r.id WHERE r.slug = may_attach.room;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', may_attach.room), HINT = 'select slug from chat.rooms;';
    END IF;
    may_attach.room_id := found_room.id;
    may_attach.user_id := (SELECT u.id FROM users u WHERE lower(u.name) = lower(may_attach.username));
    IF may_attach.user_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no user %L', may_attach.username), HINT = 'select name from chat.users;';
    END IF;
    PERFORM refuse_banned(may_attach.room_id, may_attach.user_id);
    SELECT m.deleted_at INTO found_message FROM messages m WHERE m.room_id = may_attach.room_id AND m.seq = may_attach.seq;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no message %s in room %L', may_attach.seq, may_attach.room),
            DETAIL = format('Its newest message is %s.', found_room.last_seq),
            HINT = format('select seq, body from chat.messages where room_id = %L order by seq desc limit 20;', found_room.id);
    ELSIF found_message.deleted_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('message %s of room %L was deleted', may_attach.seq, may_attach.room),
            DETAIL = format('Since %s.', found_message.deleted_at),
            HINT = format('update chat.messages set deleted_at = null where room_id = %L and seq = %s;', found_room.id, may_attach.seq);
    ELSIF found_room.archived_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('room %L is archived', may_attach.room),
            DETAIL = format('Since %s.', found_room.archived_at),
            HINT = format('update chat.rooms set archived_at = null where slug = %L;', may_attach.room);
    ELSIF NOT EXISTS (SELECT FROM members m WHERE m.room_id = may_attach.room_id AND m.user_id = may_attach.user_id) THEN
        RAISE check_violation USING
            MESSAGE = format('%L is not a member of room %L', may_attach.username, may_attach.room),
            HINT = format('insert into chat.members (room_id, user_id) values (%L, %L);', found_room.id, may_attach.user_id);
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
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
CREATE OR REPLACE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], tell boolean DEFAULT true)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
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
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, not_a_member, body_empty, body_too_long. With tell false the caller tells the channel "activity" how far the rooms have come, as servers do for many batches at once.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post_replies(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[], reply_tos bigint[], tell boolean DEFAULT true)
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.post(room text, author text, body text, reply_to bigint DEFAULT NULL) RETURNS bigint
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.may_attach(room text, seq bigint, username text, OUT room_id uuid, OUT user_id uuid)
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found_room    record;
    found_message record;
BEGIN
    SELECT r.id, r.archived_at, h.last_seq INTO found_room FROM rooms r JOIN room_heads h ON h.room_id = r.id WHERE r.slug = may_attach.room;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', may_attach.room), HINT = 'select slug from chat.rooms;';
    END IF;
    may_attach.room_id := found_room.id;
    may_attach.user_id := (SELECT u.id FROM users u WHERE lower(u.name) = lower(may_attach.username));
    IF may_attach.user_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no user %L', may_attach.username), HINT = 'select name from chat.users;';
    END IF;
    SELECT m.deleted_at INTO found_message FROM messages m WHERE m.room_id = may_attach.room_id AND m.seq = may_attach.seq;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no message %s in room %L', may_attach.seq, may_attach.room),
            DETAIL = format('Its newest message is %s.', found_room.last_seq),
            HINT = format('select seq, body from chat.messages where room_id = %L order by seq desc limit 20;', found_room.id);
    ELSIF found_message.deleted_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('message %s of room %L was deleted', may_attach.seq, may_attach.room),
            DETAIL = format('Since %s.', found_message.deleted_at),
            HINT = format('update chat.messages set deleted_at = null where room_id = %L and seq = %s;', found_room.id, may_attach.seq);
    ELSIF found_room.archived_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('room %L is archived', may_attach.room),
            DETAIL = format('Since %s.', found_room.archived_at),
            HINT = format('update chat.rooms set archived_at = null where slug = %L;', may_attach.room);
    ELSIF NOT EXISTS (SELECT FROM members m WHERE m.room_id = may_attach.room_id AND m.user_id = may_attach.user_id) THEN
        RAISE check_violation USING
            MESSAGE = format('%L is not a member of room %L', may_attach.username, may_attach.room),
            HINT = format('insert into chat.members (room_id, user_id) values (%L, %L);', found_room.id, may_attach.user_id);
    END IF;
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.verdict(boolean, uuid, uuid, uuid, timestamptz, text), chat.unban(text, text), chat.ban(text, text, text, timestamptz);
DROP FUNCTION chat.refuse_banned(uuid, uuid), chat.banned(uuid, uuid);
DROP TABLE chat.bans;
DROP FUNCTION chat.bans_tell();
