-- +goose Up
-- E-mails that a user has switched off, by topic.
CREATE TABLE notices_off (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    topic   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, topic)
);
