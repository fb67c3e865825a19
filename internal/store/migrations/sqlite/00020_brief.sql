-- +goose Up
-- Passkeys in few bytes: on Postgres, NULL is the usual value. SQLite needs no byte for a 0.

-- Where there are users already, older programs may still run beside this one: see contract.go.
INSERT INTO installation (name, value) SELECT 'passkeys', 'expanded' WHERE EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM clients);

-- Programs that know migration 19 can run on this schema. Each later migration says such a number; it only grows.
INSERT INTO installation (name, value) VALUES ('oldest_program', '19') ON CONFLICT (name)
    DO UPDATE SET value = excluded.value WHERE CAST(installation.value AS INTEGER) < CAST(excluded.value AS INTEGER);
