-- +goose Up
CREATE UNLOGGED TABLE chat.events (
    id         uuid        NOT NULL,
    payload    text        NOT NULL,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '1 minute',
    CONSTRAINT events_pkey PRIMARY KEY (id)
);
CREATE INDEX events_expires_at_idx ON chat.events (expires_at);
COMMENT ON TABLE chat.events IS 'Live events that are too large for a notification, which names them instead: "event:<id>". Each is here for a minute. Unlogged: what a crash of PostgreSQL takes was never promised.';
COMMENT ON COLUMN chat.events.id IS 'Made by the sender; the notification has it.';
COMMENT ON COLUMN chat.events.payload IS 'What every instance that listens hands on; at most 1 MiB, and as much again for its envelope.';
COMMENT ON COLUMN chat.events.expires_at IS 'From then on no instance takes it, and any of them deletes it.';
COMMENT ON INDEX chat.events_expires_at_idx IS 'Deleting expired events; every instance looks with its heartbeat.';

-- +goose Down
DROP TABLE chat.events;
