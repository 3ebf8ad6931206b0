-- +goose Up
-- Files are rows: backed up, moved and secured with the rest. Their content is in chunks, each its own row and its own short
-- statement on the way in and out, so that neither a server nor PostgreSQL ever holds a whole file.
CREATE TABLE chat.files (
    id           uuid        NOT NULL,
    room_id      uuid        NOT NULL,
    seq          bigint,
    place        int         NOT NULL DEFAULT 0,
    uploader_id  uuid        NOT NULL,
    name         text        NOT NULL,
    type         text        NOT NULL DEFAULT '',
    size         bigint      NOT NULL,
    width        int,
    height       int,
    thumbnail    bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    touched_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT files_pkey PRIMARY KEY (id),
    CONSTRAINT files_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.room_heads (room_id) ON DELETE CASCADE,
    CONSTRAINT files_message_fkey FOREIGN KEY (room_id, seq) REFERENCES chat.messages (room_id, seq) ON DELETE CASCADE,
    CONSTRAINT files_uploader_id_fkey FOREIGN KEY (uploader_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT files_name_check CHECK (octet_length(name) <= 255 AND name ~ '\S' AND name !~ '[[:cntrl:]/\\]'),
    CONSTRAINT files_size_check CHECK (size >= 0),
    CONSTRAINT files_thumbnail_check CHECK (thumbnail IS NULL OR width > 0 AND height > 0),
    CONSTRAINT files_seq_check CHECK (seq IS NULL OR completed_at IS NOT NULL)
);
-- What is compressed already is not compressed again.
ALTER TABLE chat.files ALTER COLUMN thumbnail SET STORAGE EXTERNAL;
CREATE INDEX files_message_idx ON chat.files (room_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX files_uploader_id_idx ON chat.files (uploader_id);
COMMENT ON TABLE chat.files IS 'What people have uploaded. Deleting a row, or its message, removes the file.';
COMMENT ON COLUMN chat.files.id IS 'Its name in addresses: /files/<id>/<name>.';
COMMENT ON COLUMN chat.files.room_id IS 'The room that it was uploaded to; who may see the room may see its files.';
COMMENT ON COLUMN chat.files.seq IS 'seq of the message that it belongs to; NULL: not posted yet, for its uploader alone, and removed after a day.';
COMMENT ON COLUMN chat.files.place IS 'Its place among the files of its message, from 1; 0: not posted yet.';
COMMENT ON COLUMN chat.files.uploader_id IS 'Who uploaded it.';
COMMENT ON COLUMN chat.files.name IS 'What it was called on its uploader''s machine, without folders; at most 255 bytes.';
COMMENT ON COLUMN chat.files.type IS 'Content type, as found in its first bytes; what the uploader''s browser said is not believed.';
COMMENT ON COLUMN chat.files.size IS 'Bytes; while it is being uploaded the most that may come, which the limit of all files counts with.';
COMMENT ON COLUMN chat.files.width IS 'Of an image its width in pixels, as it is to be seen; NULL: no image that the server can read.';
COMMENT ON COLUMN chat.files.height IS 'Of an image its height in pixels, as it is to be seen.';
COMMENT ON COLUMN chat.files.thumbnail IS 'Of an image a small one, JPEG or PNG; NULL: none.';
COMMENT ON COLUMN chat.files.created_at IS 'When its upload began.';
COMMENT ON COLUMN chat.files.touched_at IS 'When its upload was last known to go on, to the minute.';
COMMENT ON COLUMN chat.files.completed_at IS 'When all of it was there; NULL: it is being uploaded.';
COMMENT ON CONSTRAINT files_pkey ON chat.files IS 'A file by its id.';
COMMENT ON INDEX chat.files_pkey IS 'A file by its id.';
COMMENT ON CONSTRAINT files_room_id_fkey ON chat.files IS 'Files end with their room.';
COMMENT ON CONSTRAINT files_message_fkey ON chat.files IS 'Files end with their message.';
COMMENT ON CONSTRAINT files_uploader_id_fkey ON chat.files IS 'Files end with who uploaded them.';
COMMENT ON CONSTRAINT files_name_check ON chat.files IS 'A name without folders and control characters.';
COMMENT ON CONSTRAINT files_size_check ON chat.files IS 'Not negative.';
COMMENT ON CONSTRAINT files_thumbnail_check ON chat.files IS 'What has a thumbnail has a width and a height.';
COMMENT ON CONSTRAINT files_seq_check ON chat.files IS 'Only what is there whole belongs to a message.';
COMMENT ON INDEX chat.files_message_idx IS 'The files of a message.';
COMMENT ON INDEX chat.files_uploader_id_idx IS 'Removing a user.';

CREATE TABLE chat.file_chunks (
    file_id uuid  NOT NULL,
    n       int   NOT NULL,
    data    bytea NOT NULL,
    CONSTRAINT file_chunks_pkey PRIMARY KEY (file_id, n),
    CONSTRAINT file_chunks_file_id_fkey FOREIGN KEY (file_id) REFERENCES chat.files (id) ON DELETE CASCADE
);
ALTER TABLE chat.file_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE chat.file_chunks IS 'The files'' content, in pieces of 128 KiB, the last one shorter.';
COMMENT ON COLUMN chat.file_chunks.file_id IS 'The file.';
COMMENT ON COLUMN chat.file_chunks.n IS 'The piece''s number, from 0.';
COMMENT ON COLUMN chat.file_chunks.data IS 'The piece.';
COMMENT ON CONSTRAINT file_chunks_pkey ON chat.file_chunks IS 'Each piece once.';
COMMENT ON INDEX chat.file_chunks_pkey IS 'Each piece once.';
COMMENT ON CONSTRAINT file_chunks_file_id_fkey ON chat.file_chunks IS 'Pieces end with their file.';

-- +goose StatementBegin
CREATE FUNCTION chat.begin_file(id uuid, room_id uuid, uploader_id uuid, name text, most bigint, most_in_all bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    -- Of two that begin at once the second counts with the first.
    PERFORM pg_advisory_xact_lock(hashtext('chat.files'));
    IF (SELECT coalesce(sum(f.size), 0) FROM files f) + most > most_in_all THEN
        RETURN false;
    END IF;
    INSERT INTO files (id, room_id, uploader_id, name, size)
    VALUES (begin_file.id, begin_file.room_id, begin_file.uploader_id, begin_file.name, most);
    RETURN true;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.begin_file(uuid, uuid, uuid, text, bigint, bigint) IS 'Begins an upload of at most so many bytes; false: all files together would have more than the limit that is given.';

-- +goose StatementBegin
CREATE FUNCTION chat.show_files(room_ids uuid[], seqs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    -- In order, and before any head is: whoever holds a head waits for no message.
    PERFORM FROM messages m WHERE (m.room_id, m.seq) IN (SELECT unnest(room_ids), unnest(seqs)) ORDER BY m.room_id, m.seq FOR NO KEY UPDATE;
    UPDATE messages m SET extra = nullif(CASE WHEN s.files IS NULL THEN coalesce(m.extra, '{}') - 'files'
        ELSE coalesce(m.extra, '{}') || jsonb_build_object('files', s.files) END, '{}')
    FROM (
        SELECT c.room_id, c.seq, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'id', f.id, 'name', f.name, 'type', f.type, 'size', f.size, 'width', f.width, 'height', f.height)) ORDER BY f.place, f.id)
            FILTER (WHERE f.id IS NOT NULL) AS files
        FROM (SELECT DISTINCT i.room_id, i.seq FROM unnest(room_ids, seqs) AS i (room_id, seq)) c
        LEFT JOIN files f ON f.room_id = c.room_id AND f.seq = c.seq
        GROUP BY c.room_id, c.seq
    ) s
    WHERE m.room_id = s.room_id AND m.seq = s.seq AND (m.extra -> 'files') IS DISTINCT FROM s.files;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.show_files(uuid[], bigint[]) IS 'Has messages show the files that they have now. Takes rooms and the messages'' seq, one at each index.';

-- +goose StatementBegin
CREATE FUNCTION chat.files_shown() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    rooms uuid[];
    seqs  bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.room_id), array_agg(n.seq) INTO rooms, seqs FROM new_files n WHERE n.seq IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(o.room_id), array_agg(o.seq) INTO rooms, seqs FROM old_files o WHERE o.seq IS NOT NULL;
    ELSE
        SELECT array_agg(c.room_id), array_agg(c.seq) INTO rooms, seqs
        FROM (SELECT o.room_id, o.seq FROM old_files o UNION SELECT n.room_id, n.seq FROM new_files n) c WHERE c.seq IS NOT NULL;
    END IF;
    IF rooms IS NOT NULL THEN
        PERFORM show_files(rooms, seqs);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.files_shown() IS 'Keeps what messages show in step with their files.';
