package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/idp"
)

// Check writes nothing: one row for each probe of each replica would make the busiest table.
func (p *Postgres) Check(ctx context.Context, table string) *idp.StoreFault {
	var standby, readOnly, writable bool
	err := p.pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
		coalesce(has_table_privilege(to_regclass($1), 'INSERT'), false)`, table).
		Scan(&standby, &readOnly, &writable)
	switch {
	case err != nil:
		return p.faultOf(ctx, err)
	case standby:
		return &idp.StoreFault{Word: "standby", Text: standbyText}
	case readOnly:
		return &idp.StoreFault{Word: "read_only", Text: readOnlyText}
	case !writable:
		return &idp.StoreFault{Word: "refused", Text: "the user of database-url may not write to the tables, " +
			"or they are not in its search_path"}
	}
	return nil
}

const (
	standbyText = "a standby of Postgres answers; database-url must name the primary " +
		"(target_session_attrs=read-write finds it)"
	onlyStandbysText = "none of the servers of database-url that answer is a primary"
	readOnlyText     = "Postgres takes no writes (default_transaction_read_only)"
)

// onlyStandbys reports that a server answered, and was not what target_session_attrs asks for. pgconn has no type for
// these errors.
func onlyStandbys(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok && (strings.Contains(err.Error(), "read only connection") ||
		strings.Contains(err.Error(), "server is in hot standby mode"))
}

func (p *Postgres) faultOf(ctx context.Context, err error) *idp.StoreFault {
	fault := &idp.StoreFault{Word: "down", Text: "it does not answer", Err: p.Translate(ctx, err)}
	if onlyStandbys(err) {
		fault.Word, fault.Text = "standby", onlyStandbysText
		return fault
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fault
	}
	switch code := pg.Code; {
	case brokenPooler(code):
		fault.Word, fault.Text = "pooler", poolerText
	case strings.HasPrefix(code, "53"): // insufficient_resources
		fault.Word, fault.Text = "full", "Postgres has no room: connections, memory or disk"
	case strings.HasPrefix(code, "28"), strings.HasPrefix(code, "3D"):
		fault.Word, fault.Text = "refused", "Postgres refuses the user, password or database of database-url"
	case !unavailable(code):
		fault.Word, fault.Text = "wrong", "Postgres answers with an error"
	}
	return fault
}

const poolerText = "a pooler gives each transaction another connection and loses prepared statements: set " +
	"default_query_exec_mode=cache_describe in database-url, or let it pool sessions"

// brokenPooler reports the errors of a statement that was prepared on one connection and run on another:
// invalid_sql_statement_name, duplicate_prepared_statement.
func brokenPooler(code string) bool { return code == "26000" || code == "42P05" }

// Check takes the write lock and gives it back. It does not notice a full disk: the check of the ephemeral store does,
// because that writes to the file beside this one.
func (e *SQLite) Check(ctx context.Context, _ string) *idp.StoreFault {
	tx, err := e.writer.BeginTx(ctx, nil) // IMMEDIATE
	if err == nil {
		err = tx.Rollback()
	}
	if err == nil {
		return nil
	}
	fault := &idp.StoreFault{Word: "down", Text: "it does not answer", Err: e.Translate(ctx, err)}
	if own, ok := errors.AsType[*sqlite.Error](err); ok {
		switch own.Code() & 0xff {
		case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
			fault.Word, fault.Text = "read_only", "stepward.db cannot be written"
		case lib.SQLITE_FULL:
			fault.Word, fault.Text = "full", "the disk of stepward.db is full"
		}
	}
	return fault
}
