-- +goose Up
-- Messages that are in the wrong room, and people who have two accounts: what a moderator does about them. And what would break by TRUNCATE, or
-- by writing what triggers keep, is refused.

-- +goose StatementBegin
CREATE FUNCTION chat.extra_of(room_id uuid, seq bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT jsonb_object_agg(k.key, k.value) FROM (VALUES
        ('reactions', reactions_of(extra_of.room_id, extra_of.seq)),
        ('pinned', pin_of(extra_of.room_id, extra_of.seq)),
        ('files', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'name', f.name, 'type', f.type, 'size', f.size, 'width', f.width, 'height', f.height)) ORDER BY f.place, f.id)
            FROM files f WHERE f.room_id = extra_of.room_id AND f.seq = extra_of.seq)),
        ('reply', (SELECT jsonb_build_object('seq', r.reply_to, 'thread', r.thread) FROM replies r WHERE r.room_id = extra_of.room_id AND r.seq = extra_of.seq)),
        ('thread', (SELECT jsonb_build_object('count', count(*), 'last', max(m.created_at)) FROM replies r JOIN messages m ON m.room_id = r.room_id AND m.seq = r.seq
            WHERE r.room_id = extra_of.room_id AND r.thread = extra_of.seq AND m.deleted_at IS NULL HAVING count(*) > 0))) k (key, value)
    WHERE k.value IS NOT NULL
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.extra_of(uuid, bigint) IS 'What chat.messages.extra of a message should be, from the tables that hold the truth; NULL: nothing. Where chat.integrity says that it is otherwise: update chat.messages set extra = chat.extra_of(room_id, seq) where room_id = chat.find_room(''general'') and extra is distinct from chat.extra_of(room_id, seq);';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF NEW.room_id <> OLD.room_id OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id THEN
        RAISE check_violation USING
            MESSAGE = 'room_id, seq and id of a message never change: clients know it by them',
            DETAIL = format('Message %s of room %s.', OLD.seq, OLD.room_id),
            HINT = 'To move messages: select * from chat.move_messages(''general'', ''{41,42}'', ''random'');';
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
    ELSIF NEW.extra IS DISTINCT FROM OLD.extra AND pg_trigger_depth() = 1 AND NEW.extra IS DISTINCT FROM extra_of(NEW.room_id, NEW.seq) THEN
        RAISE check_violation USING
            MESSAGE = 'extra of a message is not changed by hand',
            DETAIL = format('Message %s of room %s. It shows what chat.reactions, pins, files and replies have; their triggers keep it.', OLD.seq, OLD.room_id),
            HINT = 'Change those tables. Where it does not show what they have: update chat.messages set extra = chat.extra_of(room_id, seq) where …;';
    END IF;
    IF NEW.body <> OLD.body THEN
        NEW.edited_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_before_update() IS 'Refuses changes of what clients know a message by and of what triggers keep, and says when its body was edited.';
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
    SELECT n.rev, n.room_id INTO wrong FROM new_messages n WHERE n.rev IS NOT NULL OR n.extra IS NOT NULL LIMIT 1;
    IF wrong.rev IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('rev of a new message in room %s is not given by hand', wrong.room_id),
            DETAIL = 'It counts the changes of a room, and servers catch up by it.',
            HINT = 'Leave rev out: a trigger sets it when the message is changed.';
    ELSIF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('extra of a new message in room %s is not given by hand', wrong.room_id),
            DETAIL = 'It shows what chat.reactions, pins, files and replies have.',
            HINT = 'Leave extra out, and insert into those tables: their triggers set it.';
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

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = format('chat.%s is not truncated', TG_TABLE_NAME),
        DETAIL = 'TRUNCATE tells no triggers what it removes: pages would keep it, and what belongs to it would stay behind.',
        HINT = format('delete from chat.%s where …;', CASE TG_TABLE_NAME
            WHEN 'room_heads' THEN 'rooms' WHEN 'file_chunks' THEN 'files' WHEN 'search_documents' THEN 'search_progress' WHEN 'history_heads' THEN 'histories' ELSE TG_TABLE_NAME END);
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bans', 'file_chunks', 'histories', 'history_heads', 'search_documents', 'search_progress'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON chat.%I FOR EACH STATEMENT EXECUTE FUNCTION chat.refuse_truncate()', name);
        EXECUTE format('COMMENT ON TRIGGER refuse_truncate ON chat.%I IS ''DELETE is told, TRUNCATE is not.''', name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- The files of a message that is moved go along.
DROP TRIGGER refuse_new_key ON chat.files;
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.files
    FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.room_id <> NEW.room_id AND NEW.seq IS NULL) EXECUTE FUNCTION chat.refuse_new_key('id, and without a message room_id,');
