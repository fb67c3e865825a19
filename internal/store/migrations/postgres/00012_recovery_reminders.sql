-- +goose Up
-- When the owner of a recovery by e-mail alone is reminded that it waits.
CREATE TABLE recovery_reminders (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    due_at  BIGINT NOT NULL
);
CREATE INDEX recovery_reminders_due ON recovery_reminders (due_at);
