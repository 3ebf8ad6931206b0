-- +goose Up
-- What a DBA or a program does to the chat, by names: messages edited and deleted, rooms made and archived, members added and
-- removed, users renamed. They only say what is wrong better than a constraint would; all that follows is the triggers' work, as
-- for plain statements. "by" says who did it, where somebody of the chat did.

-- +goose StatementBegin
CREATE FUNCTION chat.find_room(room text) RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    found_id uuid := (SELECT r.id FROM rooms r WHERE r.slug = find_room.room);
BEGIN
    IF found_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no room %L', find_room.room),
            DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT = 'select slug from chat.rooms;';
    END IF;
    RETURN found_id;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.find_room(text) IS 'The id of the room with this slug: select chat.find_room(''general''). An error where there is none.';

-- +goose StatementBegin
CREATE FUNCTION chat.find_user(username text) RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
DECLARE
    found_id uuid := (SELECT u.id FROM users u WHERE lower(u.name) = lower(find_user.username));
BEGIN
    IF found_id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('there is no user %L', find_user.username), HINT = 'select name from chat.users;';
    END IF;
    RETURN found_id;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.find_user(text) IS 'The id of the user with this name, without regard to case: select chat.find_user(''ada''). An error where there is none.';

-- +goose StatementBegin
CREATE FUNCTION chat.act_as(username text) RETURNS text
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    before text := coalesce(current_setting('chat.actor', true), '');
BEGIN
    IF act_as.username IS NOT NULL THEN
        PERFORM set_config('chat.actor', find_user(act_as.username)::text, true);
    END IF;
    RETURN before;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.act_as(text) IS 'Has what follows in the transaction noted as done by this user; NULL: as it was. Returns what the setting chat.actor was before, to be set again.';