COMMENT ON TRIGGER refuse_new_key ON chat.files IS 'A file stays in its room, unless it goes to a message of another one.';

-- Who holds a head waits for no message, and heads are locked in order: all that is changed here is locked first.
-- +goose StatementBegin
CREATE FUNCTION chat.move_messages(room text, seqs bigint[], to_room text, by text DEFAULT NULL) RETURNS TABLE (seq bigint, new_seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    from_id    uuid := find_room(move_messages.room);
    to_id      uuid := find_room(move_messages.to_room);
    before     text := act_as(move_messages.by);
    target     record;
    wrong      record;
    keep_times boolean;
    moved      bigint[]; -- seq of those that are moved, in order
    places     jsonb;    -- what each of them is in the other room: looked up, where a join of arrays compares each with each
    stored     bigint;
BEGIN
    SELECT r.kind, r.archived_at INTO target FROM rooms r WHERE r.id = to_id;
    IF from_id = to_id THEN
        RAISE invalid_parameter_value USING MESSAGE = format('the messages are in room %L', move_messages.room), HINT = 'Name another room as the third argument.';
    ELSIF target.kind = 'direct' THEN
        RAISE check_violation USING
            MESSAGE = format('%L is a direct conversation: it has only what its people have said there', move_messages.to_room),
            HINT = 'Move the messages to a private room: select chat.create_room(''…'', kind => ''private'', members => ''{ada,eve}'');';
    ELSIF target.archived_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('room %L is archived', move_messages.to_room), DETAIL = format('Since %s.', target.archived_at),
            HINT = format('select chat.restore_room(%L);', move_messages.to_room);
    END IF;
    SELECT s.seq, h.last_seq INTO wrong FROM unnest(move_messages.seqs) AS s (seq) CROSS JOIN room_heads h
    WHERE h.room_id = from_id AND (s.seq BETWEEN 1 AND h.last_seq) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no message %s in room %L', coalesce(wrong.seq::text, 'NULL'), move_messages.room),
            DETAIL = format('Its newest message is %s.', wrong.last_seq),
            HINT = format('select seq, body from chat.messages where room_id = %L order by seq desc limit 20;', from_id);
    END IF;
    PERFORM FROM messages m WHERE m.room_id = from_id AND m.seq IN (
        SELECT unnest(move_messages.seqs) UNION SELECT r.thread FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (move_messages.seqs))
    ORDER BY m.seq FOR UPDATE;
    PERFORM FROM room_heads h WHERE h.room_id IN (from_id, to_id) ORDER BY h.room_id FOR NO KEY UPDATE;
    SELECT array_agg(m.seq ORDER BY m.seq) INTO moved FROM messages m WHERE m.room_id = from_id AND m.seq = ANY (move_messages.seqs) AND m.deleted_at IS NULL;
    IF moved IS NOT NULL THEN
        SELECT jsonb_object_agg(p.seq, h.last_seq + p.n) INTO places
        FROM unnest(moved) WITH ORDINALITY AS p (seq, n) CROSS JOIN room_heads h WHERE h.room_id = to_id;
        -- Time goes with seq: a day is found by it.
        keep_times := coalesce((SELECT n.created_at FROM messages n WHERE n.room_id = to_id ORDER BY n.seq DESC LIMIT 1)
            <= (SELECT m.created_at FROM messages m WHERE m.room_id = from_id AND m.seq = moved[1]), true);
        INSERT INTO messages (room_id, author_id, body, created_at)
        SELECT to_id, m.author_id, m.body, CASE WHEN keep_times THEN m.created_at END
        FROM messages m WHERE m.room_id = from_id AND m.seq = ANY (moved) ORDER BY m.seq;
        GET DIAGNOSTICS stored = ROW_COUNT;
        IF stored <> cardinality(moved) THEN
            RAISE triggered_action_exception USING
                MESSAGE = format('%s of %s messages were stored in room %L', stored, cardinality(moved), move_messages.to_room),
                DETAIL = 'A trigger that is not of pgchat keeps messages from being stored.', HINT = '\d chat.messages shows the triggers.';
        END IF;
        INSERT INTO reactions (room_id, seq, emoji, user_id, created_at)
        SELECT to_id, (places -> r.seq::text)::bigint, r.emoji, r.user_id, r.created_at
        FROM reactions r WHERE r.room_id = from_id AND r.seq = ANY (moved);
        -- What answers a message that stays answers the first of the thread, where that goes along, or nothing.
        INSERT INTO replies (room_id, seq, reply_to)
        SELECT to_id, (places -> r.seq::text)::bigint, coalesce(places -> r.reply_to::text, places -> r.thread::text)::bigint
        FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (moved) AND places ?| ARRAY[r.reply_to::text, r.thread::text] ORDER BY r.seq;
        UPDATE files f SET room_id = to_id, seq = (places -> f.seq::text)::bigint WHERE f.room_id = from_id AND f.seq = ANY (moved);
        DELETE FROM messages m WHERE m.room_id = from_id AND m.seq = ANY (moved);
    END IF;
    PERFORM set_config('chat.actor', before, true);
    RETURN QUERY SELECT m, (places -> m::text)::bigint FROM unnest(moved) AS m;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.move_messages(text, bigint[], text, text) IS 'Moves messages to the end of another room: select * from chat.move_messages(''general'', ''{41,42}'', ''random''). Takes the room''s slug, the messages'' seq and the other room''s slug. Authors, reactions, files and replies among them go along, pins do not; those that were deleted stay. They are new there: unread, with new ids, and told to whom they address. Where they were empty rows stay, as after DELETE. They keep their times where all are later than what the other room has, else they have that of moving. Returns seq and new_seq of each.';

-- +goose StatementBegin
CREATE FUNCTION chat.merge_users(username text, into_username text, by text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    gone   uuid := find_user(merge_users.username);
    stays  uuid := find_user(merge_users.into_username);
    before text := act_as(merge_users.by);
    moved  bigint;
    direct record;
    people text;
BEGIN
    IF gone = stays THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%L and %L are the same user', merge_users.username, merge_users.into_username),
            HINT = 'Name the account that is to go, then the one that stays: select chat.merge_users(''ada2'', ''ada'');';
    END IF;
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (
        SELECT a.room_id, a.seq FROM messages a WHERE a.author_id = gone UNION SELECT r.room_id, r.seq FROM reactions r WHERE r.user_id = gone
        UNION SELECT p.room_id, p.seq FROM pins p WHERE p.user_id = gone UNION SELECT f.room_id, f.seq FROM files f WHERE f.uploader_id = gone)
    ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    -- Where they are a member nobody posts now, nor do they themselves.
    PERFORM FROM room_heads h WHERE h.room_id IN (
        SELECT m.room_id FROM members m WHERE m.user_id = gone UNION SELECT a.room_id FROM messages a WHERE a.author_id = gone
        UNION SELECT r.room_id FROM reactions r WHERE r.user_id = gone UNION SELECT p.room_id FROM pins p WHERE p.user_id = gone)
    ORDER BY h.room_id FOR NO KEY UPDATE;

    UPDATE messages SET author_id = stays, deleted_by = CASE WHEN deleted_by = gone THEN stays ELSE deleted_by END WHERE author_id = gone;
    GET DIAGNOSTICS moved = ROW_COUNT;
    UPDATE message_history SET author_id = stays WHERE author_id = gone;
    DELETE FROM reactions r USING reactions k WHERE r.user_id = gone AND k.room_id = r.room_id AND k.seq = r.seq AND k.emoji = r.emoji AND k.user_id = stays;
    UPDATE reactions SET user_id = stays WHERE user_id = gone;
    UPDATE pins SET user_id = stays WHERE user_id = gone;
    UPDATE files SET uploader_id = stays WHERE uploader_id = gone;
    UPDATE rooms SET created_by = stays WHERE created_by = gone;
    UPDATE room_events SET actor_id = stays WHERE actor_id = gone;
    UPDATE room_events SET subject_id = stays WHERE subject_id = gone;
    INSERT INTO mentions (user_id, room_id, seq)
    SELECT stays, c.room_id, c.seq FROM mentions c JOIN messages m ON m.room_id = c.room_id AND m.seq = c.seq
    WHERE c.user_id = gone AND m.author_id <> stays ON CONFLICT DO NOTHING;
    INSERT INTO bans AS b (user_id, room_id, until, reason, created_at, banned_by)
    SELECT stays, o.room_id, o.until, o.reason, o.created_at, o.banned_by FROM bans o WHERE o.user_id = gone AND o.until > now()
    ON CONFLICT ON CONSTRAINT bans_key DO UPDATE SET until = excluded.until, reason = excluded.reason, created_at = excluded.created_at, banned_by = excluded.banned_by
    WHERE b.until < excluded.until;

    -- The same people have one direct conversation: a second one becomes a private room of theirs, closed.
    FOR direct IN SELECT r.id, r.direct_key FROM rooms r JOIN members m ON m.room_id = r.id WHERE m.user_id = gone AND r.kind = 'direct' ORDER BY r.id LOOP
        SELECT string_agg(k.id::text, ',' ORDER BY k.id) INTO people
        FROM (SELECT DISTINCT CASE WHEN x.id::uuid = gone THEN stays ELSE x.id::uuid END AS id FROM string_to_table(direct.direct_key, ',') AS x (id)) k;
        IF EXISTS (SELECT FROM rooms r WHERE r.direct_key = people) THEN
            UPDATE rooms r SET kind = 'private', direct_key = NULL, archived_at = coalesce(r.archived_at, now()),
                name = btrim(left(r.name, 60)) || format(' (%s)', left(r.id::text, 8))
            WHERE r.id = direct.id;
        ELSE
            UPDATE rooms r SET direct_key = people WHERE r.id = direct.id;
        END IF;
    END LOOP;
    UPDATE members m SET last_read_seq = greatest(m.last_read_seq, o.last_read_seq), starred = m.starred OR o.starred,
        role = CASE WHEN o.role = 'owner' THEN 'owner' ELSE m.role END
    FROM members o WHERE o.user_id = gone AND m.room_id = o.room_id AND m.user_id = stays;
    INSERT INTO members (room_id, user_id, joined_at, last_read_seq, role, starred, notify)
    SELECT o.room_id, stays, o.joined_at, o.last_read_seq, o.role, o.starred, o.notify FROM members o WHERE o.user_id = gone ON CONFLICT DO NOTHING;
    DELETE FROM users WHERE id = gone;
    UPDATE rooms r SET name = left(p.names, 80) -- direct conversations are called by their people
    FROM (SELECT m.room_id, string_agg(u.name, ', ' ORDER BY lower(u.name)) AS names FROM members m JOIN users u ON u.id = m.user_id
          WHERE m.room_id IN (SELECT d.id FROM members o JOIN rooms d ON d.id = o.room_id WHERE o.user_id = stays AND d.kind = 'direct') GROUP BY m.room_id) p
    WHERE r.id = p.room_id AND r.name <> left(p.names, 80);
    PERFORM tell_activity('members', '{"user":"' || stays || '"}');
    PERFORM set_config('chat.actor', before, true);
    RETURN moved;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.merge_users(text, text, text) IS 'Makes one user of two: select chat.merge_users(''ada2'', ''ada''). What ada2 has said, reacted, pinned and uploaded, their memberships, direct conversations, mentions and bans are ada''s from then on, in every open page; ada2 is deleted, with sessions and tokens. ada keeps name, password, role and status. Where both had a direct conversation with the same people, ada2''s becomes a private room of them, archived. It cannot be undone. Returns how many messages have another author now.';

-- The server, which deletes no user and no message, calls neither.
-- +goose StatementBegin
DO $$ BEGIN
CREATE OR REPLACE VIEW chat.rights AS
WITH roles AS (
    SELECT v.role, r.oid FROM (SELECT unnest(ARRAY['chat_app', 'chat_readonly', 'chat_moderator']) AS role) v LEFT JOIN pg_roles r ON r.rolname = v.role
), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, bool_or(s.secret) AS secretive,
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE NOT s.secret) AS columns,
           array_agg(a.attnum) FILTER (WHERE NOT s.secret) AS attnums
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (SELECT a.atttypid = 'bytea'::regtype OR a.attname ~ '(password|secret|hash|token|private_key)' AS secret) s
    WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    GROUP BY c.oid
)
SELECT r.role, 'SCHEMA' AS kind, 'chat' AS object, pg_get_userbyid(n.nspowner) AS owner, 'USAGE' AS privileges,
       coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), false) AS held
