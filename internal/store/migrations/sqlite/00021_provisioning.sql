-- +goose Up
-- Applications that people and groups are sent to over SCIM (RFC 7644), one at a client. token is encrypted. wanted counts
-- the changes that may concern everybody, swept is the count that the last look at everybody has seen. One replica at a
-- time sends: holder, until held_until.
CREATE TABLE provision_targets (
    client_id     TEXT NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    settings      TEXT NOT NULL,
    token         BLOB NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    paused_at     INTEGER NOT NULL,
    paused_by     TEXT NOT NULL,
    failing_since INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    retry_at      INTEGER NOT NULL,
    sent_at       INTEGER NOT NULL,
    error_at      INTEGER NOT NULL,
    last_error    TEXT NOT NULL,
    wanted        INTEGER NOT NULL,
    swept         INTEGER NOT NULL,
    swept_at      INTEGER NOT NULL,
    holder        TEXT NOT NULL,
    held_until    INTEGER NOT NULL
) STRICT;

-- Users who may have to be sent anew. version counts the changes, so that one that happens while a user is sent is not
-- lost.
CREATE TABLE provision_outbox (
    client_id  TEXT NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    PRIMARY KEY (client_id, user_id)
) STRICT;
CREATE INDEX provision_outbox_due ON provision_outbox (client_id, next_at);
CREATE INDEX provision_outbox_age ON provision_outbox (created_at);

-- What the applications have: users, groups and members. remote_id is the ID there, digest says what was sent last,
-- gone_at is when the account there was disabled. A user stays here after their removal until the application knows.
CREATE TABLE provision_users (
    client_id TEXT NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    user_id   TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    digest    TEXT NOT NULL,
    gone_at   INTEGER NOT NULL,
    PRIMARY KEY (client_id, user_id)
) STRICT;
CREATE TABLE provision_groups (
    client_id TEXT NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    group_id  TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (client_id, group_id)
) STRICT;
CREATE TABLE provision_members (
    client_id TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    group_id  TEXT NOT NULL,
    PRIMARY KEY (client_id, user_id, group_id),
    FOREIGN KEY (client_id, group_id) REFERENCES provision_groups (client_id, group_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX provision_members_of_group ON provision_members (client_id, group_id);

-- Programs that know migration 19 can run on this schema: they mark nobody, and the daily look finds whom they changed.
INSERT INTO installation (name, value) VALUES ('oldest_program', '19') ON CONFLICT (name)
    DO UPDATE SET value = excluded.value WHERE CAST(installation.value AS INTEGER) < CAST(excluded.value AS INTEGER);
