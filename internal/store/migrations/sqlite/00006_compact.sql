-- +goose Up
-- Events, with the authentication that they report, in few bytes: IDs are written by packID, flags are those of events.go.
-- Earlier events stay in events until they are deleted for their age.
CREATE TABLE journal (
    at          INTEGER NOT NULL,
    flags       INTEGER NOT NULL,
    id          BLOB NOT NULL PRIMARY KEY,
    kind        TEXT NOT NULL,
    user_id     BLOB NOT NULL,
    actor_id    BLOB NOT NULL,
    client_id   BLOB NOT NULL,
    session_id  BLOB NOT NULL,
    passkey_id  BLOB NOT NULL,
    address     TEXT NOT NULL,
    agent       TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    detail      TEXT NOT NULL,
    interaction TEXT NOT NULL,
    classes     TEXT NOT NULL
) STRICT;
CREATE INDEX journal_of_user ON journal (user_id, at);

-- Only a check against new metadata needs it; no request reads it.
CREATE TABLE attestations (
    passkey_id TEXT NOT NULL PRIMARY KEY REFERENCES passkeys (id) ON DELETE CASCADE,
    statement  TEXT NOT NULL
) STRICT;

-- The assurance of a family without JSON. Then the column assurance is empty.
ALTER TABLE families ADD COLUMN passkey_id TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN amr TEXT NOT NULL DEFAULT '';
ALTER TABLE families ADD COLUMN auth_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE families ADD COLUMN classes TEXT NOT NULL DEFAULT '';

-- Where there are users already, older programs may still run beside this one: see contract.go.
INSERT INTO installation (name, value) SELECT 'rows', 'expanded' WHERE EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM clients);
