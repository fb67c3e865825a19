package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outage"
)

// minPostgres is the oldest major version that the suite runs against; older ones are no longer maintained.
const minPostgres = 15

// silence is how much longer than the statement timeout the client waits for an answer. After that, the server or the
// network to it is considered gone.
const silence = time.Second

// errSilent is the cause when a context of Limit times out.
var errSilent = errors.New("no answer in time")

// Postgres is a Conn on a pgx pool.
type Postgres struct {
	pool    *pgxpool.Pool
	timeout time.Duration // for a statement; 0: none
	pooled  bool          // see pooler
}

// CheckURL reports a URL that OpenPostgres cannot read. It does not connect.
func CheckURL(url string) error {
	_, err := parseURL(url)
	return err
}

// parseURL never repeats the URL, which may hold a password.
func parseURL(url string) (*pgxpool.Config, error) {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, errors.New("the database URL must begin with postgres://")
	}
	config, err := pgxpool.ParseConfig(url)
	if err == nil {
		return config, nil
	}
	reason := "it cannot be parsed"
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		// Its text begins with the URL, without the password.
		if _, why, ok := strings.Cut(parse.Error(), "`: "); ok {
			reason = why
		}
	}
	return nil, fmt.Errorf("not a URL like postgres://user:password@host/database: %s", reason)
}

// OpenPostgres connects. A statement takes at most timeout, on the server as well as here; 0: no limit.
func OpenPostgres(ctx context.Context, url string, timeout time.Duration) (*Postgres, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		// Without a timeout, a firewall that drops packets holds requests for minutes.
		config.ConnConfig.ConnectTimeout = cmp.Or(timeout, 5*time.Second)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "stepward"
	}
	// A connection that was idle is pinged before it is used.
	config.PingTimeout = min(time.Second, cmp.Or(timeout, time.Second))
	config.ConnConfig.DialFunc = outage.Dialer(cmp.Or(timeout, 5*time.Second) + silence).DialContext
	pooled := pooler(ctx, url, config.ConnConfig)
	if pooled && config.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if timeout > 0 && !pooled {
		// Not a parameter of the connection: poolers refuse parameters that they do not know, and migrations must run without
		// a timeout.
		config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d", timeout.Milliseconds()))
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %v", err)
	}
	p := &Postgres{pool, timeout, pooled}
	if err := p.checkServer(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return p, nil
}

func (p *Postgres) checkServer(ctx context.Context) error {
	ctx, cancel := p.Limit(ctx)
	defer cancel()
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		if translated := p.Translate(ctx, err); !errors.Is(translated, idp.ErrUnavailable) {
			return translated
		}
		return p.unreachable(err)
	}
	defer c.Release()
	version := c.Conn().PgConn().ParameterStatus("server_version")
	digits, _, _ := strings.Cut(version, ".")
	if major, err := strconv.Atoi(digits); err == nil && major < minPostgres {
		return fmt.Errorf("the server runs Postgres %s; stepward needs %d or later", version, minPostgres)
	}
	return nil
}

// unreachable explains in a sentence why connecting failed. It is an idp.ErrUnavailable.
func (p *Postgres) unreachable(err error) error {
	if onlyStandbys(err) {
		return unreachableError(onlyStandbysText)
	}
	config := p.pool.Config().ConnConfig
	where := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	if strings.HasPrefix(config.Host, "/") {
		where = config.Host
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unreachableError(fmt.Sprintf("Postgres at %s refuses this: %s (user %q, database %q)",
			where, pg.Message, config.User, cmp.Or(config.Database, config.User)))
	}
	return unreachableError(fmt.Sprintf("no Postgres answers at %s: %s", where, outage.Reason(err)))
}

// unreachableError is an idp.ErrUnavailable with a text of its own.
type unreachableError string

func (e unreachableError) Error() string { return string(e) }
func (unreachableError) Unwrap() error   { return idp.ErrUnavailable }

// Backend implements Conn.
func (p *Postgres) Backend() string { return "postgres" }

// Limit bounds one call. The server enforces its statement timeout only while it runs; a server that went silent, or a
// network that drops packets, would hold the request to its end.
func (p *Postgres) Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, p.timeout+silence, errSilent)
}

// Query implements Conn.
func (p *Postgres) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := p.pool.Query(ctx, sql, normalise(args)...)
	return pgRows{rows}, err
}

