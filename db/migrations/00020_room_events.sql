-- +goose Up
-- What happened to a room, beside what was said in it: lines between its messages. They take numbers of the room's changes, so that
-- whoever catches up on those catches up on these.
CREATE TABLE chat.room_events (
    room_id    uuid        NOT NULL,
    rev        bigint      NOT NULL,
    after_seq  bigint      NOT NULL,
    kind       text        NOT NULL,
    actor_id   uuid,
    subject_id uuid,
    detail     jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT room_events_pkey PRIMARY KEY (room_id, rev),
    CONSTRAINT room_events_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.room_heads (room_id) ON DELETE CASCADE,
    CONSTRAINT room_events_actor_id_fkey FOREIGN KEY (actor_id) REFERENCES chat.users (id) ON DELETE SET NULL,
    CONSTRAINT room_events_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT room_events_kind_check CHECK (kind IN ('joined', 'left', 'renamed', 'topic', 'archived', 'restored', 'private', 'public'))
);
CREATE INDEX room_events_after_seq_idx ON chat.room_events (room_id, after_seq, rev);
CREATE INDEX room_events_actor_id_idx ON chat.room_events (actor_id);
CREATE INDEX room_events_subject_id_idx ON chat.room_events (subject_id);
COMMENT ON TABLE chat.room_events IS 'What happened to rooms, shown as lines between their messages. Written by triggers, whoever changes a room or its members.';
COMMENT ON COLUMN chat.room_events.room_id IS 'The room.';
COMMENT ON COLUMN chat.room_events.rev IS 'The room''s change number: those of changes to messages and these are of one series.';
COMMENT ON COLUMN chat.room_events.after_seq IS 'seq of the room''s newest message when it happened; 0: there was none.';
COMMENT ON COLUMN chat.room_events.kind IS '"joined", "left", "renamed", "topic", "archived", "restored", "private" or "public".';
COMMENT ON COLUMN chat.room_events.actor_id IS 'Who did it; NULL: unknown, as by SQL, where SET LOCAL chat.actor = ''name'' says who.';
COMMENT ON COLUMN chat.room_events.subject_id IS 'Who joined or left; NULL: nobody, or many.';
COMMENT ON COLUMN chat.room_events.detail IS '"from" and "to": the name or topic before and after; "count": how many joined or left at once.';
COMMENT ON COLUMN chat.room_events.created_at IS 'When it happened.';
COMMENT ON CONSTRAINT room_events_pkey ON chat.room_events IS 'A number is given once; catching up.';
COMMENT ON INDEX chat.room_events_pkey IS 'A number is given once; catching up.';
COMMENT ON CONSTRAINT room_events_room_id_fkey ON chat.room_events IS 'They end with the room.';
COMMENT ON CONSTRAINT room_events_actor_id_fkey ON chat.room_events IS 'What somebody did stays when they are removed.';
COMMENT ON CONSTRAINT room_events_subject_id_fkey ON chat.room_events IS 'That somebody joined or left goes with them.';
COMMENT ON CONSTRAINT room_events_kind_check ON chat.room_events IS 'The kinds that pages know.';
COMMENT ON INDEX chat.room_events_after_seq_idx IS 'The lines between a page''s messages.';
COMMENT ON INDEX chat.room_events_actor_id_idx IS 'Removing a user.';
COMMENT ON INDEX chat.room_events_subject_id_idx IS 'Removing a user.';

