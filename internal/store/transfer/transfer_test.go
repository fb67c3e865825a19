// These tests are inside the package: they compare databases as a copy does, and go through the list of revocations.
package transfer

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/store/storetest"
)

// folder returns a data folder with a migrated store that has rows in it.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db := openStore(t, dir)
	now := time.Now()
	for _, name := range []string{"ada", "bob"} {
		u := idp.NewUser(name+"@example.com", "Z\u00e9\u4e16 "+name, now)
		must(t, db.CreateUser(t.Context(), u, idp.NewEvent(idp.EventUserCreated, u.ID, now)))
		for i := range byte(3) {
			must(t, db.AddPasskey(t.Context(), idp.Passkey{
				ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(name + string(i)), PublicKey: []byte{0, 255, i}, Name: "Key", CreatedAt: now,
			}))
		}
	}
	must(t, db.PutClient(t.Context(), idp.Client{ID: "app", CreatedAt: now, UpdatedAt: now}))
	must(t, db.Close())
	return dir
}

func openStore(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Shared: true})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Migrate(t.Context()))
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raw opens the file of a store, to change it by SQL.
func raw(t *testing.T, path string, statements ...string) *sql.DB {
	t.Helper()
	db, err := open(path, "rw", "_pragma=foreign_keys(1)")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

func TestACopyIntoPostgresAndBackIsTheSame(t *testing.T) {
	dir, url, back := folder(t), storetest.PostgresURL(t), t.TempDir()
	sums := func(from, to string) []Copied {
		source, err := OpenPlace(t.Context(), from)
		must(t, err)
		defer source.Close()
		target, err := OpenPlace(t.Context(), to)
		must(t, err)
		defer target.Close()
		must(t, target.DB.Migrate(t.Context()))
		var seen int64
		copied, err := Copy(t.Context(), source, target, func(_ string, done, total int64) {
			seen = max(seen, done)
			if done > total {
				t.Errorf("%d of %d rows", done, total)
			}
		})
		must(t, err)
		if seen != 6 {
			t.Errorf("progress went to %d", seen)
		}
		if _, err := Copy(t.Context(), source, target, func(string, int64, int64) {}); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a second copy into the same target: %v", err)
		}
		return copied
	}
	there := sums(dir, url)
	again := sums(url, back)
	if diff := cmp.Diff(there, again); diff != "" {
		t.Error(diff)
	}
	db := openStore(t, back)
	u, err := db.UserByEmail(t.Context(), "ada@example.com")
	must(t, err)
	keys, err := db.PasskeysOf(t.Context(), u.ID)
	if must(t, err); u.Name != "Z\u00e9\u4e16 ada" || len(keys) != 3 || !bytes.Equal(keys[2].PublicKey, []byte{0, 255, 2}) {
		t.Errorf("%+v %v", u, keys)
	}
}

