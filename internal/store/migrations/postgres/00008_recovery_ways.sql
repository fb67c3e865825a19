-- +goose Up
-- A recovery by e-mail alone waits until recovery_ready_at; 0: none waits. recovery_stop is the hash of the link that stops
-- it, recovery_stopped_at when its owner last used that.
ALTER TABLE users ADD COLUMN recovery_ready_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN recovery_stop TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN recovery_stopped_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_by_recovery_stop ON users (recovery_stop) WHERE recovery_stop <> '';

-- A link may need a PIN (hashed together with the token) and the approval of a second admin.
ALTER TABLE links ADD COLUMN pin TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN made_by TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN needs_second BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN approved_by TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Confirmed addresses that a user left lately. They are told of a recovery too.
CREATE TABLE former_addresses (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email   TEXT COLLATE "C" NOT NULL,
    left_at BIGINT NOT NULL,
    UNIQUE (user_id, email)
);
CREATE INDEX former_addresses_by_time ON former_addresses (left_at);
