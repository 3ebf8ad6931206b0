-- name: FirstMessageSince :one
-- seq of the first message of the room that was stored at an instant or later, by binary search: created_at rises with seq, so
-- that no index on it is needed. Beyond the newest message: there is none.
WITH RECURSIVE search (low, high) AS (
    SELECT 1::bigint, h.last_seq + 1 FROM chat.room_heads h WHERE h.room_id = sqlc.arg(room_id)
    UNION ALL
    SELECT CASE WHEN m.earlier THEN s.middle + 1 ELSE s.low END, CASE WHEN m.earlier THEN s.high ELSE s.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM search WHERE low < high) s
    CROSS JOIN LATERAL (
        SELECT coalesce((SELECT b.created_at FROM chat.messages b WHERE b.room_id = sqlc.arg(room_id) AND b.seq >= s.middle ORDER BY b.seq LIMIT 1)
                        < sqlc.arg(since)::timestamptz, false) AS earlier OFFSET 0 -- once, not for each use of it
    ) m
)
SELECT low::bigint AS seq FROM search WHERE low >= high;
