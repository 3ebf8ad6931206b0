-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION chat.sessions_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    users uuid[] := ARRAY(SELECT DISTINCT user_id FROM old_sessions WHERE expires_at > now() LIMIT 151);
BEGIN
    IF cardinality(users) > 150 THEN -- more than a notification holds
        PERFORM pg_notify('activity', '{"signed_out":[]}');
    ELSIF users <> '{}' THEN
        PERFORM pg_notify('activity', json_build_object('signed_out', users)::text);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.sessions_after_delete() IS 'Tells every instance whose sessions have ended (an empty list: many), so that it closes their connections at once.';
CREATE TRIGGER sessions_after_delete AFTER DELETE ON chat.sessions
    REFERENCING OLD TABLE AS old_sessions FOR EACH STATEMENT EXECUTE FUNCTION chat.sessions_after_delete();
COMMENT ON TRIGGER sessions_after_delete ON chat.sessions IS 'Deleting a session signs its browser out at once.';

-- +goose StatementBegin
CREATE FUNCTION chat.rooms_after_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
BEGIN
    PERFORM pg_notify('room:' || id, '{"gone":true}') FROM old_rooms;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.rooms_after_delete() IS 'Tells who has the room open that it is gone.';
CREATE TRIGGER rooms_after_delete AFTER DELETE ON chat.rooms
    REFERENCING OLD TABLE AS old_rooms FOR EACH STATEMENT EXECUTE FUNCTION chat.rooms_after_delete();
COMMENT ON TRIGGER rooms_after_delete ON chat.rooms IS 'Open pages of a deleted room say so at once.';

-- +goose Down
DROP TRIGGER rooms_after_delete ON chat.rooms;
DROP TRIGGER sessions_after_delete ON chat.sessions;
DROP FUNCTION chat.rooms_after_delete(), chat.sessions_after_delete();
