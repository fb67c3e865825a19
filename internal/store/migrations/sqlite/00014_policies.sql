-- +goose Up
-- The versions of the policy: document is that of config.Document. The newest counts.
CREATE TABLE policies (
    version    INTEGER NOT NULL PRIMARY KEY,
    document   TEXT NOT NULL,
    changes    TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- The version under which an event happened; empty: none was stored. Text, because an empty one takes a single byte.
ALTER TABLE journal ADD COLUMN policy TEXT NOT NULL DEFAULT '';
