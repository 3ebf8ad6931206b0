-- name: FirstMessageSince :one
-- seq of the first message of the room that was stored at an instant or later. Beyond the newest message: there is none; 0: there is no room.
SELECT coalesce(chat.seq_since(sqlc.arg(room_id), sqlc.arg(since)), 0)::bigint AS seq;
