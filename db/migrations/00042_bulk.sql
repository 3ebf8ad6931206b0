-- +goose Up
-- What 100,000 rows of one statement did by the square of their number. Triggers looked through all members of a room once for each row; they look
-- once for each room now. And a join by a key, planned while the table had a row or two, read all of the table for each row by the index: it is
-- a subquery with LIMIT 1 now, for which the key is all that there is. See the rules in migration 23.

-- How many are left is counted once for each room: after a DELETE of many that passes by all of them, which are not gone yet.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    what     text := CASE TG_OP WHEN 'INSERT' THEN 'joined' ELSE 'left' END;
    rooms    uuid[];
    kinds    text[];
    subjects uuid[];
    details  jsonb[];
BEGIN
    WITH changed AS (
        SELECT c.room_id, array_agg(c.user_id) AS users FROM changed_members c GROUP BY c.room_id
    ), small AS MATERIALIZED (
        SELECT c.room_id, c.users FROM changed c CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = c.room_id LIMIT 1) r
        WHERE NOT r.everyone AND r.kind <> 'direct' AND (what = 'left' OR r.created_at <> now())
          AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = c.room_id LIMIT 101) m) <= 100
    ), people AS (
        SELECT s.room_id, u.id AS user_id, u.name, count(*) OVER (PARTITION BY s.room_id) AS n
        FROM small s CROSS JOIN LATERAL unnest(s.users) AS c (user_id) CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = c.user_id LIMIT 1) u
    ), events AS (
        SELECT room_id, user_id, lower(name) AS by, '{}'::jsonb AS detail FROM people WHERE n <= 20
        UNION ALL SELECT room_id, NULL, '', jsonb_build_object('count', n) FROM people WHERE n > 20 GROUP BY room_id, n
    )
    SELECT array_agg(room_id ORDER BY room_id, by), array_agg(what), array_agg(user_id ORDER BY room_id, by), array_agg(detail ORDER BY room_id, by)
        INTO rooms, kinds, subjects, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, subjects, details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Whether a room has an owner is asked once for each room.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_succeed() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    rooms uuid[] := ARRAY(SELECT DISTINCT o.room_id FROM old_members o WHERE o.role = 'owner');
BEGIN
    IF rooms = '{}' THEN
        RETURN NULL;
    END IF;
    UPDATE members m SET role = 'owner' FROM (
        SELECT h.room_id, h.user_id
        FROM unnest(rooms) AS o (room_id) CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = o.room_id LIMIT 1) r
        CROSS JOIN LATERAL (SELECT c.room_id, c.user_id FROM members c WHERE c.room_id = r.id ORDER BY c.joined_at, c.user_id LIMIT 1) h
        WHERE r.kind <> 'direct' AND NOT EXISTS (SELECT FROM members w WHERE w.room_id = r.id AND w.role = 'owner')) heir
    WHERE m.room_id = ANY (ARRAY[heir.room_id]) AND m.user_id = ANY (ARRAY[heir.user_id]);
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.owner_stays() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    rooms uuid[];
    wrong record;
BEGIN
    IF NOT EXISTS (SELECT FROM old_members o WHERE o.role = 'owner') THEN
        RETURN NULL; -- as of nearly all who have read on
    END IF;
    rooms := ARRAY(SELECT DISTINCT c.room_id FROM (
        SELECT o.room_id, o.user_id FROM old_members o WHERE o.role = 'owner' EXCEPT SELECT n.room_id, n.user_id FROM new_members n WHERE n.role = 'owner') c);
    IF rooms = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM FROM rooms r WHERE r.id = ANY (rooms) ORDER BY r.id FOR NO KEY UPDATE;
    SELECT r.slug, (SELECT u.name FROM old_members o JOIN users u ON u.id = o.user_id WHERE o.room_id = r.id AND o.role = 'owner' LIMIT 1) AS name INTO wrong
    FROM unnest(rooms) AS o (room_id) CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = o.room_id LIMIT 1) r
    WHERE r.kind <> 'direct' AND NOT EXISTS (SELECT FROM members w WHERE w.room_id = r.id AND w.role = 'owner')
      AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = r.id LIMIT 2) m) > 1
    LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING
            MESSAGE = format('room %L would have no owner', wrong.slug),
            DETAIL = format('%L is the last one, and there are other members.', wrong.name),
            HINT = format('Make somebody else one first: select chat.add_member(%L, ''…'', role => ''owner'');', wrong.slug);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Sets, where a join was told to be by nothing at all.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    users uuid[] := ARRAY(SELECT c.id FROM (
        SELECT n.id, n.name, n.status_emoji, n.status_text, n.status_until, n.dnd_until FROM new_users n
        EXCEPT SELECT o.id, o.name, o.status_emoji, o.status_text, o.status_until, o.dnd_until FROM old_users o) c);
    renamed uuid[] := ARRAY(SELECT c.id FROM (SELECT n.id, n.name FROM new_users n EXCEPT SELECT o.id, o.name FROM old_users o) c);
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

