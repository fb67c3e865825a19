-- +goose Up
-- Events, with the authentication that they report, in few bytes: IDs are written by packID, flags are those of events.go.
-- Earlier events stay in events until they are deleted for their age.
CREATE TABLE journal (
    at          BIGINT NOT NULL,
    flags       SMALLINT NOT NULL,
    id          BYTEA NOT NULL PRIMARY KEY,
    kind        TEXT NOT NULL,
    user_id     BYTEA NOT NULL,
    actor_id    BYTEA NOT NULL,
    client_id   BYTEA NOT NULL,
    session_id  BYTEA NOT NULL,
    passkey_id  BYTEA NOT NULL,
    address     TEXT NOT NULL,
    agent       TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    detail      TEXT NOT NULL,
    interaction TEXT NOT NULL,
    classes     TEXT NOT NULL
);
CREATE INDEX journal_of_user ON journal (user_id, at);

-- Only a check against new metadata needs it; no request reads it.
CREATE TABLE attestations (
    passkey_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES passkeys (id) ON DELETE CASCADE,
    statement  TEXT NOT NULL
);

-- The assurance of a family without JSON. Then the column assurance is empty.
ALTER TABLE families ADD COLUMN passkey_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN amr TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN auth_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE families ADD COLUMN classes TEXT NOT NULL DEFAULT '';

-- Where there are users already, older programs may still run beside this one: see contract.go.
INSERT INTO installation (name, value) SELECT 'rows', 'expanded' WHERE EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM clients);
