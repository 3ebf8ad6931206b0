-- +goose Up
-- What plain DML would break, and functions and servers refuse, is refused with a reason.

-- In rooms for everyone and in direct conversations people are members as long as they and the room exist; cascades find one of these gone.
-- +goose StatementBegin
CREATE FUNCTION chat.members_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT u.name, r.slug, r.kind INTO wrong
    FROM old_members o JOIN rooms r ON r.id = o.room_id JOIN users u ON u.id = o.user_id WHERE r.everyone OR r.kind = 'direct' LIMIT 1;
    IF wrong.kind = 'direct' THEN
        RAISE restrict_violation USING
            MESSAGE = format('%L cannot be removed from the direct conversation %L', wrong.name, wrong.slug),
            DETAIL = 'A direct conversation is found by its people, who do not change.',
            HINT = format('To end it for all: select chat.archive_room(%L);', wrong.slug);
    ELSIF FOUND THEN
        RAISE restrict_violation USING
            MESSAGE = format('%L cannot be removed from room %L: it is for everyone', wrong.name, wrong.slug),
            DETAIL = 'Every user is a member of such a room.',
            HINT = format('To keep them out: select chat.ban(%L, %L); to let all leave: update chat.rooms set everyone = false where slug = %2$L;', wrong.name, wrong.slug);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.members_stay() IS 'Refuses to remove members of rooms that are for everyone, and of direct conversations.';
COMMENT ON FUNCTION chat.remove_member(text, text, text) IS 'Ends a membership: select chat.remove_member(''hiring'', ''erin''). Takes the room''s slug and the user''s name. Their open pages lose a private room at once; a public one they may go on reading, and join again. Of a room that is for everyone nobody is removed: chat.ban. Returns whether that has changed anything.';

-- Who demotes waits for who else does so in the room, and then sees it: two would leave no owner.
-- +goose StatementBegin
CREATE FUNCTION chat.owner_stays() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM rooms r WHERE r.id = NEW.room_id FOR NO KEY UPDATE;
    SELECT r.slug, u.name INTO wrong FROM rooms r JOIN users u ON u.id = NEW.user_id
    WHERE r.id = NEW.room_id AND r.kind <> 'direct'
      AND NOT EXISTS (SELECT FROM members m WHERE m.room_id = NEW.room_id AND m.role = 'owner')
      AND EXISTS (SELECT FROM members m WHERE m.room_id = NEW.room_id AND m.user_id <> NEW.user_id);
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('room %L would have no owner', wrong.slug),
            DETAIL = format('%L is the last one, and there are other members.', wrong.name),
            HINT = format('Make somebody else one first: select chat.add_member(%L, ''…'', role => ''owner'');', wrong.slug);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.owner_stays() IS 'Refuses to make a room''s last owner a member among others.';

