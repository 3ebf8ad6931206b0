-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION chat.may_call_all(room uuid, caller uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN (SELECT count(*) FROM (SELECT FROM chat.members m WHERE m.room_id = room LIMIT 101) AS first_ones) <= 100
    OR EXISTS (SELECT FROM chat.members m WHERE m.room_id = room AND m.user_id = caller AND m.role = 'owner')
    OR EXISTS (SELECT FROM chat.users u WHERE u.id = caller AND u.role = 'admin');
-- +goose StatementEnd
COMMENT ON FUNCTION chat.may_call_all(uuid, uuid) IS 'Whether @everyone and @here of this user reach the members of the room: in rooms of more than 100 members only those of owners and administrators do.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.note_mentions(room_ids uuid[], ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    WITH words AS (
        SELECT DISTINCT s.room_id, s.seq, s.author_id, lower(found.words[1]) AS word, lower(rtrim(found.words[1], '._-')) AS short
        FROM unnest(room_ids, ids) AS i (room_id, id)
        JOIN messages s ON s.id = i.id AND s.room_id IS NOT DISTINCT FROM i.room_id
        CROSS JOIN LATERAL regexp_matches(s.body, '(?:^|[^[:alnum:]_.@-])@([[:alnum:]_.-]{2,33})', 'g') AS found (words)
        WHERE s.deleted_at IS NULL
    ), called AS (
        SELECT w.room_id, w.seq, u.id AS user_id
        FROM words w
        JOIN users u ON lower(u.name) IN (w.word, w.short)
        JOIN members m ON m.room_id = w.room_id AND m.user_id = u.id
        WHERE u.id <> w.author_id
        UNION
        SELECT w.room_id, w.seq, m.user_id
        FROM words w JOIN members m ON m.room_id = w.room_id
        WHERE w.short = 'everyone' AND m.user_id <> w.author_id AND may_call_all(w.room_id, w.author_id)
        UNION
        SELECT w.room_id, w.seq, m.user_id
        FROM words w CROSS JOIN (
            SELECT DISTINCT p.user_id FROM presence p JOIN instances n ON n.id = p.instance_id
            WHERE n.heartbeat_at BETWEEN now() - interval '30 s' AND now() + interval '30 s') AS o
        JOIN members m ON m.room_id = w.room_id AND m.user_id = o.user_id
        WHERE w.short = 'here' AND m.user_id <> w.author_id AND may_call_all(w.room_id, w.author_id)
    ), stored AS (
        INSERT INTO mentions (user_id, room_id, seq) SELECT user_id, room_id, seq FROM called ON CONFLICT DO NOTHING
        RETURNING user_id, room_id, seq
    )
    SELECT string_agg('{"room":"' || room_id || '","user":"' || user_id || '","seq":' || seq || '}', ',') INTO entries FROM stored;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('mentioned', entries);
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.note_mentions(uuid[], uuid[]) IS 'Notes whom messages address, by name, as @everyone, or as @here (who has a room open), and tells every instance. Takes rooms and messages'' ids, one at each index; what is noted already stays.';

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.note_mentions(room_ids uuid[], ids uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    entries text;
BEGIN
    WITH called AS (
        SELECT DISTINCT s.room_id, s.seq, u.id AS user_id
        FROM unnest(room_ids, ids) AS i (room_id, id)
        JOIN messages s ON s.id = i.id AND s.room_id IS NOT DISTINCT FROM i.room_id
        CROSS JOIN LATERAL regexp_matches(s.body, '(?:^|[^[:alnum:]_.@-])@([[:alnum:]_.-]{2,33})', 'g') AS found (words)
        JOIN users u ON lower(u.name) IN (lower(found.words[1]), lower(rtrim(found.words[1], '._-')))
        JOIN members m ON m.room_id = s.room_id AND m.user_id = u.id
        WHERE s.deleted_at IS NULL AND u.id <> s.author_id
    ), stored AS (
        INSERT INTO mentions (user_id, room_id, seq) SELECT user_id, room_id, seq FROM called ON CONFLICT DO NOTHING
        RETURNING user_id, room_id, seq
    )
    SELECT string_agg('{"room":"' || room_id || '","user":"' || user_id || '","seq":' || seq || '}', ',') INTO entries FROM stored;
    IF entries IS NOT NULL THEN
        PERFORM tell_activity('mentioned', entries);
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.note_mentions(uuid[], uuid[]) IS 'Notes whom messages address, and tells every instance. Takes rooms and messages'' ids, one at each index; what is noted already stays.';
DROP FUNCTION chat.may_call_all(uuid, uuid);
