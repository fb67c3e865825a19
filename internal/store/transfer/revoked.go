package transfer

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// A Carried is a kind of thing that was revoked since the backup, and how many of them were revoked again.
type Carried struct {
	What string
	N    int64
}

// rank orders roles as directory.Role.Above does.
const rank = `(CASE %s.role WHEN 'owner' THEN 3 WHEN 'admin' THEN 2 WHEN '' THEN 0 ELSE 1 END)`

// revocations take back from main, the restored store, what cur, the store that it replaces, no longer allows. What
// was added since the backup is lost; what was taken away stays away.
var revocations = []struct{ what, sql string }{
	{"users removed", `DELETE FROM users WHERE id NOT IN (SELECT id FROM cur.users)`},
	{"users disabled", `UPDATE users SET disabled_at = c.disabled_at FROM cur.users c
		WHERE c.id = users.id AND users.disabled_at = 0 AND c.disabled_at > 0`},
	{"roles lowered", `UPDATE users SET role = c.role FROM cur.users c WHERE c.id = users.id AND c.role <> users.role
		AND ` + fmt.Sprintf(rank, "c") + ` <= ` + fmt.Sprintf(rank, "users")},
	{"", `UPDATE users SET recovered_at = c.recovered_at FROM cur.users c
		WHERE c.id = users.id AND c.recovered_at > users.recovered_at`},
	{"passkeys removed", `DELETE FROM passkeys WHERE id NOT IN (SELECT id FROM cur.passkeys)`},
	{"passkeys put on hold", `UPDATE passkeys SET suspended_at = c.suspended_at FROM cur.passkeys c
		WHERE c.id = passkeys.id AND passkeys.suspended_at = 0 AND c.suspended_at > 0`},
	{"", `UPDATE passkeys SET strong_from = max(c.strong_from, passkeys.strong_from),
		sign_count = max(c.sign_count, passkeys.sign_count) FROM cur.passkeys c WHERE c.id = passkeys.id`},
	{"recovery codes used or replaced", `DELETE FROM recovery_codes
		WHERE hash NOT IN (SELECT hash FROM cur.recovery_codes)`},
	{"clients removed", `DELETE FROM clients WHERE id NOT IN (SELECT id FROM cur.clients)`},
	{"clients disabled", `UPDATE clients SET disabled_at = c.disabled_at FROM cur.clients c
		WHERE c.id = clients.id AND clients.disabled_at = 0 AND c.disabled_at > 0`},
	{"client secrets changed", `UPDATE clients SET secrets = c.secrets, registration_hash = c.registration_hash
		FROM cur.clients c WHERE c.id = clients.id
		AND (c.secrets <> clients.secrets OR c.registration_hash <> clients.registration_hash)`},
	{"grants removed", `DELETE FROM grants WHERE id NOT IN (SELECT id FROM cur.grants)`},
	{"scopes of grants removed", `DELETE FROM grant_scopes WHERE (grant_id, scope) NOT IN
		(SELECT grant_id, scope FROM cur.grant_scopes)`},
	{"groups removed", `DELETE FROM user_groups WHERE id NOT IN (SELECT id FROM cur.user_groups)`},
	{"memberships ended", `DELETE FROM group_members WHERE (user_id, group_id) NOT IN
		(SELECT user_id, group_id FROM cur.group_members)`},
	{"groups taken out of groups", `DELETE FROM group_nesting WHERE (child_id, parent_id) NOT IN
		(SELECT child_id, parent_id FROM cur.group_nesting)`},
	{"", `DELETE FROM group_paths WHERE (group_id, within_id) NOT IN (SELECT group_id, within_id FROM cur.group_paths)`},
	{"claims removed", `DELETE FROM claims WHERE name NOT IN (SELECT name FROM cur.claims)`},
	{"claim values removed", `DELETE FROM user_claims
		WHERE (user_id, name) NOT IN (SELECT user_id, name FROM cur.user_claims)`},
	{"", `DELETE FROM group_claims WHERE (group_id, name) NOT IN (SELECT group_id, name FROM cur.group_claims)`},
	{"addresses removed", `DELETE FROM addresses WHERE id NOT IN (SELECT id FROM cur.addresses)`},
	{"", `UPDATE address_changes SET undone_at = c.undone_at FROM cur.address_changes c
		WHERE c.id = address_changes.id AND c.undone_at > address_changes.undone_at`},
	{"", `INSERT INTO deletions (user_id, asked_at, reminded_at) SELECT user_id, asked_at, reminded_at FROM cur.deletions
		WHERE user_id IN (SELECT id FROM main.users) ON CONFLICT (user_id) DO NOTHING`},
	{"", `INSERT INTO erasures (user_id, pseudonym, erased_at) SELECT user_id, pseudonym, erased_at FROM cur.erasures
		WHERE true ON CONFLICT (user_id) DO NOTHING`},
	{"signing keys withdrawn", `DELETE FROM signing_keys WHERE id NOT IN
		(SELECT id FROM cur.signing_keys WHERE state <> 'retired' OR expires_at > retired_at)`}, // see keys.Ring.Withdraw
	{"", `INSERT INTO closed_windows (authentication_id, user_id, classes, closed_at)
		SELECT authentication_id, user_id, classes, closed_at FROM cur.closed_windows
		WHERE user_id IN (SELECT id FROM main.users)
		ON CONFLICT (authentication_id, user_id) DO UPDATE SET classes = excluded.classes, closed_at = excluded.closed_at`},
	{"", `INSERT INTO ended (id, at) SELECT id, at FROM cur.ended WHERE true ON CONFLICT (id) DO NOTHING`},
	// With --keep-sessions: families that go on do so with the token that their client has now.
	{"families ended", `UPDATE families SET revoked_at = max(1, coalesce((SELECT max(c.revoked_at) FROM cur.families c
		WHERE c.id = families.id), 1))
		WHERE revoked_at = 0 AND id NOT IN (SELECT id FROM cur.families WHERE revoked_at = 0)`},
	{"", `UPDATE families SET current_hash = c.current_hash, previous_hash = c.previous_hash, rotated_at = c.rotated_at
		FROM cur.families c WHERE c.id = families.id`},
}

