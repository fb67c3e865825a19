-- +goose Up
-- Applications that people and groups are sent to over SCIM (RFC 7644), one at a client. token is encrypted. wanted counts
-- the changes that may concern everybody, swept is the count that the last look at everybody has seen. One replica at a
-- time sends: holder, until held_until.
CREATE TABLE provision_targets (
    client_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    settings      TEXT NOT NULL,
    token         BYTEA NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    paused_at     BIGINT NOT NULL,
    paused_by     TEXT NOT NULL,
    failing_since BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    retry_at      BIGINT NOT NULL,
    sent_at       BIGINT NOT NULL,
    error_at      BIGINT NOT NULL,
    last_error    TEXT NOT NULL,
    wanted        BIGINT NOT NULL,
    swept         BIGINT NOT NULL,
    swept_at      BIGINT NOT NULL,
    holder        TEXT NOT NULL,
    held_until    BIGINT NOT NULL
);

-- Users who may have to be sent anew. version counts the changes, so that one that happens while a user is sent is not
-- lost.
CREATE TABLE provision_outbox (
    client_id  TEXT COLLATE "C" NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    user_id    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    PRIMARY KEY (client_id, user_id)
);
CREATE INDEX provision_outbox_due ON provision_outbox (client_id, next_at);
CREATE INDEX provision_outbox_age ON provision_outbox (created_at);

-- What the applications have: users, groups and members. remote_id is the ID there, digest says what was sent last,
-- gone_at is when the account there was disabled. A user stays here after their removal until the application knows.
CREATE TABLE provision_users (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    user_id   TEXT COLLATE "C" NOT NULL,
    remote_id TEXT NOT NULL,
    digest    TEXT NOT NULL,
    gone_at   BIGINT NOT NULL,
    PRIMARY KEY (client_id, user_id)
);
CREATE TABLE provision_groups (
    client_id TEXT COLLATE "C" NOT NULL REFERENCES provision_targets (client_id) ON DELETE CASCADE,
    group_id  TEXT COLLATE "C" NOT NULL,
    remote_id TEXT NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (client_id, group_id)
);
CREATE TABLE provision_members (
    client_id TEXT COLLATE "C" NOT NULL,
    user_id   TEXT COLLATE "C" NOT NULL,
    group_id  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (client_id, user_id, group_id),
    FOREIGN KEY (client_id, group_id) REFERENCES provision_groups (client_id, group_id) ON DELETE CASCADE
);
CREATE INDEX provision_members_of_group ON provision_members (client_id, group_id);

-- Programs that know migration 19 can run on this schema: they mark nobody, and the daily look finds whom they changed.
INSERT INTO installation (name, value) VALUES ('oldest_program', '19') ON CONFLICT (name)
    DO UPDATE SET value = excluded.value WHERE CAST(installation.value AS BIGINT) < CAST(excluded.value AS BIGINT);
