-- +goose Up
-- Reactions and pins. The tables hold the truth; statement triggers show it in chat.messages.extra, by one UPDATE for each statement,
-- which numbers and tells it. Rows of messages are locked in order before what belongs to them is read, in a new statement, so that
-- what two people do at the same time is both shown; the rooms' heads are locked last, as by every change of messages. That a message
-- is there is seen then, and what belonged to it goes when it does, in one statement: a foreign key would ask for each message
-- that is deleted, a million times for a room.

CREATE FUNCTION chat.attach(extra jsonb, key text, value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN nullif(coalesce(extra, '{}') - key || CASE WHEN value IS NULL THEN '{}' ELSE jsonb_build_object(key, value) END, '{}');
COMMENT ON FUNCTION chat.attach(jsonb, text, jsonb) IS 'chat.messages.extra with another value of one key; without the key where the value is NULL.';

CREATE FUNCTION chat.is_emoji(text text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN char_length(text) <= 16 AND text ~ ('^(?:[#*0-9]\uFE0F?\u20E3|[\u00A9\u00AE\u203C\u2049\u2122\u2139\u2190-\u2BFF\u3030\u303D\u3297\u3299\U0001F000-\U0001FAFF]'
    '[\u00A9\u00AE\u203C\u2049\u2122\u2139\u2190-\u2BFF\u3030\u303D\u3297\u3299\U0001F000-\U0001FAFF\u200D\uFE0F\U000E0020-\U000E007F]*)$');
COMMENT ON FUNCTION chat.is_emoji(text) IS 'True: it is made of pictures alone, with what joins and colours them, and has at most 16 characters.';

CREATE TABLE chat.reactions (
    room_id    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    emoji      text        NOT NULL,
    user_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT reactions_pkey PRIMARY KEY (room_id, seq, emoji, user_id),
    CONSTRAINT reactions_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT reactions_emoji_check CHECK (chat.is_emoji(emoji))
);
CREATE INDEX reactions_user_id_idx ON chat.reactions (user_id);
COMMENT ON TABLE chat.reactions IS 'Who has reacted to which message with what; kept, unseen, while the message is deleted from sight. What is inserted and deleted here shows in every open page; chat.react does it by names.';
COMMENT ON COLUMN chat.reactions.room_id IS 'The message''s room.';
COMMENT ON COLUMN chat.reactions.seq IS 'The message''s place in it.';
COMMENT ON COLUMN chat.reactions.emoji IS 'One emoji. A message has at most 20 different ones.';
COMMENT ON COLUMN chat.reactions.user_id IS 'Who reacted.';
COMMENT ON COLUMN chat.reactions.created_at IS 'When. A message shows its emoji in the order of their first use.';
COMMENT ON CONSTRAINT reactions_pkey ON chat.reactions IS 'A user reacts with an emoji once; those to a message are found by it.';
COMMENT ON INDEX chat.reactions_pkey IS 'A user reacts with an emoji once; those to a message are found by it.';
COMMENT ON CONSTRAINT reactions_user_id_fkey ON chat.reactions IS 'Reactions go with the user.';
COMMENT ON CONSTRAINT reactions_emoji_check ON chat.reactions IS 'An emoji, no text and no markup.';
COMMENT ON INDEX chat.reactions_user_id_idx IS 'What a user who is renamed or deleted has reacted to.';

-- Names are bounded, so that a page of messages is: who else has reacted is read when it is asked for.
-- +goose StatementBegin
CREATE FUNCTION chat.reactions_of(room_id uuid, seq bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT jsonb_agg(jsonb_build_object('emoji', e.emoji, 'count', e.count, 'by', e.names[:50]) ORDER BY e.first, e.emoji)
    FROM (SELECT r.emoji, count(*), min(r.created_at) AS first, array_agg(u.name ORDER BY r.created_at, u.name) AS names
          FROM reactions r JOIN users u ON u.id = r.user_id
          WHERE r.room_id = reactions_of.room_id AND r.seq = reactions_of.seq GROUP BY r.emoji) e;
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.reactions_of(uuid, bigint) IS 'The reactions to a message as chat.messages.extra has them: each emoji, how many use it, and the names of the first 50 who do; NULL: none.';

-- +goose StatementBegin
CREATE FUNCTION chat.reactions_show() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT c.room_id, c.seq FROM changed c)
        ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    IF TG_OP <> 'DELETE' THEN
        SELECT c.room_id, c.seq INTO wrong FROM changed c
        WHERE NOT EXISTS (SELECT FROM messages m WHERE m.room_id = c.room_id AND m.seq = c.seq) LIMIT 1;
        IF FOUND THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT = 'select id, slug from chat.rooms; select seq, body from chat.messages where room_id = … order by seq desc limit 20;';
        END IF;
        SELECT r.room_id, r.seq, count(DISTINCT r.emoji) AS kinds INTO wrong
        FROM reactions r WHERE (r.room_id, r.seq) IN (SELECT c.room_id, c.seq FROM changed c)
        GROUP BY r.room_id, r.seq HAVING count(DISTINCT r.emoji) > 20 LIMIT 1;
        IF FOUND THEN
            RAISE check_violation USING
                MESSAGE = 'a message has at most 20 different reactions',
                DETAIL = format('Message %s of room %s would have %s.', wrong.seq, wrong.room_id, wrong.kinds),
                HINT = 'Use an emoji that the message has, or delete one from chat.reactions.',
                CONSTRAINT = 'reactions_most';
        END IF;
    END IF;
    UPDATE messages m SET extra = attach(m.extra, 'reactions', reactions_of(m.room_id, m.seq))
    FROM (SELECT DISTINCT c.room_id, c.seq FROM changed c) c
    WHERE m.room_id = c.room_id AND m.seq = c.seq;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.reactions_show() IS 'Shows the reactions to messages in chat.messages.extra; refuses more than 20 different ones to a message.';
CREATE TRIGGER reactions_after_insert AFTER INSERT ON chat.reactions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.reactions_show();
CREATE TRIGGER reactions_after_delete AFTER DELETE ON chat.reactions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.reactions_show();
CREATE TRIGGER reactions_after_update_from AFTER UPDATE ON chat.reactions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.reactions_show();
CREATE TRIGGER reactions_after_update_to AFTER UPDATE ON chat.reactions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.reactions_show();
COMMENT ON TRIGGER reactions_after_insert ON chat.reactions IS 'Shows new reactions.';
COMMENT ON TRIGGER reactions_after_delete ON chat.reactions IS 'Shows that reactions were taken back.';
COMMENT ON TRIGGER reactions_after_update_from ON chat.reactions IS 'Shows changed reactions where they were.';
COMMENT ON TRIGGER reactions_after_update_to ON chat.reactions IS 'Shows changed reactions where they are.';

CREATE TABLE chat.pins (
    room_id    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    user_id    uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pins_pkey PRIMARY KEY (room_id, seq),
    CONSTRAINT pins_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE SET NULL
);
CREATE INDEX pins_user_id_idx ON chat.pins (user_id);
COMMENT ON TABLE chat.pins IS 'Messages that are pinned in their room, at most 100 in each, without those that are deleted from sight. What is inserted and deleted here shows in every open page; chat.pin does it by names.';
COMMENT ON COLUMN chat.pins.room_id IS 'The room.';
COMMENT ON COLUMN chat.pins.seq IS 'The message''s place in it.';
COMMENT ON COLUMN chat.pins.user_id IS 'Who pinned it; NULL: somebody since removed.';
COMMENT ON COLUMN chat.pins.created_at IS 'When it was pinned.';
COMMENT ON CONSTRAINT pins_pkey ON chat.pins IS 'A message is pinned once; the pins of a room are found by it.';
COMMENT ON INDEX chat.pins_pkey IS 'A message is pinned once; the pins of a room are found by it.';
COMMENT ON CONSTRAINT pins_user_id_fkey ON chat.pins IS 'A pin outlives who made it.';
COMMENT ON INDEX chat.pins_user_id_idx IS 'What a user who is renamed or deleted has pinned.';

-- +goose StatementBegin
CREATE FUNCTION chat.pin_of(room_id uuid, seq bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT jsonb_build_object('by', coalesce(u.name, ''), 'at', p.created_at)
    FROM pins p LEFT JOIN users u ON u.id = p.user_id
    WHERE p.room_id = pin_of.room_id AND p.seq = pin_of.seq;
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.pin_of(uuid, bigint) IS 'A message''s pin as chat.messages.extra has it: by whom and when; NULL: none.';

-- +goose StatementBegin
CREATE FUNCTION chat.pins_show() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT c.room_id, c.seq FROM changed c)
        ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    IF TG_OP <> 'DELETE' THEN
        SELECT c.room_id, c.seq INTO wrong FROM changed c
        WHERE NOT EXISTS (SELECT FROM messages m WHERE m.room_id = c.room_id AND m.seq = c.seq) LIMIT 1;
        IF FOUND THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT = 'select id, slug from chat.rooms; select seq, body from chat.messages where room_id = … order by seq desc limit 20;';
        END IF;
        -- Pins of a room are counted one transaction after the other.
        PERFORM FROM room_heads h WHERE h.room_id IN (SELECT c.room_id FROM changed c) ORDER BY h.room_id FOR NO KEY UPDATE;
        SELECT p.room_id, count(*) INTO wrong
        FROM pins p JOIN messages m ON m.room_id = p.room_id AND m.seq = p.seq
        WHERE p.room_id IN (SELECT c.room_id FROM changed c) AND m.deleted_at IS NULL
        GROUP BY p.room_id HAVING count(*) > 100 LIMIT 1;
        IF FOUND THEN
            RAISE check_violation USING
                MESSAGE = 'a room has at most 100 pinned messages',
                DETAIL = format('Room %s would have %s.', wrong.room_id, wrong.count),
                HINT = format('select seq, created_at from chat.pins where room_id = %L order by created_at; and delete some.', wrong.room_id),
                CONSTRAINT = 'pins_most';
        END IF;
    END IF;
    UPDATE messages m SET extra = attach(m.extra, 'pinned', pin_of(m.room_id, m.seq))
    FROM (SELECT DISTINCT c.room_id, c.seq FROM changed c) c
    WHERE m.room_id = c.room_id AND m.seq = c.seq;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.pins_show() IS 'Shows pins in chat.messages.extra; refuses more than 100 in a room.';
CREATE TRIGGER pins_after_insert AFTER INSERT ON chat.pins
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.pins_show();
CREATE TRIGGER pins_after_delete AFTER DELETE ON chat.pins
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.pins_show();
CREATE TRIGGER pins_after_update_from AFTER UPDATE ON chat.pins
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.pins_show();
CREATE TRIGGER pins_after_update_to AFTER UPDATE ON chat.pins
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION chat.pins_show();
COMMENT ON TRIGGER pins_after_insert ON chat.pins IS 'Shows new pins.';
COMMENT ON TRIGGER pins_after_delete ON chat.pins IS 'Shows that messages are no longer pinned.';
COMMENT ON TRIGGER pins_after_update_from ON chat.pins IS 'Shows changed pins where they were.';
COMMENT ON TRIGGER pins_after_update_to ON chat.pins IS 'Shows changed pins where they are.';

-- +goose StatementBegin
CREATE FUNCTION chat.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    DELETE FROM reactions r USING old_messages o WHERE r.room_id = o.room_id AND r.seq = o.seq;
    DELETE FROM pins p USING old_messages o WHERE p.room_id = o.room_id AND p.seq = o.seq;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.messages_after_delete() IS 'Removes the reactions to messages that were removed, and their pins.';
CREATE TRIGGER messages_after_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_messages FOR EACH STATEMENT EXECUTE FUNCTION chat.messages_after_delete();
COMMENT ON TRIGGER messages_after_delete ON chat.messages IS 'Reactions and pins go with their message.';

-- +goose StatementBegin
CREATE FUNCTION chat.users_after_rename() RETURNS trigger
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
CREATE TRIGGER users_after_rename AFTER UPDATE ON chat.users
    FOR EACH ROW WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION chat.users_after_rename();
COMMENT ON TRIGGER users_after_rename ON chat.users IS 'Who has reacted and pinned is called by the name that they now have.';

-- +goose StatementBegin
CREATE FUNCTION chat.may_attach(room text, seq bigint, username text, OUT room_id uuid, OUT user_id uuid)
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
COMMENT ON FUNCTION chat.may_attach(text, bigint, text) IS 'The ids of a room and a user, where the user may react to the message and pin it; else an error that says why not.';

-- +goose StatementBegin
CREATE FUNCTION chat.react(room text, seq bigint, username text, emoji text, "on" boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ids record;
BEGIN
    SELECT * INTO ids FROM may_attach(react.room, react.seq, react.username);
    IF is_emoji(react.emoji) IS NOT TRUE THEN
        RAISE check_violation USING
            MESSAGE = format('%L is not an emoji', react.emoji),
            DETAIL = 'A reaction is one emoji of at most 16 characters.',
            HINT = 'select chat.react(''general'', 1, ''ada'', ''👍'');',
            CONSTRAINT = 'reactions_emoji_check';
    END IF;
    IF react."on" THEN
        INSERT INTO reactions (room_id, seq, user_id, emoji) VALUES (ids.room_id, react.seq, ids.user_id, react.emoji) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM reactions r WHERE r.room_id = ids.room_id AND r.seq = react.seq AND r.user_id = ids.user_id AND r.emoji = react.emoji;
    END IF;
    RETURN FOUND;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.react(text, bigint, text, text, boolean) IS 'Reacts to a message: select chat.react(''general'', 1, ''ada'', ''👍''). Takes the room''s slug, the message''s seq, the user''s name and an emoji; with false at the end the reaction is taken back. Returns whether that has changed anything.';

-- +goose StatementBegin
CREATE FUNCTION chat.pin(room text, seq bigint, username text, "on" boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ids record;
BEGIN
    SELECT * INTO ids FROM may_attach(pin.room, pin.seq, pin.username);
    IF pin."on" THEN
        INSERT INTO pins (room_id, seq, user_id) VALUES (ids.room_id, pin.seq, ids.user_id) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM pins p WHERE p.room_id = ids.room_id AND p.seq = pin.seq;
    END IF;
    RETURN FOUND;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.pin(text, bigint, text, boolean) IS 'Pins a message in its room: select chat.pin(''general'', 1, ''ada''). Takes the room''s slug, the message''s seq and the user''s name; with false at the end the pin is taken away, whoever made it. Returns whether that has changed anything.';

-- +goose Down
DROP FUNCTION chat.pin(text, bigint, text, boolean), chat.react(text, bigint, text, text, boolean), chat.may_attach(text, bigint, text);
DROP TRIGGER users_after_rename ON chat.users;
DROP TRIGGER messages_after_delete ON chat.messages;
DROP FUNCTION chat.users_after_rename(), chat.messages_after_delete();
UPDATE chat.messages SET extra = chat.attach(chat.attach(extra, 'reactions', NULL), 'pinned', NULL) WHERE extra ?| ARRAY['reactions', 'pinned'];
DROP TABLE chat.pins, chat.reactions;
DROP FUNCTION chat.pins_show(), chat.pin_of(uuid, bigint), chat.reactions_show(), chat.reactions_of(uuid, bigint), chat.is_emoji(text), chat.attach(jsonb, text, jsonb);