-- The others.
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.members_after_insert()', $a$FROM new_members n JOIN room_heads h ON h.room_id = n.room_id WHERE$a$,
             $b$FROM new_members n CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = n.room_id LIMIT 1) h WHERE$b$),
            ('chat.members_after_insert()', $a$FROM new_members n JOIN rooms r ON r.id = n.room_id WHERE$a$,
             $b$FROM new_members n CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = n.room_id LIMIT 1) r WHERE$b$),
            ('chat.members_after_update()', $a$JOIN room_heads h ON h.room_id = c.room_id WHERE$a$,
             $b$CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = c.room_id LIMIT 1) h WHERE$b$),
            ('chat.members_stay()', $a$FROM old_members o JOIN rooms r ON r.id = o.room_id JOIN users u ON u.id = o.user_id WHERE r.everyone OR r.kind = 'direct' LIMIT 1$a$,
             $b$FROM old_members o CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = o.room_id LIMIT 1) r CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = o.user_id LIMIT 1) u
    WHERE r.everyone OR r.kind = 'direct' LIMIT 1$b$),
            ('chat.add_room_events(uuid[], text[], uuid[], jsonb[])', $a$FROM numbered n JOIN room_heads h ON h.room_id = n.room_id$a$,
             $b$FROM numbered n CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = n.room_id LIMIT 1) h$b$),
            ('chat.room_heads_after_delete()', $a$EXISTS (SELECT FROM rooms r JOIN old_heads o ON o.room_id = r.id)$a$,
             $b$EXISTS (SELECT FROM old_heads o CROSS JOIN LATERAL (SELECT FROM rooms r WHERE r.id = o.room_id LIMIT 1) r)$b$),
            ('chat.room_heads_after_delete()', $a$USING old_heads o WHERE m.room_id = o.room_id;$a$,
             $b$USING old_heads o WHERE m.room_id = ANY (ARRAY[o.room_id]);$b$),
            -- What a few messages have, and not all that the room has, whatever the plan for any number of them.
            ('chat.move_messages(text, bigint[], text, text)', $a$UNION SELECT r.thread FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (move_messages.seqs))$a$,
             $b$UNION SELECT r.thread FROM unnest(move_messages.seqs) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM replies r WHERE r.room_id = from_id AND r.seq = s.seq LIMIT 1) r)$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$FROM reactions r WHERE r.room_id = from_id AND r.seq = ANY (moved);$a$,
             $b$FROM unnest(moved) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM reactions r WHERE r.room_id = from_id AND r.seq = s.seq OFFSET 0) r;$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (moved) AND places$a$,
             $b$FROM unnest(moved) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM replies r WHERE r.room_id = from_id AND r.seq = s.seq LIMIT 1) r WHERE places$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.room_heads_after_delete() SET enable_seqscan = off;
ALTER FUNCTION chat.room_heads_after_delete() SET enable_hashjoin = off;
ALTER FUNCTION chat.room_heads_after_delete() SET enable_mergejoin = off;
ALTER FUNCTION chat.sweep_history(interval, interval) SET enable_seqscan = off;
-- Foreign keys are checked by a statement that PostgreSQL plans with the first row and keeps: here that is when the table that it looks in has few.
ALTER FUNCTION chat.rooms_after_insert() SET enable_seqscan = off;
ALTER FUNCTION chat.users_after_insert() SET enable_seqscan = off;

DROP TRIGGER owner_stays ON chat.members;
CREATE TRIGGER owner_stays AFTER UPDATE ON chat.members
    REFERENCING OLD TABLE AS old_members NEW TABLE AS new_members FOR EACH STATEMENT EXECUTE FUNCTION chat.owner_stays();
COMMENT ON TRIGGER owner_stays ON chat.members IS 'A room with members has an owner, if it had one.';

-- +goose Down
DROP TRIGGER owner_stays ON chat.members;
CREATE TRIGGER owner_stays AFTER UPDATE OF role ON chat.members
    FOR EACH ROW WHEN (OLD.role = 'owner' AND NEW.role <> 'owner') EXECUTE FUNCTION chat.owner_stays();
COMMENT ON TRIGGER owner_stays ON chat.members IS 'A room with members has an owner, if it had one.';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.users_after_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_nestloop = off AS $$
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.owner_stays() RETURNS trigger
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_succeed() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE members m SET role = 'owner' FROM (
        SELECT DISTINCT ON (c.room_id) c.room_id, c.user_id FROM members c
        WHERE c.room_id IN (SELECT o.room_id FROM old_members o JOIN rooms r ON r.id = o.room_id WHERE o.role = 'owner' AND r.kind <> 'direct')
          AND NOT EXISTS (SELECT FROM members w WHERE w.room_id = c.room_id AND w.role = 'owner')
        ORDER BY c.room_id, c.joined_at, c.user_id) heir
    WHERE m.room_id = heir.room_id AND m.user_id = heir.user_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.members_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    what     text := CASE TG_OP WHEN 'INSERT' THEN 'joined' ELSE 'left' END;
    rooms    uuid[];
    kinds    text[];
    subjects uuid[];
    details  jsonb[];
