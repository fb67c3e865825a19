-- +goose Up
-- The saved recovery codes of a user: the keyed hash of each, and which key that was.
CREATE TABLE recovery_codes (
    hash       TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_codes_of_user ON recovery_codes (user_id);

-- When the account was last recovered, and how many recoveries in a row failed since the last good one.
ALTER TABLE users ADD COLUMN recovered_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN recovery_failures INTEGER NOT NULL DEFAULT 0;

-- A passkey from before a recovery opens nothing until its owner says that it is still theirs. One made in a recovery does
-- not reach phrh before strong_from.
ALTER TABLE passkeys ADD COLUMN suspended_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passkeys ADD COLUMN strong_from INTEGER NOT NULL DEFAULT 0;