FROM roles r CROSS JOIN pg_namespace n WHERE n.nspname = 'chat'
UNION ALL
SELECT r.role, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('chat.%I', c.relname), pg_get_userbyid(c.relowner),
       CASE WHEN w.part THEN format('SELECT (%s)', c.columns) ELSE array_to_string(w.privileges, ', ') END,
       coalesce(CASE WHEN w.part THEN (SELECT bool_and(has_column_privilege(r.oid, c.oid, n, 'SELECT')) FROM unnest(c.attnums) n)
            WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, 'USAGE')
            ELSE (SELECT bool_and(has_table_privilege(r.oid, c.oid, p)) FROM unnest(w.privileges) p) END, false)
FROM roles r CROSS JOIN relations c
CROSS JOIN LATERAL (SELECT r.role <> 'chat_app' AND c.secretive AS part, CASE
    WHEN c.relkind = 'S' THEN CASE WHEN r.role = 'chat_app' AND c.relname <> 'schema_version_id_seq' THEN ARRAY['USAGE'] END
    WHEN r.role <> 'chat_app' OR c.relkind IN ('v', 'm') OR c.relname = 'schema_version' THEN ARRAY['SELECT']
    WHEN c.relname = 'room_events' THEN ARRAY['SELECT', 'INSERT']
    WHEN c.relname IN ('users', 'rooms', 'room_heads', 'messages') THEN ARRAY['SELECT', 'INSERT', 'UPDATE']
    ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END AS privileges) w
