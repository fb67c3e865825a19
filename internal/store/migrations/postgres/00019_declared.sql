-- +goose Up
-- What a file manages (stepward apply): kind and id name the object, source the file, and digest is its SHA-256.
CREATE TABLE declared (
    kind   TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX declared_by_source ON declared (source);
