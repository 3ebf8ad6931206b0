-- +goose Up
-- What people say of themselves, and whether they are to be disturbed. What has an end ends by itself: readers compare it with
-- now(), nobody writes it.
ALTER TABLE chat.users ADD COLUMN status_emoji text NOT NULL DEFAULT '', ADD COLUMN status_text text NOT NULL DEFAULT '',
    ADD COLUMN status_until timestamptz, ADD COLUMN dnd_until timestamptz,
    ADD CONSTRAINT users_status_emoji_check CHECK (char_length(status_emoji) <= 16 AND status_emoji !~ '[[:space:][:cntrl:]]'),
    ADD CONSTRAINT users_status_text_check CHECK (char_length(status_text) <= 100 AND status_text = btrim(status_text) AND status_text !~ '[[:cntrl:]]');
COMMENT ON COLUMN chat.users.status_emoji IS 'One emoji that goes with their status; may be empty. Changing it, also by SQL, shows on every open page.';
COMMENT ON COLUMN chat.users.status_text IS 'What they say of themselves: one line of at most 100 characters; may be empty.';
COMMENT ON COLUMN chat.users.status_until IS 'Until when emoji and text hold; NULL: until they are changed.';
COMMENT ON COLUMN chat.users.dnd_until IS 'Until when they are not to be disturbed: no notifications, and others see it. ''infinity'': until they end it; NULL: they may be disturbed.';
COMMENT ON CONSTRAINT users_status_emoji_check ON chat.users IS 'At most 16 characters, for emoji are made of several, without white space.';
COMMENT ON CONSTRAINT users_status_text_check ON chat.users IS 'One line of at most 100 characters, without white space at either end.';

CREATE VIEW chat.statuses AS
SELECT u.id AS user_id, u.name,
       CASE WHEN coalesce(u.status_until > now(), true) THEN u.status_emoji ELSE '' END AS emoji,
       CASE WHEN coalesce(u.status_until > now(), true) THEN u.status_text ELSE '' END AS text,
       CASE WHEN u.status_until > now() THEN u.status_until END AS until,
       CASE WHEN u.dnd_until > now() THEN u.dnd_until END AS dnd_until
FROM chat.users u;
COMMENT ON VIEW chat.statuses IS 'What everybody says of themselves at the moment.';
COMMENT ON COLUMN chat.statuses.user_id IS 'The user.';
COMMENT ON COLUMN chat.statuses.name IS 'Their name.';
COMMENT ON COLUMN chat.statuses.emoji IS 'The status''s emoji; empty: none, or it has ended.';
COMMENT ON COLUMN chat.statuses.text IS 'The status''s text; empty: none, or it has ended.';
COMMENT ON COLUMN chat.statuses.until IS 'When emoji and text end; NULL: never by themselves.';
COMMENT ON COLUMN chat.statuses.dnd_until IS 'Until when they are not to be disturbed; NULL: they may be.';

ALTER TABLE chat.presence ADD COLUMN idle integer NOT NULL DEFAULT 0, ADD CONSTRAINT presence_idle_check CHECK (idle BETWEEN 0 AND connections);
CREATE INDEX presence_user_id_idx ON chat.presence (user_id);
COMMENT ON COLUMN chat.presence.idle IS 'How many of the connections nobody has used for a while. All of them, on every instance: the user is away.';
COMMENT ON CONSTRAINT presence_idle_check ON chat.presence IS 'Of the connections, some may be idle.';
COMMENT ON INDEX chat.presence_user_id_idx IS 'Where a user is online.';

CREATE VIEW chat.online AS
SELECT s.user_id, s.name, p.away, p.connections, p.rooms, s.emoji, s.text, s.until, s.dnd_until
FROM chat.statuses s JOIN (
    SELECT p.user_id, bool_and(p.idle = p.connections) AS away, sum(p.connections) AS connections, count(DISTINCT r.id) AS rooms
    FROM chat.presence p JOIN chat.instances i ON i.id = p.instance_id LEFT JOIN chat.rooms r ON r.id = p.room_id
    WHERE i.heartbeat_at BETWEEN now() - interval '30 seconds' AND now() + interval '30 seconds'
    GROUP BY p.user_id
) p ON p.user_id = s.user_id;
COMMENT ON COLUMN chat.presence.room_id IS 'The room that is open; all zeroes: a page that shows no room.';
COMMENT ON VIEW chat.online IS 'Who is online, for DBAs; with the lease of 30 s that servers have unless told otherwise.';
COMMENT ON COLUMN chat.online.user_id IS 'The user.';
COMMENT ON COLUMN chat.online.name IS 'Their name.';
COMMENT ON COLUMN chat.online.away IS 'True: nobody has used any of their connections for a while.';
COMMENT ON COLUMN chat.online.connections IS 'How many tabs or programs, counted once for each room that they have open.';
COMMENT ON COLUMN chat.online.rooms IS 'How many rooms they have open.';
COMMENT ON COLUMN chat.online.emoji IS 'As in chat.statuses.';
COMMENT ON COLUMN chat.online.text IS 'As in chat.statuses.';
COMMENT ON COLUMN chat.online.until IS 'As in chat.statuses.';
COMMENT ON COLUMN chat.online.dnd_until IS 'As in chat.statuses.';

-- +goose StatementBegin
CREATE FUNCTION chat.users_after_update() RETURNS trigger
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
CREATE TRIGGER users_after_update AFTER UPDATE ON chat.users
    REFERENCING OLD TABLE AS old_users NEW TABLE AS new_users FOR EACH STATEMENT EXECUTE FUNCTION chat.users_after_update();
COMMENT ON TRIGGER users_after_update ON chat.users IS 'A status shows on all pages, whoever sets it.';

-- +goose Down
DROP TRIGGER users_after_update ON chat.users;
DROP FUNCTION chat.users_after_update();
DROP VIEW chat.online;
COMMENT ON COLUMN chat.presence.room_id IS 'The room that is open.';
DROP INDEX chat.presence_user_id_idx;
ALTER TABLE chat.presence DROP COLUMN idle;
DROP VIEW chat.statuses;
ALTER TABLE chat.users DROP COLUMN status_emoji, DROP COLUMN status_text, DROP COLUMN status_until, DROP COLUMN dnd_until;
