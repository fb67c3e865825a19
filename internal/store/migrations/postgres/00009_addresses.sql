-- +goose Up
-- Confirmed addresses of users, besides the primary one in users.
CREATE TABLE addresses (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email    TEXT COLLATE "C" NOT NULL UNIQUE,
    added_at BIGINT NOT NULL
);
CREATE INDEX addresses_of_user ON addresses (user_id);

-- Changes of a primary address. While one is recent, its former address can undo it with the link whose hash is here, and
-- belongs to nobody else.
CREATE TABLE address_changes (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT COLLATE "C" NOT NULL,
    link       TEXT COLLATE "C" NOT NULL,
    changed_at BIGINT NOT NULL,
    undone_at  BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX address_changes_by_link ON address_changes (link);
CREATE INDEX address_changes_by_email ON address_changes (email);
CREATE INDEX address_changes_of_user ON address_changes (user_id);
CREATE INDEX address_changes_by_time ON address_changes (changed_at);
