-- +goose Up
-- What a file manages (stepward apply): kind and id name the object, source the file, and digest is its SHA-256.
CREATE TABLE declared (
    kind   TEXT NOT NULL,
    id     TEXT NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX declared_by_source ON declared (source);
