-- +goose Up
-- Events in words, as in 00007, with the version of the policy.
DROP VIEW event_log;
CREATE VIEW event_log AS
SELECT CASE WHEN octet_length(id) = 16 THEN CAST(CAST(encode(id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(id, CAST('\x00' AS BYTEA)), 'UTF8') END AS id,
    to_timestamp(at / 1000.0) AS at,
    kind,
    CASE WHEN octet_length(user_id) = 16 THEN CAST(CAST(encode(user_id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(user_id, CAST('\x00' AS BYTEA)), 'UTF8') END AS user_id,
    CASE WHEN octet_length(actor_id) = 16 THEN CAST(CAST(encode(actor_id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(actor_id, CAST('\x00' AS BYTEA)), 'UTF8') END AS actor_id,
    CASE WHEN octet_length(client_id) = 16 THEN CAST(CAST(encode(client_id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(client_id, CAST('\x00' AS BYTEA)), 'UTF8') END AS client_id,
    CASE WHEN octet_length(session_id) = 16 THEN CAST(CAST(encode(session_id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(session_id, CAST('\x00' AS BYTEA)), 'UTF8') END AS session_id,
    CASE WHEN octet_length(passkey_id) = 16 THEN CAST(CAST(encode(passkey_id, 'hex') AS UUID) AS TEXT)
        ELSE convert_from(rtrim(passkey_id, CAST('\x00' AS BYTEA)), 'UTF8') END AS passkey_id,
    address, agent, request_id,
    CASE WHEN flags & 256 = 0 THEN detail
        WHEN flags & 16 > 0 THEN '{"purpose":"sign-in"}'
        WHEN flags & 32 > 0 THEN '{"purpose":"step-up"}'
        ELSE '{"purpose":"register"}' END AS detail,
    policy
FROM journal WHERE flags & 128 = 0
UNION ALL SELECT id, to_timestamp(at / 1000.0), kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id,
    CASE WHEN detail = 'null' THEN '' ELSE detail END,
    ''
FROM events;
