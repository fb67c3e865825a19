-- +goose Up
-- Confirmed addresses of users, besides the primary one in users.
CREATE TABLE addresses (
    id       TEXT NOT NULL PRIMARY KEY,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email    TEXT NOT NULL UNIQUE,
    added_at INTEGER NOT NULL
) STRICT;
CREATE INDEX addresses_of_user ON addresses (user_id);

-- Changes of a primary address. While one is recent, its former address can undo it with the link whose hash is here, and
-- belongs to nobody else.
CREATE TABLE address_changes (
    id         TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT NOT NULL,
    link       TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    undone_at  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX address_changes_by_link ON address_changes (link);
CREATE INDEX address_changes_by_email ON address_changes (email);
CREATE INDEX address_changes_of_user ON address_changes (user_id);
CREATE INDEX address_changes_by_time ON address_changes (changed_at);
