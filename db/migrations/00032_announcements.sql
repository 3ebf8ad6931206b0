-- +goose Up
-- What is told to open pages and programs beside messages: announcements to all of them, events to a room's, and that they shall go.
CREATE TABLE chat.announcements (
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    text         text        NOT NULL,
    until        timestamptz NOT NULL DEFAULT 'infinity',
    created_at   timestamptz NOT NULL DEFAULT now(),
    announced_by text        NOT NULL DEFAULT session_user,
    CONSTRAINT announcements_pkey PRIMARY KEY (id),
    CONSTRAINT announcements_text_check CHECK (char_length(text) <= 500 AND text ~ '\S')
);
COMMENT ON TABLE chat.announcements IS 'Notices at the top of every page, and to programs, while they last. INSERT, UPDATE and DELETE show at once; chat.announce and chat.withdraw do it. Those that have ended stay, and show nowhere.';
COMMENT ON COLUMN chat.announcements.id IS 'Its identity.';
COMMENT ON COLUMN chat.announcements.text IS 'What is announced, plain text of 1 to 500 characters.';
COMMENT ON COLUMN chat.announcements.until IS 'When it goes, by itself; ''infinity'': when it is deleted.';
COMMENT ON COLUMN chat.announcements.created_at IS 'Since when it shows.';
COMMENT ON COLUMN chat.announcements.announced_by IS 'The role of PostgreSQL that was signed in.';
COMMENT ON CONSTRAINT announcements_pkey ON chat.announcements IS 'One row for each announcement.';
COMMENT ON INDEX chat.announcements_pkey IS 'One row for each announcement.';
COMMENT ON CONSTRAINT announcements_text_check ON chat.announcements IS '1 to 500 characters, not only white space.';

-- +goose StatementBegin
CREATE FUNCTION chat.announcements_tell() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    PERFORM pg_notify('activity', '{"announcements":true}');
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.announcements_tell() IS 'Has every instance read what is announced.';
CREATE TRIGGER announcements_tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.announcements
    FOR EACH STATEMENT EXECUTE FUNCTION chat.announcements_tell();
COMMENT ON TRIGGER announcements_tell ON chat.announcements IS 'Announcements show, and go, at once.';

-- +goose StatementBegin
CREATE FUNCTION chat.announce(text text, until timestamptz DEFAULT 'infinity') RETURNS uuid
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    said text := coalesce(regexp_replace(announce.text, '^\s+|\s+$', '', 'g'), '');
    ends timestamptz := coalesce(announce.until, 'infinity');
    made uuid;
BEGIN
    IF said = '' OR char_length(said) > 500 THEN
        RAISE check_violation USING
            MESSAGE = format('an announcement has 1 to 500 characters, this one %s', char_length(said)),
            HINT = 'Shorten it, and post the rest to a room: chat.post.', CONSTRAINT = 'announcements_text_check';
    ELSIF ends <= now() THEN
        RAISE check_violation USING
            MESSAGE = format('the announcement would have ended at %s', ends), DETAIL = format('It is %s.', now()),
            HINT = format('select chat.announce(%L, until => now() + interval ''1 hour'');', said);
    END IF;
    INSERT INTO announcements (text, until) VALUES (said, ends) RETURNING id INTO made;
    RETURN made;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.announce(text, timestamptz) IS 'Shows a notice at the top of all pages, and tells programs: select chat.announce(''Maintenance at 18:00'', until => now() + interval ''3 hours''). Without until it stays until chat.withdraw; readers may close it. Returns its id.';

-- +goose StatementBegin
CREATE FUNCTION chat.withdraw(id uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n bigint;
BEGIN
    DELETE FROM announcements a WHERE withdraw.id IS NULL OR a.id = withdraw.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.withdraw(uuid) IS 'Takes an announcement from all pages: select chat.withdraw(''0195d3c2-5b7e-7c11-8c55-2f6a1e9b4d70''), or all of them: select chat.withdraw(). Returns how many.';

-- +goose StatementBegin
CREATE FUNCTION chat.group_send(room text, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    room_id uuid := find_room(group_send.room);
    told    text := '{"event":' || coalesce(group_send.payload, 'null')::text || '}';
BEGIN
    IF octet_length(told) > 7999 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('the event has %s bytes, at most 7989 can be sent', octet_length(told) - 10),
            DETAIL = 'A notification of PostgreSQL has at most 7999 bytes, 10 of them stand around the event.',
            HINT = 'Keep it in a table of your own, and send its key.';
    END IF;
    PERFORM pg_notify('room:' || room_id, told);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.group_send(text, jsonb) IS 'Sends an event to who has the room open, and stores nothing: select chat.group_send(''general'', ''{"build": "green"}''). Programs get a frame "group", pages dispatch the DOM event "pgchat:group". At most 7989 bytes.';

-- +goose StatementBegin
CREATE FUNCTION chat.disconnect(username text, sign_out boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    gone uuid := find_user(disconnect.username);
    n    bigint := 0;
BEGIN
    IF disconnect.sign_out THEN
        DELETE FROM sessions s WHERE s.user_id = gone;
        GET DIAGNOSTICS n = ROW_COUNT;
    END IF;
    PERFORM pg_notify('activity', json_build_object('disconnect', ARRAY[gone])::text);
    RETURN n;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.disconnect(text, boolean) IS 'Closes all connections of a user: select chat.disconnect(''ada''). Their pages and programs connect again, perhaps to another server; with sign_out => true the sessions of their browsers end, too, and they have to sign in. Tokens stay. Returns how many sessions were ended. To keep somebody out: chat.ban.';

ALTER FUNCTION chat.withdraw(uuid) SECURITY DEFINER; -- as what else a moderator may do; see chat.grant_rights

-- +goose Down
DROP FUNCTION chat.disconnect(text, boolean), chat.group_send(text, jsonb), chat.withdraw(uuid), chat.announce(text, timestamptz);
DROP TABLE chat.announcements;
DROP FUNCTION chat.announcements_tell();
