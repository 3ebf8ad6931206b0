-- name: BanFrom :one
-- Of the bans that keep the user out of the room, named by its address or id, or out of all of the chat, the one that lasts longest.
SELECT coalesce(r.name, '')::text AS room, least(b.until, '9999-06-01Z')::timestamptz AS until, b.reason
FROM chat.bans b LEFT JOIN chat.rooms r ON r.id = b.room_id
WHERE b.user_id = sqlc.arg(user_id) AND (b.room_id IS NULL OR r.slug = sqlc.narg(slug) OR r.id = sqlc.narg(room_id)) AND b.until > now()
ORDER BY b.until DESC, b.room_id NULLS FIRST LIMIT 1;