WHERE w.privileges IS NOT NULL AND c.columns IS NOT NULL
UNION ALL
SELECT r.role, 'ROUTINE', format('chat.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), pg_get_userbyid(p.proowner), 'EXECUTE',
       coalesce(has_function_privilege(r.oid, p.oid, 'EXECUTE'), false)
FROM roles r CROSS JOIN pg_proc p
WHERE p.pronamespace = 'chat'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND CASE r.role WHEN 'chat_app' THEN p.proname NOT IN ('grant_rights', 'merge_users', 'move_messages')
                  WHEN 'chat_readonly' THEN p.provolatile <> 'v'
                  ELSE p.provolatile <> 'v' OR p.prosecdef END;
COMMENT ON VIEW chat.rights IS 'What the roles should have, and whether they have it. chat_app, the server: rows of all tables, but that it deletes no user, room or message; all functions but those that would (chat.merge_users, chat.move_messages). chat_readonly: all that shows no secret; functions that do not write. chat_moderator: the same, and the functions that write as the owner (SECURITY DEFINER). select chat.grant_rights(); gives what is missing.';
END $$;
-- +goose StatementEnd

COMMENT ON FUNCTION chat.begin_history() IS 'Begins a new history, and returns its id: select chat.begin_history(). Call it, before servers are started, after a restore that nothing in the database tells of: of a copy of the stopped server''s files, or of a snapshot of its disk. Rooms that are open meanwhile are compared anew.';

-- +goose Down
COMMENT ON FUNCTION chat.begin_history() IS 'Begins a new history, and returns its id. Call it, before servers are started, after a restore that nothing in the database tells of: of a copy of the stopped server''s files, or of a snapshot of its disk. Rooms that are open meanwhile are compared anew.';
-- +goose StatementBegin
DO $$ BEGIN
CREATE OR REPLACE VIEW chat.rights AS
WITH roles AS (
    SELECT v.role, r.oid FROM (SELECT unnest(ARRAY['chat_app', 'chat_readonly', 'chat_moderator']) AS role) v LEFT JOIN pg_roles r ON r.rolname = v.role
), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, bool_or(s.secret) AS secretive,
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE NOT s.secret) AS columns,
           array_agg(a.attnum) FILTER (WHERE NOT s.secret) AS attnums
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (SELECT a.atttypid = 'bytea'::regtype OR a.attname ~ '(password|secret|hash|token|private_key)' AS secret) s
    WHERE c.relnamespace = 'chat'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    GROUP BY c.oid
)
SELECT r.role, 'SCHEMA' AS kind, 'chat' AS object, pg_get_userbyid(n.nspowner) AS owner, 'USAGE' AS privileges,
       coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), false) AS held
