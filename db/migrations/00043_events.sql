-- +goose Up
-- An event that no notification holds is kept until servers have fetched it, as the layer's are; and what these refused without saying where, or why.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.group_send(room text, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    room_id uuid := find_room(group_send.room);
    told    text := '{"event":' || coalesce(group_send.payload, 'null')::text || '}';
    event   uuid;
BEGIN
    IF octet_length(told) > 1048576 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('the event has %s bytes, at most 1048566 can be sent', octet_length(told) - 10),
            DETAIL = 'It is a megabyte, of which 10 bytes stand around the event.',
            HINT = 'Keep it in a table of your own, and send its key.';
    ELSIF octet_length(told) > 7999 THEN
        -- Servers fetch it when this transaction has ended, which may take its time.
        INSERT INTO events (id, payload, expires_at) VALUES (gen_random_uuid(), told, clock_timestamp() + interval '10 minutes') RETURNING events.id INTO event;
        told := 'event:' || event;
    END IF;
    PERFORM pg_notify('room:' || room_id, told);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.group_send(text, jsonb) IS 'Sends an event to who has the room open: select chat.group_send(''general'', ''{"build": "green"}''). Programs get a frame "group", pages dispatch the DOM event "pgchat:group". At most 1048566 bytes; up to 7989 it is stored nowhere, a larger one waits in chat.events for the servers, ten minutes at most.';
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.add_member(text, text, text, text)', $a$nobody joins or leaves it', add_member.room),
            HINT$a$,
             $b$nobody joins or leaves it', add_member.room),
            DETAIL = 'A direct conversation is found by its people, who do not change.', HINT$b$),
            ('chat.remove_member(text, text, text)', $a$nobody joins or leaves it', remove_member.room),
            HINT$a$,
             $b$nobody joins or leaves it', remove_member.room),
            DETAIL = 'A direct conversation is found by its people, who do not change.', HINT$b$),
            ('chat.create_room(text, text, text, text, text, boolean, text[])', $a$begun by one of its people, not made',
            HINT$a$,
             $b$begun by one of its people, not made',
            DETAIL = 'It is found by its people, and has no name, topic or owner of its own.', HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$have a message with the id %s', n, find_message.id),
            HINT$a$,
             $b$have a message with the id %s', n, find_message.id),
            DETAIL = 'An id is told apart within its room only.', HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$by its room and seq, or by its id',
            HINT$a$,
             $b$by its room and seq, or by its id',
            DETAIL = CASE WHEN find_message.id IS NULL THEN 'Room, seq or both are missing, and the id.' ELSE 'There is an id, and room or seq as well.' END, HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$there is no message with the id %s', find_message.id),
            HINT$a$,
             $b$there is no message with the id %s', find_message.id),
            DETAIL = 'No room has one; that of a message that was moved is another.', HINT$b$),
            ('chat.integrity_of(text)', $a$format('there is no room %L', room), HINT$a$,
             $b$format('there is no room %L', room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$is not a member of room %L', may_attach.username, may_attach.room),
            HINT$a$,
             $b$is not a member of room %L', may_attach.username, may_attach.room),
            DETAIL = 'Only members post, and what they attach.', HINT$b$),
            ('chat.merge_users(text, text, text)', $a$are the same user', merge_users.username, merge_users.into_username),
            HINT$a$,
             $b$are the same user', merge_users.username, merge_users.into_username),
            DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$b$),
            ('chat.messages_after_insert()', $a$            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                HINT$a$,
             $b$            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                DETAIL = format('Message %s would be its first.', wrong.first), HINT$b$),
            ('chat.messages_before_insert()', $a$format('there is no room %s', NEW.room_id),
                HINT$a$,
             $b$format('there is no room %s', NEW.room_id),
                DETAIL = format('A message of %s was to be stored there.', NEW.author_id), HINT$b$),
            ('chat.messages_before_update()', $a$it has no text to be brought back', OLD.seq, OLD.room_id),
            HINT$a$,
             $b$it has no text to be brought back', OLD.seq, OLD.room_id),
            DETAIL = format('Deleted at %s; of what is erased by DELETE an empty row stays.', OLD.deleted_at), HINT$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$only what its people have said there', move_messages.to_room),
            HINT$a$,
             $b$only what its people have said there', move_messages.to_room),
            DETAIL = 'Its people alone read it, and answer for what is in it.', HINT$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$format('the messages are in room %L', move_messages.room), HINT$a$,
             $b$format('the messages are in room %L', move_messages.room), DETAIL = 'A message that is moved within its room would be its newest.', HINT$b$),
            ('chat.pins_show()', $a$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT$a$,
             $b$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = wrong.room_id), 'There is no such room.'), HINT$b$),
            ('chat.reactions_show()', $a$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT$a$,
             $b$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = wrong.room_id), 'There is no such room.'), HINT$b$),
            ('chat.replies_before_insert()', $a$format('there is no message %s in room %s', NEW.seq, NEW.room_id),
            HINT$a$,
             $b$format('there is no message %s in room %s', NEW.seq, NEW.room_id),
            DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = NEW.room_id), 'There is no such room.'), HINT$b$),
            ('chat.replies_before_update()', $a$its thread would not follow', OLD.seq),
        HINT$a$,
             $b$its thread would not follow', OLD.seq),
        DETAIL = format('It answers message %s of room %s, in the thread of message %s.', OLD.reply_to, OLD.room_id, OLD.thread), HINT$b$),
            ('chat.retain(integer)', $a$not %s', coalesce(most::text, 'NULL')),
            HINT$a$,
             $b$not %s', coalesce(most::text, 'NULL')),
            DETAIL = 'Posting in the room waits for each batch.', HINT$b$),
            ('chat.room_heads_after_delete()', $a$messages are numbered by it',
            HINT$a$,
             $b$messages are numbered by it',
            DETAIL = 'Without it nothing can be posted there.', HINT$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    c    record;
    body text;
BEGIN
    FOR c IN SELECT * FROM (VALUES
            ('chat.room_heads_after_delete()', $a$messages are numbered by it',
            DETAIL = 'Without it nothing can be posted there.', HINT$a$,
             $b$messages are numbered by it',
            HINT$b$),
            ('chat.retain(integer)', $a$not %s', coalesce(most::text, 'NULL')),
            DETAIL = 'Posting in the room waits for each batch.', HINT$a$,
             $b$not %s', coalesce(most::text, 'NULL')),
            HINT$b$),
            ('chat.replies_before_update()', $a$its thread would not follow', OLD.seq),
        DETAIL = format('It answers message %s of room %s, in the thread of message %s.', OLD.reply_to, OLD.room_id, OLD.thread), HINT$a$,
             $b$its thread would not follow', OLD.seq),
        HINT$b$),
            ('chat.replies_before_insert()', $a$format('there is no message %s in room %s', NEW.seq, NEW.room_id),
            DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = NEW.room_id), 'There is no such room.'), HINT$a$,
             $b$format('there is no message %s in room %s', NEW.seq, NEW.room_id),
            HINT$b$),
            ('chat.reactions_show()', $a$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = wrong.room_id), 'There is no such room.'), HINT$a$,
             $b$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT$b$),
            ('chat.pins_show()', $a$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                DETAIL = coalesce((SELECT format('Its messages are %s to %s.', h.first_seq, h.last_seq) FROM room_heads h WHERE h.room_id = wrong.room_id), 'There is no such room.'), HINT$a$,
             $b$format('there is no message %s in room %s', wrong.seq, wrong.room_id),
                HINT$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$format('the messages are in room %L', move_messages.room), DETAIL = 'A message that is moved within its room would be its newest.', HINT$a$,
             $b$format('the messages are in room %L', move_messages.room), HINT$b$),
            ('chat.move_messages(text, bigint[], text, text)', $a$only what its people have said there', move_messages.to_room),
            DETAIL = 'Its people alone read it, and answer for what is in it.', HINT$a$,
             $b$only what its people have said there', move_messages.to_room),
            HINT$b$),
            ('chat.messages_before_update()', $a$it has no text to be brought back', OLD.seq, OLD.room_id),
            DETAIL = format('Deleted at %s; of what is erased by DELETE an empty row stays.', OLD.deleted_at), HINT$a$,
             $b$it has no text to be brought back', OLD.seq, OLD.room_id),
            HINT$b$),
            ('chat.messages_before_insert()', $a$format('there is no room %s', NEW.room_id),
                DETAIL = format('A message of %s was to be stored there.', NEW.author_id), HINT$a$,
             $b$format('there is no room %s', NEW.room_id),
                HINT$b$),
            ('chat.messages_after_insert()', $a$            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                DETAIL = format('Message %s would be its first.', wrong.first), HINT$a$,
             $b$            RAISE foreign_key_violation USING
                MESSAGE = format('there is no room %s', wrong.room_id),
                HINT$b$),
            ('chat.merge_users(text, text, text)', $a$are the same user', merge_users.username, merge_users.into_username),
            DETAIL = 'Users are called as when they sign in, without regard to case.', HINT$a$,
             $b$are the same user', merge_users.username, merge_users.into_username),
            HINT$b$),
            ('chat.may_attach(text, bigint, text)', $a$is not a member of room %L', may_attach.username, may_attach.room),
            DETAIL = 'Only members post, and what they attach.', HINT$a$,
             $b$is not a member of room %L', may_attach.username, may_attach.room),
            HINT$b$),
            ('chat.integrity_of(text)', $a$format('there is no room %L', room), DETAIL = 'Rooms are named by their slug, as in their address /rooms/<slug>.', HINT$a$,
             $b$format('there is no room %L', room), HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$there is no message with the id %s', find_message.id),
            DETAIL = 'No room has one; that of a message that was moved is another.', HINT$a$,
             $b$there is no message with the id %s', find_message.id),
            HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$by its room and seq, or by its id',
            DETAIL = CASE WHEN find_message.id IS NULL THEN 'Room, seq or both are missing, and the id.' ELSE 'There is an id, and room or seq as well.' END, HINT$a$,
             $b$by its room and seq, or by its id',
            HINT$b$),
            ('chat.find_message(text, bigint, uuid)', $a$have a message with the id %s', n, find_message.id),
            DETAIL = 'An id is told apart within its room only.', HINT$a$,
             $b$have a message with the id %s', n, find_message.id),
            HINT$b$),
            ('chat.create_room(text, text, text, text, text, boolean, text[])', $a$begun by one of its people, not made',
            DETAIL = 'It is found by its people, and has no name, topic or owner of its own.', HINT$a$,
             $b$begun by one of its people, not made',
            HINT$b$),
            ('chat.remove_member(text, text, text)', $a$nobody joins or leaves it', remove_member.room),
            DETAIL = 'A direct conversation is found by its people, who do not change.', HINT$a$,
             $b$nobody joins or leaves it', remove_member.room),
            HINT$b$),
            ('chat.add_member(text, text, text, text)', $a$nobody joins or leaves it', add_member.room),
            DETAIL = 'A direct conversation is found by its people, who do not change.', HINT$a$,
             $b$nobody joins or leaves it', add_member.room),
            HINT$b$)) AS v (name, was, becomes)
    LOOP
        body := pg_get_functiondef(c.name::regprocedure);
        ASSERT position(c.was IN body) > 0, c.name;
        EXECUTE replace(body, c.was, c.becomes);
    END LOOP;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION chat.group_send(room text, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = chat, pg_temp AS $$
DECLARE
    room_id uuid := find_room(group_send.room);
    told    text := '{"event":' || coalesce(group_send.payload, 'null')::text || '}';
BEGIN
    IF octet_length(told) > 7999 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('the event has %s bytes, at most 7989 can be sent', octet_length(told) - 10),
            DETAIL = 'A notification of PostgreSQL has at most 7999 bytes, 10 of them stand around the event.',
            HINT = 'Keep it in a table of your own, and send its key.';
    END IF;
    PERFORM pg_notify('room:' || room_id, told);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION chat.group_send(text, jsonb) IS 'Sends an event to who has the room open, and stores nothing: select chat.group_send(''general'', ''{"build": "green"}''). Programs get a frame "group", pages dispatch the DOM event "pgchat:group". At most 7989 bytes.';