-- +goose StatementBegin
CREATE FUNCTION chat.find_message(room text, seq bigint, id uuid, OUT room_id uuid, OUT message_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n bigint;
BEGIN
    IF find_message.id IS NULL THEN
        find_message.room_id := find_room(find_message.room);
        SELECT m.seq INTO message_seq FROM messages m WHERE m.room_id = find_message.room_id AND m.seq = find_message.seq;
        IF message_seq IS NULL THEN
            RAISE no_data_found USING
                MESSAGE = format('there is no message %s in room %L', coalesce(find_message.seq::text, 'NULL'), find_message.room),
                DETAIL = (SELECT format('Its newest message is %s.', h.last_seq) FROM room_heads h WHERE h.room_id = find_message.room_id),
                HINT = format('select seq, body from chat.messages where room_id = %L order by seq desc limit 20;', find_message.room_id);
        END IF;
        RETURN;
    ELSIF find_message.room IS NOT NULL OR find_message.seq IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a message is named by its room and seq, or by its id',
            HINT = 'Leave one of both out: select chat.delete(''general'', 41); or select chat.delete(id => ''…'');';
    END IF;
    SELECT m.room_id, m.seq, count(*) OVER () INTO room_id, message_seq, n FROM messages m WHERE m.id = find_message.id;
    IF n IS NULL THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no message with the id %s', find_message.id),
            HINT = 'select id, body from chat.messages where room_id = chat.find_room(''general'') order by seq desc limit 20;';
    ELSIF n > 1 THEN -- ids are made by clients, and unique in a room
        RAISE cardinality_violation USING
            MESSAGE = format('%s rooms have a message with the id %s', n, find_message.id),
            HINT = format('Name it by room and seq: select r.slug, m.seq from chat.messages m join chat.rooms r on r.id = m.room_id where m.id = %L;', find_message.id);
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.find_message(text, bigint, uuid) IS 'The message with this seq in the room, or with this id. An error where there is none.';

-- +goose StatementBegin
CREATE FUNCTION chat.edit(room text DEFAULT NULL, seq bigint DEFAULT NULL, body text DEFAULT NULL, by text DEFAULT NULL, id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    at      record;
    text    text := coalesce(regexp_replace(edit.body, '^\s+|\s+$', '', 'g'), '');
    now     record;
    before  text;
    changed boolean;
BEGIN
    SELECT * INTO at FROM find_message(edit.room, edit.seq, edit.id);
    IF text = '' THEN
        RAISE check_violation USING MESSAGE = 'a message needs a text', HINT = 'To remove it: chat.delete.', CONSTRAINT = 'messages_body_check';
    ELSIF char_length(text) > 8000 THEN
        RAISE check_violation USING
            MESSAGE = format('a message has at most 8000 characters, this one %s', char_length(text)),
            HINT = 'Shorten it, or post it in parts.', CONSTRAINT = 'messages_body_check';
    END IF;
    SELECT m.deleted_at, r.slug INTO now FROM messages m JOIN rooms r ON r.id = m.room_id
    WHERE m.room_id = at.room_id AND m.seq = at.message_seq FOR NO KEY UPDATE OF m;
    IF now.deleted_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('message %s of room %L was deleted', at.message_seq, now.slug),
            DETAIL = format('Since %s.', now.deleted_at), HINT = format('select chat.undelete(%L, %s);', now.slug, at.message_seq);
    END IF;
    before := act_as(edit.by);
    UPDATE messages m SET body = text WHERE m.room_id = at.room_id AND m.seq = at.message_seq AND m.body <> text;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.edit(text, bigint, text, text, uuid) IS 'Gives a message another text: select chat.edit(''general'', 41, ''better''). Takes the room''s slug, the message''s seq and the text, or the message''s id: select chat.edit(id => ''0195d3c2-5b7e-7c11-8c55-2f6a1e9b4d70'', body => ''better''). Shows in every open page. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.set_deleted(room text, seq bigint, id uuid, deleted boolean, by text) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    at      record;
    before  text := act_as(set_deleted.by);
    changed boolean;
BEGIN
    SELECT * INTO at FROM find_message(set_deleted.room, set_deleted.seq, set_deleted.id);
    UPDATE messages m SET deleted_at = CASE WHEN deleted THEN now() END,
        deleted_by = CASE WHEN deleted AND set_deleted.by IS NOT NULL THEN find_user(set_deleted.by) END
    WHERE m.room_id = at.room_id AND m.seq = at.message_seq AND (m.deleted_at IS NULL) = deleted;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.set_deleted(text, bigint, uuid, boolean, text) IS 'What chat.delete and chat.undelete do.';

CREATE FUNCTION chat.delete(room text DEFAULT NULL, seq bigint DEFAULT NULL, by text DEFAULT NULL, id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE sql SET search_path = chat, pg_temp
RETURN chat.set_deleted(room, seq, id, true, by);
COMMENT ON FUNCTION chat.delete(text, bigint, text, uuid) IS 'Removes a message from sight: select chat.delete(''general'', 41). Takes the room''s slug and the message''s seq, or its id: select chat.delete(id => ''0195d3c2-5b7e-7c11-8c55-2f6a1e9b4d70''). Its row stays, and chat.undelete brings it back; its author cannot, unless it was deleted by them. Returns whether that has changed anything.';

CREATE FUNCTION chat.undelete(room text DEFAULT NULL, seq bigint DEFAULT NULL, by text DEFAULT NULL, id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE sql SET search_path = chat, pg_temp
RETURN chat.set_deleted(room, seq, id, false, by);
COMMENT ON FUNCTION chat.undelete(text, bigint, text, uuid) IS 'Brings back a message that was deleted from sight: select chat.undelete(''general'', 41). Takes the room''s slug and the message''s seq, or its id, as chat.delete does. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.rule(relation regclass, constraint_name text) RETURNS text
LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN (SELECT pg_catalog.obj_description(c.oid, 'pg_constraint') FROM pg_catalog.pg_constraint c WHERE c.conrelid = relation AND c.conname = constraint_name);
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rule(regclass, text) IS 'What a constraint demands, in the words of its comment.';

-- +goose StatementBegin
CREATE FUNCTION chat.slug_for(name text) RETURNS text
LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN (SELECT CASE WHEN s.slug IN ('new', 'browse') THEN s.slug || '-room' ELSE coalesce(nullif(s.slug, ''), 'room') END
    FROM (SELECT btrim(regexp_replace(lower(name), '[^[:alnum:]]+', '-', 'g'), '-') AS slug) s);
-- +goose StatementEnd
COMMENT ON FUNCTION chat.slug_for(text) IS 'A room''s name made fit for addresses: letters and digits in lower case, each run of anything else one "-".';

-- +goose StatementBegin
CREATE FUNCTION chat.create_room(name text, slug text DEFAULT NULL, topic text DEFAULT '', kind text DEFAULT 'public', owner text DEFAULT NULL,
    everyone boolean DEFAULT false, members text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    before   text := act_as(create_room.owner);
    owner_id uuid := CASE WHEN create_room.owner IS NOT NULL THEN find_user(create_room.owner) END;
    people   uuid[] := ARRAY(SELECT find_user(m) FROM unnest(create_room.members) AS m);
    called   text := coalesce(create_room.name, '');
    free     text := coalesce(create_room.slug, slug_for(called));
    made     record;
    broken   text;
    relation text;
BEGIN
    IF create_room.kind = 'direct' THEN
        RAISE check_violation USING
            MESSAGE = 'a direct conversation is begun by one of its people, not made',
            HINT = format('Make a private room: select chat.create_room(%L, kind => ''private'', members => ''{ada,eve}'');', called);
    ELSIF free IN ('new', 'browse') THEN
        RAISE check_violation USING
            MESSAGE = format('no room can have the slug %L', free), DETAIL = format('/rooms/%s is another page.', free),
            HINT = format('select chat.create_room(%L, slug => %L);', called, free || '-room'), CONSTRAINT = 'rooms_slug_check';
    END IF;
    SELECT r.slug, r.name, r.archived_at, r.kind INTO made FROM rooms r WHERE lower(r.name) = lower(called) AND r.kind <> 'direct';
    IF FOUND THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a room called %L', made.name),
            DETAIL = format('It is %s%s, its slug is %L.', made.kind, CASE WHEN made.archived_at IS NOT NULL THEN ' and archived' ELSE '' END, made.slug),
            HINT = 'Choose a name that differs in more than case: select slug, name from chat.rooms;', CONSTRAINT = 'rooms_name_key';
    END IF;
    FOR n IN 2 .. 1000000 LOOP
        INSERT INTO rooms (slug, name, topic, kind, everyone, created_by)
        VALUES (free, called, coalesce(create_room.topic, ''), create_room.kind, create_room.everyone, owner_id)
        ON CONFLICT (slug) DO NOTHING RETURNING rooms.slug, rooms.id INTO made;
        EXIT WHEN FOUND;
        IF create_room.slug IS NOT NULL THEN
            RAISE unique_violation USING
                MESSAGE = format('there is a room with the slug %L', free),
                HINT = 'Choose another one, or leave it out: it is made from the name.', CONSTRAINT = 'rooms_slug_key';
        END IF;
        free := slug_for(called) || '-' || n;
    END LOOP;
    INSERT INTO members (room_id, user_id) SELECT made.id, p FROM unnest(people) AS p ON CONFLICT DO NOTHING;
    PERFORM set_config('chat.actor', before, true);
    RETURN made.slug;
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, relation = TABLE_NAME;
    IF relation <> 'rooms' THEN -- it says what is wrong already
        RAISE;
    END IF;
    RAISE check_violation USING
        MESSAGE = format('a room of kind %L cannot have the name %L, slug %L and topic %L', create_room.kind, called, free, create_room.topic),
        DETAIL = rule('rooms', broken), HINT = 'select chat.create_room(''Release planning'', topic => ''What comes next'', owner => ''ada'');', CONSTRAINT = broken;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.create_room(text, text, text, text, text, boolean, text[]) IS 'Makes a room and returns its slug: select chat.create_room(''Release planning'', topic => ''What comes next'', owner => ''ada'', members => ''{eve,bob}''). The slug is made from the name where none is given; kind is public or private; everyone => true has all users as members, of now and later.';

-- +goose StatementBegin
CREATE FUNCTION chat.archive_room(room text, by text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    found_id uuid := find_room(archive_room.room);
    before   text := act_as(archive_room.by);
    changed  boolean;
BEGIN
    UPDATE rooms r SET archived_at = now() WHERE r.id = found_id AND r.archived_at IS NULL;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.archive_room(text, text) IS 'Closes a room: it can be read, nothing can be posted: select chat.archive_room(''general''). Takes the room''s slug. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.restore_room(room text, by text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    found_id uuid := find_room(restore_room.room);
    before   text := act_as(restore_room.by);
    changed  boolean;
BEGIN
    UPDATE rooms r SET archived_at = NULL WHERE r.id = found_id AND r.archived_at IS NOT NULL;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.restore_room(text, text) IS 'Opens an archived room again: select chat.restore_room(''general''). Takes the room''s slug. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.add_member(room text, username text, role text DEFAULT NULL, by text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    found_id  uuid := find_room(add_member.room);
    member_id uuid := find_user(add_member.username);
    before    text := act_as(add_member.by);
    now       record;
    changed   boolean;
BEGIN
    SELECT r.kind, r.archived_at INTO now FROM rooms r WHERE r.id = found_id;
    IF add_member.role NOT IN ('member', 'owner') THEN
        RAISE check_violation USING
            MESSAGE = format('%L is no role in a room', add_member.role), DETAIL = rule('members', 'members_role_check'),
            HINT = format('select chat.add_member(%L, %L, role => ''owner'');', add_member.room, add_member.username), CONSTRAINT = 'members_role_check';
    ELSIF now.kind = 'direct' THEN
        RAISE check_violation USING
            MESSAGE = format('%L is a direct conversation: nobody joins or leaves it', add_member.room),
            HINT = format('Make a private room for more: select chat.create_room(''…'', kind => ''private'', members => ARRAY[%L]);', add_member.username);
    ELSIF now.archived_at IS NOT NULL THEN
        RAISE check_violation USING
            MESSAGE = format('room %L is archived', add_member.room), DETAIL = format('Since %s.', now.archived_at),
            HINT = format('select chat.restore_room(%L);', add_member.room);
    END IF;
    INSERT INTO members AS m (room_id, user_id, role) VALUES (found_id, member_id, coalesce(add_member.role, 'member'))
    ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role WHERE m.role <> excluded.role AND add_member.role IS NOT NULL;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.add_member(text, text, text, text) IS 'Makes a user a member of a room: select chat.add_member(''general'', ''ada''), or its owner: select chat.add_member(''general'', ''ada'', role => ''owner''). Takes the room''s slug and the user''s name; who is a member already gets the role, where one is given. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.remove_member(room text, username text, by text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    found_id  uuid := find_room(remove_member.room);
    member_id uuid := find_user(remove_member.username);
    before    text := act_as(remove_member.by);
    changed   boolean;
BEGIN
    IF EXISTS (SELECT FROM rooms r WHERE r.id = found_id AND r.kind = 'direct') THEN
        RAISE check_violation USING
            MESSAGE = format('%L is a direct conversation: nobody joins or leaves it', remove_member.room),
            HINT = format('To end it for all: select chat.archive_room(%L);', remove_member.room);
    END IF;
    DELETE FROM members m WHERE m.room_id = found_id AND m.user_id = member_id;
    changed := FOUND;
    PERFORM set_config('chat.actor', before, true);
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.remove_member(text, text, text) IS 'Ends a membership: select chat.remove_member(''general'', ''ada''). Takes the room''s slug and the user''s name. Their open pages lose a private room at once; a public one they may go on reading, and join again. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.rename_user(username text, new_name text) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    renamed  uuid := find_user(rename_user.username);
    called   text := coalesce(btrim(rename_user.new_name), '');
    changed  boolean;
    broken   text;
    relation text;
BEGIN
    IF lower(called) IN ('everyone', 'here') THEN
        RAISE check_violation USING
            MESSAGE = format('nobody can be called %L', called), DETAIL = format('@%s addresses all members of a room.', lower(called)),
            HINT = 'Choose another name.', CONSTRAINT = 'users_name_check';
    END IF;
    UPDATE users u SET name = called WHERE u.id = renamed AND u.name <> called;
    changed := FOUND;
    RETURN changed;
EXCEPTION
    WHEN check_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, relation = TABLE_NAME;
        IF relation <> 'users' THEN
            RAISE;
        END IF;
        RAISE check_violation USING
            MESSAGE = format('nobody can be called %L', called), DETAIL = format('A name has %s', rule('users', broken)),
            HINT = format('select chat.rename_user(%L, ''ada.lovelace'');', rename_user.username), CONSTRAINT = broken;
    WHEN unique_violation THEN
        RAISE unique_violation USING
            MESSAGE = format('there is a user called %L', called), HINT = 'Choose a name that differs in more than case: select name from chat.users;', CONSTRAINT = 'users_name_key';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rename_user(text, text) IS 'Gives a user another name: select chat.rename_user(''ada'', ''ada.lovelace''). They sign in with it from now on; it shows in every open page, also at what they have said; mentions of the old name in messages stay as they were written. Returns whether that has changed anything.';

-- Who is renamed is told as who is otherwise: pages and programs know people by their ids.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    users uuid[] := ARRAY(
        SELECT n.id FROM new_users n JOIN old_users o ON o.id = n.id
        WHERE (n.name, n.status_emoji, n.status_text, n.status_until, n.dnd_until) IS DISTINCT FROM (o.name, o.status_emoji, o.status_text, o.status_until, o.dnd_until));
    renamed uuid[] := ARRAY(SELECT n.id FROM new_users n JOIN old_users o ON o.id = n.id WHERE n.name <> o.name);
BEGIN
    IF users = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM tell_activity('status', string_agg('{"user":"' || u || '"}', ',')) FROM (SELECT u FROM unnest(users) AS u LIMIT 200) u;
    PERFORM pg_notify('room:' || p.room_id, '{"presence":true}') FROM (SELECT DISTINCT room_id FROM presence WHERE user_id = ANY (users)) p;
    IF renamed <> '{}' THEN -- a direct conversation is called by its people
        UPDATE rooms r SET name = left(p.names, 80)
        FROM (SELECT m.room_id, string_agg(u.name, ', ' ORDER BY lower(u.name)) AS names FROM members m JOIN users u ON u.id = m.user_id
              WHERE m.room_id IN (SELECT d.id FROM members o JOIN rooms d ON d.id = o.room_id WHERE o.user_id = ANY (renamed) AND d.kind = 'direct') GROUP BY m.room_id) p
        WHERE r.id = p.room_id AND r.name <> left(p.names, 80);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_after_update() IS 'Tells every instance, and the rooms that they have open, whose name or status has changed; direct conversations are named anew.';
COMMENT ON TRIGGER users_after_update ON chat.users IS 'A name and a status show on all pages, whoever sets them.';

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    users uuid[] := ARRAY(
        SELECT n.id FROM new_users n JOIN old_users o ON o.id = n.id
        WHERE (n.status_emoji, n.status_text, n.status_until, n.dnd_until) IS DISTINCT FROM (o.status_emoji, o.status_text, o.status_until, o.dnd_until));
BEGIN
    IF users = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM tell_activity('status', string_agg('{"user":"' || u || '"}', ',')) FROM (SELECT u FROM unnest(users) AS u LIMIT 200) u;
    PERFORM pg_notify('room:' || p.room_id, '{"presence":true}') FROM (SELECT DISTINCT room_id FROM presence WHERE user_id = ANY (users)) p;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_after_update() IS 'Tells every instance, and the rooms that they have open, whose status has changed.';
COMMENT ON TRIGGER users_after_update ON chat.users IS 'A status shows on all pages, whoever sets it.';
DROP FUNCTION chat.rename_user(text, text), chat.remove_member(text, text, text), chat.add_member(text, text, text, text),
    chat.restore_room(text, text), chat.archive_room(text, text), chat.create_room(text, text, text, text, text, boolean, text[]),
    chat.slug_for(text), chat.rule(regclass, text), chat.undelete(text, bigint, text, uuid), chat.delete(text, bigint, text, uuid),
    chat.set_deleted(text, bigint, uuid, boolean, text), chat.edit(text, bigint, text, text, uuid),
    chat.find_message(text, bigint, uuid), chat.act_as(text), chat.find_user(text), chat.find_room(text);
