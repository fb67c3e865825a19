-- +goose Up
-- What holds for the whole installation: rp_id is the host that its passkeys are made for.
CREATE TABLE installation (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