FROM roles r CROSS JOIN pg_namespace n WHERE n.nspname = 'chat'
UNION ALL
SELECT r.role, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('chat.%I', c.relname), pg_get_userbyid(c.relowner),
       CASE WHEN w.part THEN format('SELECT (%s)', c.columns) ELSE array_to_string(w.privileges, ', ') END,
       coalesce(CASE WHEN w.part THEN (SELECT bool_and(has_column_privilege(r.oid, c.oid, n, 'SELECT')) FROM unnest(c.attnums) n)
            WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, 'USAGE')
            ELSE (SELECT bool_and(has_table_privilege(r.oid, c.oid, p)) FROM unnest(w.privileges) p) END, false)
FROM roles r CROSS JOIN relations c
CROSS JOIN LATERAL (SELECT r.role <> 'chat_app' AND c.secretive AS part, CASE
    WHEN c.relkind = 'S' THEN CASE WHEN r.role = 'chat_app' AND c.relname <> 'schema_version_id_seq' THEN ARRAY['USAGE'] END
    WHEN r.role <> 'chat_app' OR c.relkind IN ('v', 'm') OR c.relname = 'schema_version' THEN ARRAY['SELECT']
    WHEN c.relname = 'room_events' THEN ARRAY['SELECT', 'INSERT']
    WHEN c.relname IN ('users', 'rooms', 'room_heads', 'messages') THEN ARRAY['SELECT', 'INSERT', 'UPDATE']
    ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END AS privileges) w
