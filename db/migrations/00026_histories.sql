-- +goose Up
-- A restore, or a standby that lacked something, sets the rooms back, and their numbers are given again to other messages. What somebody
-- keeps of a room holds only within one history; see docs/adr/0012-histories.md.
CREATE TABLE chat.histories (
    n        int         NOT NULL GENERATED ALWAYS AS IDENTITY,
    id       text        NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 8),
    place    text        NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT histories_pkey PRIMARY KEY (n),
    CONSTRAINT histories_id_key UNIQUE (id)
);
COMMENT ON TABLE chat.histories IS 'The histories of this database, the current one last. A new one begins where it was restored, copied or taken over by a standby.';
COMMENT ON COLUMN chat.histories.n IS 'Their order.';
COMMENT ON COLUMN chat.histories.id IS 'The third part of cursors: seq.rev.id. By chance and no number: after two restores of one backup there would be two second ones.';
COMMENT ON COLUMN chat.histories.place IS 'Where it is written: the cluster''s system identifier, its timeline, the database and this table. Where it differs a new history begins.';
COMMENT ON COLUMN chat.histories.began_at IS 'When it was noticed.';
COMMENT ON CONSTRAINT histories_pkey ON chat.histories IS 'Their order.';
COMMENT ON INDEX chat.histories_pkey IS 'Their order.';
COMMENT ON CONSTRAINT histories_id_key ON chat.histories IS 'A history by its id.';
COMMENT ON INDEX chat.histories_id_key IS 'A history by its id.';

CREATE TABLE chat.history_heads (
    room_id  uuid   NOT NULL,
    n        int    NOT NULL,
    last_seq bigint NOT NULL,
    last_rev bigint NOT NULL,
    CONSTRAINT history_heads_pkey PRIMARY KEY (room_id, n),
    CONSTRAINT history_heads_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE,
    CONSTRAINT history_heads_n_fkey FOREIGN KEY (n) REFERENCES chat.histories (n) ON DELETE CASCADE
);
CREATE INDEX history_heads_n_idx ON chat.history_heads (n);
COMMENT ON TABLE chat.history_heads IS 'How far rooms had come when a history began: up to there it has what the one before has, and a cursor of that one holds.';
COMMENT ON COLUMN chat.history_heads.room_id IS 'The room. One without a row was empty, or was made later.';
COMMENT ON COLUMN chat.history_heads.n IS 'The history that began.';
COMMENT ON COLUMN chat.history_heads.last_seq IS 'seq of the room''s newest message then.';
COMMENT ON COLUMN chat.history_heads.last_rev IS 'rev of the room''s newest change then.';
COMMENT ON CONSTRAINT history_heads_pkey ON chat.history_heads IS 'Once for each room and history.';
COMMENT ON INDEX chat.history_heads_pkey IS 'Once for each room and history.';
COMMENT ON CONSTRAINT history_heads_room_id_fkey ON chat.history_heads IS 'They end with the room.';
COMMENT ON CONSTRAINT history_heads_n_fkey ON chat.history_heads IS 'They end with the history.';
COMMENT ON INDEX chat.history_heads_n_idx IS 'Removing a history.';

-- +goose StatementBegin
CREATE FUNCTION chat.history_place() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp AS $$
BEGIN
    RETURN concat_ws('/', (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()), 'chat.histories'::regclass::oid);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR object_not_in_prerequisite_state THEN
    RETURN ''; -- some hosts of databases do not tell
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.history_place() IS 'Where the database is. It changes with pg_restore (the table is another), with a restore to a moment and a standby that takes over (the timeline is another), with a copy by CREATE DATABASE; not with a copy of the stopped server''s files.';

-- +goose StatementBegin
CREATE FUNCTION chat.begin_history() RETURNS text
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    begun histories;
BEGIN
    INSERT INTO histories (place) VALUES (history_place()) RETURNING * INTO begun;
    INSERT INTO history_heads (room_id, n, last_seq, last_rev)
    SELECT room_id, begun.n, last_seq, last_rev FROM room_heads WHERE last_seq > 0 OR last_rev > 0;
    PERFORM pg_notify('room:' || room_id, '{"gone": true}') FROM history_heads WHERE n = begun.n; -- servers look at the rooms anew
    RETURN begun.id;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.begin_history() IS 'Begins a new history, and returns its id. Call it, before servers are started, after a restore that nothing in the database tells of: of a copy of the stopped server''s files, or of a snapshot of its disk. Rooms that are open meanwhile are compared anew.';

-- +goose StatementBegin
CREATE FUNCTION chat.check_history() RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF pg_is_in_recovery() OR history_place() = (SELECT place FROM histories ORDER BY n DESC LIMIT 1) THEN
        RETURN NOT pg_is_in_recovery();
    END IF;
    LOCK TABLE histories IN SHARE ROW EXCLUSIVE MODE;
    IF history_place() <> (SELECT place FROM histories ORDER BY n DESC LIMIT 1) THEN -- nobody else was quicker
        PERFORM begin_history();
    END IF;
    RETURN true;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.check_history() IS 'Begins a new history where the database is in another place than the last one was written in. Servers call it on each connection, before they use it. False: ask again, PostgreSQL still recovers.';

CREATE FUNCTION chat.history() RETURNS text LANGUAGE sql STABLE SET search_path = chat, pg_temp
RETURN (SELECT h.id FROM chat.histories h ORDER BY h.n DESC LIMIT 1);
COMMENT ON FUNCTION chat.history() IS 'The id of the current history.';

SELECT chat.begin_history();

-- +goose Down
DROP FUNCTION chat.history(), chat.check_history(), chat.begin_history(), chat.history_place();
DROP TABLE chat.history_heads, chat.histories;
