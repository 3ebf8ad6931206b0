-- +goose Up
CREATE TABLE chat.tokens (
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    user_id      uuid        NOT NULL,
    name         text        NOT NULL,
    token_hash   bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz NOT NULL DEFAULT 'infinity',
    CONSTRAINT tokens_pkey PRIMARY KEY (id),
    CONSTRAINT tokens_token_hash_key UNIQUE (token_hash),
    CONSTRAINT tokens_name_key UNIQUE (user_id, name),
    CONSTRAINT tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES chat.users (id) ON DELETE CASCADE,
    CONSTRAINT tokens_name_check CHECK (char_length(name) BETWEEN 1 AND 80 AND name = btrim(name) AND name !~ '[[:cntrl:]]'),
    CONSTRAINT tokens_token_hash_check CHECK (octet_length(token_hash) = 32)
);
COMMENT ON TABLE chat.tokens IS 'Personal access tokens, by which programs act as a user. Deleting a row revokes it and closes its connections.';
COMMENT ON COLUMN chat.tokens.id IS 'Its identity.';
COMMENT ON COLUMN chat.tokens.user_id IS 'As whom its bearer acts.';
COMMENT ON COLUMN chat.tokens.name IS 'What it is for, in its user''s words; 1 to 80 characters.';
COMMENT ON COLUMN chat.tokens.token_hash IS 'SHA-256 of the token; the token itself is stored nowhere.';
COMMENT ON COLUMN chat.tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN chat.tokens.last_used_at IS 'When a program last connected or asked with it, to the minute; NULL: never.';
COMMENT ON COLUMN chat.tokens.expires_at IS 'From then on it no longer counts; infinity: never.';
CREATE TRIGGER tokens_after_delete AFTER DELETE ON chat.tokens
    REFERENCING OLD TABLE AS old_sessions FOR EACH STATEMENT EXECUTE FUNCTION chat.sessions_after_delete();
COMMENT ON TRIGGER tokens_after_delete ON chat.tokens IS 'Revoking a token closes its connections at once.';

-- +goose Down
DROP TABLE chat.tokens;