-- +goose StatementBegin
CREATE FUNCTION chat.add_room_events(rooms uuid[], kinds text[], subjects uuid[], details jsonb[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    given text := nullif(current_setting('chat.actor', true), '');
    actor uuid := (SELECT id FROM users WHERE id::text = given UNION ALL SELECT id FROM users WHERE lower(name) = lower(given) LIMIT 1);
    r     record;
BEGIN
    PERFORM 1 FROM room_heads WHERE room_id = ANY (rooms) ORDER BY room_id FOR NO KEY UPDATE;
    FOR r IN -- a new statement, which sees what was committed meanwhile
        WITH numbered AS (
            SELECT g.*, row_number() OVER (PARTITION BY g.room_id ORDER BY g.n) AS nth
            FROM unnest(rooms, kinds, subjects, details) WITH ORDINALITY AS g (room_id, kind, subject_id, detail, n)
        ), stored AS (
            INSERT INTO room_events (room_id, rev, after_seq, kind, actor_id, subject_id, detail)
            SELECT n.room_id, h.last_rev + n.nth, h.last_seq, n.kind, actor, n.subject_id, n.detail FROM numbered n JOIN room_heads h ON h.room_id = n.room_id
            RETURNING room_id, rev
        )
        SELECT room_id, min(rev) AS first, max(rev) AS last FROM stored GROUP BY room_id ORDER BY room_id
    LOOP
        UPDATE room_heads SET last_rev = r.last WHERE room_id = r.room_id;
        PERFORM pg_notify('room:' || r.room_id, json_build_object('rev_first', r.first, 'rev_last', r.last)::text);
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.add_room_events(uuid[], text[], uuid[], jsonb[]) IS 'Stores what happened to rooms, an event at each index of the arrays, and tells the rooms.';

-- Of rooms that everybody is in, of direct conversations and of rooms with more than 100 people nobody wants to read who comes and
-- goes; nor, of a room that is being made, who is in it from the start.
-- +goose StatementBegin
CREATE FUNCTION chat.members_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    what     text := CASE TG_OP WHEN 'INSERT' THEN 'joined' ELSE 'left' END;
    rooms    uuid[];
    kinds    text[];
    subjects uuid[];
    details  jsonb[];
BEGIN
    WITH small AS (
        SELECT r.id FROM rooms r
        WHERE r.id IN (SELECT room_id FROM changed_members) AND NOT r.everyone AND r.kind <> 'direct' AND (what = 'left' OR r.created_at <> now())
          AND (SELECT count(*) FROM (SELECT FROM members m WHERE m.room_id = r.id LIMIT 101) m) <= 100
    ), people AS (
        SELECT c.room_id, c.user_id, u.name, count(*) OVER (PARTITION BY c.room_id) AS n FROM changed_members c JOIN small s ON s.id = c.room_id JOIN users u ON u.id = c.user_id
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
COMMENT ON FUNCTION chat.members_note() IS 'Notes who joined or left rooms that are small enough; more than 20 at once by their number.';
CREATE TRIGGER members_note_insert AFTER INSERT ON chat.members
    REFERENCING NEW TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_note();
COMMENT ON TRIGGER members_note_insert ON chat.members IS 'Who joins is a line in the room.';
CREATE TRIGGER members_tell_left AFTER DELETE ON chat.members
    REFERENCING OLD TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION chat.members_note();
COMMENT ON TRIGGER members_tell_left ON chat.members IS 'Who leaves is a line in the room. By its name it comes after members_succeed: that one waits for members, and whoever holds a head waits for none.';

-- +goose StatementBegin
CREATE FUNCTION chat.rooms_note() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms   uuid[];
    kinds   text[];
    details jsonb[];
BEGIN
    WITH changed AS (
        SELECT n.id, n.name, n.topic, n.kind, n.archived_at, o.name AS old_name, o.topic AS old_topic, o.kind AS old_kind, o.archived_at AS old_archived_at
        FROM new_rooms n JOIN old_rooms o ON o.id = n.id WHERE n.kind <> 'direct'
    ), events AS (
        SELECT id, 1 AS ord, 'renamed' AS what, jsonb_build_object('from', old_name, 'to', name) AS detail FROM changed WHERE name <> old_name
        UNION ALL SELECT id, 2, 'topic', jsonb_build_object('from', old_topic, 'to', topic) FROM changed WHERE topic <> old_topic
        UNION ALL SELECT id, 3, kind, '{}' FROM changed WHERE kind <> old_kind
        UNION ALL SELECT id, 4, CASE WHEN archived_at IS NULL THEN 'restored' ELSE 'archived' END, '{}' FROM changed WHERE (archived_at IS NULL) <> (old_archived_at IS NULL)
    )
    SELECT array_agg(id ORDER BY id, ord), array_agg(what ORDER BY id, ord), array_agg(detail ORDER BY id, ord) INTO rooms, kinds, details FROM events;
    IF rooms IS NOT NULL THEN
        PERFORM add_room_events(rooms, kinds, array_fill(NULL::uuid, ARRAY[cardinality(rooms)]), details);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_note() IS 'Notes which rooms were renamed, have another topic, became private or public, were archived or restored.';
CREATE TRIGGER rooms_note AFTER UPDATE ON chat.rooms
    REFERENCING OLD TABLE AS old_rooms NEW TABLE AS new_rooms FOR EACH STATEMENT EXECUTE FUNCTION chat.rooms_note();
COMMENT ON TRIGGER rooms_note ON chat.rooms IS 'What a room is called, is about and may be is told in it.';

-- +goose Down
DROP TRIGGER rooms_note ON chat.rooms;
DROP TRIGGER members_tell_left ON chat.members;
DROP TRIGGER members_note_insert ON chat.members;
DROP FUNCTION chat.rooms_note(), chat.members_note(), chat.add_room_events(uuid[], text[], uuid[], jsonb[]);
DROP TABLE chat.room_events;
