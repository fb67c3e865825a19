-- +goose Up
-- Events in words, as in 00007, with the version of the policy.
DROP VIEW event_log;
CREATE VIEW event_log AS
SELECT CASE WHEN length(id) = 16 THEN lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' ||
        substr(hex(id), 17, 4) || '-' || substr(hex(id), 21))
        WHEN length(id) = 17 AND substr(hex(id), 33) = '00' THEN CAST(substr(id, 1, 16) AS TEXT)
        ELSE CAST(id AS TEXT) END AS id,
    strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
    kind,
    CASE WHEN length(user_id) = 16 THEN lower(substr(hex(user_id), 1, 8) || '-' || substr(hex(user_id), 9, 4) || '-' || substr(hex(user_id), 13, 4) || '-' ||
        substr(hex(user_id), 17, 4) || '-' || substr(hex(user_id), 21))
        WHEN length(user_id) = 17 AND substr(hex(user_id), 33) = '00' THEN CAST(substr(user_id, 1, 16) AS TEXT)
        ELSE CAST(user_id AS TEXT) END AS user_id,
    CASE WHEN length(actor_id) = 16 THEN lower(substr(hex(actor_id), 1, 8) || '-' || substr(hex(actor_id), 9, 4) || '-' || substr(hex(actor_id), 13, 4) || '-' ||
        substr(hex(actor_id), 17, 4) || '-' || substr(hex(actor_id), 21))
        WHEN length(actor_id) = 17 AND substr(hex(actor_id), 33) = '00' THEN CAST(substr(actor_id, 1, 16) AS TEXT)
        ELSE CAST(actor_id AS TEXT) END AS actor_id,
    CASE WHEN length(client_id) = 16 THEN lower(substr(hex(client_id), 1, 8) || '-' || substr(hex(client_id), 9, 4) || '-' || substr(hex(client_id), 13, 4) || '-' ||
        substr(hex(client_id), 17, 4) || '-' || substr(hex(client_id), 21))
        WHEN length(client_id) = 17 AND substr(hex(client_id), 33) = '00' THEN CAST(substr(client_id, 1, 16) AS TEXT)
        ELSE CAST(client_id AS TEXT) END AS client_id,
    CASE WHEN length(session_id) = 16 THEN lower(substr(hex(session_id), 1, 8) || '-' || substr(hex(session_id), 9, 4) || '-' || substr(hex(session_id), 13, 4) || '-' ||
        substr(hex(session_id), 17, 4) || '-' || substr(hex(session_id), 21))
        WHEN length(session_id) = 17 AND substr(hex(session_id), 33) = '00' THEN CAST(substr(session_id, 1, 16) AS TEXT)
        ELSE CAST(session_id AS TEXT) END AS session_id,
    CASE WHEN length(passkey_id) = 16 THEN lower(substr(hex(passkey_id), 1, 8) || '-' || substr(hex(passkey_id), 9, 4) || '-' || substr(hex(passkey_id), 13, 4) || '-' ||
        substr(hex(passkey_id), 17, 4) || '-' || substr(hex(passkey_id), 21))
        WHEN length(passkey_id) = 17 AND substr(hex(passkey_id), 33) = '00' THEN CAST(substr(passkey_id, 1, 16) AS TEXT)
        ELSE CAST(passkey_id AS TEXT) END AS passkey_id,
    address, agent, request_id,
    CASE WHEN flags & 256 = 0 THEN detail
        WHEN flags & 16 > 0 THEN '{"purpose":"sign-in"}'
        WHEN flags & 32 > 0 THEN '{"purpose":"step-up"}'
        ELSE '{"purpose":"register"}' END AS detail,
    policy
FROM journal WHERE flags & 128 = 0
UNION ALL SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id,
    CASE WHEN detail = 'null' THEN '' ELSE detail END,
    ''
FROM events;
