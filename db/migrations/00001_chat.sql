-- +goose Up
CREATE SCHEMA IF NOT EXISTS chat;
COMMENT ON SCHEMA chat IS 'pgchat: users, rooms, messages, presence. Everything the chat server stores is here.';

CREATE TABLE chat.users (
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    name          text        NOT NULL,
    role          text        NOT NULL DEFAULT 'member',
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_name_check CHECK (name ~ '^[[:alnum:]_.-]{2,32}$'),
    CONSTRAINT users_role_check CHECK (role IN ('member', 'admin'))
);
CREATE UNIQUE INDEX users_name_key ON chat.users (lower(name));
COMMENT ON TABLE chat.users IS 'People (and programs) who can sign in or be the author of a message.';
COMMENT ON COLUMN chat.users.id IS 'Stable identity; names may change, this does not.';
COMMENT ON COLUMN chat.users.name IS '2 to 32 letters, digits, "-", "_" or "."; unique without regard to case.';
COMMENT ON COLUMN chat.users.role IS '"member", or "admin": may administer the chat. The first account made is an admin.';
COMMENT ON COLUMN chat.users.password_hash IS 'argon2id in PHC form; NULL: cannot sign in with a password.';
COMMENT ON COLUMN chat.users.created_at IS 'When the account was made.';
COMMENT ON INDEX chat.users_name_key IS 'No two names that differ in case only.';

