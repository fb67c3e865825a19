-- +goose Up
-- Hashes of what was moved in from another provider, so that moving in again brings back nothing that was removed since.
CREATE TABLE moved_in (
    what BYTEA NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
);
