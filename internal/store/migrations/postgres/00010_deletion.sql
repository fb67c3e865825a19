-- +goose Up
-- Users who asked that their account be deleted. Until it is, it is disabled, with this time; they can change their mind.
CREATE TABLE deletions (
    user_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    asked_at    BIGINT NOT NULL,
    reminded_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX deletions_by_time ON deletions (asked_at);

-- Users who were erased a short time ago, with the pseudonym that replaces them in events. After that nothing leads from one
-- to the other.
CREATE TABLE erasures (
    user_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    pseudonym TEXT COLLATE "C" NOT NULL,
    erased_at BIGINT NOT NULL
);
CREATE INDEX erasures_by_time ON erasures (erased_at);

-- What waits for an erased user is not sent.
CREATE INDEX mail_by_recipient ON mail (recipient);

-- Few events have an actor who is not the user.
CREATE INDEX journal_of_actor ON journal (actor_id) WHERE length(actor_id) > 0;
CREATE INDEX events_of_actor ON events (actor_id) WHERE actor_id <> '';