WHERE w.privileges IS NOT NULL AND c.columns IS NOT NULL
UNION ALL
SELECT r.role, 'ROUTINE', format('chat.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), pg_get_userbyid(p.proowner), 'EXECUTE',
       coalesce(has_function_privilege(r.oid, p.oid, 'EXECUTE'), false)
FROM roles r CROSS JOIN pg_proc p
WHERE p.pronamespace = 'chat'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND CASE r.role WHEN 'chat_app' THEN p.proname <> 'grant_rights'
                  WHEN 'chat_readonly' THEN p.provolatile <> 'v'
                  ELSE p.provolatile <> 'v' OR p.prosecdef END;
COMMENT ON VIEW chat.rights IS 'What the roles should have, and whether they have it. chat_app, the server: rows of all tables, but that it deletes no user, room or message; all functions. chat_readonly: all that shows no secret; functions that do not write. chat_moderator: the same, and the functions that write as the owner (SECURITY DEFINER). select chat.grant_rights(); gives what is missing.';
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.merge_users(text, text, text), chat.move_messages(text, bigint[], text, text);
DROP TRIGGER refuse_new_key ON chat.files;
CREATE TRIGGER refuse_new_key BEFORE UPDATE ON chat.files
    FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.room_id <> NEW.room_id) EXECUTE FUNCTION chat.refuse_new_key('id and room_id');
COMMENT ON TRIGGER refuse_new_key ON chat.files IS 'A file stays in its room.';
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bans', 'file_chunks', 'histories', 'history_heads', 'search_documents', 'search_progress'] LOOP
        EXECUTE format('DROP TRIGGER refuse_truncate ON chat.%I', name);
    END LOOP;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = format('chat.%s is not truncated', TG_TABLE_NAME),
        DETAIL = 'TRUNCATE tells no triggers what it removes: pages would keep it, and what belongs to it would stay behind.',
        HINT = format('delete from chat.%s where …;', CASE TG_TABLE_NAME WHEN 'room_heads' THEN 'rooms' ELSE TG_TABLE_NAME END);
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
COMMENT ON FUNCTION chat.messages_before_update() IS 'Refuses changes of what clients know a message by, and says when its body was edited.';
DROP FUNCTION chat.extra_of(uuid, bigint);