CREATE TABLE chat.sessions (
    token_hash bytea       NOT NULL,
    user_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    user_agent text        NOT NULL DEFAULT '',
    CONSTRAINT sessions_pkey PRIMARY KEY (token_hash),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_token_hash_check CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX sessions_user_id_idx ON chat.sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON chat.sessions (expires_at);
COMMENT ON TABLE chat.sessions IS 'Signed-in browsers. Deleting a row signs that browser out.';
COMMENT ON COLUMN chat.sessions.token_hash IS 'SHA-256 of the cookie''s token; the token itself is stored nowhere.';
COMMENT ON COLUMN chat.sessions.user_id IS 'Who is signed in.';
COMMENT ON COLUMN chat.sessions.created_at IS 'When they signed in.';
COMMENT ON COLUMN chat.sessions.expires_at IS 'From then on the session no longer counts.';
COMMENT ON COLUMN chat.sessions.user_agent IS 'The browser''s User-Agent header at sign-in, shortened.';
COMMENT ON INDEX chat.sessions_user_id_idx IS 'Ending all sessions of a user.';
COMMENT ON INDEX chat.sessions_expires_at_idx IS 'Sweeping expired sessions.';

CREATE TABLE chat.rooms (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    slug        text        NOT NULL,
    name        text        NOT NULL,
    topic       text        NOT NULL DEFAULT '',
    everyone    boolean     NOT NULL DEFAULT false,
    created_by  uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    CONSTRAINT rooms_pkey PRIMARY KEY (id),
    CONSTRAINT rooms_slug_key UNIQUE (slug),
    CONSTRAINT rooms_created_by_fkey FOREIGN KEY (created_by) REFERENCES chat.users (id) ON DELETE SET NULL,
    CONSTRAINT rooms_name_check CHECK (char_length(name) BETWEEN 1 AND 80 AND name = btrim(name) AND name !~ '[[:cntrl:]]'),
    CONSTRAINT rooms_slug_check CHECK (slug <> '' AND slug !~ '[[:space:][:cntrl:]/?#%]'),
    CONSTRAINT rooms_topic_check CHECK (char_length(topic) <= 250)
);
CREATE UNIQUE INDEX rooms_name_key ON chat.rooms (lower(name));
COMMENT ON TABLE chat.rooms IS 'Rooms that people talk in.';
COMMENT ON COLUMN chat.rooms.id IS 'Stable identity; live events travel on the channel "room:<id>".';
COMMENT ON COLUMN chat.rooms.slug IS 'The room''s name in addresses: /rooms/<slug>.';
COMMENT ON COLUMN chat.rooms.name IS '1 to 80 characters, unique without regard to case.';
COMMENT ON COLUMN chat.rooms.topic IS 'One line about the room, at most 250 characters; may be empty.';
COMMENT ON COLUMN chat.rooms.everyone IS 'True: every user is a member, new ones from their sign-up on.';
COMMENT ON COLUMN chat.rooms.created_by IS 'Who made it; NULL: made by the system or by somebody since removed.';
COMMENT ON COLUMN chat.rooms.created_at IS 'When it was made.';
COMMENT ON COLUMN chat.rooms.archived_at IS 'Since when nothing can be posted; NULL: open.';
COMMENT ON INDEX chat.rooms_name_key IS 'No two names that differ in case only.';

CREATE TABLE chat.room_heads (
    room_id  uuid   NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    last_rev bigint NOT NULL DEFAULT 0,
    CONSTRAINT room_heads_pkey PRIMARY KEY (room_id),
    CONSTRAINT room_heads_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE chat.room_heads IS 'How far each room has come. Its row is the lock under which messages are numbered; narrow, so that updating it stays within its page (HOT).';
COMMENT ON COLUMN chat.room_heads.room_id IS 'The room.';
COMMENT ON COLUMN chat.room_heads.last_seq IS 'seq of its newest message, which is also how many there have been; 0: none.';
COMMENT ON COLUMN chat.room_heads.last_rev IS 'rev of its newest change to a message; 0: none.';

CREATE TABLE chat.members (
    room_id       uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    joined_at     timestamptz NOT NULL DEFAULT now(),
    last_read_seq bigint      NOT NULL DEFAULT 0,
    CONSTRAINT members_pkey PRIMARY KEY (room_id, user_id),
    CONSTRAINT members_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE,
    CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE
);
CREATE INDEX members_user_id_idx ON chat.members (user_id);
COMMENT ON TABLE chat.members IS 'Who belongs to which room and may post there.';
COMMENT ON COLUMN chat.members.room_id IS 'The room.';
COMMENT ON COLUMN chat.members.user_id IS 'The member.';
COMMENT ON COLUMN chat.members.joined_at IS 'Since when.';
COMMENT ON COLUMN chat.members.last_read_seq IS 'seq up to which they have read; unread = last_seq - last_read_seq.';
COMMENT ON INDEX chat.members_user_id_idx IS 'The rooms of a user.';

CREATE TABLE chat.messages (
    room_id    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    author_id  uuid        NOT NULL,
    body       text        NOT NULL,
    created_at timestamptz NOT NULL,
    rev        bigint,
    edited_at  timestamptz,
    deleted_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (room_id, seq),
    CONSTRAINT messages_id_key UNIQUE (room_id, id),
    CONSTRAINT messages_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE,
    CONSTRAINT messages_author_id_fkey FOREIGN KEY (author_id) REFERENCES chat.users (id),
    CONSTRAINT messages_body_check CHECK (char_length(body) BETWEEN 1 AND 8000)
);
CREATE INDEX messages_rev_idx ON chat.messages (room_id, rev) WHERE rev IS NOT NULL;
COMMENT ON TABLE chat.messages IS 'What was said. INSERT, UPDATE and DELETE here show in every open browser; triggers number and notify.';
COMMENT ON COLUMN chat.messages.room_id IS 'Where it was said.';
COMMENT ON COLUMN chat.messages.seq IS 'Its place in the room, from 1 without gaps, in commit order. Leave it out: a trigger gives the next one.';
COMMENT ON COLUMN chat.messages.id IS 'Made by the client, so that sending again stores nothing twice; unique in its room.';
COMMENT ON COLUMN chat.messages.author_id IS 'Who said it.';
COMMENT ON COLUMN chat.messages.body IS 'What was said, plain text, 1 to 8000 characters.';
COMMENT ON COLUMN chat.messages.created_at IS 'When it was stored; within a room never earlier than the message before. Leave it out.';
COMMENT ON COLUMN chat.messages.rev IS 'The room''s change number at its latest change; NULL: never changed. Set by a trigger.';
COMMENT ON COLUMN chat.messages.edited_at IS 'When its body was last changed; NULL: never. Set by a trigger.';
COMMENT ON COLUMN chat.messages.deleted_at IS 'Since when it no longer shows; NULL: it shows.';
COMMENT ON INDEX chat.messages_rev_idx IS 'Catching up on changes; holds changed messages only, so that inserting pays nothing.';

CREATE UNLOGGED TABLE chat.instances (
    id           uuid        NOT NULL,
    name         text        NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT instances_pkey PRIMARY KEY (id)
) WITH (fillfactor = 50);
COMMENT ON TABLE chat.instances IS 'Running pgchat servers. Unlogged: heartbeats write no WAL, and after a crash of PostgreSQL the servers register again.';
COMMENT ON COLUMN chat.instances.id IS 'New at every start; events for one instance travel on the channel "inst:<id>".';
COMMENT ON COLUMN chat.instances.name IS 'Host name and address it serves on, for people.';
COMMENT ON COLUMN chat.instances.version IS 'The version of pgchat that it runs.';
COMMENT ON COLUMN chat.instances.started_at IS 'When it started.';
COMMENT ON COLUMN chat.instances.heartbeat_at IS 'Its latest sign of life; its lease ends 30 s later.';

CREATE UNLOGGED TABLE chat.presence (
    room_id     uuid    NOT NULL,
    user_id     uuid    NOT NULL,
    instance_id uuid    NOT NULL,
    connections integer NOT NULL,
    CONSTRAINT presence_pkey PRIMARY KEY (room_id, user_id, instance_id),
    CONSTRAINT presence_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES chat.instances (id) ON DELETE CASCADE,
    CONSTRAINT presence_connections_check CHECK (connections > 0)
) WITH (fillfactor = 50);
CREATE INDEX presence_instance_id_idx ON chat.presence (instance_id);
COMMENT ON TABLE chat.presence IS 'Who has which room open through which instance. Counts only while that instance''s lease lasts.';
COMMENT ON COLUMN chat.presence.room_id IS 'The room that is open.';
COMMENT ON COLUMN chat.presence.user_id IS 'Who has it open.';
COMMENT ON COLUMN chat.presence.instance_id IS 'The server that holds the connections.';
COMMENT ON COLUMN chat.presence.connections IS 'How many tabs or programs; at least 1.';
COMMENT ON INDEX chat.presence_instance_id_idx IS 'Ending all presence of an instance at once.';

-- +goose StatementBegin
CREATE FUNCTION chat.rooms_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    INSERT INTO room_heads (room_id) SELECT id FROM new_rooms;
    INSERT INTO members (room_id, user_id)
        SELECT r.id, u.id FROM new_rooms r CROSS JOIN users u WHERE r.everyone
        ON CONFLICT DO NOTHING;
    INSERT INTO members (room_id, user_id)
        SELECT r.id, r.created_by FROM new_rooms r WHERE r.created_by IS NOT NULL
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_after_insert() IS 'Gives new rooms their head, and their first members.';
CREATE TRIGGER rooms_after_insert AFTER INSERT ON chat.rooms
    REFERENCING NEW TABLE AS new_rooms FOR EACH STATEMENT EXECUTE FUNCTION chat.rooms_after_insert();
COMMENT ON TRIGGER rooms_after_insert ON chat.rooms IS 'Every room has a head; its maker is a member.';

-- +goose StatementBegin
CREATE FUNCTION chat.users_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    INSERT INTO members (room_id, user_id)
        SELECT r.id, u.id FROM rooms r CROSS JOIN new_users u WHERE r.everyone
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.users_after_insert() IS 'Makes new users members of the rooms that are for everyone.';
CREATE TRIGGER users_after_insert AFTER INSERT ON chat.users
    REFERENCING NEW TABLE AS new_users FOR EACH STATEMENT EXECUTE FUNCTION chat.users_after_insert();
COMMENT ON TRIGGER users_after_insert ON chat.users IS 'New users belong to the rooms that are for everyone.';

-- Numbering. The first row of a statement for a room locks the room's head and remembers the number given in a
-- transaction-local setting; the rows after it count on from there; the statement trigger then moves the head once.
-- One UPDATE of the head per row would make a version chain as long as the statement, and so quadratic cost.
-- +goose StatementBegin
CREATE FUNCTION chat.messages_before_insert() RETURNS trigger
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
    ELSE
        NEW.seq := given::bigint;
    END IF;
    NEW.seq := NEW.seq + 1;
    PERFORM set_config(setting, NEW.seq::text, true);
    NEW.created_at := coalesce(NEW.created_at, clock_timestamp());
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_before_insert() IS 'Numbers messages that are inserted without seq, in linear time however many one statement has.';
CREATE TRIGGER messages_before_insert BEFORE INSERT ON chat.messages
    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION chat.messages_before_insert();
COMMENT ON TRIGGER messages_before_insert ON chat.messages IS 'Plain INSERTs need no seq.';

-- +goose StatementBegin
CREATE FUNCTION chat.messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    r       record;
    payload text;
BEGIN
    FOR r IN SELECT room_id, min(seq) AS first, max(seq) AS last, count(*) AS n, sum(octet_length(body)) AS bytes
             FROM new_messages GROUP BY room_id ORDER BY room_id
    LOOP
        UPDATE room_heads SET last_seq = r.last
            WHERE room_id = r.room_id AND last_seq = r.first - 1 AND r.n = r.last - r.first + 1;
        IF NOT FOUND THEN
            RAISE check_violation USING
                MESSAGE = format('seq %s to %s do not follow the last message of room %s', r.first, r.last, r.room_id),
                HINT = 'Leave seq out: a trigger gives the next number.';
        END IF;
        PERFORM set_config('chat.seq_' || replace(r.room_id::text, '-', ''), '', true);
        payload := NULL;
        IF r.bytes <= 7999 THEN
            SELECT json_build_object('first', r.first, 'last', r.last, 'messages', json_agg(json_build_object(
                       'seq', m.seq, 'id', m.id, 'author_id', m.author_id, 'author', u.name,
                       'body', m.body, 'created_at', m.created_at) ORDER BY m.seq))::text
                INTO payload FROM new_messages m JOIN users u ON u.id = m.author_id WHERE m.room_id = r.room_id;
        END IF;
        -- NOTIFY takes at most 7999 bytes, in bytes and not in characters.
        IF payload IS NULL OR octet_length(payload) > 7999 THEN
            payload := json_build_object('first', r.first, 'last', r.last)::text;
        END IF;
        PERFORM pg_notify('room:' || r.room_id, payload);
    END LOOP;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_insert() IS 'Moves the heads of the rooms, refuses numbers that would leave a gap, and sends one notification for each room: the messages where they fit into 7999 bytes, else their range.';
CREATE TRIGGER messages_after_insert AFTER INSERT ON chat.messages
    REFERENCING NEW TABLE AS new_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_insert();
COMMENT ON TRIGGER messages_after_insert ON chat.messages IS 'Heads and notifications, once per statement.';

-- +goose StatementBegin
CREATE FUNCTION chat.post_batch(room_ids uuid[], ids uuid[], author_ids uuid[], bodies text[])
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- In room order: two instances that post to the same rooms in opposite orders would deadlock.
    PERFORM 1 FROM room_heads h WHERE h.room_id = ANY (room_ids) ORDER BY h.room_id FOR NO KEY UPDATE;
    -- A new statement sees what was committed while this one waited for the locks: only now can duplicates be told.
    RETURN QUERY
    WITH input AS (
        SELECT i.* FROM unnest(room_ids, ids, author_ids, bodies) WITH ORDINALITY AS i (room_id, id, author_id, body, ord)
    ), judged AS (
        SELECT i.*, old.seq AS old_seq,
            CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN m.user_id IS NULL THEN 'not_a_member'
                 WHEN old.seq IS NOT NULL THEN
                     CASE WHEN old.author_id = i.author_id THEN 'duplicate' ELSE 'id_taken' END
                 WHEN r.archived_at IS NOT NULL THEN 'room_archived'
                 WHEN i.body IS NULL OR i.body = '' THEN 'body_empty'
                 WHEN char_length(i.body) > 8000 THEN 'body_too_long'
                 ELSE 'posted' END AS verdict
        FROM input i
        LEFT JOIN rooms r ON r.id = i.room_id
        LEFT JOIN members m ON m.room_id = i.room_id AND m.user_id = i.author_id
        LEFT JOIN messages old ON old.room_id = i.room_id AND old.id = i.id
    ), fresh AS (
        SELECT j.*, h.last_seq + row_number() OVER (PARTITION BY j.room_id ORDER BY j.ord) AS new_seq
        FROM (SELECT DISTINCT ON (j.room_id, j.id) j.* FROM judged j WHERE j.verdict = 'posted'
              ORDER BY j.room_id, j.id, j.ord) j
        JOIN room_heads h ON h.room_id = j.room_id
    ), stored AS (
        INSERT INTO messages (room_id, seq, id, author_id, body, created_at)
        SELECT f.room_id, f.new_seq, f.id, f.author_id, f.body, clock_timestamp() FROM fresh f ORDER BY f.room_id, f.new_seq
        RETURNING room_id, id, seq
    )
    SELECT j.ord,
           CASE WHEN j.verdict <> 'posted' OR f.ord = j.ord THEN j.verdict
                WHEN f.author_id = j.author_id THEN 'duplicate' ELSE 'id_taken' END,
           CASE WHEN j.verdict = 'duplicate' THEN j.old_seq
                WHEN j.verdict = 'posted' AND f.author_id = j.author_id THEN s.seq END
    FROM judged j
    LEFT JOIN fresh f ON j.verdict = 'posted' AND f.room_id = j.room_id AND f.id = j.id
    LEFT JOIN stored s ON s.room_id = f.room_id AND s.id = f.id
    ORDER BY j.ord;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) IS 'Posts many messages in one statement; arrays of one length, a message at each index. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, not_a_member, body_empty, body_too_long.';

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

INSERT INTO chat.rooms (slug, name, topic, everyone) VALUES ('general', 'general', 'Everybody is here.', true);

-- +goose Down
DROP TABLE chat.presence, chat.instances, chat.messages, chat.members, chat.room_heads, chat.rooms, chat.sessions, chat.users;
DROP FUNCTION chat.post(text, text, text), chat.post_batch(uuid[], uuid[], uuid[], text[]),
    chat.messages_after_insert(), chat.messages_before_insert(), chat.rooms_after_insert(), chat.users_after_insert();
