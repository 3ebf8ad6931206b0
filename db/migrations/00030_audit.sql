-- +goose Up
-- Who has changed what, and what messages were before. Both are written by triggers, whoever it is that changes something: servers, psql,
-- or another program. What people say is not audited: it is there to be read, and there is too much of it.

CREATE TABLE chat.audit_log (
    id               bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid              xid8        NOT NULL DEFAULT pg_current_xact_id(),
    session_username name        NOT NULL DEFAULT session_user,
    current_username name        NOT NULL DEFAULT coalesce(nullif(current_setting('role'), 'none'), session_user),
    application_name text        NOT NULL DEFAULT current_setting('application_name'),
    client_addr      inet        DEFAULT inet_client_addr(),
    actor_id         uuid,
    actor            text,
    table_name       text        NOT NULL,
    operation        text        NOT NULL,
    rows             bigint      NOT NULL,
    key              jsonb,
    old              jsonb,
    new              jsonb,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_log_at_idx ON chat.audit_log (at);
COMMENT ON TABLE chat.audit_log IS 'Who has changed rooms, users, members, bans and tokens, and who has edited and deleted messages; not what is posted, read, or reacted. Of a statement over more than 100 rows the first 100 are noted, by their keys, and the others by their number: it stays small. No secrets and no texts: those are in chat.message_history. Kept as long as servers are told (--keep-audit, a year); to remove what is noted about a user: delete from chat.audit_log where actor_id = … or key ->> ''user_id'' = … or table_name = ''users'' and key ->> ''id'' = …;';
COMMENT ON COLUMN chat.audit_log.id IS 'The order in which it was noted.';
COMMENT ON COLUMN chat.audit_log.at IS 'When.';
COMMENT ON COLUMN chat.audit_log.xid IS 'The transaction: what has the same number was done together.';
COMMENT ON COLUMN chat.audit_log.session_username IS 'The role of PostgreSQL that was signed in: session_user.';
COMMENT ON COLUMN chat.audit_log.current_username IS 'The role that it had taken by SET ROLE, else itself.';
COMMENT ON COLUMN chat.audit_log.application_name IS 'What the program called itself: pgchat, psql, ….';
COMMENT ON COLUMN chat.audit_log.client_addr IS 'Where it came from; NULL: a socket on the machine itself.';
COMMENT ON COLUMN chat.audit_log.actor_id IS 'The user of the chat who did it; NULL: unknown, as by SQL, where SET LOCAL chat.actor = ''name'' says who.';
COMMENT ON COLUMN chat.audit_log.actor IS 'What that user was called then.';
COMMENT ON COLUMN chat.audit_log.table_name IS 'The table, without its schema.';
COMMENT ON COLUMN chat.audit_log.operation IS '"INSERT", "UPDATE" or "DELETE".';
COMMENT ON COLUMN chat.audit_log.rows IS '1; of a statement over more than 100 rows its last entry stands for all those that are not noted one by one.';
COMMENT ON COLUMN chat.audit_log.key IS 'Which row; NULL: many.';
COMMENT ON COLUMN chat.audit_log.old IS 'What it was: of an update the columns that have changed. Secrets and texts are "…".';
COMMENT ON COLUMN chat.audit_log.new IS 'What it is now, likewise.';
COMMENT ON CONSTRAINT audit_log_pkey ON chat.audit_log IS 'A number is given once.';
COMMENT ON INDEX chat.audit_log_pkey IS 'A number is given once.';
COMMENT ON INDEX chat.audit_log_at_idx IS 'What happened at a time; removing what is old.';

-- The name of its text keeps it from roles that may only read; see chat.rights.
CREATE TABLE chat.message_history (
    id          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    room_id     uuid        NOT NULL,
    seq         bigint      NOT NULL,
    message_id  uuid        NOT NULL,
    author_id   uuid        NOT NULL,
    secret_body text        NOT NULL,
    said_at     timestamptz NOT NULL,
    change      text        NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by  uuid,
    username    name        NOT NULL DEFAULT session_user,
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT message_history_pkey PRIMARY KEY (id),
    CONSTRAINT message_history_change_check CHECK (change IN ('edited', 'deleted', 'erased'))
);
CREATE INDEX message_history_message_idx ON chat.message_history (room_id, seq);
CREATE INDEX message_history_author_id_idx ON chat.message_history (author_id);
CREATE INDEX message_history_changed_at_idx ON chat.message_history (changed_at);
COMMENT ON TABLE chat.message_history IS 'What messages were before they were edited, deleted from sight, or erased by DELETE. No page and no program shows it, nor does bringing a message back need it. Kept as long as servers are told (--keep-history, 90 days). To erase a message for good, and what it was: delete from chat.messages where room_id = … and seq = …; delete from chat.message_history where room_id = … and seq = …; all that somebody has said: the same with author_id = …. Of rooms that are deleted nothing is added.';
COMMENT ON COLUMN chat.message_history.id IS 'The order of the changes.';
COMMENT ON COLUMN chat.message_history.room_id IS 'The message''s room.';
COMMENT ON COLUMN chat.message_history.seq IS 'Its place there.';
COMMENT ON COLUMN chat.message_history.message_id IS 'Its id.';
COMMENT ON COLUMN chat.message_history.author_id IS 'Who had said it.';
COMMENT ON COLUMN chat.message_history.secret_body IS 'What it said. Called secret since only the server and the owner may read it.';
COMMENT ON COLUMN chat.message_history.said_at IS 'Since when it said that.';
COMMENT ON COLUMN chat.message_history.change IS '"edited": it got another text; "deleted": from sight; "erased": by DELETE.';
COMMENT ON COLUMN chat.message_history.changed_at IS 'When.';
COMMENT ON COLUMN chat.message_history.changed_by IS 'The user of the chat who changed it; NULL: unknown, as by SQL.';
COMMENT ON COLUMN chat.message_history.username IS 'The role of PostgreSQL that was signed in; more of it is in chat.audit_log, under the same xid.';
COMMENT ON COLUMN chat.message_history.xid IS 'The transaction.';
COMMENT ON CONSTRAINT message_history_pkey ON chat.message_history IS 'A number is given once.';
COMMENT ON INDEX chat.message_history_pkey IS 'A number is given once.';
COMMENT ON CONSTRAINT message_history_change_check ON chat.message_history IS 'What can become of a text.';
COMMENT ON INDEX chat.message_history_message_idx IS 'What a message was.';
COMMENT ON INDEX chat.message_history_author_id_idx IS 'All that somebody has said, to be erased.';
COMMENT ON INDEX chat.message_history_changed_at_idx IS 'Removing what is old.';

CREATE FUNCTION chat.actor() RETURNS uuid
LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN CASE WHEN current_setting('chat.actor', true) ~ '^[0-9A-Fa-f-]{36}$' -- longer than a name can be
    -- The planner evaluates the cast for whatever the setting is: '' where a transaction before has set it.
    THEN (SELECT u.id FROM chat.users u WHERE u.id = substring(current_setting('chat.actor', true) FROM '^[0-9A-Fa-f-]{36}$')::uuid)
    ELSE (SELECT u.id FROM chat.users u WHERE lower(u.name) = lower(current_setting('chat.actor', true))) END;
COMMENT ON FUNCTION chat.actor() IS 'The user of the chat who acts, by the setting chat.actor, which has an id or a name; NULL: unknown.';

-- The trigger's arguments: the columns of the key; those that are not noted; those whose values are not shown. As the owner: who changes a table
-- needs no right on the log, and can neither read nor write it.
-- +goose StatementBegin
CREATE FUNCTION chat.audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
DECLARE
    keys    text[] := string_to_array(TG_ARGV[0], ' ');
    unnoted text[] := string_to_array(TG_ARGV[1], ' ');
    secret  text[] := string_to_array(TG_ARGV[2], ' ');
    befores jsonb[];
    afters  jsonb[];
    total   bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(s.row), max(s.total) INTO afters, total
        FROM (SELECT to_jsonb(n) AS row, count(*) OVER () AS total FROM new_rows n LIMIT 100) s;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(s.row), max(s.total) INTO befores, total
        FROM (SELECT to_jsonb(o) AS row, count(*) OVER () AS total FROM old_rows o LIMIT 100) s;
    ELSE
        -- The rows before and after come side by side by sorting or hashing their keys, never by a join; see migration 23.
        SELECT array_agg(s.before), array_agg(s.after), max(s.total) INTO befores, afters, total
        FROM (
            SELECT p.before, p.after, count(*) OVER () AS total
            FROM (
                SELECT min(r.row::text) FILTER (WHERE NOT r.after)::jsonb AS before, min(r.row::text) FILTER (WHERE r.after)::jsonb AS after
                FROM (SELECT false AS after, to_jsonb(o) - unnoted AS row FROM old_rows o UNION ALL SELECT true, to_jsonb(n) - unnoted FROM new_rows n) r
                GROUP BY r.row ->> keys[1], r.row ->> keys[2]
            ) p WHERE p.before <> p.after LIMIT 100
        ) s;
    END IF;
    IF total IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_log (actor_id, actor, table_name, operation, rows, key, old, new)
    SELECT u.id, u.name, TG_TABLE_NAME, TG_OP, e.rows, e.key, e.old, e.new
    FROM (
        SELECT i.n, 1 AS rows, (SELECT jsonb_object_agg(k, coalesce(i.before, i.after) -> k) FROM unnest(keys) k) AS key,
               (SELECT jsonb_object_agg(c.key, CASE WHEN c.key = ANY (secret) AND c.value <> 'null' THEN '"…"' ELSE c.value END) FROM jsonb_each(i.before - unnoted) c
                WHERE TG_OP <> 'UPDATE' OR c.value IS DISTINCT FROM i.after -> c.key) AS old,
               (SELECT jsonb_object_agg(c.key, CASE WHEN c.key = ANY (secret) AND c.value <> 'null' THEN '"…"' ELSE c.value END) FROM jsonb_each(i.after - unnoted) c
                WHERE TG_OP <> 'UPDATE' OR c.value IS DISTINCT FROM i.before -> c.key) AS new
        FROM unnest(befores, afters) WITH ORDINALITY AS i (before, after, n)
        UNION ALL
        SELECT 101, total - 100, NULL, NULL, NULL WHERE total > 100
    ) e LEFT JOIN users u ON u.id = actor() ORDER BY e.n;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.audit() IS 'Notes in chat.audit_log what a statement has changed. Its arguments, each a list with spaces: the columns of the key, at most two; those that are not noted; those whose values are not shown.';

-- +goose StatementBegin
DO $$
DECLARE
    a record;
BEGIN
    FOR a IN SELECT * FROM (VALUES
        ('rooms', 'id', '', ''),
        ('users', 'id', 'status_emoji status_text status_until dnd_until', 'password_hash'),
        ('members', 'room_id user_id', 'last_read_seq starred notify', ''),
        ('tokens', 'id', 'last_used_at', 'token_hash'),
        ('bans', 'id', '', '')) AS v (name, key, unnoted, secret)
        WHERE to_regclass('chat.' || v.name) IS NOT NULL
    LOOP
        EXECUTE format('CREATE TRIGGER zz_audit_insert AFTER INSERT ON chat.%I REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat.audit(%L, %L, %L)', a.name, a.key, a.unnoted, a.secret);
        EXECUTE format('CREATE TRIGGER zz_audit_update AFTER UPDATE ON chat.%I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION chat.audit(%L, %L, %L)', a.name, a.key, a.unnoted, a.secret);
        EXECUTE format('CREATE TRIGGER zz_audit_delete AFTER DELETE ON chat.%I REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat.audit(%L, %L, %L)', a.name, a.key, a.unnoted, a.secret);
        EXECUTE format('COMMENT ON TRIGGER zz_audit_insert ON chat.%I IS ''Who has added what is noted in chat.audit_log; by its name the last.''', a.name);
        EXECUTE format('COMMENT ON TRIGGER zz_audit_update ON chat.%I IS ''Who has changed what is noted in chat.audit_log; by its name the last.''', a.name);
        EXECUTE format('COMMENT ON TRIGGER zz_audit_delete ON chat.%I IS ''Who has deleted what is noted in chat.audit_log; by its name the last.''', a.name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION chat.keep_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = chat, pg_temp AS $$
DECLARE
    acting constant uuid := actor();
    total  bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        WITH pairs AS MATERIALIZED ( -- of rooms that are deleted nothing is kept, and what is erased already has no text
            SELECT o.* FROM old_rows o WHERE o.body <> '' AND EXISTS (SELECT FROM room_heads h WHERE h.room_id = o.room_id)
        ), kept AS (
            INSERT INTO message_history (room_id, seq, message_id, author_id, secret_body, said_at, change, changed_by)
            SELECT p.room_id, p.seq, p.id, p.author_id, p.body, coalesce(p.edited_at, p.created_at), 'erased', acting FROM pairs p ORDER BY p.room_id, p.seq
        ), noted AS (
            INSERT INTO audit_log (actor_id, actor, table_name, operation, rows, key, old)
            SELECT u.id, u.name, TG_TABLE_NAME, TG_OP, 1, jsonb_build_object('room_id', p.room_id, 'seq', p.seq, 'id', p.id),
                   jsonb_build_object('author_id', p.author_id, 'body', '…', 'created_at', p.created_at, 'deleted_at', p.deleted_at)
            FROM (SELECT * FROM pairs ORDER BY room_id, seq LIMIT 100) p LEFT JOIN users u ON u.id = acting
        )
        SELECT count(*) INTO total FROM pairs;
    ELSE
        WITH sides AS (
            (SELECT false AS after, o.room_id, o.seq, o.id, o.author_id, o.body, o.deleted_at, o.deleted_by, coalesce(o.edited_at, o.created_at) AS said_at FROM old_rows o
             EXCEPT SELECT false, n.room_id, n.seq, n.id, n.author_id, n.body, n.deleted_at, n.deleted_by, coalesce(n.edited_at, n.created_at) FROM new_rows n)
            UNION ALL
            (SELECT true, n.room_id, n.seq, n.id, n.author_id, n.body, n.deleted_at, n.deleted_by, coalesce(n.edited_at, n.created_at) FROM new_rows n
             EXCEPT SELECT true, o.room_id, o.seq, o.id, o.author_id, o.body, o.deleted_at, o.deleted_by, coalesce(o.edited_at, o.created_at) FROM old_rows o)
        ), pairs AS MATERIALIZED (
            SELECT s.room_id, s.seq, min(s.id::text)::uuid AS id, min(s.body) FILTER (WHERE NOT s.after) AS old_body, min(s.body) FILTER (WHERE s.after) AS new_body,
                   min(s.author_id::text) FILTER (WHERE NOT s.after)::uuid AS old_author, min(s.author_id::text) FILTER (WHERE s.after)::uuid AS new_author,
                   min(s.deleted_at) FILTER (WHERE NOT s.after) AS old_deleted, min(s.deleted_at) FILTER (WHERE s.after) AS new_deleted,
                   coalesce(acting, min(s.deleted_by::text) FILTER (WHERE s.after)::uuid) AS by, min(s.said_at) FILTER (WHERE NOT s.after) AS said_at
            FROM sides s GROUP BY s.room_id, s.seq
        ), kept AS (
            INSERT INTO message_history (room_id, seq, message_id, author_id, secret_body, said_at, change, changed_by)
            SELECT p.room_id, p.seq, p.id, p.old_author, p.old_body, p.said_at, CASE WHEN p.old_body <> p.new_body THEN 'edited' ELSE 'deleted' END, p.by
            FROM pairs p WHERE p.old_body <> '' AND (p.old_body <> p.new_body OR p.old_deleted IS NULL AND p.new_deleted IS NOT NULL) ORDER BY p.room_id, p.seq
        ), noted AS (
            INSERT INTO audit_log (actor_id, actor, table_name, operation, rows, key, old, new)
            SELECT u.id, u.name, TG_TABLE_NAME, TG_OP, 1, jsonb_build_object('room_id', p.room_id, 'seq', p.seq, 'id', p.id),
                   CASE WHEN p.old_body <> p.new_body THEN '{"body": "…"}'::jsonb ELSE '{}' END
                       || CASE WHEN p.old_author <> p.new_author THEN jsonb_build_object('author_id', p.old_author) ELSE '{}' END
                       || CASE WHEN p.old_deleted IS DISTINCT FROM p.new_deleted THEN jsonb_build_object('deleted_at', p.old_deleted) ELSE '{}' END,
                   CASE WHEN p.old_body <> p.new_body THEN '{"body": "…"}'::jsonb ELSE '{}' END
                       || CASE WHEN p.old_author <> p.new_author THEN jsonb_build_object('author_id', p.new_author) ELSE '{}' END
                       || CASE WHEN p.old_deleted IS DISTINCT FROM p.new_deleted THEN jsonb_build_object('deleted_at', p.new_deleted) ELSE '{}' END
            FROM (SELECT * FROM pairs ORDER BY room_id, seq LIMIT 100) p LEFT JOIN users u ON u.id = p.by
        )
        SELECT count(*) INTO total FROM pairs;
    END IF;
    IF total > 100 THEN
        INSERT INTO audit_log (actor_id, actor, table_name, operation, rows)
        SELECT u.id, u.name, TG_TABLE_NAME, TG_OP, total - 100 FROM (SELECT acting) a LEFT JOIN users u ON u.id = a.acting;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.keep_messages() IS 'Keeps what messages were in chat.message_history, and notes in chat.audit_log who has edited, deleted or erased them, or given them to another author.';
CREATE TRIGGER zz_keep_update AFTER UPDATE ON chat.messages
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('chat.numbering', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION chat.keep_messages();
CREATE TRIGGER zz_keep_delete AFTER DELETE ON chat.messages
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION chat.keep_messages();
COMMENT ON TRIGGER zz_keep_update ON chat.messages IS 'What was edited or deleted is kept for a while, and who has done it is noted; by its name the last.';
COMMENT ON TRIGGER zz_keep_delete ON chat.messages IS 'What was erased is kept for a while, and who has done it is noted; by its name the last.';

-- +goose StatementBegin
CREATE FUNCTION chat.sweep_history(history_for interval, audit_for interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    removed bigint := 0;
    more    bigint;
BEGIN
    IF pg_try_advisory_xact_lock(hashtext('chat.sweep_history')) THEN
        DELETE FROM message_history WHERE history_for > interval '0' AND changed_at < now() - history_for;
        GET DIAGNOSTICS removed = ROW_COUNT;
        DELETE FROM audit_log WHERE audit_for > interval '0' AND at < now() - audit_for;
        GET DIAGNOSTICS more = ROW_COUNT;
    END IF;
    RETURN removed + coalesce(more, 0);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.sweep_history(interval, interval) IS 'Removes what is older than the first of chat.message_history and older than the second of chat.audit_log, 0: nothing; returns how many rows. One session sweeps at a time.';

-- Its joins of transition tables are not made row by row, whatever plan the session keeps.
ALTER FUNCTION chat.users_after_update() SET enable_nestloop = off;

-- +goose Down
ALTER FUNCTION chat.users_after_update() RESET enable_nestloop;
DROP FUNCTION chat.sweep_history(interval, interval);
DROP TRIGGER zz_keep_delete ON chat.messages;
DROP TRIGGER zz_keep_update ON chat.messages;
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['rooms', 'users', 'members', 'tokens', 'bans'] LOOP
        IF to_regclass('chat.' || name) IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER IF EXISTS zz_audit_insert ON chat.%I', name);
            EXECUTE format('DROP TRIGGER IF EXISTS zz_audit_update ON chat.%I', name);
            EXECUTE format('DROP TRIGGER IF EXISTS zz_audit_delete ON chat.%I', name);
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd
DROP FUNCTION chat.keep_messages(), chat.audit(), chat.actor();
DROP TABLE chat.message_history, chat.audit_log;