// What is NULL in Postgres is the usual value in a folder.
func TestACopyOutOfPostgresSaysTheUsualValues(t *testing.T) {
	url, dir, now := storetest.PostgresURL(t), t.TempDir(), time.Now().Truncate(time.Millisecond).UTC()
	source, err := OpenPlace(t.Context(), url)
	must(t, err)
	defer source.Close()
	target, err := OpenPlace(t.Context(), dir)
	must(t, err)
	defer target.Close()
	must(t, source.DB.Migrate(t.Context()))
	must(t, target.DB.Migrate(t.Context()))
	u := idp.NewUser("ada@example.com", "Ada", now)
	k := idp.Passkey{
		ID: idp.NewID(), UserID: u.ID, CredentialID: []byte("c"), PublicKey: []byte("k"), Flags: 29, UVInitialized: true, AAGUID: []byte{1},
		AttestationType: "none", AttestationFormat: "none", Transports: []string{"hybrid", "internal"}, Attachment: "platform",
		Extensions: []byte(`{"rk":true}`), Name: "Key", CreatedAt: now, CreatedAgent: "Safari on iPad", LastUsedAt: now, LastAgent: "Safari on iPad",
	}
	must(t, source.DB.EnrolUser(t.Context(), u, k))
	_, err = source.DB.RecordAuthentication(t.Context(), k, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: now}, "")
	must(t, err)
	nulls, err := store.List(t.Context(), source.DB, "count", func(row store.Row) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT COUNT(*) FROM passkeys WHERE sign_count IS NULL AND transports IS NULL AND last_agent IS NULL AND uv_initialized IS NULL`)
	if must(t, err); nulls[0] != 1 {
		t.Fatal("Postgres has no NULL")
	}
	_, err = Copy(t.Context(), source, target, func(string, int64, int64) {})
	must(t, err)
	keys, err := target.DB.PasskeysOf(t.Context(), u.ID)
	must(t, err)
	if diff := cmp.Diff([]idp.Passkey{k}, keys); diff != "" {
		t.Error(diff)
	}
}

// alters is a side that loses or changes something on the way.
type alters struct {
	side
	change func(row []any) []any
}

func (a alters) fill(ctx context.Context, t table, next func() ([]any, error)) error {
	return a.side.fill(ctx, t, func() ([]any, error) {
		row, err := next()
		for row != nil && err == nil && t.name == "passkeys" {
			if changed := a.change(row); changed != nil {
				return changed, nil
			}
			row, err = next()
		}
		return row, err
	})
}

func TestATargetThatDiffersIsNotCommitted(t *testing.T) {
	lost := false
	for name, change := range map[string]func([]any) []any{
		"a row is lost":     func(row []any) []any { was := lost; lost = true; return map[bool][]any{true: row}[was] },
		"a byte is changed": func(row []any) []any { row = append([]any{}, row...); row[indexOfBytes(row)] = []byte{7}; return row },
	} {
		source, err := OpenPlace(t.Context(), folder(t))
		must(t, err)
		defer source.Close()
		target, err := OpenPlace(t.Context(), t.TempDir())
		must(t, err)
		defer target.Close()
		must(t, target.DB.Migrate(t.Context()))
		err = source.within(t.Context(), true, func(from side) error {
			return target.within(t.Context(), false, func(to side) error {
				_, err := copyTables(t.Context(), from, alters{to, change}, func(string, int64, int64) {})
				return err
			})
		})
		if err == nil || !strings.Contains(err.Error(), "arrived") {
			t.Errorf("%s: %v", name, err)
		}
		if users, err := target.DB.Users(t.Context(), "", 10); err != nil || len(users) != 0 {
			t.Errorf("%s: %d users arrived, %v", name, len(users), err)
		}
	}
}

func indexOfBytes(row []any) int {
	for i, v := range row {
		if b, ok := v.([]byte); ok && len(b) == 3 {
			return i
		}
	}
	panic("no bytes")
}

func TestABackupIsReadBack(t *testing.T) {
	dir := folder(t)
	file := filepath.Join(t.TempDir(), "stepward.backup")
	live := openStore(t, dir) // a server holds it
	r, err := Backup(t.Context(), dir, file, false, time.UnixMilli(1_800_000_000_123))
	must(t, err)
	if r.Rows["users"] != 2 || r.Rows["passkeys"] != 6 || r.Rows["journal"] != 2 || r.Schema == 0 || r.Size == 0 ||
		!r.MadeAt.Equal(time.UnixMilli(1_800_000_000_123)) {
		t.Errorf("%+v", r)
	}
	info, err := os.Stat(file)
	if must(t, err); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := Backup(t.Context(), dir, file, false, time.Now()); !errors.Is(err, ErrExists) {
		t.Errorf("overwritten: %v", err)
	}
	must(t, live.PutClient(t.Context(), idp.Client{ID: "late", CreatedAt: time.Now(), UpdatedAt: time.Now()}))
	if r, err = Backup(t.Context(), dir, file, true, time.Now()); err != nil || r.Rows["clients"] != 2 {
		t.Errorf("replaced: %+v %v", r, err)
	}
	if rest, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}

func TestADamagedOrForeignFileIsRefused(t *testing.T) {
	dir := folder(t)
	file := filepath.Join(t.TempDir(), "stepward.backup")
	_, err := Backup(t.Context(), dir, file, false, time.Now())
	must(t, err)
	content, err := os.ReadFile(file)
	must(t, err)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"not SQLite": {func([]byte) []byte { return []byte("age-encryption.org/v1\n and more of it") }, ErrNoBackup},
		"empty":      {func([]byte) []byte { return nil }, ErrNoBackup},
		"cut":        {func(b []byte) []byte { return b[:len(b)/2] }, ErrDamaged},
		"scribbled": {func(b []byte) []byte {
			for at := 8192; at+4096 <= len(b); at += 4096 {
				copy(b[at:], bytes.Repeat([]byte{0xaa}, 64))
			}
			return b
		}, ErrDamaged},
	} {
		must(t, os.WriteFile(file, c.change(bytes.Clone(content)), 0o600))
		if _, err := Inspect(t.Context(), file); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	must(t, os.WriteFile(file, content, 0o600))
	raw(t, file, "PRAGMA foreign_keys = 0", "DELETE FROM users WHERE email LIKE 'ada%'")
	if _, err := Inspect(t.Context(), file); !errors.Is(err, ErrDamaged) {
		t.Errorf("passkeys without a user: %v", err)
	}
	must(t, os.Remove(file))
	db, err := sql.Open("sqlite", file)
	must(t, err)
	_, err = db.Exec("CREATE TABLE other (x)")
	must(t, errors.Join(err, db.Close()))
	if _, err := Inspect(t.Context(), file); !errors.Is(err, ErrNoBackup) {
		t.Errorf("another program's database: %v", err)
	}
}

// Two of everything that can be revoked; one of each is revoked after the backup.
var twoOfEach = []string{
	`INSERT INTO users (id, handle, email, email_verified, name, role, profile, created_at, updated_at, disabled_at) VALUES
		('u1', x'01', 'u1@x', 1, '', 'owner', '{}', 1, 1, 0), ('u2', x'02', 'u2@x', 1, '', 'owner', '{}', 1, 1, 0),
		('u3', x'03', 'u3@x', 1, '', '', '{}', 1, 1, 0), ('u4', x'04', 'u4@x', 1, '', 'auditor', '{}', 1, 1, 0)`,
	`INSERT INTO passkeys (id, user_id, credential_id, public_key, flags, sign_count, uv_initialized, counter_regressed_at, aaguid, attestation_type,
		attestation_format, attestation, attestation_verified_at, key_protection, transports, attachment, extensions, name, created_at, created_agent,
		last_used_at, last_agent, suspended_at, strong_from) SELECT 'k' || n.i, 'u1', CAST('c' || n.i AS BLOB), x'', 0, 5, 0, 0, x'', '', '', '', 0, '', '', '', '', '', 1, '', 0, '', 0, 0
		FROM (SELECT 1 AS i UNION SELECT 2 UNION SELECT 3) n`,
	`INSERT INTO recovery_codes (hash, user_id, key_id, created_at) VALUES ('r1', 'u1', '', 1), ('r2', 'u1', '', 1)`,
	`INSERT INTO clients (id, metadata, secrets, created_at, updated_at, disabled_at, registration_hash, used_at) VALUES
		('c1', '{}', 'old', 1, 1, 0, '', 0), ('c2', '{}', '', 1, 1, 0, '', 0), ('c3', '{}', '', 1, 1, 0, '', 0)`,
	`INSERT INTO grants (id, user_id, client_id, created_at, updated_at) VALUES ('g1', 'u1', 'c1', 1, 1), ('g2', 'u2', 'c1', 1, 1)`,
	`INSERT INTO grant_scopes (grant_id, scope) VALUES ('g1', 'openid'), ('g1', 'payments'), ('g2', 'openid')`,
	`INSERT INTO user_groups (id, name, name_key, description, created_at, updated_at) VALUES
		('p1', 'p1', 'p1', '', 1, 1), ('p2', 'p2', 'p2', '', 1, 1), ('p3', 'p3', 'p3', '', 1, 1)`,
	`INSERT INTO group_members (user_id, group_id, added_at) VALUES ('u1', 'p1', 1), ('u2', 'p1', 1)`,
	`INSERT INTO group_nesting (child_id, parent_id) VALUES ('p1', 'p2')`,
	`INSERT INTO group_paths (group_id, within_id) VALUES ('p1', 'p1'), ('p1', 'p2'), ('p2', 'p2')`,
	`INSERT INTO claims (name, type, scope, description, seen_by, edited_by, created_at, updated_at) VALUES
		('floor', 'string', 'profile', '', '', '', 1, 1), ('desk', 'string', 'profile', '', '', '', 1, 1)`,
	`INSERT INTO user_claims (user_id, name, value) VALUES ('u1', 'floor', '1'), ('u2', 'floor', '2')`,
	`INSERT INTO signing_keys (id, algorithm, state, sealed, created_at, active_at, retired_at, expires_at) VALUES
		('s1', 'ES256', 'active', x'', 1, 1, 0, 0), ('s2', 'RS256', 'active', x'', 1, 1, 0, 0)`,
	`INSERT INTO addresses (id, user_id, email, added_at) VALUES ('m1', 'u1', 'm1@x', 1), ('m2', 'u1', 'm2@x', 1)`,
	`INSERT INTO address_changes (id, user_id, email, link, changed_at) VALUES ('h1', 'u1', 'h1@x', 'l1', 1)`,
	`INSERT INTO journal (at, flags, id, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id, detail, interaction, classes) SELECT 6, 0, CAST('erased' AS BLOB), 'user.created', CAST('u3' AS BLOB), x'', x'', x'', x'', '', '', '', '', '', ''`,
	`INSERT INTO families (id, client_id, user_id, session_id, scopes, audience, resources, details, assurance, authentication_id,
		claims, confirmation, offline, handle_hash, current_hash, previous_hash, rotated_at, created_at, expires_at, revoked_at) VALUES
		('f1', 'c1', 'u1', 's', '', '', '', '', '', '', '', '', 1, 'h1', 'old', '', 0, 1, 9e15, 0),
		('f2', 'c1', 'u1', 's', '', '', '', '', '', '', '', '', 1, 'h2', 'old', '', 0, 1, 9e15, 0)`,
}

var sinceRevoked = []string{
	`DELETE FROM users WHERE id = 'u3'`, // erased
	`UPDATE journal SET user_id = CAST('pseudonym' AS BLOB) WHERE id = CAST('erased' AS BLOB)`,
	`INSERT INTO erasures (user_id, pseudonym, erased_at) VALUES ('u3', 'pseudonym', 7)`,
	`INSERT INTO deletions (user_id, asked_at) VALUES ('u2', 7), ('u1', 7)`,
	`DELETE FROM addresses WHERE id = 'm1'`,
	`UPDATE address_changes SET undone_at = 7`,
	`UPDATE users SET disabled_at = 7, role = 'admin', recovered_at = 7 WHERE id = 'u2'`,
	`UPDATE users SET role = 'owner' WHERE id = 'u4'`, // raised: the backup's stays
	`DELETE FROM passkeys WHERE id = 'k1'`,
	`UPDATE passkeys SET suspended_at = 7, sign_count = 9 WHERE id = 'k2'`,
	`DELETE FROM recovery_codes WHERE hash = 'r1'`,
	`DELETE FROM clients WHERE id = 'c3'`,
	`UPDATE clients SET disabled_at = 7 WHERE id = 'c2'`,
	`UPDATE clients SET secrets = 'new' WHERE id = 'c1'`,
	`DELETE FROM grants WHERE id = 'g2'`,
	`DELETE FROM grant_scopes WHERE scope = 'payments'`,
	`DELETE FROM user_groups WHERE id = 'p3'`,
	`DELETE FROM group_members WHERE user_id = 'u2'`,
	`DELETE FROM group_nesting`,
	`DELETE FROM group_paths WHERE group_id <> within_id`,
	`DELETE FROM claims WHERE name = 'desk'`,
	`DELETE FROM user_claims WHERE user_id = 'u2'`,
	`UPDATE signing_keys SET state = 'retired', retired_at = 7, expires_at = 7 WHERE id = 's2'`,
	`UPDATE families SET revoked_at = 7 WHERE id = 'f2'`,
	`UPDATE families SET current_hash = 'new', previous_hash = 'old', rotated_at = 7 WHERE id = 'f1'`,
	`INSERT INTO closed_windows (authentication_id, user_id, classes, closed_at) VALUES ('a1', 'u1', 'payments', 7)`,
	`INSERT INTO ended (id, at) VALUES ('s9', 7)`,
	`INSERT INTO journal (at, flags, id, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id, detail, interaction, classes) SELECT 7, 0, CAST('late' AS BLOB), 'user.removed', x'', x'', x'', x'', x'', '', '', '', '', '', ''`,
}

func TestWhatWasRevokedSinceABackupStaysRevoked(t *testing.T) {
	dir := folder(t)
	current := filepath.Join(dir, FileName)
	raw(t, current, twoOfEach...)
	file := filepath.Join(t.TempDir(), "backup")
	_, err := Backup(t.Context(), dir, file, false, time.Now())
	must(t, err)
	raw(t, current, sinceRevoked...)
	carried, err := CarryRevocations(t.Context(), file, current)
	must(t, err)
	var want []Carried
	for _, r := range revocations {
		if r.what != "" {
			want = append(want, Carried{r.what, 1})
		}
	}
	if diff := cmp.Diff(want, carried); diff != "" {
		t.Error(diff)
	}
	db := raw(t, file)
	for query, want := range map[string]string{
		`SELECT group_concat(id || role || disabled_at, ' ') FROM (SELECT * FROM users WHERE id LIKE 'u_' ORDER BY id)`:                       "u1owner0 u2admin7 u4auditor0",
		`SELECT group_concat(id || suspended_at || sign_count, ' ') FROM (SELECT * FROM passkeys WHERE id LIKE 'k_' ORDER BY id)`:             "k279 k305",
		`SELECT group_concat(id || secrets || disabled_at, ' ') FROM (SELECT * FROM clients WHERE id LIKE 'c_' ORDER BY id)`:                  "c1new0 c27",
		`SELECT group_concat(id || current_hash || previous_hash || rotated_at || revoked_at, ' ') FROM (SELECT * FROM families ORDER BY id)`: "f1newold70 f2old07",
		`SELECT count(*) FROM group_paths`:                 "2",
		`SELECT group_concat(classes) FROM closed_windows`: "payments",
		`SELECT group_concat(id) FROM ended`:               "s9",
		`SELECT count(*) FROM erasures`:                    "1", `SELECT count(*) FROM deletions`: "2", `SELECT undone_at FROM address_changes`: "7",
		`SELECT CAST(user_id AS TEXT) FROM journal WHERE id = CAST('erased' AS BLOB)`: "pseudonym",
		`SELECT recovered_at FROM users WHERE id = 'u2'`:                              "7",
		`SELECT count(*) FROM journal WHERE id = CAST('late' AS BLOB)`:                "1",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, want %q, %v", query, got, want, err)
		}
	}
}

func TestARestoredStoreEndsWhatMayHaveBeenUsed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now()
		u := idp.NewUser("ada@example.com", "Ada", now)
		must(t, db.CreateUser(t.Context(), u))
		must(t, db.PutClient(t.Context(), idp.Client{ID: "app", CreatedAt: now, UpdatedAt: now}))
		link, token := idp.NewSecret(), idp.NewSecret()
		must(t, db.PutLink(t.Context(), idp.Link{Hash: link.Hash(), Kind: "invite", UserID: u.ID, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}))
		must(t, registrations.PutToken(t.Context(), db, token.Hash(), 1, now, now.Add(time.Hour)))
		f := idp.Family{
			ID: "f", ClientID: "app", UserID: u.ID, Offline: true, HandleHash: "h", CurrentHash: "c", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Assurance: idp.Assurance{AuthenticationID: "a"},
		}
		_, _, err := db.CreateFamily(t.Context(), f, nil)
		must(t, err)
		for _, keep := range []bool{true, false} {
			ended, err := EndRestored(t.Context(), db, keep, now, idp.NewEvent(idp.EventRestored, "", now))
			must(t, err)
			_, _, err = db.FamilyWithUser(t.Context(), "f")
			if keep && (err != nil || ended != 0) || !keep && (!errors.Is(err, idp.ErrNotFound) || ended != 1) {
				t.Errorf("keep %v: %d ended, %v", keep, ended, err)
			}
		}
		if _, err := db.PeekLink(t.Context(), link.Hash(), "invite", now); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("the link works: %v", err)
		}
		for _, name := range []string{"links", "registration_tokens", "mail"} {
			n, err := store.One(t.Context(), db, "count", func(row store.Row) (n int64, err error) { err = row.Scan(&n); return n, err },
				"SELECT COUNT(*) FROM "+name)
			if err != nil || n != 0 {
				t.Errorf("%s: %d %v", name, n, err)
			}
		}
	})
}
