-- A chat with :messages messages, in 1,000 rooms of 5,000 people over two years, that is whole: chat.integrity is empty. Triggers are
-- off, and what they would keep is written as they would.
SET session_replication_role = replica;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '256MB';
SET jit = off;
INSERT INTO chat.users (id, name) SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'user-' || i FROM generate_series(1, 5000) i;
DELETE FROM chat.rooms;
DELETE FROM chat.room_heads;
-- The nth room has a share of all messages like 1 to n.
INSERT INTO chat.rooms (id, slug, name, everyone, kind, direct_key)
SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(i), 12, '0'))::uuid, 'room-' || i, 'Room ' || i, i = 1, CASE WHEN i % 10 = 9 THEN 'private' WHEN i % 10 = 8 THEN 'direct' ELSE 'public' END,
       CASE WHEN i % 10 = 8 THEN (SELECT string_agg(id::text, ',' ORDER BY id) FROM chat.users WHERE name IN ('user-' || i, 'user-' || (i + 1))) END
FROM generate_series(1, 1000) i;
UPDATE chat.rooms SET keep_days = 700 WHERE slug = 'room-11';
CREATE TEMPORARY TABLE rooms ON COMMIT PRESERVE ROWS AS
SELECT row_number() OVER (ORDER BY id) AS i, id, kind, (20 + :messages * (1.0 / (5 + row_number() OVER (ORDER BY id))) / 5.2)::bigint AS n FROM chat.rooms;
INSERT INTO chat.members (room_id, user_id, last_read_seq, role)
SELECT r.id, u.id, r.n * 9 / 10, 'member' FROM rooms r CROSS JOIN LATERAL (
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(j), 12, '0'))::uuid AS id
    FROM generate_series(CASE WHEN r.kind = 'direct' THEN r.i ELSE 1 END, CASE WHEN r.i = 1 THEN 5000 WHEN r.kind = 'direct' THEN r.i + 1 ELSE 20 + 40000 / (100 + r.i) END) j) u;
INSERT INTO chat.messages (room_id, seq, id, author_id, body, created_at, rev, edited_at, extra)
SELECT m.room_id, m.seq, ('01920000-0000-7000-8000-' || lpad(to_hex(row_number() OVER (ORDER BY m.created_at, m.room_id)), 12, '0'))::uuid,
       ('00000000-0000-4000-8000-' || lpad(to_hex(1 + (m.hash & 1023) * 4), 12, '0'))::uuid,
       CASE WHEN m.seq % 20 = 9 THEN '@user-' || (1 + m.seq % 1000) || ' ' ELSE '' END || 'w' || (m.hash & 65535) || ' w' || ((m.hash >> 8) & 4095) || ' w' || ((m.hash >> 12) & 255) || ' and some more words',
       m.created_at, CASE WHEN m.seq % 10 = 3 THEN m.seq / 10 + 1 END, CASE WHEN m.seq % 10 = 3 THEN m.created_at + interval '2 minutes' END,
       CASE WHEN m.seq % 10 = 3 THEN jsonb_build_object('reactions', jsonb_build_array(jsonb_build_object('emoji', '👍', 'count', 1, 'by', jsonb_build_array('user-' || (1 + m.seq % 1000)))))
            WHEN m.seq % 20 = 4 AND m.seq < m.n THEN jsonb_build_object('thread', jsonb_build_object('count', 1, 'last', now() - interval '730 days' * (1 - (m.seq + 1)::float8 / m.n)))
            WHEN m.seq % 20 = 5 THEN jsonb_build_object('reply', jsonb_build_object('seq', m.seq - 1, 'thread', m.seq - 1))
            WHEN m.seq % 100 = 7 THEN jsonb_build_object('files', jsonb_build_array(jsonb_build_object('id', ('00000000-0000-4000-b' || lpad(to_hex(m.i), 3, '0') || '-' || lpad(to_hex(m.seq), 12, '0'))::uuid, 'name', 'a.txt', 'type', 'text/plain', 'size', 4))) END
