-- +goose Up
-- The search. Its index is filled after the fact by one server at a time, so that posting does not wait for it; docs/adr/0011-search.md.

CREATE TABLE chat.search_progress (
    room_id uuid   NOT NULL,
    seq     bigint NOT NULL,
    rev     bigint NOT NULL,
    CONSTRAINT search_progress_pkey PRIMARY KEY (room_id),
    CONSTRAINT search_progress_room_id_fkey FOREIGN KEY (room_id) REFERENCES chat.rooms (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
COMMENT ON TABLE chat.search_progress IS 'How far the messages of each room are in the index of the search. To make the index anew: delete from chat.search_progress; delete from chat.search_buckets;';
COMMENT ON COLUMN chat.search_progress.room_id IS 'The room.';
COMMENT ON COLUMN chat.search_progress.seq IS 'Its messages up to this one are in the index.';
COMMENT ON COLUMN chat.search_progress.rev IS 'So are its changes up to this one.';
COMMENT ON CONSTRAINT search_progress_pkey ON chat.search_progress IS 'A room has one.';
COMMENT ON CONSTRAINT search_progress_room_id_fkey ON chat.search_progress IS 'It goes with its room.';
COMMENT ON INDEX chat.search_progress_pkey IS 'A room has one.';

CREATE TABLE chat.search_buckets (
    bucket   integer     NOT NULL,
    starts   timestamptz NOT NULL,
    newest   timestamptz NOT NULL DEFAULT '-infinity',
    messages bigint      NOT NULL DEFAULT 0,
    CONSTRAINT search_buckets_pkey PRIMARY KEY (bucket),
    CONSTRAINT search_buckets_starts_key UNIQUE (starts)
) WITH (fillfactor = 50);
COMMENT ON TABLE chat.search_buckets IS 'The stretches of time, of about 32,768 messages each, that the search goes through, the newest first.';
COMMENT ON COLUMN chat.search_buckets.bucket IS 'Its number, from 1 without gaps; the terms of its messages begin with it.';
COMMENT ON COLUMN chat.search_buckets.starts IS 'It holds the messages from this instant on, up to where the next one starts.';
COMMENT ON COLUMN chat.search_buckets.newest IS 'created_at of its newest message.';
COMMENT ON COLUMN chat.search_buckets.messages IS 'About how many it has.';
COMMENT ON CONSTRAINT search_buckets_pkey ON chat.search_buckets IS 'Its number.';
COMMENT ON CONSTRAINT search_buckets_starts_key ON chat.search_buckets IS 'Buckets do not overlap.';
COMMENT ON INDEX chat.search_buckets_pkey IS 'Its number.';
COMMENT ON INDEX chat.search_buckets_starts_key IS 'Buckets do not overlap.';

CREATE TABLE chat.search_documents (
    room_id    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    terms      tsvector    NOT NULL,
    CONSTRAINT search_documents_pkey PRIMARY KEY (room_id, seq)
);
-- No pending list: one writer inserts many at once, and every search would have to read the list.
CREATE INDEX search_documents_terms_idx ON chat.search_documents USING gin (terms) WITH (fastupdate = off);
COMMENT ON TABLE chat.search_documents IS 'What each message can be found by. Written by chat.index_messages alone; removed messages have none.';
COMMENT ON COLUMN chat.search_documents.room_id IS 'The message''s room.';
COMMENT ON COLUMN chat.search_documents.seq IS 'The message''s place there.';
COMMENT ON COLUMN chat.search_documents.created_at IS 'When it was stored.';
COMMENT ON COLUMN chat.search_documents.terms IS 'Its words, room, author and what it has, each behind the number of its bucket: chat.search_terms.';
COMMENT ON CONSTRAINT search_documents_pkey ON chat.search_documents IS 'A message is in the index once.';
COMMENT ON INDEX chat.search_documents_pkey IS 'A message is in the index once; changed messages are found by it.';
COMMENT ON INDEX chat.search_documents_terms_idx IS 'The terms of a bucket stand together: indexing touches few pages, and a search reads the newest buckets only.';

CREATE TABLE chat.search_vocabulary (
    word text COLLATE "C" NOT NULL,
    CONSTRAINT search_vocabulary_pkey PRIMARY KEY (word)
);
COMMENT ON TABLE chat.search_vocabulary IS 'The words that messages and the names of files have had, to find those that are like a word. Not shown to anybody: they are of private rooms as well.';
COMMENT ON COLUMN chat.search_vocabulary.word IS 'In lower case, 3 to 32 characters, with a letter in it.';
COMMENT ON CONSTRAINT search_vocabulary_pkey ON chat.search_vocabulary IS 'Each once.';
COMMENT ON INDEX chat.search_vocabulary_pkey IS 'Each once; those that begin with a word are found by it.';

-- pg_trgm may be there already, in whatever schema.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE EXTENSION pg_trgm WITH SCHEMA chat;
    END IF;
    PERFORM set_config('search_path', (SELECT string_agg(DISTINCT quote_ident(nspname), ', ') FROM pg_namespace n
        WHERE nspname = 'chat' OR n.oid = (SELECT extnamespace FROM pg_extension WHERE extname = 'pg_trgm')), true);
    CREATE INDEX search_vocabulary_trigrams_idx ON chat.search_vocabulary USING gin (word gin_trgm_ops);
    CREATE INDEX rooms_trigrams_idx ON chat.rooms USING gin (lower(name) gin_trgm_ops);
    CREATE INDEX users_trigrams_idx ON chat.users USING gin (lower(name) gin_trgm_ops);
END $$;
-- +goose StatementEnd
COMMENT ON INDEX chat.search_vocabulary_trigrams_idx IS 'Words that are like a word, or hold it.';
COMMENT ON INDEX chat.rooms_trigrams_idx IS 'Rooms whose names hold a text or are like it.';
COMMENT ON INDEX chat.users_trigrams_idx IS 'Users whose names hold a text or are like it.';

CREATE FUNCTION chat.search_vector(body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('pg_catalog.simple'::regconfig, translate(body, '<>/.@:-_=+#&?%~\', '                '));
COMMENT ON FUNCTION chat.search_vector(text) IS 'The words of a text with their places. Addresses, paths, tags and versions are taken apart.';

CREATE FUNCTION chat.search_words(body text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(SELECT DISTINCT left(w, 64) FROM unnest(tsvector_to_array(chat.search_vector(body))) w);
COMMENT ON FUNCTION chat.search_words(text) IS 'The words of a text as the index has them: the first 64 characters of each.';

CREATE FUNCTION chat.search_files(extra jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg(f #>> '{}', ' ') FROM jsonb_path_query(extra, '$.files[*].name') f);
COMMENT ON FUNCTION chat.search_files(jsonb) IS 'The names of a message''s files.';

CREATE FUNCTION chat.search_text(body text, extra jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN extra ? 'files' THEN concat_ws(' ', body, chat.search_files(extra)) ELSE body END;
COMMENT ON FUNCTION chat.search_text(text, jsonb) IS 'What of a message is searched: its text and the names of its files.';

CREATE FUNCTION chat.search_terms(bucket integer, words text[], room_id uuid, author_id uuid, body text, extra jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(ARRAY(SELECT to_hex(bucket) || '/' || w FROM unnest(words) w)
    || (to_hex(bucket) || '#' || right(room_id::text, 8)) || (to_hex(bucket) || '@' || right(author_id::text, 8)) || (to_hex(bucket) || '*')
    || CASE WHEN body ~* 'https?://' THEN ARRAY[to_hex(bucket) || '!link'] END
    || CASE WHEN jsonb_path_exists(extra, '$.files[*]') THEN ARRAY[to_hex(bucket) || '!file'] END);
COMMENT ON FUNCTION chat.search_terms(integer, text[], uuid, uuid, text, jsonb) IS 'The terms of a message: /word, #room, @author, !link, !file, and * that all have, each behind the bucket''s number. Of ids the last 8 digits: what is found is compared with the message.';

CREATE FUNCTION chat.search_quoted(terms text[], glue text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg('''' || replace(replace(rtrim(t, '*'), '\', '\\'), '''', '''''') || CASE WHEN t LIKE '%*' THEN ''':*' ELSE '''' END, glue) FROM unnest(terms) t);
COMMENT ON FUNCTION chat.search_quoted(text[], text) IS 'Terms as the text of a tsquery; those that end with * stand for all that begin so.';

CREATE FUNCTION chat.search_query(forms text[], without text[], rooms uuid[], authors uuid[], has text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN concat_ws(' & ',
    (SELECT string_agg('(' || chat.search_quoted(ARRAY(SELECT '~/' || w FROM unnest(string_to_array(f, ' ')) w), ' | ') || ')', ' & ') FROM unnest(forms) f),
    chat.search_quoted(ARRAY(SELECT '~!' || h FROM unnest(has) h), ' & '),
    '(' || chat.search_quoted(ARRAY(SELECT '~#' || right(r::text, 8) FROM unnest(rooms) r), ' | ') || ')',
    '(' || chat.search_quoted(ARRAY(SELECT '~@' || right(a::text, 8) FROM unnest(authors) a), ' | ') || ')',
    CASE WHEN cardinality(forms) + cardinality(has) + cardinality(rooms) + cardinality(authors) = 0 THEN '''~*''' END,
    '!' || chat.search_quoted(ARRAY(SELECT '~/' || w FROM unnest(without) w), ' & !'));
COMMENT ON FUNCTION chat.search_query(text[], text[], uuid[], uuid[], text[]) IS 'What to look for in one bucket, as the text of a tsquery with ~ for its number: of each of forms one of the words in it, separated by spaces; all that it has; one of the rooms; one of the authors; none of the words without. Empty arrays ask for nothing.';

CREATE FUNCTION chat.search_in(bucket integer, upto integer, query text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg('(' || replace(query, '~', to_hex(b)) || ')', ' | ')::tsquery FROM generate_series(bucket, upto) b);
COMMENT ON FUNCTION chat.search_in(integer, integer, text) IS 'What chat.search_query gives, in the buckets from one to another.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_behind() RETURNS uuid[]
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT coalesce(array_agg(h.room_id), '{}') FROM room_heads h LEFT JOIN search_progress p ON p.room_id = h.room_id
    WHERE h.last_seq > coalesce(p.seq, 0) OR h.last_rev > p.rev;
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_behind() IS 'The rooms of which not all is in the index.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_forms(words text[], near boolean) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp SET enable_seqscan = off AS $$
DECLARE
    given text;
    meant text;
    forms text[] := '{}';
    found text[];
    star  boolean;
BEGIN
    FOREACH given IN ARRAY words LOOP
        star := given LIKE '%*' AND cardinality(search_words(given)) = 1;
        FOREACH meant IN ARRAY search_words(given) LOOP
            found := ARRAY[meant];
            IF star THEN
                found := ARRAY[meant, meant || '*'];
            ELSIF char_length(meant) >= 4 THEN
                found := found || ARRAY(SELECT s.word FROM search_vocabulary s
                    WHERE s.word > meant COLLATE "C" AND s.word < (meant || chr(1114111)) COLLATE "C" AND char_length(s.word) <= char_length(meant) + 3
                    ORDER BY char_length(s.word), s.word LIMIT 6);
            END IF;
            IF near AND char_length(meant) >= 3 THEN
                found := found || ARRAY(SELECT s.word FROM search_vocabulary s WHERE s.word LIKE '%' || meant || '%' ORDER BY char_length(s.word), s.word LIMIT 6)
                    || ARRAY(SELECT s.word FROM search_vocabulary s WHERE s.word % meant AND similarity(s.word, meant) >= 0.4
                             ORDER BY similarity(s.word, meant) DESC, s.word LIMIT 5);
            END IF;
            forms := forms || array_to_string(found, ' ');
        END LOOP;
    END LOOP;
    RETURN forms;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_forms(text[], boolean) IS 'Of each word of what was typed, itself and others that are meant by it, separated by spaces: words that begin with it and are a little longer; a word with * behind it stands for all that begin so; near: also words that hold it or are spelled alike.';

-- +goose StatementBegin
CREATE FUNCTION chat.index_messages(most integer, OUT done integer, OUT behind bigint)
LANGUAGE plpgsql SET search_path = chat, pg_temp SET jit = off
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
DECLARE
    size    constant bigint := 32768;
    total   bigint;
    changed integer;
    begins  timestamptz[];
    late    uuid[]; -- rooms of which not all is in the index
    bound   timestamptz; -- older messages are taken
    room    record;
    rooms   uuid[] := '{}';
    lasts   bigint[] := '{}';
    low     bigint;
    high    bigint;
    middle  bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('pgchat: search')) THEN
        done := -1; behind := 0;
        RETURN;
    END IF;
    late := search_behind();
    IF late = '{}' THEN
        done := 0; behind := 0;
        RETURN;
    END IF;
    -- What is changed before its turn has come is read as it then is.
    INSERT INTO search_progress (room_id, seq, rev)
        SELECT h.room_id, 0, h.last_rev FROM unnest(late) n JOIN room_heads h ON h.room_id = n WHERE NOT EXISTS (SELECT FROM search_progress p WHERE p.room_id = n)
        ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM search_buckets) THEN
        INSERT INTO search_buckets (bucket, starts) VALUES (1, '-infinity');
        total := (SELECT sum(last_seq) FROM room_heads);
        IF total > 2 * size THEN -- a history: it is divided by a sample
            INSERT INTO search_buckets (bucket, starts)
            SELECT 1 + row_number() OVER (ORDER BY s.starts), s.starts FROM (
                SELECT DISTINCT unnest(percentile_disc(ARRAY(SELECT g::float8 / (total / size) FROM generate_series(1, total / size - 1) g)) WITHIN GROUP (ORDER BY m.created_at)) AS starts
                FROM messages m TABLESAMPLE SYSTEM (least(100, 100 * 200000.0 / total))) s;
        END IF;
    END IF;
    begins := ARRAY(SELECT b.starts FROM search_buckets b ORDER BY b.bucket);

    WITH changes AS MATERIALIZED (
        SELECT p.room_id, m.seq, m.rev, m.seq <= p.seq AS taken
        FROM unnest(late) n JOIN search_progress p ON p.room_id = n JOIN room_heads h ON h.room_id = n
        CROSS JOIN LATERAL (SELECT m.seq, m.rev FROM messages m WHERE m.room_id = p.room_id AND m.rev > p.rev ORDER BY m.rev LIMIT most) m
        WHERE h.last_rev > p.rev LIMIT most
    ), moved AS (
        UPDATE search_progress p SET rev = n.rev FROM (
            SELECT l.room_id, max(l.rev) AS rev FROM changes l GROUP BY l.room_id
            UNION ALL -- changes of messages that SQL has deleted since
            SELECT q.room_id, h.last_rev FROM unnest(late) n JOIN search_progress q ON q.room_id = n JOIN room_heads h ON h.room_id = n
            WHERE h.last_rev > q.rev AND NOT EXISTS (SELECT FROM messages m WHERE m.room_id = q.room_id AND m.rev > q.rev)
        ) n WHERE p.room_id = n.room_id RETURNING p.room_id -- a room that is being deleted is gone by then
    ), now_so AS MATERIALIZED (
        SELECT m.room_id, m.seq, m.author_id, m.created_at, m.body, m.extra, m.deleted_at, search_words(search_text(m.body, m.extra)) AS words
        FROM changes l JOIN moved v ON v.room_id = l.room_id JOIN messages m ON m.room_id = l.room_id AND m.seq = l.seq WHERE l.taken
    ), removed AS (
        DELETE FROM search_documents d USING now_so n WHERE d.room_id = n.room_id AND d.seq = n.seq AND n.deleted_at IS NOT NULL
    ), stored AS (
        INSERT INTO search_documents AS d (room_id, seq, created_at, terms)
        SELECT n.room_id, n.seq, n.created_at, search_terms(width_bucket(n.created_at, begins), n.words, n.room_id, n.author_id, n.body, n.extra)
        FROM now_so n WHERE n.deleted_at IS NULL
        ON CONFLICT (room_id, seq) DO UPDATE SET created_at = excluded.created_at, terms = excluded.terms WHERE d.terms <> excluded.terms
    ), learned AS (
        INSERT INTO search_vocabulary (word)
        SELECT DISTINCT w FROM now_so n, unnest(n.words) w WHERE n.deleted_at IS NULL AND char_length(w) BETWEEN 3 AND 32 AND w ~ '[[:alpha:]]'
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO changed FROM changes;

    SELECT coalesce(sum(h.last_seq - p.seq), 0) INTO behind FROM unnest(late) n JOIN search_progress p ON p.room_id = n JOIN room_heads h ON h.room_id = n WHERE h.last_seq > p.seq;
    IF behind > most THEN
        -- Bucket by bucket, so that what is searched at once stands together.
        bound := (SELECT begins[1 + width_bucket(min(m.created_at), begins)] FROM unnest(late) n JOIN search_progress p ON p.room_id = n JOIN room_heads h ON h.room_id = n
            CROSS JOIN LATERAL (SELECT m.created_at FROM messages m WHERE m.room_id = p.room_id AND m.seq > p.seq ORDER BY m.seq LIMIT 1) m WHERE h.last_seq > p.seq);
    END IF;
    bound := coalesce(bound, 'infinity');
    -- Rooms that are a little behind come first: one that is far behind does not hold them up.
    done := 0;
    FOR room IN
        SELECT p.room_id, p.seq, h.last_seq FROM unnest(late) n JOIN search_progress p ON p.room_id = n JOIN room_heads h ON h.room_id = n
        CROSS JOIN LATERAL (SELECT coalesce((SELECT m.created_at FROM messages m WHERE m.room_id = p.room_id AND m.seq > p.seq ORDER BY m.seq LIMIT 1), '-infinity') AS created_at) m
        WHERE h.last_seq > p.seq AND m.created_at < bound ORDER BY h.last_seq - p.seq, p.room_id
    LOOP
        low := room.seq + 1; high := least(room.last_seq, room.seq + most - done);
        WHILE bound < 'infinity' AND low < high LOOP -- the last one before the bound, by binary search: created_at rises with seq
            middle := (low + high + 1) / 2;
            IF (SELECT m.created_at FROM messages m WHERE m.room_id = room.room_id AND m.seq <= middle ORDER BY m.seq DESC LIMIT 1) < bound THEN
                low := middle;
            ELSE
                high := middle - 1;
            END IF;
        END LOOP;
        rooms := rooms || room.room_id; lasts := lasts || high;
        done := done + (high - room.seq);
        EXIT WHEN done >= most;
    END LOOP;
    behind := behind - done + (SELECT coalesce(sum(h.last_rev - p.rev), 0) FROM unnest(late) n JOIN search_progress p ON p.room_id = n JOIN room_heads h ON h.room_id = n WHERE h.last_rev > p.rev);
    WITH share AS (
        SELECT unnest(rooms) AS room_id, unnest(lasts) AS last
    ), moved AS ( -- a room that is being deleted is gone by then
        UPDATE search_progress p SET seq = s.last FROM share s JOIN search_progress b ON b.room_id = s.room_id WHERE p.room_id = s.room_id RETURNING p.room_id, b.seq AS first, s.last
    ), fresh AS MATERIALIZED (
        SELECT m.room_id, m.seq, m.author_id, m.created_at, m.body, m.extra, search_words(search_text(m.body, m.extra)) AS words, width_bucket(m.created_at, begins) AS bucket
        FROM moved v JOIN messages m ON m.room_id = v.room_id AND m.seq > v.first AND m.seq <= v.last WHERE m.deleted_at IS NULL
    ), stored AS (
        INSERT INTO search_documents (room_id, seq, created_at, terms)
        SELECT f.room_id, f.seq, f.created_at, search_terms(f.bucket, f.words, f.room_id, f.author_id, f.body, f.extra) FROM fresh f
        ON CONFLICT (room_id, seq) DO UPDATE SET created_at = excluded.created_at, terms = excluded.terms
    ), learned AS (
        INSERT INTO search_vocabulary (word)
        SELECT w.word FROM (SELECT DISTINCT w AS word FROM fresh f, unnest(f.words) w) w
        WHERE char_length(w.word) BETWEEN 3 AND 32 AND w.word ~ '[[:alpha:]]' AND NOT EXISTS (SELECT FROM search_vocabulary s WHERE s.word = w.word)
        ON CONFLICT DO NOTHING
    ), counted AS (
        UPDATE search_buckets b SET messages = b.messages + n.messages, newest = greatest(b.newest, n.newest)
        FROM (SELECT f.bucket, count(*) AS messages, max(f.created_at) AS newest FROM fresh f GROUP BY f.bucket) n WHERE b.bucket = n.bucket
    )
    SELECT count(*) INTO total FROM moved;
    done := done + changed;

    -- The newest bucket is full: the next one takes what comes after. A message of the future does not keep it open.
    INSERT INTO search_buckets (bucket, starts)
        SELECT b.bucket + 1, least(b.newest, clock_timestamp()) + interval '1 microsecond' FROM search_buckets b
        WHERE b.bucket = cardinality(begins) AND b.messages >= size AND least(b.newest, clock_timestamp()) >= b.starts;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.index_messages(integer) IS 'Takes at most so many new, and changed, messages into the index of the search. done: how many; -1: another server is at it. behind: how many new ones and changes are left, at most.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_progress_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    DELETE FROM search_documents d USING old_progress o WHERE d.room_id = o.room_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_progress_after_delete() IS 'What is no longer in the index has no documents.';
CREATE TRIGGER search_progress_after_delete AFTER DELETE ON chat.search_progress
    REFERENCING OLD TABLE AS old_progress FOR EACH STATEMENT EXECUTE FUNCTION chat.search_progress_after_delete();
COMMENT ON TRIGGER search_progress_after_delete ON chat.search_progress IS 'Documents go with their room.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_messages(
    reader uuid, forms text[], phrases text[], without text[], in_rooms uuid[], authors uuid[], has text[],
    since timestamptz, until timestamptz, from_at timestamptz, from_room uuid, from_seq bigint, most integer, budget interval)
RETURNS TABLE (room_ids uuid[], seqs bigint[], ranks float8[], reached text, unsearched bigint)
LANGUAGE plpgsql STABLE SET search_path = chat, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
#variable_conflict use_variable
DECLARE
    ends     timestamptz := clock_timestamp() + budget;
    begins   timestamptz[] := ARRAY(SELECT b.starts FROM search_buckets b ORDER BY b.bucket);
    counts   bigint[] := ARRAY(SELECT b.messages FROM search_buckets b ORDER BY b.bucket);
    rooms    uuid[] := in_rooms;
    high     integer;  -- the buckets from low to high are searched at once
    low      integer;
    lowest   integer;
    size     integer := 1;
    step     integer := most + 40;
    wanted   text;
    query    tsquery;
    behind   uuid[] := search_behind();
    ranking  tsquery;
    exact    tsquery;
    at       timestamptz; -- below this place
    at_room  uuid;
    at_seq   bigint;
    began     timestamptz;
    took      interval;
    next_at   timestamptz;
    next_room uuid;
    next_seq  bigint;
    seen     bigint;   -- in these buckets
    matched  bigint := 0; -- in those before
    searched bigint := 0; -- messages that those have
    raw      integer;  -- by one statement
    found_rooms uuid[];
    found_seqs  bigint[];
    late_rooms  uuid[];
    late_seqs   bigint[];
    looked   bigint;
    changed  bigint;
    over     boolean := false; -- stopped before the end
    kept     bigint;
BEGIN
    room_ids := '{}'; seqs := '{}'; ranks := '{}'; reached := ''; unsearched := 0;
    since := coalesce(since, '-infinity'); until := coalesce(until, 'infinity');
    from_at := coalesce(from_at, 'infinity'); from_room := coalesce(from_room, 'ffffffff-ffff-ffff-ffff-ffffffffffff'); from_seq := coalesce(from_seq, 9223372036854775807);

    -- What is not in the index yet, or not as it now is, as far as that is little.
    wanted := search_query(forms, without, in_rooms, authors, has);
    IF behind <> '{}' THEN
        query := search_in(0, 0, wanted);
        SELECT array_agg(m.room_id) FILTER (WHERE m.found), array_agg(m.seq) FILTER (WHERE m.found), count(*) FILTER (WHERE m.fresh), count(*) FILTER (WHERE NOT m.fresh) INTO late_rooms, late_seqs, looked, changed FROM (
            SELECT x.room_id, x.seq, x.fresh,
                   x.deleted_at IS NULL AND x.created_at >= since AND x.created_at < until AND (x.created_at, x.room_id, x.seq) < (from_at, from_room, from_seq)
                   AND (in_rooms = '{}' OR x.room_id = ANY (in_rooms)) AND (authors = '{}' OR x.author_id = ANY (authors))
                   AND search_terms(0, search_words(search_text(x.body, x.extra)), x.room_id, x.author_id, x.body, x.extra) @@ query
                   AND (phrases = '{}' OR search_text(x.body, x.extra) ~* ALL (phrases)) AS found
            FROM (
                (SELECT m.*, true AS fresh FROM unnest(behind) n JOIN room_heads h ON h.room_id = n LEFT JOIN search_progress g ON g.room_id = h.room_id
                JOIN chat.rooms r ON r.id = h.room_id LEFT JOIN members v ON v.room_id = h.room_id AND v.user_id = reader
                CROSS JOIN LATERAL (SELECT m.* FROM messages m WHERE m.room_id = h.room_id AND m.seq > coalesce(g.seq, 0) ORDER BY m.seq DESC LIMIT 200) m
                WHERE h.last_seq > coalesce(g.seq, 0) AND (r.kind = 'public' OR v.user_id IS NOT NULL) AND (in_rooms = '{}' OR h.room_id = ANY (in_rooms)) LIMIT 300)
                UNION ALL
                (SELECT m.*, false FROM unnest(behind) n JOIN room_heads h ON h.room_id = n JOIN search_progress g ON g.room_id = h.room_id
                JOIN chat.rooms r ON r.id = h.room_id LEFT JOIN members v ON v.room_id = h.room_id AND v.user_id = reader
                CROSS JOIN LATERAL (SELECT m.* FROM messages m WHERE m.room_id = h.room_id AND m.rev > g.rev AND m.seq <= g.seq ORDER BY m.rev DESC LIMIT 200) m
                WHERE h.last_rev > g.rev AND (r.kind = 'public' OR v.user_id IS NOT NULL) AND (in_rooms = '{}' OR h.room_id = ANY (in_rooms)) LIMIT 300)
            ) x) m;
        unsearched := greatest(0, coalesce((SELECT sum(h.last_seq - coalesce(g.seq, 0)) FROM unnest(behind) n JOIN room_heads h ON h.room_id = n LEFT JOIN search_progress g ON g.room_id = h.room_id
            JOIN chat.rooms r ON r.id = h.room_id LEFT JOIN members v ON v.room_id = h.room_id AND v.user_id = reader
            WHERE h.last_seq > coalesce(g.seq, 0) AND (r.kind = 'public' OR v.user_id IS NOT NULL) AND (in_rooms = '{}' OR h.room_id = ANY (in_rooms))), 0) - looked);
        IF changed >= 200 THEN -- a change takes one rev at least
            unsearched := unsearched + greatest(0, coalesce((SELECT sum(h.last_rev - g.rev) FROM unnest(behind) n JOIN room_heads h ON h.room_id = n JOIN search_progress g ON g.room_id = h.room_id
                JOIN chat.rooms r ON r.id = h.room_id LEFT JOIN members v ON v.room_id = h.room_id AND v.user_id = reader
                WHERE h.last_rev > g.rev AND (r.kind = 'public' OR v.user_id IS NOT NULL) AND (in_rooms = '{}' OR h.room_id = ANY (in_rooms))), 0) - changed);
        END IF;
    END IF;

    high := width_bucket(least(from_at, until), begins);
    lowest := greatest(1, width_bucket(since, begins));
    at := from_at; at_room := from_room; at_seq := from_seq;
    <<buckets>>
    WHILE high >= lowest LOOP
        low := greatest(lowest, high - size + 1);
        query := search_in(low, high, wanted);
        began := clock_timestamp();
        seen := 0;
        LOOP
            SELECT array_agg(c.room_id ORDER BY c.created_at DESC, c.room_id DESC, c.seq DESC) FILTER (WHERE c.found),
                   array_agg(c.seq ORDER BY c.created_at DESC, c.room_id DESC, c.seq DESC) FILTER (WHERE c.found), count(*),
                   (array_agg(c.created_at ORDER BY c.created_at, c.room_id, c.seq))[1], (array_agg(c.room_id ORDER BY c.created_at, c.room_id, c.seq))[1], (array_agg(c.seq ORDER BY c.created_at, c.room_id, c.seq))[1]
            INTO found_rooms, found_seqs, raw, next_at, next_room, next_seq FROM (
                SELECT d.created_at, d.room_id, d.seq,
                       (r.kind = 'public' OR v.user_id IS NOT NULL) AND m.deleted_at IS NULL AND (m.rev IS NULL OR m.rev <= g.rev)
                       AND (in_rooms = '{}' OR m.room_id = ANY (in_rooms)) AND (authors = '{}' OR m.author_id = ANY (authors))
                       AND (phrases = '{}' OR search_text(m.body, m.extra) ~* ALL (phrases)) AS found
                FROM (SELECT d.created_at, d.room_id, d.seq FROM search_documents d
                      WHERE d.terms @@ query AND d.created_at >= since AND d.created_at < until AND (d.created_at, d.room_id, d.seq) < (at, at_room, at_seq)
                      ORDER BY d.created_at DESC, d.room_id DESC, d.seq DESC LIMIT step) d
                LEFT JOIN chat.rooms r ON r.id = d.room_id
                LEFT JOIN members v ON v.room_id = d.room_id AND v.user_id = reader
                LEFT JOIN messages m ON m.room_id = d.room_id AND m.seq = d.seq
                LEFT JOIN search_progress g ON g.room_id = d.room_id) c;
            IF raw > 0 THEN
                room_ids := room_ids || found_rooms; seqs := seqs || found_seqs; seen := seen + raw;
                at := next_at; at_room := next_room; at_seq := next_seq;
            END IF;
            over := raw = step;
            EXIT buckets WHEN over AND (cardinality(seqs) >= most OR clock_timestamp() > ends);
            EXIT WHEN NOT over;
            -- The reader may see little of what there is: their rooms are looked for as well.
            IF rooms = '{}' AND coalesce(cardinality(found_seqs), 0) * 8 < raw AND phrases = '{}' THEN
                SELECT array_agg(v.id) INTO rooms FROM (
                    SELECT r.id FROM chat.rooms r LEFT JOIN members m ON m.room_id = r.id AND m.user_id = reader WHERE r.kind = 'public' OR m.user_id IS NOT NULL LIMIT 65) v;
                rooms := CASE WHEN cardinality(rooms) <= 64 THEN rooms ELSE '{}' END;
                IF rooms <> '{}' THEN
                    wanted := search_query(forms, without, rooms, authors, has);
                    size := 1; matched := 0; searched := 0;
                    high := width_bucket(at, begins);
                    CONTINUE buckets;
                END IF;
            END IF;
            step := 300;
        END LOOP;
        -- As many at once as should have about 2,000 that match, by what was seen so far; of those at most 64, fewer with many rooms, and 4 times as many as before;
        -- fewer where the last ones took long: words that are frequent each and seldom together.
        matched := matched + seen;
        searched := searched + coalesce((SELECT sum(n) FROM unnest(counts[low:high]) n), 0);
        took := clock_timestamp() - began;
        size := CASE WHEN searched = 0 THEN 1 WHEN took > budget / 3 THEN greatest(1, size / 4) WHEN took > budget / 6 THEN size ELSE greatest(1, least(size * 4, 64 / (1 + cardinality(rooms) / 4), 2000 * searched / ((matched + 1) * 32768))) END;
        high := low - 1;
        IF high >= lowest AND (cardinality(seqs) >= most OR clock_timestamp() > ends) THEN
            over := true;
            at := begins[low]; at_room := '00000000-0000-0000-0000-000000000000'; at_seq := 0; -- all from there on was seen
            EXIT;
        END IF;
    END LOOP;

    IF cardinality(forms) > 0 THEN
        ranking := (SELECT string_agg('(' || search_quoted(string_to_array(f, ' '), ' | ') || ')', ' & ') FROM unnest(forms) f)::tsquery;
        exact := search_quoted(ARRAY(SELECT split_part(f, ' ', 1) FROM unnest(forms) f), ' | ')::tsquery;
    END IF;
    WITH hits AS (
        SELECT unnest(room_ids || late_rooms) AS room_id, unnest(seqs || late_seqs) AS seq
    ), placed AS (
        SELECT m.*, row_number() OVER (ORDER BY m.created_at DESC, m.room_id DESC, m.seq DESC) AS n
        FROM hits h JOIN messages m ON m.room_id = h.room_id AND m.seq = h.seq
        WHERE NOT over OR (m.created_at, m.room_id, m.seq) >= (at, at_room, at_seq)
    ), ranked AS (
        -- Among the newest, those that have the words more often and closer together; of equals the newer one.
        SELECT p.n, p.room_id, p.seq, p.created_at, coalesce((ts_rank_cd(v.vector, ranking, 1) + ts_rank(v.vector, exact, 1)) * (1 - 0.5 * p.n / greatest(most, 80)), 0)::float8 AS rank
        FROM placed p CROSS JOIN LATERAL (SELECT CASE WHEN ranking IS NOT NULL THEN search_vector(search_text(p.body, p.extra)) END AS vector OFFSET 0) v WHERE p.n <= most
    )
    SELECT coalesce(array_agg(k.room_id ORDER BY k.n), '{}'), coalesce(array_agg(k.seq ORDER BY k.n), '{}'), coalesce(array_agg(k.rank ORDER BY k.n), '{}'),
           (SELECT count(*) FROM placed),
           (array_agg((extract(epoch FROM k.created_at) * 1000000)::bigint || '.' || k.room_id || '.' || k.seq ORDER BY k.n DESC))[1]
    INTO room_ids, seqs, ranks, kept, reached FROM ranked k;
    IF kept <= most THEN
        reached := CASE WHEN over AND isfinite(at) THEN (extract(epoch FROM at) * 1000000)::bigint || '.' || at_room || '.' || at_seq ELSE '' END;
    END IF;
    RETURN NEXT;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_messages(uuid, text[], text[], text[], uuid[], uuid[], text[], timestamptz, timestamptz, timestamptz, uuid, bigint, integer, interval) IS 'The newest messages that the reader may see and that have all this, below a place (created_at, room, seq), at most so many, looked for about as long as the budget: their rooms and seqs, the newest first, and how well each fits; reached, the place below which to go on, empty at the end; and how many new messages were not looked at, since they are not in the index yet. phrases are regular expressions.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_rooms(reader uuid, part text, most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT r.id FROM chat.rooms r LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = reader
    WHERE (lower(r.name) LIKE '%' || replace(replace(replace(lower(part), '\', '\\'), '%', '\%'), '_', '\_') || '%' OR lower(r.name) % lower(part)) AND r.kind <> 'direct' AND (r.kind = 'public' OR m.user_id IS NOT NULL)
    ORDER BY position(lower(part) IN lower(r.name)) = 0, m.user_id IS NULL, similarity(lower(r.name), lower(part)) DESC, lower(r.name) LIMIT most;
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_rooms(uuid, text, integer) IS 'The rooms that the reader may see whose names hold the text or are like it, the best first.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_people(part text, most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SET search_path = chat, pg_temp AS $$
    SELECT u.id FROM chat.users u
    WHERE lower(u.name) LIKE '%' || replace(replace(replace(lower(part), '\', '\\'), '%', '\%'), '_', '\_') || '%' OR lower(u.name) % lower(part)
    ORDER BY position(lower(part) IN lower(u.name)) = 0, similarity(lower(u.name), lower(part)) DESC, lower(u.name) LIMIT most;
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_people(text, integer) IS 'The users whose names hold the text or are like it, the best first.';

-- +goose StatementBegin
DO $$
DECLARE
    home text := (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
BEGIN
    IF home <> 'chat' THEN
        EXECUTE 'ALTER FUNCTION chat.search_forms(text[], boolean) SET search_path = chat, ' || home || ', pg_temp';
        EXECUTE 'ALTER FUNCTION chat.search_rooms(uuid, text, integer) SET search_path = chat, ' || home || ', pg_temp';
        EXECUTE 'ALTER FUNCTION chat.search_people(text, integer) SET search_path = chat, ' || home || ', pg_temp';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION chat.search_messages(uuid, text[], text[], text[], uuid[], uuid[], text[], timestamptz, timestamptz, timestamptz, uuid, bigint, integer, interval),
    chat.search_rooms(uuid, text, integer), chat.search_people(text, integer);
DROP INDEX chat.rooms_trigrams_idx, chat.users_trigrams_idx;
DROP TABLE chat.search_documents, chat.search_buckets, chat.search_progress, chat.search_vocabulary;
DROP FUNCTION chat.search_progress_after_delete(), chat.index_messages(integer), chat.search_forms(text[], boolean),
    chat.search_query(text[], text[], uuid[], uuid[], text[]), chat.search_in(integer, integer, text), chat.search_behind(), chat.search_quoted(text[], text),
    chat.search_terms(integer, text[], uuid, uuid, text, jsonb), chat.search_text(text, jsonb), chat.search_files(jsonb), chat.search_words(text), chat.search_vector(text);
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm' AND extnamespace = 'chat'::regnamespace) THEN
        DROP EXTENSION pg_trgm;
    END IF;
END $$;
-- +goose StatementEnd
