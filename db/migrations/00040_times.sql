-- +goose Up
-- What chat.integrity did not see is looked at, or refused where it could not be seen afterwards: times that go back within a room, words of the
-- search's index that are not the message's, and mentions that nobody can tell later, since names and memberships change.
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.messages_before_insert()', $a$    NEW.created_at := coalesce(NEW.created_at, clock_timestamp());
$a$,
             $b$    -- now() is when the transaction began; others may have posted since.
    IF NEW.created_at IS NULL OR NEW.created_at BETWEEN now() AND clock_timestamp() THEN
        NEW.created_at := clock_timestamp();
    END IF;
$b$),
            ('chat.messages_after_insert()', $a$    WITH rooms_told AS (
$a$,
             $b$    -- Written just now, as nearly all are: that is right, whatever a clock that was set back has given before. Others are compared with those before them.
    IF EXISTS (SELECT FROM new_messages n WHERE n.created_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') THEN
        SELECT n.room_id, n.seq, n.created_at, n.before, n.created_at >= n.before AS future INTO wrong FROM (
            SELECT m.room_id, m.seq, m.created_at,
                   lag(m.created_at, 1, (SELECT p.created_at FROM messages p WHERE p.room_id = m.room_id AND p.seq = m.seq - 1)) OVER (PARTITION BY m.room_id ORDER BY m.seq) AS before
            FROM new_messages m) n
        WHERE n.created_at < n.before - interval '1 minute' AND n.created_at < clock_timestamp() - interval '1 minute' OR n.created_at > clock_timestamp() + interval '1 minute' LIMIT 1;
        IF FOUND THEN
            RAISE check_violation USING
                MESSAGE = format('created_at of a new message in room %s is %s', wrong.room_id, CASE WHEN wrong.future IS FALSE THEN 'before that of the message before it' ELSE 'in the future' END),
                DETAIL = format('Message %s would be of %s, %s. Time goes with seq: a day is found by it.', wrong.seq, wrong.created_at,
                    CASE WHEN wrong.future IS FALSE THEN format('the one before is of %s', wrong.before) ELSE format('it is %s', clock_timestamp()) END),
                HINT = 'Leave created_at out, and it is now; what is older is inserted in the order of time, into a room that has nothing newer.';
        END IF;
    END IF;
    WITH rooms_told AS (
$b$),
            ('chat.integrity_of(uuid)', $a$- 1) OVER (ORDER BY m.seq) AS seq_before FROM messages m WHERE m.room_id = integrity_of.room
    ), shown AS$a$,
             $b$- 1) OVER w AS seq_before, m.created_at, lag(m.created_at) OVER w AS created_before
        FROM messages m WHERE m.room_id = integrity_of.room WINDOW w AS (ORDER BY m.seq)
    ), shown AS$b$),
            ('chat.integrity_of(uuid)', $a$    UNION ALL
    SELECT 'rev', t.name, format('change %s is there$a$,
             $b$    UNION ALL
    SELECT 'created_at', t.name || '#' || n.seq, format('is of %s, the message before it of %s', n.created_at, n.created_before)
    FROM numbered n CROSS JOIN this t WHERE n.created_at < n.created_before - interval '1 minute' -- clocks are corrected
    UNION ALL
    SELECT 'rev', t.name, format('change %s is there$b$),
            ('chat.integrity_of(uuid)', $a$THEN 'has another created_at in the index' ELSE$a$,
             $b$THEN CASE WHEN d.created_at = m.created_at THEN 'has other words in the index' ELSE 'has another created_at in the index' END ELSE$b$),
            ('chat.integrity_of(uuid)', $a$        ELSE d.created_at IS DISTINCT FROM m.created_at END
$a$,
             $b$        -- A bucket that was full ended at the clock's time: what is of a moment later has its number, not the next one's.
        WHEN d.created_at = m.created_at THEN coalesce((
            SELECT b.bucket > width_bucket(m.created_at, (SELECT array_agg(s.starts ORDER BY s.bucket) FROM search_buckets s))
                OR d.terms <> search_terms(b.bucket, search_words(search_text(m.body, m.extra)), m.room_id, m.author_id, m.body, m.extra)
            FROM (SELECT ('x' || lpad(found.hex[1], 8, '0'))::bit(32)::int AS bucket FROM regexp_matches(d.terms::text, $re$'([0-9a-f]{1,8})\*'$re$) AS found (hex)) b), true)
        ELSE true END
$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$            <= (SELECT m.created_at FROM messages m WHERE m.room_id = from_id AND m.seq = moved[1]), true);
$a$,
             $b$            <= (SELECT m.created_at FROM messages m WHERE m.room_id = from_id AND m.seq = moved[1]), true)
            AND NOT EXISTS (SELECT FROM (SELECT m.created_at, lag(m.created_at) OVER (ORDER BY m.seq) AS before FROM messages m WHERE m.room_id = from_id AND m.seq = ANY (moved)) m
                WHERE m.created_at < m.before OR m.created_at > clock_timestamp()); -- where a clock was wrong
$b$),
            ('chat.merge_users(text, text, text)', $a$    INSERT INTO mentions (user_id, room_id, seq)
$a$,
             $b$    PERFORM set_config('chat.merging', 'on', true);
    INSERT INTO mentions (user_id, room_id, seq)
$b$),
            ('chat.merge_users(text, text, text)', $a$    PERFORM set_config('chat.merging', 'on', true);
    FOR direct IN$a$,
             $b$    FOR direct IN$b$),
            ('chat.retain(integer)', $a$before any that is not: an import has times as it pleases, and nothing goes before its time. One of
        -- the future says nothing of its age, and goes with those after it.
$a$,
             $b$before any that is not: where a clock was wrong nothing goes before its time. One of the
        -- future says nothing of its age, and goes with those after it.
$b$),
            ('chat.retain(integer)', $a$    PERFORM set_config('chat.retaining', '', true);
    DELETE FROM reactions r$a$,
             $b$    DELETE FROM reactions r$b$),
            ('chat.retain(integer)', $a$    DELETE FROM mentions m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
$a$,
             $b$    DELETE FROM mentions m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
    PERFORM set_config('chat.retaining', '', true);
$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON COLUMN chat.messages.created_at IS 'When it was stored, by PostgreSQL''s clock. Within a room not earlier than the message before, but where the clock was set back: a day is found by it. Leave it out, or give now(): it is that of the INSERT then. What is imported goes in the order of time.';
COMMENT ON TABLE chat.mentions IS 'Who is addressed by which message, with @name. Kept by triggers from what messages say, by the names and memberships of the moment.';
COMMENT ON COLUMN chat.integrity."check" IS 'What does not hold: "room", "seq", "created_at", "rev", "room_events", "extra." and the key in messages.extra, or the table that is wrong ("search": the index of the search).';

-- +goose StatementBegin
CREATE FUNCTION chat.mentions_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    RAISE check_violation USING
        MESSAGE = 'chat.mentions is not changed by hand',
        DETAIL = 'It has whom messages addressed when they were written: triggers keep it, and nobody can tell later what is missing.',
        HINT = 'Edit or delete the message: select chat.delete(''general'', 42); what is addressed in its text follows.';
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.mentions_stay() IS 'Refuses to change mentions by hand.';
CREATE TRIGGER mentions_stay BEFORE INSERT OR UPDATE OR DELETE ON chat.mentions FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0 AND current_setting('chat.accounted', true) IS DISTINCT FROM '0' AND coalesce(current_setting('chat.retaining', true), '') = ''
        AND coalesce(current_setting('chat.merging', true), '') = '')
    EXECUTE FUNCTION chat.mentions_stay();
COMMENT ON TRIGGER mentions_stay ON chat.mentions IS 'Mentions follow from messages.';

-- +goose Down
DROP TRIGGER mentions_stay ON chat.mentions;
DROP FUNCTION chat.mentions_stay();
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.retain(integer)', $a$    DELETE FROM mentions m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
    PERFORM set_config('chat.retaining', '', true);
$a$,
             $b$    DELETE FROM mentions m WHERE m.room_id = due.id AND m.seq BETWEEN due.first_seq AND last;
$b$),
            ('chat.retain(integer)', $a$    DELETE FROM reactions r$a$,
             $b$    PERFORM set_config('chat.retaining', '', true);
    DELETE FROM reactions r$b$),
            ('chat.retain(integer)', $a$before any that is not: where a clock was wrong nothing goes before its time. One of the
        -- future says nothing of its age, and goes with those after it.
$a$,
             $b$before any that is not: an import has times as it pleases, and nothing goes before its time. One of
        -- the future says nothing of its age, and goes with those after it.
$b$),
            ('chat.merge_users(text, text, text)', $a$    FOR direct IN$a$,
             $b$    PERFORM set_config('chat.merging', 'on', true);
    FOR direct IN$b$),
            ('chat.merge_users(text, text, text)', $a$    PERFORM set_config('chat.merging', 'on', true);
    INSERT INTO mentions (user_id, room_id, seq)
$a$,
             $b$    INSERT INTO mentions (user_id, room_id, seq)
$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$            <= (SELECT m.created_at FROM messages m WHERE m.room_id = from_id AND m.seq = moved[1]), true)
            AND NOT EXISTS (SELECT FROM (SELECT m.created_at, lag(m.created_at) OVER (ORDER BY m.seq) AS before FROM messages m WHERE m.room_id = from_id AND m.seq = ANY (moved)) m
                WHERE m.created_at < m.before OR m.created_at > clock_timestamp()); -- where a clock was wrong
