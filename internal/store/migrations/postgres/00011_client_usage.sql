-- +goose Up
-- What clients did last: the last sign-in, the last error, the last use of a secret. Written by the minute.
CREATE TABLE client_usage (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    what      TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    detail    TEXT NOT NULL,
    PRIMARY KEY (client_id, what)
);

-- Removing a user removes their authentications of the old form.
CREATE INDEX authentications_of_user ON authentications (user_id);