BEGIN
    WITH people AS (
        SELECT c.room_id, c.user_id, u.name, count(*) OVER (PARTITION BY c.room_id) AS n
        FROM changed_members c JOIN rooms r ON r.id = c.room_id JOIN users u ON u.id = c.user_id
        WHERE NOT r.everyone AND r.kind <> 'direct' AND (what = 'left' OR r.created_at <> now())
          AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = c.room_id LIMIT 101) m) <= 100
    ), events AS (
        SELECT room_id, user_id, lower(name) AS by, '{}'::jsonb AS detail FROM people WHERE n <= 20
        UNION ALL SELECT room_id, NULL, '', jsonb_build_object('count', n) FROM people WHERE n > 20 GROUP BY room_id, n
    )
    SELECT array_agg(room_id ORDER BY room_id, by), array_agg(what), array_agg(user_id ORDER BY room_id, by), array_agg(detail ORDER BY room_id, by)
        INTO rooms, kinds, subjects, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, subjects, details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
ALTER FUNCTION chat.users_after_insert() RESET enable_seqscan;
ALTER FUNCTION chat.rooms_after_insert() RESET enable_seqscan;
ALTER FUNCTION chat.sweep_history(interval, interval) RESET enable_seqscan;
ALTER FUNCTION chat.room_heads_after_delete() RESET enable_mergejoin;
ALTER FUNCTION chat.room_heads_after_delete() RESET enable_hashjoin;
ALTER FUNCTION chat.room_heads_after_delete() RESET enable_seqscan;
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.move_messages(text, bigint[], text, text)', $a$FROM unnest(moved) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM replies r WHERE r.room_id = from_id AND r.seq = s.seq LIMIT 1) r WHERE places$a$,
             $b$FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (moved) AND places$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$FROM unnest(moved) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM reactions r WHERE r.room_id = from_id AND r.seq = s.seq OFFSET 0) r;$a$,
             $b$FROM reactions r WHERE r.room_id = from_id AND r.seq = ANY (moved);$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$UNION SELECT r.thread FROM unnest(move_messages.seqs) AS s (seq) CROSS JOIN LATERAL (SELECT * FROM replies r WHERE r.room_id = from_id AND r.seq = s.seq LIMIT 1) r)$a$,
             $b$UNION SELECT r.thread FROM replies r WHERE r.room_id = from_id AND r.seq = ANY (move_messages.seqs))$b$),
            ('chat.room_heads_after_delete()', $a$USING old_heads o WHERE m.room_id = ANY (ARRAY[o.room_id]);$a$,
             $b$USING old_heads o WHERE m.room_id = o.room_id;$b$),
            ('chat.room_heads_after_delete()', $a$EXISTS (SELECT FROM old_heads o CROSS JOIN LATERAL (SELECT FROM rooms r WHERE r.id = o.room_id LIMIT 1) r)$a$,
             $b$EXISTS (SELECT FROM rooms r JOIN old_heads o ON o.room_id = r.id)$b$),
            ('chat.add_room_events(uuid[], text[], uuid[], jsonb[])', $a$FROM numbered n CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = n.room_id LIMIT 1) h$a$,
             $b$FROM numbered n JOIN room_heads h ON h.room_id = n.room_id$b$),
            ('chat.members_stay()', $a$FROM old_members o CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = o.room_id LIMIT 1) r CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = o.user_id LIMIT 1) u
    WHERE r.everyone OR r.kind = 'direct' LIMIT 1$a$,
             $b$FROM old_members o JOIN rooms r ON r.id = o.room_id JOIN users u ON u.id = o.user_id WHERE r.everyone OR r.kind = 'direct' LIMIT 1$b$),
            ('chat.members_after_update()', $a$CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = c.room_id LIMIT 1) h WHERE$a$,
             $b$JOIN room_heads h ON h.room_id = c.room_id WHERE$b$),
            ('chat.members_after_insert()', $a$FROM new_members n CROSS JOIN LATERAL (SELECT * FROM rooms r WHERE r.id = n.room_id LIMIT 1) r WHERE$a$,
             $b$FROM new_members n JOIN rooms r ON r.id = n.room_id WHERE$b$),
            ('chat.members_after_insert()', $a$FROM new_members n CROSS JOIN LATERAL (SELECT * FROM room_heads h WHERE h.room_id = n.room_id LIMIT 1) h WHERE$a$,
             $b$FROM new_members n JOIN room_heads h ON h.room_id = n.room_id WHERE$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
