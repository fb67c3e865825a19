package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// A Place is one end of a copy: a data folder, whose lock it holds until it is closed, or a Postgres database.
type Place struct {
	DB     *store.DB
	sqlite *engine.SQLite
	pg     *engine.Postgres
}

// ownName is how our own connections are told from those of servers.
const ownName = "stepward copy"

// OpenPlace opens the store at a folder or a Postgres URL. It returns store.ErrInUse if a server holds the folder.
func OpenPlace(ctx context.Context, where string) (_ *Place, err error) {
	p := &Place{}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	if !IsURL(where) {
		if p.DB, err = store.Open(ctx, store.Config{Dir: where}); err != nil {
			return nil, err
		}
		p.sqlite, err = engine.OpenSQLite(ctx, where, true)
		return p, err
	}
	named, err := nameConnections(where)
	if err != nil {
		return nil, err
	}
	if p.DB, err = store.Open(ctx, store.Config{URL: named}); err != nil {
		return nil, err
	}
	p.pg, err = engine.OpenPostgres(ctx, named, 0)
	return p, err
}

// IsURL tells a Postgres URL from a folder.
func IsURL(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func nameConnections(where string) (string, error) {
	if err := engine.CheckURL(where); err != nil {
		return "", err
	}
	u, err := url.Parse(where)
	if err != nil {
		return "", errors.New("the database URL cannot be parsed") // err repeats it, with the password
	}
	query := u.Query()
	query.Set("application_name", ownName)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Servers returns how many connections of running servers the database has. A folder has none, because the lock is
// ours.
func (p *Place) Servers(ctx context.Context) (n int, err error) {
	if p.pg == nil {
		return 0, nil
	}
	err = p.pg.Raw(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'stepward'`).Scan(&n)
	})
	return n, err
}

// Close closes the store, and gives the lock of a folder back.
func (p *Place) Close() error {
	var failed []error
	if p.sqlite != nil {
		failed = append(failed, p.sqlite.Close())
	}
	if p.pg != nil {
		failed = append(failed, p.pg.Close())
	}
	if p.DB != nil {
		failed = append(failed, p.DB.Close())
	}
	return errors.Join(failed...)
}

// within runs f in one transaction, which is read-only for a source and committed for a target.
func (p *Place) within(ctx context.Context, source bool, f func(side) error) error {
	if p.sqlite != nil {
		return withinSQLite(ctx, p.sqlite.Raw(), source, f)
	}
	return p.pg.Raw(ctx, func(c *pgx.Conn) error {
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead} // one snapshot for all tables
		if source {
			options.AccessMode = pgx.ReadOnly
		}
		tx, err := c.BeginTx(ctx, options)
		if err != nil {
			return err
		}
		defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after Commit it does nothing
		if err := f(postgres{tx}); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

// cache lets SQLite keep 256 MB of pages. With the 2 MB of a server, the indexes of a large table are written again and
// again.
const cache = `PRAGMA cache_size = -262144`

func withinSQLite(ctx context.Context, db *sql.DB, source bool, f func(side) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, cache); err != nil {
		return err
	}
	if err := f(sqlite{tx}); err != nil || source {
		return err
	}
	return tx.Commit()
}

// Copy copies everything from one place into the other, which must be migrated and empty, and compares the two. The
// target is complete and the same, or unchanged. progress is called for each row.
func Copy(
	ctx context.Context, from, to *Place, progress func(table string, done, total int64),
) (copied []Copied, err error) {
	err = from.within(ctx, true, func(source side) error {
		return to.within(ctx, false, func(target side) error {
			copied, err = copyTables(ctx, source, target, progress)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	return copied, nil
}