CREATE TRIGGER files_after_insert AFTER INSERT ON chat.files
    REFERENCING NEW TABLE AS new_files FOR EACH STATEMENT EXECUTE FUNCTION chat.files_shown();
CREATE TRIGGER files_after_update AFTER UPDATE ON chat.files
    REFERENCING OLD TABLE AS old_files NEW TABLE AS new_files FOR EACH STATEMENT EXECUTE FUNCTION chat.files_shown();
CREATE TRIGGER files_after_delete AFTER DELETE ON chat.files
    REFERENCING OLD TABLE AS old_files FOR EACH STATEMENT EXECUTE FUNCTION chat.files_shown();
COMMENT ON TRIGGER files_after_insert ON chat.files IS 'Messages show their files.';
COMMENT ON TRIGGER files_after_update ON chat.files IS 'Messages show their files.';
COMMENT ON TRIGGER files_after_delete ON chat.files IS 'Messages show their files.';

-- +goose StatementBegin
CREATE FUNCTION chat.post_files(room_id uuid, id uuid, author_id uuid, body text, file_ids uuid[])
RETURNS TABLE (ord bigint, outcome text, seq bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
#variable_conflict use_column
DECLARE
    names text[];
BEGIN
    -- Locked: what is being posted is neither swept nor posted by another message.
    PERFORM FROM files f WHERE f.id = ANY (file_ids) ORDER BY f.id FOR UPDATE;
    SELECT array_agg(f.name ORDER BY i.place) INTO names
    FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) JOIN files f ON f.id = i.file_id
    WHERE f.room_id = post_files.room_id AND f.uploader_id = post_files.author_id AND f.seq IS NULL AND f.completed_at IS NOT NULL;
    IF coalesce(cardinality(names), 0) <> cardinality(file_ids)
        AND NOT EXISTS (SELECT FROM messages m WHERE m.room_id = post_files.room_id AND m.id = post_files.id) THEN
        RETURN QUERY SELECT 1::bigint, 'file_missing'::text, NULL::bigint;
        RETURN;
    END IF;
    SELECT p.outcome, p.seq INTO outcome, seq FROM post_batch(ARRAY[post_files.room_id], ARRAY[post_files.id], ARRAY[post_files.author_id],
        ARRAY[coalesce(nullif(post_files.body, ''), array_to_string(names, ', '), '-')], tell => false) p;
    IF outcome = 'posted' THEN
        UPDATE files f SET seq = post_files.seq, place = i.place
        FROM unnest(file_ids) WITH ORDINALITY AS i (file_id, place) WHERE f.id = i.file_id;
    END IF;
    ord := 1;
    RETURN NEXT;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.post_files(uuid, uuid, uuid, text, uuid[]) IS 'Posts a message with files that its author has uploaded to the room. Without a body their names are one. The outcome is as post_batch''s, or file_missing: one of them is not there, or posted already.';

