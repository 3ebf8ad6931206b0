-- +goose Up
-- Plans are made once: with arrays as parameters PostgreSQL planned the batch anew at every call, which took longer than to
-- run it (one message: 0.55 ms against 0.37 ms).
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) SET plan_cache_mode = force_generic_plan;

-- One statement for all rooms instead of three for each (400 messages in 100 rooms: 9.2 ms against 11.7 ms), and a message
-- that is stored as edited or deleted is never told as if it were new.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rooms bigint;
    moved bigint;
    wrong record;
BEGIN
    WITH ranges AS (
        SELECT room_id, min(seq) AS first, max(seq) AS last, count(*) AS n FROM new_messages GROUP BY room_id
    ), moves AS (
        UPDATE room_heads h SET last_seq = r.last FROM ranges r
        WHERE h.room_id = r.room_id AND h.last_seq = r.first - 1 AND r.n = r.last - r.first + 1
        RETURNING h.room_id
    )
    SELECT (SELECT count(*) FROM ranges), (SELECT count(*) FROM moves) INTO rooms, moved;
    IF rooms <> moved THEN
        SELECT r.* INTO wrong FROM (SELECT room_id, min(seq) AS first, max(seq) AS last, count(*) AS n FROM new_messages GROUP BY room_id) r
            JOIN room_heads h ON h.room_id = r.room_id WHERE h.last_seq <> r.last OR r.n <> r.last - r.first + 1 LIMIT 1;
        RAISE check_violation USING
            MESSAGE = format('seq %s to %s do not follow the last message of room %s', wrong.first, wrong.last, wrong.room_id),
            HINT = 'Leave seq out: a trigger gives the next number.';
    END IF;
    PERFORM pg_notify('room:' || p.room_id,
            CASE WHEN octet_length(p.payload) <= 7999 THEN p.payload ELSE '{"first":' || p.first || ',"last":' || p.last || '}' END)
    FROM (
        SELECT m.room_id, min(m.seq) AS first, max(m.seq) AS last,
               '{"first":' || min(m.seq) || ',"last":' || max(m.seq) || ',"messages":['
               || string_agg('{"seq":' || m.seq || ',"id":"' || m.id || '","author_id":"' || m.author_id || '","author":' || to_json(u.name)
                   || ',"body":' || to_json(m.body) || ',"created_at":' || to_json(m.created_at) || '}', ',' ORDER BY m.seq)
                   FILTER (WHERE m.n <= 100 AND octet_length(m.body) < 8000)
               || CASE WHEN count(*) > 100 OR bool_or(octet_length(m.body) >= 8000 OR m.deleted_at IS NOT NULL) THEN repeat(' ', 8000) ELSE '' END || ']}' AS payload
        FROM (SELECT n.*, row_number() OVER (PARTITION BY n.room_id ORDER BY n.seq) AS n FROM new_messages n) m
        JOIN users u ON u.id = m.author_id GROUP BY m.room_id
    ) p;
    PERFORM set_config(s.name, '', true)
    FROM (SELECT DISTINCT 'chat.seq_' || replace(room_id::text, '-', '') AS name FROM new_messages) s
    WHERE coalesce(current_setting(s.name, true), '') <> '';
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
ALTER FUNCTION chat.post_batch(uuid[], uuid[], uuid[], text[]) RESET plan_cache_mode;
-- The function above serves the schema before just as well.
