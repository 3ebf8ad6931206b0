-- +goose Up
-- What a server does is noted by triggers that act as the owner: it adds no note itself and changes none. It removes what is too old.
-- +goose StatementBegin
DO $$
DECLARE
    body text := pg_get_viewdef('chat.rights'::regclass);
    was  text := $a$WHEN (c.relname = 'room_events'::name) THEN ARRAY['SELECT'::text, 'INSERT'::text]$a$;
BEGIN
    ASSERT position(was IN body) > 0;
    EXECUTE 'CREATE OR REPLACE VIEW chat.rights AS ' || replace(body, was, was || $b$ WHEN c.relname IN ('audit_log', 'message_history') THEN ARRAY['SELECT', 'DELETE']$b$);
    COMMENT ON VIEW chat.rights IS 'What the roles should have, and whether they have it. chat_app, the server: rows of all tables, but that it deletes no user, room or message, and writes nothing into chat.audit_log and chat.message_history; all functions but those that would (chat.merge_users, chat.move_messages). chat_readonly: all that shows no secret; functions that do not write. chat_moderator: the same, and the functions that write as the owner (SECURITY DEFINER). select chat.grant_rights(); gives what is missing.';
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW chat.rights AS ' || regexp_replace(pg_get_viewdef('chat.rights'::regclass), $a$\s*WHEN \(c.relname = ANY \(ARRAY\['audit_log'::name, 'message_history'::name\]\)\) THEN ARRAY\['SELECT'::text, 'DELETE'::text\]$a$, '');
    COMMENT ON VIEW chat.rights IS 'What the roles should have, and whether they have it. chat_app, the server: rows of all tables, but that it deletes no user, room or message; all functions but those that would (chat.merge_users, chat.move_messages). chat_readonly: all that shows no secret; functions that do not write. chat_moderator: the same, and the functions that write as the owner (SECURITY DEFINER). select chat.grant_rights(); gives what is missing.';
END $$;
-- +goose StatementEnd
