-- name: Announcements :many
-- What is announced at the moment, and how long still.
SELECT id, text, created_at, least(until, '9999-06-01Z')::timestamptz AS until, extract(epoch FROM least(until, '9999-06-01Z') - now())::float8 AS seconds_left
FROM chat.announcements WHERE until > now() ORDER BY created_at, id;