-- +goose StatementBegin
CREATE FUNCTION chat.sweep_files(upload_for interval, unposted_for interval, deleted_for interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    removed bigint := 0;
BEGIN
    IF pg_try_advisory_xact_lock(hashtext('chat.sweep_files')) THEN
        DELETE FROM files f USING (
            SELECT f.id FROM files f LEFT JOIN messages m ON m.room_id = f.room_id AND m.seq = f.seq
            WHERE f.completed_at IS NULL AND f.touched_at < now() - upload_for
               OR f.seq IS NULL AND f.completed_at < now() - unposted_for
               OR m.deleted_at < now() - deleted_for
            ORDER BY f.id FOR UPDATE OF f SKIP LOCKED
        ) old WHERE f.id = old.id;
        GET DIAGNOSTICS removed = ROW_COUNT;
    END IF;
    RETURN removed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.sweep_files(interval, interval, interval) IS 'Removes the files whose upload has not gone on for so long, that were not posted for so long, and whose message was deleted so long ago; returns how many. One session sweeps at a time.';

-- +goose Down
DROP TABLE chat.file_chunks, chat.files;
DROP FUNCTION chat.sweep_files(interval, interval, interval), chat.post_files(uuid, uuid, uuid, text, uuid[]), chat.files_shown(),
    chat.show_files(uuid[], bigint[]), chat.begin_file(uuid, uuid, uuid, text, bigint, bigint);
UPDATE chat.messages SET extra = nullif(extra - 'files', '{}') WHERE extra ? 'files';
