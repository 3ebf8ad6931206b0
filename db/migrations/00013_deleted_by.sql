-- +goose Up
ALTER TABLE chat.messages ADD COLUMN deleted_by uuid;
COMMENT ON COLUMN chat.messages.deleted_by IS 'Who deleted it, where it was a user of the chat: what an owner or administrator has removed its author cannot bring back. No foreign key: users come and go without a look at every message.';

-- +goose Down
ALTER TABLE chat.messages DROP COLUMN deleted_by;
