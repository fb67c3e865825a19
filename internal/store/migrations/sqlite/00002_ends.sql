-- +goose Up
-- Sessions that have ended, and families of codes that were used twice, for as long as a code or a device could still bring
-- them tokens: what is settled looks here.
CREATE TABLE ended (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX ended_by_time ON ended (at);

-- Another address, or a removal, ends the links of a user.
CREATE INDEX links_of_user ON links (user_id);