-- +goose StatementBegin
CREATE FUNCTION chat.people_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = CASE WHEN NEW.kind <> OLD.kind THEN format('room %L cannot become %s: it is %s', OLD.slug, NEW.kind, OLD.kind)
            ELSE format('direct_key of room %L is not changed by hand', OLD.slug) END,
        DETAIL = 'A direct conversation is found by its people, who do not change.',
        HINT = CASE WHEN 'direct' IN (NEW.kind, OLD.kind) AND NEW.kind <> OLD.kind
            THEN 'Make a private room: select chat.create_room(''…'', kind => ''private'', members => ''{ada,eve}'');'
            ELSE 'Where somebody has two accounts: select chat.merge_users(''ada2'', ''ada'');' END;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.people_stay() IS 'Refuses to give a direct conversation other people, and to make it of a room or a room of it.';
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.merge_users(text, text, text)', $a$    FOR direct IN SELECT$a$,
             $b$    PERFORM set_config('chat.merging', 'on', true);
    FOR direct IN SELECT$b$),
            ('chat.merge_users(text, text, text)', $a$    END LOOP;
$a$,
             $b$    END LOOP;
    PERFORM set_config('chat.merging', '', true);
$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd

-- What is posted in a batch and cannot be stored has an outcome of its own, and the others are stored.
CREATE OR REPLACE FUNCTION chat.verdict(banned boolean, member uuid, stored_author uuid, author uuid, archived_at timestamptz, body text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN banned THEN 'banned'
    WHEN member IS NULL THEN 'not_a_member'
    WHEN stored_author = author THEN 'duplicate'
    WHEN stored_author IS NOT NULL THEN 'id_taken'
    WHEN archived_at IS NOT NULL THEN 'room_archived'
    WHEN coalesce(body, '') !~ '\S' THEN 'body_empty'
    WHEN char_length(body) > 8000 THEN 'body_too_long'
    ELSE 'posted' END;
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.post_batch(uuid[], uuid[], uuid[], text[], boolean)', $a$SELECT u.name, verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = author_ids[1] AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
            m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]), old.seq$a$,
             $b$SELECT u.name, CASE WHEN ids[1] IS NULL THEN 'id_missing' ELSE verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = author_ids[1] AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
            m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]) END, old.seq$b$),
            ('chat.post_batch(uuid[], uuid[], uuid[], text[], boolean)', $a$CASE WHEN r.id IS NULL THEN 'room_not_found'
$a$,
             $b$CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN i.id IS NULL THEN 'id_missing'
$b$),
            ('chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean)', $a$CASE WHEN r.id IS NULL THEN 'room_not_found'
$a$,
             $b$CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN i.id IS NULL THEN 'id_missing'
$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_missing, id_taken, room_not_found, room_archived, banned, not_a_member, body_empty (also of white space only), body_too_long. With tell false the caller tells the channel "activity" how far the rooms have come, as servers do for many batches at once.';

-- What these refused without saying where.
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.find_user(text)', $a$format('there is no user %L', find_user.username), HINT$a$,
             $b$format('there is no user %L', find_user.username), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$format('there is no room %L', room), HINT$a$,
             $b$format('there is no room %L', room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$format('there is no user %L', author), HINT$a$,
             $b$format('there is no user %L', author), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$ELSE result.outcome END,
            HINT$a$,
             $b$ELSE result.outcome END,
            DETAIL = CASE result.outcome
                WHEN 'room_archived' THEN (SELECT format('Since %s.', r.archived_at) FROM rooms r WHERE r.slug = post.room)
                WHEN 'not_a_member' THEN 'Only members post.'
                WHEN 'body_too_long' THEN format('It begins %L.', left(body, 60))
                WHEN 'parent_not_found' THEN (SELECT format('Its newest message is %s.', h.last_seq) FROM room_heads h JOIN rooms r ON r.id = h.room_id WHERE r.slug = post.room)
                ELSE 'White space at either end does not count.' END,
            HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$format('there is no room %L', may_attach.room), HINT$a$,
             $b$format('there is no room %L', may_attach.room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$format('there is no user %L', may_attach.username), HINT$a$,
             $b$format('there is no user %L', may_attach.username), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$b$),
            ('chat.edit(text, bigint, text, text, uuid)', $a$'a message needs a text', HINT$a$,
             $b$'a message needs a text', DETAIL = 'White space at either end does not count.', HINT$b$),
            ('chat.edit(text, bigint, text, text, uuid)', $a$this one %s', char_length(text)),
            HINT$a$,
             $b$this one %s', char_length(text)),
            DETAIL = format('It begins %L.', left(text, 60)), HINT$b$),
            ('chat.create_room(text, text, text, text, text, boolean, text[])', $a$format('there is a room with the slug %L', free),
                HINT$a$,
             $b$format('there is a room with the slug %L', free),
                DETAIL = (SELECT format('It is called %L.', r.name) FROM rooms r WHERE r.slug = free),
                HINT$b$),
            ('chat.rename_user(text, text)', $a$format('there is a user called %L', called), HINT$a$,
             $b$format('there is a user called %L', called), DETAIL = 'Names are told apart without regard to case.', HINT$b$),
            ('chat.ban(text, text, text, timestamptz)', $a$this one %s', char_length(why)), HINT$a$,
             $b$this one %s', char_length(why)), DETAIL = format('It begins %L.', left(why, 60)), HINT$b$),
            ('chat.announce(text, timestamptz)', $a$this one %s', char_length(said)),
            HINT$a$,
             $b$this one %s', char_length(said)),
            DETAIL = CASE WHEN said = '' THEN 'White space at either end does not count.' ELSE format('It begins %L.', left(said, 60)) END, HINT$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd

-- Posting is asked once for each statement (2 µs). At depth 0 only chat.post_batch and chat.post_replies count, and say so by the setting.
-- +goose StatementBegin
CREATE FUNCTION chat.heads_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = 'last_seq and last_rev of a room are not changed by hand',
        DETAIL = 'They are the numbers of its newest message and of its newest change: triggers count them, and servers catch up by them.',
        HINT = 'insert into chat.messages (room_id, author_id, body) …; What is wrong with a room: select * from chat.integrity_of(chat.find_room(''…''));';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.heads_stay() IS 'Refuses to count messages and changes by hand.';
CREATE TRIGGER heads_stay BEFORE UPDATE OF last_seq, last_rev ON chat.room_heads FOR EACH STATEMENT
    WHEN (current_setting('chat.accounted', true) IS DISTINCT FROM '0' AND pg_trigger_depth() = 0) EXECUTE FUNCTION chat.heads_stay();
COMMENT ON TRIGGER heads_stay ON chat.room_heads IS 'Messages and changes are counted by triggers and functions.';

CREATE TRIGGER people_stay BEFORE UPDATE OF kind, direct_key ON chat.rooms FOR EACH ROW
    WHEN ((OLD.kind <> NEW.kind AND 'direct' IN (OLD.kind, NEW.kind) OR OLD.direct_key IS DISTINCT FROM NEW.direct_key) AND coalesce(current_setting('chat.merging', true), '') = '')
    EXECUTE FUNCTION chat.people_stay();
COMMENT ON TRIGGER people_stay ON chat.rooms IS 'Direct conversations stay what they are.';

-- Such a room is not found at its address, such a user cannot be told from what addresses all; those that are there get another name.
UPDATE chat.rooms r SET slug = r.slug || '-' || (SELECT min(n) FROM generate_series(1, 1000) n WHERE NOT EXISTS (SELECT FROM chat.rooms o WHERE o.slug = r.slug || '-' || n))
WHERE r.slug IN ('new', 'browse');
ALTER TABLE chat.rooms ADD CONSTRAINT rooms_slug_reserved CHECK (slug NOT IN ('new', 'browse')) NOT VALID;
COMMENT ON CONSTRAINT rooms_slug_reserved ON chat.rooms IS '/rooms/new and /rooms/browse are other pages.';
UPDATE chat.users u SET name = u.name || '-' || (SELECT min(n) FROM generate_series(1, 1000) n WHERE NOT EXISTS (SELECT FROM chat.users o WHERE lower(o.name) = lower(u.name) || '-' || n))
WHERE lower(u.name) IN ('everyone', 'here');
ALTER TABLE chat.users ADD CONSTRAINT users_name_reserved CHECK (lower(name) NOT IN ('everyone', 'here')) NOT VALID;
COMMENT ON CONSTRAINT users_name_reserved ON chat.users IS '@everyone and @here address all members of a room.';

CREATE TRIGGER members_stay AFTER DELETE ON chat.members
    REFERENCING OLD TABLE AS old_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_stay();
COMMENT ON TRIGGER members_stay ON chat.members IS 'Everybody belongs to what is for everyone, and direct conversations stay what they are.';
CREATE TRIGGER owner_stays AFTER UPDATE OF role ON chat.members
    FOR EACH ROW WHEN (OLD.role = 'owner' AND NEW.role <> 'owner') EXECUTE FUNCTION chat.owner_stays();
COMMENT ON TRIGGER owner_stays ON chat.members IS 'A room with members has an owner, if it had one.';

-- +goose Down
DROP TRIGGER heads_stay ON chat.room_heads;
DROP TRIGGER people_stay ON chat.rooms;
ALTER TABLE chat.rooms DROP CONSTRAINT rooms_slug_reserved;
ALTER TABLE chat.users DROP CONSTRAINT users_name_reserved;
DROP TRIGGER members_stay ON chat.members;
DROP TRIGGER owner_stays ON chat.members;
DROP FUNCTION chat.heads_stay(), chat.people_stay(), chat.members_stay(), chat.owner_stays();
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.announce(text, timestamptz)', $a$this one %s', char_length(said)),
            DETAIL = CASE WHEN said = '' THEN 'White space at either end does not count.' ELSE format('It begins %L.', left(said, 60)) END, HINT$a$,
             $b$this one %s', char_length(said)),
            HINT$b$),
            ('chat.ban(text, text, text, timestamptz)', $a$this one %s', char_length(why)), DETAIL = format('It begins %L.', left(why, 60)), HINT$a$,
             $b$this one %s', char_length(why)), HINT$b$),
            ('chat.rename_user(text, text)', $a$format('there is a user called %L', called), DETAIL = 'Names are told apart without regard to case.', HINT$a$,
             $b$format('there is a user called %L', called), HINT$b$),
            ('chat.create_room(text, text, text, text, text, boolean, text[])', $a$format('there is a room with the slug %L', free),
                DETAIL = (SELECT format('It is called %L.', r.name) FROM rooms r WHERE r.slug = free),
                HINT$a$,
             $b$format('there is a room with the slug %L', free),
                HINT$b$),
            ('chat.edit(text, bigint, text, text, uuid)', $a$this one %s', char_length(text)),
            DETAIL = format('It begins %L.', left(text, 60)), HINT$a$,
             $b$this one %s', char_length(text)),
            HINT$b$),
            ('chat.edit(text, bigint, text, text, uuid)', $a$'a message needs a text', DETAIL = 'White space at either end does not count.', HINT$a$,
             $b$'a message needs a text', HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$format('there is no user %L', may_attach.username), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$a$,
             $b$format('there is no user %L', may_attach.username), HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$format('there is no room %L', may_attach.room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$a$,
             $b$format('there is no room %L', may_attach.room), HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$ELSE result.outcome END,
            DETAIL = CASE result.outcome
                WHEN 'room_archived' THEN (SELECT format('Since %s.', r.archived_at) FROM rooms r WHERE r.slug = post.room)
                WHEN 'not_a_member' THEN 'Only members post.'
                WHEN 'body_too_long' THEN format('It begins %L.', left(body, 60))
                WHEN 'parent_not_found' THEN (SELECT format('Its newest message is %s.', h.last_seq) FROM room_heads h JOIN rooms r ON r.id = h.room_id WHERE r.slug = post.room)
                ELSE 'White space at either end does not count.' END,
            HINT$a$,
             $b$ELSE result.outcome END,
            HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$format('there is no user %L', author), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$a$,
             $b$format('there is no user %L', author), HINT$b$),
            ('chat.post(text, text, text, bigint)', $a$format('there is no room %L', room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$a$,
             $b$format('there is no room %L', room), HINT$b$),
            ('chat.find_user(text)', $a$format('there is no user %L', find_user.username), DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$a$,
             $b$format('there is no user %L', find_user.username), HINT$b$),
            ('chat.post_replies(uuid[], uuid[], uuid[], text[], bigint[], boolean)', $a$CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN i.id IS NULL THEN 'id_missing'
$a$,
             $b$CASE WHEN r.id IS NULL THEN 'room_not_found'
$b$),
            ('chat.post_batch(uuid[], uuid[], uuid[], text[], boolean)', $a$CASE WHEN r.id IS NULL THEN 'room_not_found'
                 WHEN i.id IS NULL THEN 'id_missing'
$a$,
             $b$CASE WHEN r.id IS NULL THEN 'room_not_found'
$b$),
            ('chat.post_batch(uuid[], uuid[], uuid[], text[], boolean)', $a$SELECT u.name, CASE WHEN ids[1] IS NULL THEN 'id_missing' ELSE verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = author_ids[1] AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
            m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]) END, old.seq$a$,
             $b$SELECT u.name, verdict(EXISTS (SELECT FROM bans b WHERE b.user_id = author_ids[1] AND (b.room_id IS NULL OR b.room_id = r.id) AND b.until > now()),
            m.user_id, old.author_id, author_ids[1], r.archived_at, bodies[1]), old.seq$b$),
            ('chat.merge_users(text, text, text)', $a$    END LOOP;
    PERFORM set_config('chat.merging', '', true);
$a$,
             $b$    END LOOP;
$b$),
            ('chat.merge_users(text, text, text)', $a$    PERFORM set_config('chat.merging', 'on', true);
    FOR direct IN SELECT$a$,
             $b$    FOR direct IN SELECT$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE FUNCTION chat.verdict(banned boolean, member uuid, stored_author uuid, author uuid, archived_at timestamptz, body text) RETURNS text
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
COMMENT ON FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[], boolean) IS 'Posts many messages in one statement; arrays of one length, a message at each index, no id twice. Every message has an outcome of its own, in the order given: posted, duplicate (stored before: its seq), id_taken, room_not_found, room_archived, banned, not_a_member, body_empty, body_too_long. With tell false the caller tells the channel "activity" how far the rooms have come, as servers do for many batches at once.';
COMMENT ON FUNCTION chat.remove_member(text, text, text) IS 'Ends a membership: select chat.remove_member(''general'', ''ada''). Takes the room''s slug and the user''s name. Their open pages lose a private room at once; a public one they may go on reading, and join again. Returns whether that has changed anything.';
