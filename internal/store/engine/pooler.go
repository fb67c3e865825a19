package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3/lock"
)

// A pooler that pools transactions (PgBouncer: pool_mode=transaction) gives each transaction another connection of the
// server. What belongs to a connection is lost, or reaches other clients: prepared statements, SET and session locks.
// Behind one, statements are described and sent without a name, the server's own statement timeout is left to the role,
// and the lock of a migration belongs to a transaction that stays open beside it.

// poolsTransactions reports whether there is such a pooler at this address. A URL that sets default_query_exec_mode
// says so. Else, while a second client holds the server's connection that the first one had, the first gets another
// one, or waits for it.
func poolsTransactions(ctx context.Context, config *pgx.ConnConfig) bool {
	if config.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return true
	}
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	first, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false // the pool will say why
	}
	defer closeNow(ctx, first)
	before, err := backendOf(ctx, first)
	if err != nil || before == first.PgConn().PID() {
		return false // the same process ID: this is Postgres itself
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	second, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false
	}
	defer closeNow(ctx, second)
	tx, err := second.Begin(ctx)
	if err != nil {
		return false
	}
	if _, err := backendOf(ctx, tx); err != nil {
		return false // it waits for a connection: sessions are pooled, or the pooler is busy
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	after, err := backendOf(ctx, first)
	return err == nil && after != before || pgconn.Timeout(err)
}

func closeNow(ctx context.Context, c *pgx.Conn) { _ = c.Close(context.WithoutCancel(ctx)) } // nothing was written

// backendOf returns the ID of the server's process that runs the query.
func backendOf(ctx context.Context, c interface {
	QueryRow(context.Context, string, ...any) pgx.Row
},
) (pid uint32, err error) {
	err = c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	return pid, err
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
