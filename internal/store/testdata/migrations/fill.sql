-- A chat with :messages messages, in 200 rooms of 50 people, in the schema that migrations 1 to 29 make (the tables after that are filled by
-- triggers). It stays as it is: later migrations are run on it, and have to find rows in every table that grows.
SET session_replication_role = replica;
SET synchronous_commit = off;
SET work_mem = '256MB';
INSERT INTO chat.users (id, name) SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'user-' || i FROM generate_series(0, 199) i;
DELETE FROM chat.rooms;
DELETE FROM chat.room_heads;
INSERT INTO chat.rooms (id, slug, name) SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(i), 12, '0'))::uuid, 'room-' || i, 'Room ' || i FROM generate_series(0, 199) i;
INSERT INTO chat.room_heads (room_id, last_seq, last_rev) SELECT id, :messages / 200, 0 FROM chat.rooms;
INSERT INTO chat.members (room_id, user_id, last_read_seq) SELECT r.id, u.id, 0 FROM chat.rooms r JOIN chat.users u ON (split_part(u.name, '-', 2)::int + split_part(r.slug, '-', 2)::int) % 4 = 0;
INSERT INTO chat.messages (room_id, seq, id, author_id, body, created_at)
SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(i % 200), 12, '0'))::uuid, 1 + i / 200, gen_random_uuid(), ('00000000-0000-4000-8000-' || lpad(to_hex((200 - i % 200) % 4 + i / 200 % 50 * 4), 12, '0'))::uuid,
       'w' || i % 65535 || ' and some more words', now() - interval '2 years' * (1 - i::float8 / :messages)
FROM generate_series(0, :messages / 200 * 200 - 1) i;