// Run sends the batch as one pipeline with one Sync at its end: one round trip and one implicit transaction. If the
// batch deadlocked, or lost to a stricter isolation level of the database, it was undone as a whole, so it is safe to
// send again.
func (p *Postgres) Run(ctx context.Context, b *Batch) error {
	const attempts = 3
	var err error
	for range attempts {
		if err = p.send(ctx, p.pool, b); !errors.Is(err, errRetry) {
			break
		}
	}
	return err
}

// A sender is a pool, where a batch is a transaction, or a transaction.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func (p *Postgres) send(ctx context.Context, to sender, b *Batch) error {
	var pipeline pgx.Batch
	for _, s := range b.Statements {
		pipeline.Queue(s.SQL, normalise(s.Args)...)
	}
	results := to.SendBatch(ctx, &pipeline)
	var readErr error
	for _, s := range b.Statements {
		rows, err := results.Query()
		if err == nil {
			if s.rows != nil && readErr == nil {
				readErr = s.rows(pgRows{rows})
			}
			rows.Close()
			err = rows.Err()
		}
		if err != nil {
			_ = results.Close() // repeats err
			return s.failed(p.Translate(ctx, err))
		}
	}
	if err := results.Close(); err != nil { // of a pool: the commit
		return p.Translate(ctx, err)
	}
	return p.Translate(ctx, readErr)
}

// errRetry marks a transaction that the server undid in favour of another one.
var errRetry = fmt.Errorf("%w: transaction undone", ErrBusy)

// Translate implements Conn.
func (p *Postgres) Translate(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return idp.ErrNotFound
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pg.Code == "23505": // unique_violation
			return idp.ErrConflict
		case pg.Code == "23503": // foreign_key_violation: the parent row is gone
			return idp.ErrNotFound
		case pg.Code == "23502": // not_null_violation
			return errUnmet
		case pg.Code == "42P01": // undefined_table
			return ErrOlderSchema
		case pg.Code == "40001", pg.Code == "40P01": // serialization_failure, deadlock_detected
			return errRetry
		case pg.Code == "57014" && ctx.Err() == nil: // query_canceled: the statement timeout
			return fmt.Errorf("%w: %v", ErrBusy, err)
		case unavailable(pg.Code):
			p.pool.Reset()
			return fmt.Errorf("%w: %v", idp.ErrUnavailable, err)
		}
		return fmt.Errorf("postgres: %v", err)
	}
	lost := p.connectionLost(err)
	// A server that restarted or went silent took all its connections with it. Without a reset, each of them would fail
	// one more request. A caller who waited in vain for a connection of the pool says nothing about those that others use.
	if lost && (ctx.Err() == nil || pgconn.Timeout(err) && errors.Is(context.Cause(ctx), errSilent)) {
		p.pool.Reset()
	}
	return translateOther(ctx, err, lost)
}

// unavailable reports the SQLSTATEs that are not the statement's fault: connection trouble (08), wrong password or
// database while it is being set up (28, 3D), no resources (53), shutdown, crash, start-up (57P), read-only standby
// (25006).
func unavailable(code string) bool {
	for _, class := range []string{"08", "28", "3D", "53", "57P", "25006"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

func (p *Postgres) connectionLost(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err) || strings.Contains(err.Error(), "closed pool")
}

// Migrate lets replicas that start together race: a session lock on the server picks one, and the others try again
// every second, for five minutes at most. It has a connection of its own, so a pool of one connection is enough for the
// rest.
func (p *Postgres) Migrate(ctx context.Context, files fs.FS) error {
	db := stdlib.OpenDB(*p.pool.Config().ConnConfig)
	defer db.Close()
	var locker lock.SessionLocker = &transactionLock{db: db}
	if !p.pooled {
		var err error
		if locker, err = lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)); err != nil {
			return fmt.Errorf("migration lock: %w", err)
		}
	}
	return p.Translate(ctx, migrateUp(ctx, db, goose.DialectPostgres, files, goose.WithSessionLocker(locker)))
}

// Ping implements Conn.
func (p *Postgres) Ping(ctx context.Context) error { return p.Translate(ctx, p.pool.Ping(ctx)) }

// Now implements Conn.
func (p *Postgres) Now(ctx context.Context) (time.Time, error) {
	var now int64
	err := p.pool.QueryRow(ctx, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)").Scan(&now)
	return time.UnixMilli(now).UTC(), p.Translate(ctx, err)
}

// Close implements Conn.
func (p *Postgres) Close() error {
	p.pool.Close()
	return nil
}
