-- +goose Up
-- Whom a few letters begin, in order, however many users there are: the order of the unique index is the database's, in which names
-- that begin alike need not stand together.
CREATE INDEX users_called_idx ON chat.users (lower(name) COLLATE "C");
COMMENT ON INDEX chat.users_called_idx IS 'Users whose names begin with a text, in order.';

-- +goose Down
DROP INDEX chat.users_called_idx;
