-- +goose Up
-- A word that no message has any more leaves the vocabulary of the search: it may be a secret that was pasted by mistake.

CREATE TABLE chat.search_forgotten (
    id   bigint GENERATED ALWAYS AS IDENTITY,
    word text COLLATE "C" NOT NULL,
    CONSTRAINT search_forgotten_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE chat.search_forgotten IS 'Words that have left some message, by editing or removing it: chat.forget_words looks whether another has them. Empty a moment later.';
COMMENT ON COLUMN chat.search_forgotten.id IS 'In the order in which they are looked at.';
COMMENT ON COLUMN chat.search_forgotten.word IS 'As in chat.search_vocabulary; one may be here several times.';
COMMENT ON CONSTRAINT search_forgotten_pkey ON chat.search_forgotten IS 'In the order in which they are looked at.';
COMMENT ON INDEX chat.search_forgotten_pkey IS 'In the order in which they are looked at.';

COMMENT ON TABLE chat.search_vocabulary IS 'The words that messages and the names of files have, to find those that are like a word. Not shown to anybody: they are of private rooms as well.';

-- +goose StatementBegin
CREATE FUNCTION chat.search_documents_after_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO search_forgotten (word)
            SELECT v.word FROM (SELECT DISTINCT split_part(t, '/', 2) AS word FROM old_documents o, unnest(tsvector_to_array(o.terms)) t WHERE t LIKE '%/%') w
            JOIN search_vocabulary v USING (word);
    ELSE
        INSERT INTO search_forgotten (word)
            SELECT v.word FROM (SELECT split_part(t, '/', 2) AS word FROM old_documents o, unnest(tsvector_to_array(o.terms)) t WHERE t LIKE '%/%'
                EXCEPT SELECT split_part(t, '/', 2) FROM new_documents n, unnest(tsvector_to_array(n.terms)) t) w
            JOIN search_vocabulary v USING (word);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.search_documents_after_change() IS 'Notes the words that messages have lost.';
CREATE TRIGGER search_documents_after_delete AFTER DELETE ON chat.search_documents
    REFERENCING OLD TABLE AS old_documents FOR EACH STATEMENT EXECUTE FUNCTION chat.search_documents_after_change();
CREATE TRIGGER search_documents_after_update AFTER UPDATE ON chat.search_documents
    REFERENCING OLD TABLE AS old_documents NEW TABLE AS new_documents FOR EACH STATEMENT EXECUTE FUNCTION chat.search_documents_after_change();
COMMENT ON TRIGGER search_documents_after_delete ON chat.search_documents IS 'Notes the words that messages had that are no longer in the index.';
COMMENT ON TRIGGER search_documents_after_update ON chat.search_documents IS 'Notes the words that messages have lost.';

-- +goose StatementBegin
CREATE FUNCTION chat.forget_words(budget interval) RETURNS boolean
LANGUAGE plpgsql SET search_path = chat, pg_temp SET jit = off SET enable_seqscan = off AS $$
DECLARE
    ends  timestamptz := clock_timestamp() + budget;
    top   integer;
    noted record;
    found boolean;
    low   integer;
    high  integer;
    size  integer;
BEGIN
    IF NOT EXISTS (SELECT FROM search_forgotten) OR NOT pg_try_advisory_xact_lock(hashtext('pgchat: search')) THEN
        RETURN false;
    END IF;
    top := (SELECT count(*) FROM search_buckets);
    FOR noted IN SELECT f.word, array_agg(f.id) AS ids FROM (SELECT id, word FROM search_forgotten ORDER BY id LIMIT 1000) f GROUP BY f.word ORDER BY min(f.id) LOOP
        -- First this, then the look: what is noted meanwhile stays.
        DELETE FROM search_forgotten WHERE id = ANY (noted.ids);
        -- Most words that are left are in the newest messages. For those that are not, more buckets at once cost little.
        found := false; high := top; size := 1;
        WHILE NOT found AND high >= 1 LOOP
            low := greatest(1, high - size + 1);
            found := EXISTS (SELECT FROM search_documents d WHERE d.terms @@ search_in(low, high, search_quoted(ARRAY['~/' || noted.word], '')));
            high := low - 1; size := least(64, size * 4);
        END LOOP;
        IF NOT found THEN
            DELETE FROM search_vocabulary WHERE word = noted.word;
        END IF;
        EXIT WHEN clock_timestamp() > ends;
    END LOOP;
    RETURN EXISTS (SELECT FROM search_forgotten);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.forget_words(interval) IS 'Removes from the vocabulary of the search those noted words that no message in the index has any more, one at least, then for about so long. Whether there are more; false also where another server is at it.';

-- What has left messages until now is looked for among all.
INSERT INTO chat.search_forgotten (word) SELECT word FROM chat.search_vocabulary;

-- +goose Down
DROP TRIGGER search_documents_after_delete ON chat.search_documents;
DROP TRIGGER search_documents_after_update ON chat.search_documents;
DROP FUNCTION chat.search_documents_after_change(), chat.forget_words(interval);
DROP TABLE chat.search_forgotten;
COMMENT ON TABLE chat.search_vocabulary IS 'The words that messages and the names of files have had, to find those that are like a word. Not shown to anybody: they are of private rooms as well.';
