package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/clientcache"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/rows"
)

// A Batch is a batch of a package that keeps its own tables in this database (roster). One method is one transaction.
type Batch struct{ batch }

// Events writes the events of the change.
func (b *Batch) Events(ev []idp.Event) { b.events(ev) }

// InsertUser adds a user, InsertPasskey a passkey of theirs, and InsertLink a one-time link.
func (b *Batch) InsertUser(u idp.User)       { b.insertUser(u) }
func (b *Batch) InsertPasskey(k idp.Passkey) { b.insertPasskey(k) }
func (b *Batch) InsertLink(l idp.Link)       { b.insertLink(l) }

// ChangeUser changes a user whom the caller has seen as they were. It comes first in its batch. If the address changes
// and undo is not empty, it is the hash of the link with which the former address undoes that.
func (b *Batch) ChangeUser(was, u idp.User, undo string) {
	b.expect(was, u)
	if undo != "" && was.Email != u.Email {
		b.UndoableAddress(u.ID, undo, u.UpdatedAt)
	}
	b.updateUser(u)
}

// KeepOwner demands that there is another owner, if this user is one.
func (b *Batch) KeepOwner(userID string) { b.keepOwner(userID) }

// Logout puts the clients that want to hear of the end of the user's sessions into the outbox. Run the batch with
// RunLogoutBatch.
func (b *Batch) Logout(userID string, now time.Time) { b.logout(`user_id = $1`, userID, now) }

// LogoutOfSession is Logout for one session.
func (b *Batch) LogoutOfSession(sid string, now time.Time) { b.logout(`session_id = $1`, sid, now) }

// InsertClient adds a client: idp.ErrConflict if its ID is taken.
func (b *Batch) InsertClient(c idp.Client) { b.Do(insertClient, clientValues(c)...) }

// PutClient adds or replaces a client, for a room that calls ForgetClient after it has run the batch.
func (b *Batch) PutClient(c idp.Client) { b.put(c) }

// RunBatch executes a batch in one round trip.
func (db *DB) RunBatch(ctx context.Context, step string, b *Batch) error {
	return db.run(ctx, step, &b.batch)
}

// Transact runs f in one transaction: what f does over tx happens when f returns nil, and nothing of it otherwise. f
// must not write over another DB, and must return the error of a write that failed. The names are held exclusively
// ([engine.Batch.Exclusive]), so that what their batches change stays as f reads it. It is not tried again by itself.
func (db *DB) Transact(ctx context.Context, step string, names []string, f func(tx *DB) error) error {
	tx := &DB{
		retention: db.retention, clients: clientcache.New(), watch: db.watch, observe: db.observe, logouts: db.logouts,
	}
	tx.compact.Store(db.compact.Load())
	tx.brief.Store(db.brief.Load())
	tx.oldEvents.Store(db.oldEvents.Load())
	defer db.clients.ForgetAll() // also after an error: the writes may have happened
	return stepErr(step, db.conn.Transact(ctx, func(conn engine.Conn) error {
		tx.conn = conn
		var b batch
		for _, name := range names {
			b.Exclusive(name)
		}
		if err := tx.run(ctx, step, &b); err != nil {
			return err
		}
		return f(tx)
	}))
}

// Together is Transact for batches alone: f passes each to run.
func (db *DB) Together(ctx context.Context, f func(run func(*Batch) error) error) error {
	return db.Transact(ctx, "run batches", nil, func(tx *DB) error {
		return f(func(b *Batch) error { return tx.RunBatch(ctx, "run batch", b) })
	})
}

// RunLogoutBatch is RunBatch for a batch with a Logout.
func (db *DB) RunLogoutBatch(ctx context.Context, step string, b *Batch) error {
	return db.runLogout(ctx, step, &b.batch)
}

// ForgetClient drops a client from the cache.
func (db *DB) ForgetClient(id string) { db.clients.Forget(id) }

// OldEvents reports whether the table events still has rows, which readers of the journal must read as well.
func (db *DB) OldEvents() bool { return db.oldEvents.Load() }

// Row is one row of an answer, and Rows are those that a statement of a batch returns.
type (
	Row  = pgx.CollectableRow
	Rows = pgx.Rows
)

// List collects the rows of a statement that changes nothing.
func List[T any](
	ctx context.Context, db *DB, step string, scan func(Row) (T, error), sql string, args ...any,
) ([]T, error) {
	return list(ctx, db, step, scan, sql, args...)
}

// One is List for at most one row; idp.ErrNotFound if there is none.
func One[T any](
	ctx context.Context, db *DB, step string, scan func(Row) (T, error), sql string, args ...any,
) (T, error) {
	return one(ctx, db, step, scan, sql, args...)
}

// Millis is how a time is stored, and Text a structured value. Instant and Document return what scans them.
func Millis(t time.Time) int64 { return ms(t) }
func Text(v any) string        { return text(v) }
func Instant(t *time.Time) any { return (*instant)(t) }
func Document(to any) any      { return document(to) }

// UserColumns are the columns of users u, ClientColumns those of clients; ScanUser and ScanClient read them.
const UserColumns, ClientColumns = rows.UserColumns, clientColumns

func ScanUser(row Row) (idp.User, error)     { return scanUser(row) }
func ScanClient(row Row) (idp.Client, error) { return scanClient(row) }
