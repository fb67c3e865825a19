package engine

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

var errNested = errors.New("a transaction in a transaction")

// pgTx is a Postgres Conn in a transaction.
type pgTx struct {
	*Postgres
	tx pgx.Tx
}

// Transact implements Conn.
func (p *Postgres) Transact(ctx context.Context, f func(Conn) error) error {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return p.Translate(ctx, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after Commit it does nothing
	if err := f(pgTx{p, tx}); err != nil {
		return err
	}
	return p.Translate(ctx, tx.Commit(ctx))
}

// Query implements Conn.
func (t pgTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.tx.Query(ctx, sql, normalise(args)...)
}

// Run implements Conn.
func (t pgTx) Run(ctx context.Context, b *Batch) error { return t.send(ctx, t.tx, b) }

// Transact implements Conn.
func (t pgTx) Transact(context.Context, func(Conn) error) error { return errNested }

// sqliteTx is a SQLite Conn in a transaction.
type sqliteTx struct {
	*SQLite
	tx *sql.Tx
}

// Transact implements Conn.
func (e *SQLite) Transact(ctx context.Context, f func(Conn) error) error {
	tx, err := e.writer.BeginTx(ctx, nil)
	if err != nil {
		return e.Translate(ctx, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := f(sqliteTx{e, tx}); err != nil {
		return err
	}
	return e.Translate(ctx, tx.Commit())
}

// Query implements Conn.
func (t sqliteTx) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	rows, err := t.query(ctx, t.tx, text, normalise(args))
	if err != nil {
		return nil, err
	}
	return &sqlRows{rows: rows}, nil
}

// Run implements Conn.
func (t sqliteTx) Run(ctx context.Context, b *Batch) error {
	readErr, err := t.execute(ctx, t.tx, b)
	return cmp.Or(err, t.Translate(ctx, readErr))
}

// Transact implements Conn.
func (t sqliteTx) Transact(context.Context, func(Conn) error) error { return errNested }
