-- +goose Up

-- Times are Unix milliseconds; 0 is never. No column takes NULL: see batch.go.
-- Keys are compared byte by byte (COLLATE "C"), so an upgrade of the system's collations cannot damage an index.

-- A demand inserts nothing, or NULL, which fails its batch. The table stays empty.
CREATE TABLE demands (
    met BIGINT NOT NULL
);

CREATE TABLE users (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    handle         BYTEA NOT NULL UNIQUE,
    email          TEXT COLLATE "C" NOT NULL UNIQUE,
    email_verified BOOLEAN NOT NULL,
    name           TEXT NOT NULL,
    role           TEXT NOT NULL,
    profile        TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    disabled_at    BIGINT NOT NULL
);
CREATE INDEX users_with_role ON users (role) WHERE role <> '';

CREATE TABLE passkeys (
    id                      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id                 TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id           BYTEA NOT NULL UNIQUE,
    public_key              BYTEA NOT NULL,
    flags                   BIGINT NOT NULL,
    sign_count              BIGINT NOT NULL,
    uv_initialized          BOOLEAN NOT NULL,
    counter_regressed_at    BIGINT NOT NULL,
    aaguid                  BYTEA NOT NULL,
    attestation_type        TEXT NOT NULL,
    attestation_format      TEXT NOT NULL,
    attestation             TEXT NOT NULL,
    attestation_verified_at BIGINT NOT NULL,
    key_protection          TEXT NOT NULL,
    transports              TEXT NOT NULL,
    attachment              TEXT NOT NULL,
    extensions              TEXT NOT NULL,
    name                    TEXT NOT NULL,
    created_at              BIGINT NOT NULL,
    created_agent           TEXT NOT NULL,
    last_used_at            BIGINT NOT NULL,
    last_agent              TEXT NOT NULL
);
CREATE INDEX passkeys_of_user ON passkeys (user_id, created_at);

-- Append-only; outlives the passkey.
CREATE TABLE authentications (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id         TEXT COLLATE "C" NOT NULL,
    passkey_id      TEXT COLLATE "C" NOT NULL,
    at              BIGINT NOT NULL,
    purpose         TEXT NOT NULL,
    interaction     TEXT NOT NULL,
    action_classes  TEXT NOT NULL,
    user_verified   BOOLEAN NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backed_up       BOOLEAN NOT NULL,
    hardware_bound  BOOLEAN NOT NULL
);
CREATE INDEX authentications_by_time ON authentications (at);

CREATE TABLE clients (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    metadata          TEXT NOT NULL,
    secrets           TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    disabled_at       BIGINT NOT NULL,
    registration_hash TEXT NOT NULL,
    used_at           BIGINT NOT NULL
);
-- Of clients that registered themselves: those that nobody uses go.
CREATE INDEX clients_by_use ON clients (used_at) WHERE used_at > 0;

-- Initial access tokens (RFC 7591 §3). uses_left below 0: any number.
CREATE TABLE registration_tokens (
    hash       TEXT NOT NULL PRIMARY KEY,
    uses_left  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX registration_tokens_by_expiry ON registration_tokens (expires_at);

CREATE TABLE grants (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (user_id, client_id)
);
CREATE INDEX grants_of_client ON grants (client_id);

-- One row a scope, so that two consents at once add up.
CREATE TABLE grant_scopes (
    grant_id TEXT COLLATE "C" NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    scope    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (grant_id, scope)
);

CREATE TABLE families (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client_id         TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id        TEXT COLLATE "C" NOT NULL,
    scopes            TEXT NOT NULL,
    audience          TEXT NOT NULL,
    resources         TEXT NOT NULL,
    details           TEXT NOT NULL,
    assurance         TEXT NOT NULL,
    authentication_id TEXT COLLATE "C" NOT NULL,
    claims            TEXT NOT NULL,
    confirmation      TEXT NOT NULL,
    offline           BOOLEAN NOT NULL,
    handle_hash       TEXT COLLATE "C" NOT NULL,
    current_hash      TEXT COLLATE "C" NOT NULL,
    previous_hash     TEXT COLLATE "C" NOT NULL,
    rotated_at        BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    revoked_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX families_by_handle ON families (handle_hash) WHERE handle_hash <> '';
CREATE INDEX families_of_session ON families (session_id) WHERE session_id <> '';
CREATE INDEX families_of_user ON families (user_id, client_id);
CREATE INDEX families_of_client ON families (client_id);
CREATE INDEX families_by_expiry ON families (expires_at);

-- Windows of action classes that their user has closed: the classes, separated by blanks, by the authentication that opened
-- them. What is derived from it reads this row, so one write reaches all of it.
CREATE TABLE closed_windows (
    authentication_id TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    classes           TEXT NOT NULL,
    closed_at         BIGINT NOT NULL,
    PRIMARY KEY (authentication_id, user_id)
);
CREATE INDEX closed_windows_of_user ON closed_windows (user_id);
CREATE INDEX closed_windows_by_time ON closed_windows (closed_at);

CREATE TABLE opaque_tokens (
    hash         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    family_id    TEXT COLLATE "C" NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    scopes       TEXT NOT NULL,
    audience     TEXT NOT NULL,
    details      TEXT NOT NULL,
    confirmation TEXT NOT NULL,
    issued_at    BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX opaque_tokens_of_family ON opaque_tokens (family_id);
CREATE INDEX opaque_tokens_by_expiry ON opaque_tokens (expires_at);

CREATE TABLE signing_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    algorithm  TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT NOT NULL,
    retired_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
-- Replicas that rotate at once end with one active key.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (algorithm) WHERE state = 'active';

CREATE TABLE links (
    hash       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX links_by_expiry ON links (expires_at);

CREATE TABLE events (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    actor_id   TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    passkey_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX events_of_user ON events (user_id, at, id) WHERE user_id <> '';
CREATE INDEX events_by_time ON events (at);

CREATE TABLE mail (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    plain      TEXT NOT NULL,
    html       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT NOT NULL
);
CREATE INDEX mail_by_next ON mail (next_at);
CREATE INDEX mail_by_time ON mail (created_at);

-- The clients that want to hear of a session's end. Sessions are in the ephemeral store; at check_at somebody looks there
-- whether this one still lives.
CREATE TABLE session_clients (
    session_id TEXT COLLATE "C" NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    check_at   BIGINT NOT NULL,
    PRIMARY KEY (session_id, client_id)
);
CREATE INDEX session_clients_of_user ON session_clients (user_id);
CREATE INDEX session_clients_of_client ON session_clients (client_id);
CREATE INDEX session_clients_by_check ON session_clients (check_at);

CREATE TABLE logout_outbox (
    session_id TEXT COLLATE "C" NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    PRIMARY KEY (session_id, client_id)
);
CREATE INDEX logout_outbox_of_client ON logout_outbox (client_id, next_at);
CREATE INDEX logout_outbox_by_time ON logout_outbox (created_at);

CREATE TABLE leases (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
