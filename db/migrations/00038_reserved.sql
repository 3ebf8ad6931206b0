-- +goose NO TRANSACTION
-- +goose Up
-- What was there before complies as well; nobody waits while that is looked at.
ALTER TABLE chat.rooms VALIDATE CONSTRAINT rooms_slug_reserved;
ALTER TABLE chat.users VALIDATE CONSTRAINT users_name_reserved;

-- +goose Down
