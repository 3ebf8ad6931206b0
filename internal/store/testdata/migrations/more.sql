INSERT INTO chat.sessions (token_hash, user_id, expires_at) SELECT sha256(g::text::bytea), ('00000000-0000-4000-8000-' || lpad(to_hex(g % 200), 12, '0'))::uuid, now() + interval '29 days' FROM generate_series(1, 2000) g;
INSERT INTO chat.reactions (room_id, seq, emoji, user_id) SELECT room_id, seq, '👍', author_id FROM chat.messages WHERE seq % 20 = 3;
INSERT INTO chat.replies (room_id, seq, reply_to, thread) SELECT room_id, seq, seq - 1, seq - 1 FROM chat.messages WHERE seq % 20 = 5;
INSERT INTO chat.mentions (user_id, room_id, seq) SELECT author_id, room_id, seq FROM chat.messages WHERE seq % 20 = 9;
INSERT INTO chat.files (id, room_id, seq, place, uploader_id, name, type, size, completed_at) SELECT gen_random_uuid(), room_id, seq, 1, author_id, 'a.txt', 'text/plain', 4, now() FROM chat.messages WHERE seq % 20 = 7;
INSERT INTO chat.file_chunks (file_id, n, data) SELECT id, 0, 'abcd' FROM chat.files;
INSERT INTO chat.room_events (room_id, rev, after_seq, kind) SELECT r.id, g, g, 'joined' FROM chat.rooms r CROSS JOIN generate_series(1, 2) g; -- few beside the messages
INSERT INTO chat.search_documents (room_id, seq, created_at, terms) SELECT room_id, seq, created_at, array_to_tsvector(ARRAY['1/' || split_part(body, ' ', 1)]) FROM chat.messages WHERE seq % 20 = 1;
INSERT INTO chat.search_vocabulary (word) SELECT 'w' || i FROM generate_series(1, 5000) i;
INSERT INTO chat.message_history (room_id, seq, message_id, author_id, secret_body, said_at, change) SELECT room_id, seq, id, author_id, body, created_at, 'edited' FROM chat.messages WHERE seq % 20 = 11;
INSERT INTO chat.audit_log (table_name, operation, rows) SELECT 'rooms', 'UPDATE', 1 FROM generate_series(1, 5000);
UPDATE chat.room_heads SET last_rev = 2;
RESET session_replication_role;
