-- +goose Up
-- When the owner of a recovery by e-mail alone is reminded that it waits.
CREATE TABLE recovery_reminders (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    due_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_reminders_due ON recovery_reminders (due_at);
