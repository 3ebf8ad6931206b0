-- name: IndexMessages :one
-- And words that no message has any more are forgotten; whether there are more to look at.
SELECT done::int AS done, behind::bigint AS behind, chat.forget_words(make_interval(secs => sqlc.arg(forget_seconds)::float8))::boolean AS words FROM chat.index_messages(sqlc.arg(most)::int);

-- name: SearchForms :one
-- What each word that was typed may stand for, and the words that shall not be there; as chat.search_forms gives them.
SELECT (chat.search_forms(sqlc.arg(words)::text[], sqlc.arg(near)::boolean) || chat.search_words(sqlc.arg(exact)::text))::text[] AS forms,
       ARRAY(SELECT DISTINCT w FROM unnest(sqlc.arg(without)::text[]) x, unnest(chat.search_words(x)) w)::text[] AS without;

-- name: SearchMessages :one
SELECT room_ids::uuid[] AS room_ids, seqs::bigint[] AS seqs, ranks::float8[] AS ranks, reached::text AS reached, unsearched::bigint AS unsearched
FROM chat.search_messages(sqlc.arg(reader)::uuid, sqlc.arg(forms)::text[], sqlc.arg(phrases)::text[], sqlc.arg(without)::text[], sqlc.arg(in_rooms)::uuid[], sqlc.arg(authors)::uuid[],
    sqlc.arg(has)::text[], sqlc.narg(since)::timestamptz, sqlc.narg(until)::timestamptz, sqlc.narg(from_at)::timestamptz, sqlc.narg(from_room)::uuid, sqlc.narg(from_seq)::bigint,
    sqlc.arg(most)::int, sqlc.arg(budget_ms)::float8 * interval '1 millisecond');

-- name: FoundMessages :many
-- Messages at these places that the reader may see, in the order given.
WITH given AS (
    SELECT unnest(sqlc.arg(room_ids)::uuid[]) AS room_id, unnest(sqlc.arg(seqs)::bigint[]) AS seq, generate_series(1, cardinality(sqlc.arg(seqs)::bigint[])) AS n
)
SELECT m.room_id, m.seq, m.id, m.author_id, u.name AS author, m.body, m.created_at, coalesce(m.rev, 0)::bigint AS rev, m.edited_at, m.deleted_at, m.extra,
       r.slug, r.kind, (CASE WHEN r.kind = 'direct' THEN coalesce(d.names, 'you') ELSE r.name END)::text AS room, coalesce(d.other, r.id)::uuid AS other
FROM given g JOIN chat.messages m ON m.room_id = g.room_id AND m.seq = g.seq JOIN chat.users u ON u.id = m.author_id JOIN chat.rooms r ON r.id = m.room_id
LEFT JOIN chat.members v ON v.room_id = m.room_id AND v.user_id = sqlc.arg(reader)
LEFT JOIN LATERAL (
    SELECT string_agg(o.name, ', ' ORDER BY lower(o.name)) AS names, (array_agg(o.id ORDER BY lower(o.name)))[1] AS other
    FROM chat.members c CROSS JOIN LATERAL (SELECT x.id, x.name FROM chat.users x WHERE x.id = c.user_id OFFSET 0) o WHERE r.kind = 'direct' AND c.room_id = r.id AND c.user_id <> sqlc.arg(reader)
) d ON true
WHERE m.deleted_at IS NULL AND (r.kind = 'public' OR v.user_id IS NOT NULL) AND NOT chat.banned(sqlc.arg(reader), r.id)
ORDER BY g.n;

-- name: FoundRooms :many
SELECT r.id, r.slug, r.name, r.topic, r.kind, (r.archived_at IS NOT NULL)::boolean AS archived, (m.user_id IS NOT NULL)::boolean AS member
FROM unnest(ARRAY(SELECT chat.search_rooms(sqlc.arg(reader)::uuid, sqlc.arg(part)::text, sqlc.arg(max_rows)::int))) WITH ORDINALITY AS f (id, n)
JOIN chat.rooms r ON r.id = f.id LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(reader)
WHERE NOT chat.banned(sqlc.arg(reader), r.id) ORDER BY f.n;

-- name: FoundPeople :many
SELECT u.id, u.name FROM unnest(ARRAY(SELECT chat.search_people(sqlc.arg(part)::text, sqlc.arg(max_rows)::int))) WITH ORDINALITY AS f (id, n)
JOIN chat.users u ON u.id = f.id ORDER BY f.n;

-- name: RoomsCalled :many
-- The rooms that the reader may see of this address or name; called by a person, the direct conversations with them.
SELECT r.id FROM chat.rooms r LEFT JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(reader)
WHERE r.kind <> 'direct' AND (r.slug = lower(sqlc.arg(name)::text) OR lower(r.name) = lower(sqlc.arg(name))) AND (r.kind = 'public' OR m.user_id IS NOT NULL)
UNION
SELECT o.room_id FROM chat.users u JOIN chat.members o ON o.user_id = u.id JOIN chat.rooms r ON r.id = o.room_id AND r.kind = 'direct'
JOIN chat.members m ON m.room_id = r.id AND m.user_id = sqlc.arg(reader) WHERE lower(u.name) = lower(sqlc.arg(name));
