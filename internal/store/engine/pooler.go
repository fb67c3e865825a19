package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	neturl "net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/lock"
)

// A pooler that pools transactions (PgBouncer: pool_mode=transaction) gives each transaction another connection of the
// server. What belongs to a connection is lost, or reaches other clients: prepared statements, SET and session locks.
// Behind one, statements are described and sent without a name, the server's own statement timeout is left to the role,
// and the lock of a migration belongs to a transaction that stays open beside it.

// pooler reports whether the URL's default_query_exec_mode, or what answers at its address, asks for that care. What a
// pooler pools cannot be seen from here while it has other clients, so care is taken behind each of them. It greets its
// clients with a process ID of its own (cancel requests need one), which no process of the server has.
func pooler(ctx context.Context, url string, config *pgx.ConnConfig) bool {
	if u, err := neturl.Parse(url); err == nil && u.Query().Has("default_query_exec_mode") {
		return config.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement
	}
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false // the pool will say why
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written
	var server uint32
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&server)
	return err == nil && server != conn.PgConn().PID()
}

// A transactionLock is goose's session lock, held by a transaction of another connection: a session that a pooler takes
// apart cannot hold it. Both kinds exclude each other, so programs with and without a pooler may start together.
type transactionLock struct {
	db *sql.DB
	tx *sql.Tx
}

// SessionLock waits for five minutes at most, like goose's.
func (l *transactionLock) SessionLock(ctx context.Context, _ *sql.Conn) error {
	for range 300 {
		tx, err := l.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		var got bool
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", lock.DefaultLockID).Scan(&got)
		if err == nil && got {
			l.tx = tx
			return nil
		}
		if err := errors.Join(err, tx.Rollback()); err != nil {
			return fmt.Errorf("migration lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return errors.New("migration lock: another program has held it for five minutes")
}

// SessionUnlock ends the transaction.
func (l *transactionLock) SessionUnlock(context.Context, *sql.Conn) error { return l.tx.Rollback() }
