// Package store keeps what must last, in Postgres or in an embedded SQLite file.
package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Config says where the data lives.
type Config struct {
	URL string // postgres://…; empty: embedded
	Dir string // embedded: the data folder, with stepward.db in it
	// EventRetention is how long events and authentications are kept; zero: 400 days.
	EventRetention time.Duration
	Logger         *slog.Logger // nil: slog.Default
}

var (
	ErrNewerSchema     = errors.New("the database was written by a newer version of stepward")
	ErrOlderSchema     = errors.New("the database must be migrated first")
	ErrTooManyPasskeys = errors.New("too many passkeys")
)

// DB is the durable store.
type DB struct{}

// Open opens the store; it does not migrate.
func Open(ctx context.Context, c Config) (*DB, error) { return nil, errSkeleton }
