-- +goose Up
-- Passkeys in few bytes: NULL is the usual value, which package rows names. SQLite needs no byte for a 0, and keeps them.
ALTER TABLE passkeys ALTER COLUMN flags DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN sign_count DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN uv_initialized DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN counter_regressed_at DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN attestation_type DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN attestation_format DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN attestation DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN attestation_verified_at DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN key_protection DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN transports DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN attachment DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN extensions DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN last_agent DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN suspended_at DROP NOT NULL;
ALTER TABLE passkeys ALTER COLUMN strong_from DROP NOT NULL;

-- Where there are users already, older programs may still run beside this one: see contract.go.
INSERT INTO installation (name, value) SELECT 'passkeys', 'expanded' WHERE EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM clients);

-- Programs that know migration 19 can run on this schema. Each later migration says such a number; it only grows.
INSERT INTO installation (name, value) VALUES ('oldest_program', '19') ON CONFLICT (name)
    DO UPDATE SET value = excluded.value WHERE CAST(installation.value AS BIGINT) < CAST(excluded.value AS BIGINT);
