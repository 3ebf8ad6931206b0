-- +goose NO TRANSACTION
-- +goose Up
-- What was changed in a room, or had been said by somebody, the last of it, was read with all of the room or of somebody; what was done with a
-- room, a message or a user, with all of the log. What a message was last is found by the same index as what it was at all.
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_seq_idx;
CREATE INDEX CONCURRENTLY message_history_seq_idx ON chat.message_history (room_id, seq, id);
COMMENT ON INDEX chat.message_history_seq_idx IS 'What a message was, in its order.';
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_message_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_room_idx;
CREATE INDEX CONCURRENTLY message_history_room_idx ON chat.message_history (room_id, id);
COMMENT ON INDEX chat.message_history_room_idx IS 'What was changed in a room, the last of it.';
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_author_idx;
CREATE INDEX CONCURRENTLY message_history_author_idx ON chat.message_history (author_id, id);
COMMENT ON INDEX chat.message_history_author_idx IS 'What somebody had said, the last of it; all of it, to be erased.';
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_author_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_table_idx;
CREATE INDEX CONCURRENTLY audit_log_table_idx ON chat.audit_log (table_name, id);
COMMENT ON INDEX chat.audit_log_table_idx IS 'What was done with a table''s rows, the last of it.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_actor_idx;
CREATE INDEX CONCURRENTLY audit_log_actor_idx ON chat.audit_log (actor_id, id);
COMMENT ON INDEX chat.audit_log_actor_idx IS 'What somebody did, the last of it.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_object_idx;
CREATE INDEX CONCURRENTLY audit_log_object_idx ON chat.audit_log ((key ->> 'id'), id);
COMMENT ON INDEX chat.audit_log_object_idx IS 'What was done with a message, room, user, ban or token, by its id.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_room_idx;
CREATE INDEX CONCURRENTLY audit_log_room_idx ON chat.audit_log ((key ->> 'room_id'), table_name, id);
COMMENT ON INDEX chat.audit_log_room_idx IS 'What was done with the members, or with the messages, of a room, the last of it.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_user_idx;
CREATE INDEX CONCURRENTLY audit_log_user_idx ON chat.audit_log ((key ->> 'user_id'), id);
COMMENT ON INDEX chat.audit_log_user_idx IS 'Where somebody was added and removed.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_retention_idx;
CREATE INDEX CONCURRENTLY audit_log_retention_idx ON chat.audit_log (id) WHERE old ? 'keep_days';
COMMENT ON INDEX chat.audit_log_retention_idx IS 'What retention has removed: few.';

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_message_idx;
CREATE INDEX CONCURRENTLY message_history_message_idx ON chat.message_history (room_id, seq);
COMMENT ON INDEX chat.message_history_message_idx IS 'What a message was.';
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_author_id_idx;
CREATE INDEX CONCURRENTLY message_history_author_id_idx ON chat.message_history (author_id);
COMMENT ON INDEX chat.message_history_author_id_idx IS 'All that somebody has said, to be erased.';
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_retention_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_user_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_room_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_object_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_actor_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.audit_log_table_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_author_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_room_idx;
DROP INDEX CONCURRENTLY IF EXISTS chat.message_history_seq_idx;
