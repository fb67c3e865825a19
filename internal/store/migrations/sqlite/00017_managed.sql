-- +goose Up
-- Users and groups that a directory manages over SCIM. user_name_key is the folded user_name, attributes what the
-- directory said of the user, as JSON. removed_at: the directory deleted the user, who is disabled since. disabled_at is that of users if the
-- directory disabled the account: it enables no account that somebody else has disabled.
CREATE TABLE managed_users (
    user_id       TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    client_id     TEXT NOT NULL,
    external_id   TEXT NOT NULL,
    user_name     TEXT NOT NULL,
    user_name_key TEXT NOT NULL UNIQUE,
    attributes    TEXT NOT NULL,
    removed_at    INTEGER NOT NULL,
    disabled_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX managed_users_by_external_id ON managed_users (client_id, external_id);

CREATE TABLE managed_groups (
    group_id    TEXT NOT NULL PRIMARY KEY REFERENCES user_groups (id) ON DELETE CASCADE,
    client_id   TEXT NOT NULL,
    external_id TEXT NOT NULL
) STRICT;
CREATE INDEX managed_groups_by_external_id ON managed_groups (client_id, external_id);