$a$,
             $b$            <= (SELECT m.created_at FROM messages m WHERE m.room_id = from_id AND m.seq = moved[1]), true);
$b$),
            ('chat.integrity_of(uuid)', $a$        -- A bucket that was full ended at the clock's time: what is of a moment later has its number, not the next one's.
        WHEN d.created_at = m.created_at THEN coalesce((
            SELECT b.bucket > width_bucket(m.created_at, (SELECT array_agg(s.starts ORDER BY s.bucket) FROM search_buckets s))
                OR d.terms <> search_terms(b.bucket, search_words(search_text(m.body, m.extra)), m.room_id, m.author_id, m.body, m.extra)
            FROM (SELECT ('x' || lpad(found.hex[1], 8, '0'))::bit(32)::int AS bucket FROM regexp_matches(d.terms::text, $re$'([0-9a-f]{1,8})\*'$re$) AS found (hex)) b), true)
        ELSE true END
$a$,
             $b$        ELSE d.created_at IS DISTINCT FROM m.created_at END
$b$),
            ('chat.integrity_of(uuid)', $a$THEN CASE WHEN d.created_at = m.created_at THEN 'has other words in the index' ELSE 'has another created_at in the index' END ELSE$a$,
             $b$THEN 'has another created_at in the index' ELSE$b$),
            ('chat.integrity_of(uuid)', $a$    UNION ALL
    SELECT 'created_at', t.name || '#' || n.seq, format('is of %s, the message before it of %s', n.created_at, n.created_before)
    FROM numbered n CROSS JOIN this t WHERE n.created_at < n.created_before - interval '1 minute' -- clocks are corrected
    UNION ALL
    SELECT 'rev', t.name, format('change %s is there$a$,
             $b$    UNION ALL
    SELECT 'rev', t.name, format('change %s is there$b$),
            ('chat.integrity_of(uuid)', $a$- 1) OVER w AS seq_before, m.created_at, lag(m.created_at) OVER w AS created_before
        FROM messages m WHERE m.room_id = integrity_of.room WINDOW w AS (ORDER BY m.seq)
    ), shown AS$a$,
             $b$- 1) OVER (ORDER BY m.seq) AS seq_before FROM messages m WHERE m.room_id = integrity_of.room
    ), shown AS$b$),
            ('chat.messages_after_insert()', $a$    -- Written just now, as nearly all are: that is right, whatever a clock that was set back has given before. Others are compared with those before them.
    IF EXISTS (SELECT FROM new_messages n WHERE n.created_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute') THEN
        SELECT n.room_id, n.seq, n.created_at, n.before, n.created_at >= n.before AS future INTO wrong FROM (
            SELECT m.room_id, m.seq, m.created_at,
                   lag(m.created_at, 1, (SELECT p.created_at FROM messages p WHERE p.room_id = m.room_id AND p.seq = m.seq - 1)) OVER (PARTITION BY m.room_id ORDER BY m.seq) AS before
            FROM new_messages m) n
        WHERE n.created_at < n.before - interval '1 minute' AND n.created_at < clock_timestamp() - interval '1 minute' OR n.created_at > clock_timestamp() + interval '1 minute' LIMIT 1;
        IF FOUND THEN
            RAISE check_violation USING
                MESSAGE = format('created_at of a new message in room %s is %s', wrong.room_id, CASE WHEN wrong.future IS FALSE THEN 'before that of the message before it' ELSE 'in the future' END),
                DETAIL = format('Message %s would be of %s, %s. Time goes with seq: a day is found by it.', wrong.seq, wrong.created_at,
                    CASE WHEN wrong.future IS FALSE THEN format('the one before is of %s', wrong.before) ELSE format('it is %s', clock_timestamp()) END),
                HINT = 'Leave created_at out, and it is now; what is older is inserted in the order of time, into a room that has nothing newer.';
        END IF;
    END IF;
    WITH rooms_told AS (
$a$,
             $b$    WITH rooms_told AS (
$b$),
            ('chat.messages_before_insert()', $a$    -- now() is when the transaction began; others may have posted since.
    IF NEW.created_at IS NULL OR NEW.created_at BETWEEN now() AND clock_timestamp() THEN
        NEW.created_at := clock_timestamp();
    END IF;
$a$,
             $b$    NEW.created_at := coalesce(NEW.created_at, clock_timestamp());
$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON COLUMN chat.messages.created_at IS 'When it was stored; within a room never earlier than the message before. Leave it out.';
COMMENT ON TABLE chat.mentions IS 'Who is addressed by which message, with @name. Kept by triggers from what messages say.';
COMMENT ON COLUMN chat.integrity."check" IS 'What does not hold: "room", "seq", "rev", "room_events", "extra." and the key in messages.extra, or the table that is wrong.';
