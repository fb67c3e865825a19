-- +goose Up
-- The first admin owns the installation: one who can sign in, if there is one.
UPDATE users SET role = 'owner' WHERE id = (
    SELECT u.id FROM users u WHERE u.role <> '' AND u.role = 'admin'
    ORDER BY CASE WHEN u.disabled_at = 0 AND EXISTS (SELECT 1 FROM passkeys k WHERE k.user_id = u.id) THEN 0 ELSE 1 END, u.created_at, u.id
    LIMIT 1);

-- name_key is the spelling by which two names are the same.
CREATE TABLE user_groups (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    name_key    TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE group_members (
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX group_members_of_group ON group_members (group_id, user_id);

-- A group that is in another one.
CREATE TABLE group_nesting (
    child_id  TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    parent_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (child_id, parent_id)
);
CREATE INDEX group_nesting_of_parent ON group_nesting (parent_id);

-- Every group with all groups that it is in, itself included: what group_nesting says, so that reading a user needs no
-- recursion.
CREATE TABLE group_paths (
    group_id  TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    within_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, within_id)
);
CREATE INDEX group_paths_within ON group_paths (within_id);

-- Claims that an admin defined, and their values, as JSON.
CREATE TABLE claims (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    type        TEXT COLLATE "C" NOT NULL,
    scope       TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    seen_by     TEXT NOT NULL,
    edited_by   TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE user_claims (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name    TEXT COLLATE "C" NOT NULL REFERENCES claims (name) ON DELETE CASCADE,
    value   TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
);
CREATE INDEX user_claims_of_claim ON user_claims (name);

CREATE TABLE group_claims (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    name     TEXT COLLATE "C" NOT NULL REFERENCES claims (name) ON DELETE CASCADE,
    value    TEXT NOT NULL,
    PRIMARY KEY (group_id, name)
);
CREATE INDEX group_claims_of_claim ON group_claims (name);
