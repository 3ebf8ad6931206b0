-- +goose Up
-- A search that has looked through a bucket as time ran out goes on with the one before it. It began with the same one again, where nothing was
-- left, and where that alone took all the time it never came further.
-- +goose StatementBegin
DO $$
DECLARE
    body text := pg_get_functiondef('chat.search_messages(uuid, text[], text[], text[], uuid[], uuid[], text[], timestamptz, timestamptz, timestamptz, uuid, bigint, integer, interval)'::regprocedure);
    was  text := 'high := width_bucket(least(from_at, until), begins);';
BEGIN
    ASSERT position(was IN body) > 0;
    EXECUTE replace(body, was, '-- Of what is below a place that is no message, and before an end, nothing is at that instant.
    high := width_bucket(least(CASE WHEN from_seq > 0 THEN from_at ELSE from_at - interval ''1 microsecond'' END, until - interval ''1 microsecond''), begins);');
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
    EXECUTE regexp_replace(
        pg_get_functiondef('chat.search_messages(uuid, text[], text[], text[], uuid[], uuid[], text[], timestamptz, timestamptz, timestamptz, uuid, bigint, integer, interval)'::regprocedure),
        '-- Of what is below a place that is no message.*?begins\);', 'high := width_bucket(least(from_at, until), begins);');
END $$;
-- +goose StatementEnd