FROM (SELECT r.i, r.id AS room_id, r.n, s AS seq, now() - interval '730 days' * (1 - s::float8 / r.n) AS created_at, hashint8(s * 1000 + r.i)::bigint & 2147483647 AS hash FROM rooms r CROSS JOIN LATERAL generate_series(1, r.n) s) m
ORDER BY m.created_at, m.room_id;
INSERT INTO chat.room_heads (room_id, last_seq, last_rev) SELECT id, n, (n + 7) / 10 + 10 FROM rooms;
INSERT INTO chat.room_events (room_id, rev, after_seq, kind) SELECT r.id, (r.n + 7) / 10 + g, r.n * g / 10, 'joined' FROM rooms r CROSS JOIN generate_series(1, 10) g;
INSERT INTO chat.reactions (room_id, seq, emoji, user_id) SELECT room_id, seq, '👍', ('00000000-0000-4000-8000-' || lpad(to_hex(1 + seq % 1000), 12, '0'))::uuid FROM chat.messages WHERE seq % 10 = 3;
INSERT INTO chat.replies (room_id, seq, reply_to, thread) SELECT room_id, seq, seq - 1, seq - 1 FROM chat.messages WHERE seq % 20 = 5;
INSERT INTO chat.mentions (user_id, room_id, seq) SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(1 + seq % 1000), 12, '0'))::uuid, room_id, seq FROM chat.messages WHERE seq % 20 = 9;
INSERT INTO chat.files (id, room_id, seq, place, uploader_id, name, type, size, completed_at)
SELECT (m.extra #>> '{files,0,id}')::uuid, m.room_id, m.seq, 1, m.author_id, 'a.txt', 'text/plain', 4, now() FROM chat.messages m WHERE m.seq % 100 = 7;
INSERT INTO chat.file_chunks (file_id, n, data) SELECT id, 0, 'abcd' FROM chat.files;
INSERT INTO chat.pins (room_id, seq) SELECT DISTINCT id, 1 + n / d * 20 FROM rooms CROSS JOIN unnest(ARRAY[25, 40, 60, 1000]) d;
UPDATE chat.messages m SET extra = jsonb_build_object('pinned', chat.pin_of(m.room_id, m.seq)) FROM chat.pins p WHERE p.room_id = m.room_id AND p.seq = m.seq;
-- What messages were is from the last 90 days, and what was done from the last year: servers remove what is older, and a few are due.
INSERT INTO chat.message_history (room_id, seq, message_id, author_id, secret_body, said_at, change, changed_at)
SELECT m.room_id, m.seq, m.id, m.author_id, m.body || ' as said before', m.created_at + interval '1 minute' * (v - 1), 'edited', now() - (now() - m.created_at) / 8.1 + interval '1 second' * v
FROM chat.messages m CROSS JOIN generate_series(1, 2) v WHERE m.seq % 10 = 3 ORDER BY m.created_at, v;
INSERT INTO chat.audit_log (at, actor_id, actor, table_name, operation, rows, key, old, new)
SELECT e.at, u.id, u.name, e.name, e.operation, e.rows, e.key, e.old, e.new
FROM (
    SELECT now() - (now() - m.created_at) / 1.99 AS at, m.author_id AS actor_id, 'messages' AS name, 'UPDATE' AS operation, 1 AS rows, jsonb_build_object('room_id', m.room_id, 'seq', m.seq, 'id', m.id) AS key, '{"body": "…"}'::jsonb AS old, '{"body": "…"}'::jsonb AS new
    FROM chat.messages m CROSS JOIN generate_series(1, 2) v WHERE m.seq % 10 = 3
    UNION ALL
    SELECT now() - interval '365 days' * random(), NULL, 'members', 'INSERT', 1, jsonb_build_object('room_id', b.room_id, 'user_id', b.user_id), NULL, jsonb_build_object('room_id', b.room_id, 'user_id', b.user_id, 'role', b.role) FROM chat.members b
    UNION ALL
    SELECT now() - interval '365 days' * random(), NULL, 'users', 'INSERT', 1, jsonb_build_object('id', p.id), NULL, jsonb_build_object('name', p.name) FROM chat.users p
    UNION ALL
    SELECT now() - interval '300 days', NULL, 'rooms', 'UPDATE', 1, jsonb_build_object('id', r.id), '{"topic": "old"}', '{"topic": ""}' FROM rooms r WHERE r.i % 20 = 0
    UNION ALL
    SELECT now() - interval '200 days' + interval '1 minute' * r.i, NULL, 'messages', 'DELETE', 1000, jsonb_build_object('room_id', r.id), '{"keep_days": 700}', NULL FROM rooms r WHERE r.i % 50 = 0
) e LEFT JOIN chat.users u ON u.id = e.actor_id ORDER BY e.at;
INSERT INTO chat.sessions (token_hash, user_id, expires_at) SELECT sha256(id::text::bytea), id, now() + interval '29 days' FROM chat.users;
INSERT INTO chat.tokens (user_id, name, token_hash) SELECT id, 'x', sha256(id::text::bytea) FROM chat.users LIMIT 500;
INSERT INTO chat.instances (id, name, version, heartbeat_at) SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid, 'instance-' || i, '1', now() - interval '1 day' FROM generate_series(1, 4) i;
INSERT INTO chat.presence (room_id, user_id, instance_id, connections)
SELECT b.room_id, b.user_id, ('00000000-0000-4000-9000-' || lpad(to_hex(1 + b.n % 4), 12, '0'))::uuid, 1 FROM (SELECT room_id, user_id, row_number() OVER () AS n FROM chat.members) b WHERE b.n % 20 = 0;
INSERT INTO chat.search_buckets (bucket, starts, newest, messages)
SELECT b, CASE WHEN b = 1 THEN '-infinity' ELSE now() - interval '730 days' * (1 - (b - 1)::float8 / k) END, now() - interval '730 days' * (1 - b::float8 / k), 32768
FROM (SELECT greatest(1, :messages / 32768) AS k) k CROSS JOIN LATERAL generate_series(1, k) b;
INSERT INTO chat.search_progress (room_id, seq, rev) SELECT room_id, last_seq, last_rev FROM chat.room_heads;
DROP INDEX chat.search_documents_terms_idx;
INSERT INTO chat.search_documents (room_id, seq, created_at, terms)
SELECT m.room_id, m.seq, m.created_at, array_to_tsvector(ARRAY(SELECT b || '/' || w FROM string_to_table(translate(m.body, '@-', '  ') || CASE WHEN m.extra ? 'files' THEN ' a txt' ELSE '' END, ' ') w WHERE w <> '')
    || ARRAY[b || '#' || right(m.room_id::text, 8), b || '@' || right(m.author_id::text, 8), b || '*'] || CASE WHEN m.extra ? 'files' THEN ARRAY[b || '!file'] END)
FROM (SELECT m.*, to_hex(width_bucket(m.created_at, (SELECT array_agg(starts ORDER BY bucket) FROM chat.search_buckets))) AS b FROM chat.messages m) m;
CREATE INDEX search_documents_terms_idx ON chat.search_documents USING gin (terms) WITH (fastupdate = off);
INSERT INTO chat.search_vocabulary (word) SELECT 'w' || i FROM generate_series(1, 65535) i;
RESET session_replication_role;
RESET work_mem;
RESET maintenance_work_mem;
