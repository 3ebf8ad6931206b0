-- +goose Up
-- Nobody sees a message of white space, or tells rooms apart by characters that do not show. What is there already stays: the
-- constraints are checked from now on.
ALTER TABLE chat.messages DROP CONSTRAINT messages_body_check,
    ADD CONSTRAINT messages_body_check CHECK (char_length(body) <= 8000 AND body ~ '\S') NOT VALID;
ALTER TABLE chat.rooms DROP CONSTRAINT rooms_name_check,
    ADD CONSTRAINT rooms_name_check CHECK (char_length(name) BETWEEN 1 AND 80 AND name = btrim(name)
        AND name !~ '[[:cntrl:]\u00AD\u200B\u200E\u200F\u202A-\u202E\u2060-\u2064\uFEFF]') NOT VALID;

COMMENT ON CONSTRAINT users_pkey ON chat.users IS 'One row for each user.';
COMMENT ON INDEX chat.users_pkey IS 'One row for each user.';
COMMENT ON CONSTRAINT sessions_pkey ON chat.sessions IS 'Found by the cookie''s token.';
COMMENT ON INDEX chat.sessions_pkey IS 'Found by the cookie''s token.';
COMMENT ON CONSTRAINT rooms_pkey ON chat.rooms IS 'One row for each room.';
COMMENT ON INDEX chat.rooms_pkey IS 'One row for each room.';
COMMENT ON CONSTRAINT rooms_slug_key ON chat.rooms IS 'An address leads to one room.';
COMMENT ON INDEX chat.rooms_slug_key IS 'An address leads to one room.';
COMMENT ON CONSTRAINT room_heads_pkey ON chat.room_heads IS 'One head for each room.';
COMMENT ON INDEX chat.room_heads_pkey IS 'One head for each room.';
COMMENT ON CONSTRAINT members_pkey ON chat.members IS 'A user is a member of a room once.';
COMMENT ON INDEX chat.members_pkey IS 'A user is a member of a room once.';
COMMENT ON CONSTRAINT messages_pkey ON chat.messages IS 'A number stands once in its room; pages of history are read by it.';
COMMENT ON INDEX chat.messages_pkey IS 'A number stands once in its room; pages of history are read by it.';
COMMENT ON CONSTRAINT messages_id_key ON chat.messages IS 'A message that is sent again is stored once.';
COMMENT ON INDEX chat.messages_id_key IS 'A message that is sent again is stored once.';
COMMENT ON CONSTRAINT instances_pkey ON chat.instances IS 'One row for each running server.';
COMMENT ON INDEX chat.instances_pkey IS 'One row for each running server.';
COMMENT ON CONSTRAINT presence_pkey ON chat.presence IS 'Who is in a room through which server, once.';
COMMENT ON INDEX chat.presence_pkey IS 'Who is in a room through which server, once.';
COMMENT ON CONSTRAINT tokens_pkey ON chat.tokens IS 'One row for each token.';
COMMENT ON INDEX chat.tokens_pkey IS 'One row for each token.';
COMMENT ON CONSTRAINT tokens_token_hash_key ON chat.tokens IS 'Found by the token.';
COMMENT ON INDEX chat.tokens_token_hash_key IS 'Found by the token.';
COMMENT ON CONSTRAINT tokens_name_key ON chat.tokens IS 'A user''s tokens are told apart by name.';
COMMENT ON INDEX chat.tokens_name_key IS 'A user''s tokens are told apart by name.';
COMMENT ON CONSTRAINT events_pkey ON chat.events IS 'Found by the id that the notification names.';
COMMENT ON INDEX chat.events_pkey IS 'Found by the id that the notification names.';
COMMENT ON CONSTRAINT users_name_check ON chat.users IS '2 to 32 letters, digits, "-", "_" or ".".';
COMMENT ON CONSTRAINT users_role_check ON chat.users IS '"member" or "admin".';
COMMENT ON CONSTRAINT sessions_user_id_fkey ON chat.sessions IS 'Sessions end with their user.';
COMMENT ON CONSTRAINT sessions_token_hash_check ON chat.sessions IS 'A SHA-256.';
COMMENT ON CONSTRAINT rooms_created_by_fkey ON chat.rooms IS 'A room outlives its maker.';
COMMENT ON CONSTRAINT rooms_name_check ON chat.rooms IS '1 to 80 characters that can be seen, none of them white space at either end.';
COMMENT ON CONSTRAINT rooms_slug_check ON chat.rooms IS 'Stands in an address as it is.';
COMMENT ON CONSTRAINT rooms_topic_check ON chat.rooms IS 'At most 250 characters.';
COMMENT ON CONSTRAINT room_heads_room_id_fkey ON chat.room_heads IS 'The head goes with its room, and takes the messages along.';
COMMENT ON CONSTRAINT members_room_id_fkey ON chat.members IS 'Memberships end with the room.';
COMMENT ON CONSTRAINT members_user_id_fkey ON chat.members IS 'Memberships end with the user.';
COMMENT ON CONSTRAINT messages_author_id_fkey ON chat.messages IS 'Who has said something cannot be deleted: first delete what they said, or give it to another.';
COMMENT ON CONSTRAINT messages_body_check ON chat.messages IS '1 to 8000 characters, not only white space.';
COMMENT ON CONSTRAINT presence_instance_id_fkey ON chat.presence IS 'What a server holds ends with it.';
COMMENT ON CONSTRAINT presence_connections_check ON chat.presence IS 'A row without connections is deleted.';
COMMENT ON CONSTRAINT tokens_user_id_fkey ON chat.tokens IS 'Tokens end with their user.';
COMMENT ON CONSTRAINT tokens_name_check ON chat.tokens IS '1 to 80 characters on one line.';
COMMENT ON CONSTRAINT tokens_token_hash_check ON chat.tokens IS 'A SHA-256.';

-- +goose Down
ALTER TABLE chat.messages DROP CONSTRAINT messages_body_check,
    ADD CONSTRAINT messages_body_check CHECK (char_length(body) BETWEEN 1 AND 8000);
ALTER TABLE chat.rooms DROP CONSTRAINT rooms_name_check,
    ADD CONSTRAINT rooms_name_check CHECK (char_length(name) BETWEEN 1 AND 80 AND name = btrim(name) AND name !~ '[[:cntrl:]]');
