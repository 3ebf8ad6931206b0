-- +goose Up
CREATE VIEW chat.gaps AS
SELECT coalesce(h.room_id, m.room_id) AS room_id, r.slug AS room, coalesce(h.last_seq, 0) AS last_seq,
       coalesce(m.messages, 0) AS messages, coalesce(m.first_seq, 0) AS first_seq, coalesce(m.newest_seq, 0) AS newest_seq
FROM chat.room_heads h
FULL JOIN (
    SELECT room_id, count(*) AS messages, min(seq) AS first_seq, max(seq) AS newest_seq FROM chat.messages GROUP BY room_id
) m ON m.room_id = h.room_id
LEFT JOIN chat.rooms r ON r.id = coalesce(h.room_id, m.room_id)
WHERE h.room_id IS NULL
   OR (h.last_seq, h.last_seq, least(h.last_seq, 1)) <> (coalesce(m.messages, 0), coalesce(m.newest_seq, 0), coalesce(m.first_seq, 0));
COMMENT ON VIEW chat.gaps IS 'Rooms whose messages are not numbered 1 to last_seq without a gap. It must be empty, always; a row says that messages were removed past the chat, or that the chat has a defect. Reads every message: not for a dashboard.';
COMMENT ON COLUMN chat.gaps.room_id IS 'The room.';
COMMENT ON COLUMN chat.gaps.room IS 'Its slug.';
COMMENT ON COLUMN chat.gaps.last_seq IS 'How far the room has come, by its head.';
COMMENT ON COLUMN chat.gaps.messages IS 'How many messages there are; should be last_seq.';
COMMENT ON COLUMN chat.gaps.first_seq IS 'seq of the oldest of them; should be 1.';
COMMENT ON COLUMN chat.gaps.newest_seq IS 'seq of the newest of them; should be last_seq.';

-- +goose Down
DROP VIEW chat.gaps;
