// Package provisioning keeps to which applications people and groups are sent over SCIM, who waits to be sent, and what
// each application has. Package store has the tables, and package rows marks who has to be sent in the transaction of
// the change.
package provisioning

import (
	"context"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Records are those of a store. It is safe for concurrent use.
type Records struct{ db *store.DB }

// New returns the records of a store.
func New(db *store.DB) *Records { return &Records{db} }

// Settings are what an admin decides about an application.
type Settings struct {
	BaseURL string `json:"base_url"` // of SCIM there, without /Users
	// Groups are the IDs of groups whose members are sent, among those who may use the client; empty: all of these.
	Groups []string `json:"groups,omitempty"`
	// SendGroups are the IDs of groups that are sent themselves, with the members among the people who are sent.
	SendGroups []string `json:"send_groups,omitempty"`
	// Attributes are those of a user besides userName, externalId and active; Claims maps claims that admins define to
	// attributes.
	Attributes []string          `json:"attributes,omitempty"`
	Claims     map[string]string `json:"claims,omitempty"`
	Delete     bool              `json:"delete,omitempty"` // who leaves is deleted there, not disabled
}

// Who paused an application.
const (
	ByAdmin    = "admin"
	ByFailures = "failures"
)

// A Target is an application. Its ID is that of the client.
type Target struct {
	ClientID             string
	Settings             Settings
	Token                []byte // encrypted
	CreatedAt, UpdatedAt time.Time
	PausedAt             time.Time // zero: not paused
	PausedBy             string
	FailingSince         time.Time // zero: the last request succeeded
	Failures             int       // in a row
	RetryAt              time.Time // nothing is sent before
	SentAt, ErrorAt      time.Time // the last success and the last error; zero: none
	LastError            string
	Wanted, Swept        int64     // a look at everybody is due if Swept is behind Wanted
	SweptAt              time.Time // the last look at everybody; zero: none
}

// Paused reports whether nothing is sent.
func (t Target) Paused() bool { return !t.PausedAt.IsZero() }

const targetColumns = `client_id, settings, token, created_at, updated_at, paused_at, paused_by, failing_since,
	failures, retry_at, sent_at, error_at, last_error, wanted, swept, swept_at`

func scanTarget(row store.Row) (t Target, err error) {
	err = row.Scan(&t.ClientID, store.Document(&t.Settings), &t.Token, store.Instant(&t.CreatedAt),
		store.Instant(&t.UpdatedAt), store.Instant(&t.PausedAt), &t.PausedBy, store.Instant(&t.FailingSince), &t.Failures,
		store.Instant(&t.RetryAt), store.Instant(&t.SentAt), store.Instant(&t.ErrorAt), &t.LastError, &t.Wanted, &t.Swept,
		store.Instant(&t.SweptAt))
	return t, err
}

// Targets returns all applications, by client ID.
func (r *Records) Targets(ctx context.Context) ([]Target, error) {
	return store.List(ctx, r.db, "list provisioned applications", scanTarget,
		`SELECT `+targetColumns+` FROM provision_targets WHERE client_id > '' ORDER BY client_id`)
}

// Target returns an application; idp.ErrNotFound.
func (r *Records) Target(ctx context.Context, clientID string) (Target, error) {
	return store.One(ctx, r.db, "load provisioned application", scanTarget,
		`SELECT `+targetColumns+` FROM provision_targets WHERE client_id = $1`, clientID)
}

// Put adds an application, or replaces settings and token of the one that the caller has seen (was.UpdatedAt), and has
// everybody looked at. What another address has is forgotten. idp.ErrConflict if it was added or changed meanwhile;
// idp.ErrNotFound without the client.
func (r *Records) Put(ctx context.Context, was, t Target, ev ...idp.Event) error {
	var b store.Batch
	b.Hold(idp.ErrNotFound, "clients", "id = $1", t.ClientID)
	if was.ClientID == "" {
		b.Do(`INSERT INTO provision_targets (`+targetColumns+`, holder, held_until)
			VALUES ($1, $2, $3, $4, $4, 0, '', 0, 0, 0, 0, 0, '', 1, 0, 0, '', 0)`,
			t.ClientID, store.Text(t.Settings), t.Token, store.Millis(t.UpdatedAt))
		b.Events(ev)
		return r.db.RunBatch(ctx, "add provisioned application", &b)
	}
	hold(&b, idp.ErrConflict, "client_id = $1 AND updated_at = $2", t.ClientID,
		store.Millis(was.UpdatedAt))
	b.Do(`UPDATE provision_targets SET settings = $2, token = $3, updated_at = $4, wanted = wanted + 1, retry_at = 0,
		failures = 0, failing_since = 0 WHERE client_id = $1`,
		t.ClientID, store.Text(t.Settings), t.Token, store.Millis(t.UpdatedAt))
	if was.Settings.BaseURL != t.Settings.BaseURL {
		b.Do(`DELETE FROM provision_groups WHERE client_id = $1`, t.ClientID) // and their members
		b.Do(`DELETE FROM provision_users WHERE client_id = $1`, t.ClientID)
	}
	b.Events(ev)
	return r.db.RunBatch(ctx, "change provisioned application", &b)
}

// hold is Hold of a batch for the table of this package, which has no id.
func hold(b *store.Batch, unmet error, condition string, args ...any) {
	b.Do(`UPDATE provision_targets SET updated_at = updated_at WHERE `+condition, args...)
	b.Demand(unmet, `EXISTS (SELECT 1 FROM provision_targets WHERE `+condition+`)`, args...)
}

// Pause stops sending to an application; idp.ErrNotFound if it is paused already.
func (r *Records) Pause(ctx context.Context, clientID, by string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	hold(&b, idp.ErrNotFound, "client_id = $1 AND paused_at = 0", clientID)
	b.Do(`UPDATE provision_targets SET paused_at = $2, paused_by = $3 WHERE client_id = $1`, clientID,
		store.Millis(now), by)
	b.Events(ev)
	return r.db.RunBatch(ctx, "pause provisioning", &b)
}

// Resume ends a pause and has everybody looked at; idp.ErrNotFound if there is none.
func (r *Records) Resume(ctx context.Context, clientID string, ev ...idp.Event) error {
	var b store.Batch
	hold(&b, idp.ErrNotFound, "client_id = $1 AND paused_at > 0", clientID)
	b.Do(`UPDATE provision_targets SET paused_at = 0, paused_by = '', failures = 0, failing_since = 0, retry_at = 0,
		wanted = wanted + 1 WHERE client_id = $1`, clientID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "resume provisioning", &b)
}

// SendAll has everything sent anew, as if the application had lost it; idp.ErrNotFound.
func (r *Records) SendAll(ctx context.Context, clientID string, ev ...idp.Event) error {
	var b store.Batch
	hold(&b, idp.ErrNotFound, "client_id = $1", clientID)
	b.Do(`UPDATE provision_targets SET wanted = wanted + 1, retry_at = 0 WHERE client_id = $1`, clientID)
	b.Do(`UPDATE provision_users SET digest = '' WHERE client_id = $1`, clientID)
	b.Do(`UPDATE provision_groups SET name = '' WHERE client_id = $1`, clientID)
	b.Do(`UPDATE provision_outbox SET next_at = 0 WHERE client_id = $1`, clientID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "send everything", &b)
}

// Remove forgets an application; idp.ErrNotFound.
func (r *Records) Remove(ctx context.Context, clientID string, ev ...idp.Event) error {
	var b store.Batch
	hold(&b, idp.ErrNotFound, "client_id = $1", clientID)
	b.Do(`DELETE FROM provision_targets WHERE client_id = $1`, clientID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "remove provisioned application", &b)
}

// Take takes or renews the right to send to an application until ttl from now, and reports whether the holder has it.
func (r *Records) Take(ctx context.Context, clientID, holder string, now time.Time, ttl time.Duration) (bool, error) {
	found, err := r.changed(ctx, "take provisioned application", `UPDATE provision_targets
		SET holder = $2, held_until = $4 WHERE client_id = $1 AND paused_at = 0
		AND (holder = $2 OR held_until <= $3 OR held_until > $5) RETURNING client_id`,
		clientID, holder, store.Millis(now), store.Millis(now.Add(ttl)), store.Millis(now.Add(2*ttl)))
	return found, err
}

// Leave gives that right up.
func (r *Records) Leave(ctx context.Context, clientID, holder string) error {
	_, err := r.changed(ctx, "leave provisioned application", `UPDATE provision_targets SET holder = '', held_until = 0
		WHERE client_id = $1 AND holder = $2 RETURNING client_id`, clientID, holder)
	return err
}

func (r *Records) changed(ctx context.Context, step, sql string, args ...any) (bool, error) {
	var b store.Batch
	var found bool
	b.Read(func(rows store.Rows) error {
		for rows.Next() {
			found = true
		}
		return rows.Err()
	}, sql, args...)
	err := r.db.RunBatch(ctx, step, &b)
	return found && err == nil, err
}

// Succeeded notes that an application took something, Failed that it cannot be reached: nothing is sent before retryAt.
func (r *Records) Succeeded(ctx context.Context, clientID string, now time.Time) error {
	_, err := r.changed(ctx, "note success of provisioning", `UPDATE provision_targets SET sent_at = $2, failures = 0,
		failing_since = 0, retry_at = 0 WHERE client_id = $1 RETURNING client_id`, clientID, store.Millis(now))
	return err
}

// Failed is described at Succeeded.
func (r *Records) Failed(ctx context.Context, clientID, failure string, now, retryAt time.Time) error {
	_, err := r.changed(ctx, "note failure of provisioning", `UPDATE provision_targets SET last_error = $2, error_at = $3,
		failures = failures + 1, failing_since = CASE WHEN failing_since = 0 THEN $3 ELSE failing_since END, retry_at = $4
		WHERE client_id = $1 RETURNING client_id`, clientID, failure, store.Millis(now), store.Millis(retryAt))
	return err
}

// A State counts what an application has and what waits.
type State struct {
	Users, Gone, Groups int // there; of the users, disabled ones
	Waiting             int // users who may have to be sent
	Refused             int // of these, those whom the application has refused
	Error               string
}

// Most is the highest number that State counts to.
const Most = 100_000

// State returns the state of an application.
func (r *Records) State(ctx context.Context, clientID string) (State, error) {
	count := func(from string) string {
		return fmt.Sprintf(`(SELECT count(*) FROM (SELECT 1 FROM %s LIMIT $2) AS counted)`, from)
	}
	return store.One(ctx, r.db, "count provisioned users", func(row store.Row) (s State, err error) {
		return s, row.Scan(&s.Users, &s.Gone, &s.Groups, &s.Waiting, &s.Refused, &s.Error)
	}, `SELECT `+count(`provision_users WHERE client_id = $1`)+`,
		`+count(`provision_users WHERE client_id = $1 AND gone_at > 0`)+`,
		`+count(`provision_groups WHERE client_id = $1`)+`,
		`+count(`provision_outbox WHERE client_id = $1`)+`,
		`+count(`provision_outbox WHERE client_id = $1 AND last_error <> ''`)+`,
		COALESCE((SELECT last_error FROM provision_outbox WHERE client_id = $1 AND last_error <> ''
			ORDER BY next_at DESC LIMIT 1), '')`, clientID, Most)
}