// CarryRevocations takes from the store in file, which nothing else uses, whatever the store in current no longer has
// or allows, and adds current's events: history is not undone. It changes all or nothing, and nothing in current.
func CarryRevocations(ctx context.Context, file, current string) (carried []Carried, err error) {
	db, err := open(file, "rw", "_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	other, err := filepath.Abs(current)
	if err != nil {
		return nil, err
	}
	name := (&url.URL{Scheme: "file", Path: filepath.ToSlash(other), RawQuery: "mode=ro"}).String()
	if _, err := db.ExecContext(ctx, `ATTACH $1 AS cur`, name); err != nil {
		return nil, fmt.Errorf("open %s: %w", current, err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	for _, r := range revocations {
		if known, err := inCurrent(ctx, tx, r.sql); err != nil {
			return nil, err
		} else if !known {
			continue
		}
		result, err := tx.ExecContext(ctx, r.sql)
		if err != nil {
			return nil, fmt.Errorf("carry over what was revoked: %w", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if r.what != "" && n > 0 {
			carried = append(carried, Carried{r.what, n})
		}
	}
	for _, name := range []string{"journal", "events"} {
		if err := addEvents(ctx, tx, name); err != nil {
			return nil, fmt.Errorf("carry over events: %w", err)
		}
	}
	return carried, tx.Commit()
}

var ofCurrent = regexp.MustCompile(`cur\.([a-z_]+)`)

// inCurrent reports whether the store that is replaced has the table that a statement reads. One of an older version
// may not, and then nothing in it was revoked.
func inCurrent(ctx context.Context, tx *sql.Tx, text string) (known bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM cur.sqlite_schema WHERE type = 'table' AND name = $1)`,
		ofCurrent.FindStringSubmatch(text)[1]).Scan(&known)
	return known, err
}

// addEvents takes over the events: those that the restored store does not have, and those that were changed since,
// because their user was erased.
func addEvents(ctx context.Context, tx *sql.Tx, name string) error {
	tables, err := sqlite{tx}.tables(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(tables, func(t table) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	columns, err := sharedColumns(ctx, tx, tables[i])
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`INSERT OR REPLACE INTO %[1]s (%[2]s) SELECT %[2]s FROM cur.%[1]s`,
		name, columns))
	return err
}

// sharedColumns lists the columns of a table that the store that is replaced has, too.
func sharedColumns(ctx context.Context, tx *sql.Tx, t table) (string, error) {
	there := map[string]bool{}
	var name string
	err := sqlite{tx}.each(ctx, `SELECT name FROM pragma_table_info('`+t.name+`', 'cur')`,
		func() error { there[name] = true; return nil }, &name)
	t.columns = slices.DeleteFunc(slices.Clone(t.columns), func(c column) bool { return !there[c.name] })
	return t.list(), err
}

// EndRestored ends what a restored store must not bring back, whatever was revoked since the backup: links and
// registration tokens, which may have been used since; recoveries that wait, which may have been stopped; e-mails,
// which were sent. Unless sessions are kept, it also ends all families of tokens. It returns how many families it
// ended.
func EndRestored(ctx context.Context, db *store.DB, keepSessions bool, now time.Time, ev idp.Event) (int64, error) {
	families, err := store.One(ctx, db, "count families", func(row store.Row) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT COUNT(*) FROM families WHERE revoked_at = 0 AND expires_at > $1`, store.Millis(now))
	if err != nil {
		return 0, err
	}
	var b store.Batch
	if keepSessions {
		families = 0
	} else {
		b.Do(`UPDATE families SET revoked_at = $1 WHERE revoked_at = 0`, store.Millis(now))
	}
	b.Do(`DELETE FROM links`)
	b.Do(`DELETE FROM registration_tokens`)
	b.Do(`DELETE FROM mail`)
	b.Do(`UPDATE users SET recovery_ready_at = 0, recovery_stop = '' WHERE recovery_ready_at > 0 OR recovery_stop <> ''`)
	b.Do(`DELETE FROM installation WHERE name = $1`, madeAt)
	b.Events([]idp.Event{ev})
	return families, db.RunBatch(ctx, "end what was restored", &b)
}
