package movein

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// These tests are inside the package: a source and a move have no other callers than the commands.

// pocketSchema are the tables that an import reads, as Pocket ID 2.14.0 has them on SQLite after all its migrations.
// Other tables, indexes and constraints are left out.
const pocketSchema = `
CREATE TABLE users (id TEXT NOT NULL PRIMARY KEY, created_at DATETIME, updated_at DATETIME,
	username TEXT COLLATE NOCASE NOT NULL UNIQUE, email TEXT UNIQUE, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
	display_name TEXT NOT NULL, is_admin BOOLEAN DEFAULT FALSE NOT NULL, ldap_id TEXT UNIQUE, locale TEXT,
	disabled BOOLEAN DEFAULT FALSE NOT NULL, email_verified BOOLEAN NOT NULL DEFAULT FALSE);
CREATE TABLE user_groups (id TEXT NOT NULL PRIMARY KEY, created_at DATETIME, friendly_name TEXT NOT NULL,
	name TEXT NOT NULL UNIQUE, ldap_id TEXT, updated_at DATETIME);
CREATE TABLE user_groups_users (user_id TEXT NOT NULL REFERENCES users, user_group_id TEXT NOT NULL REFERENCES user_groups,
	PRIMARY KEY (user_id, user_group_id));
CREATE TABLE custom_claims (id TEXT NOT NULL PRIMARY KEY, created_at DATETIME, key TEXT NOT NULL, value TEXT NOT NULL,
	user_id TEXT REFERENCES users, user_group_id TEXT REFERENCES user_groups);
CREATE TABLE oidc_clients (id TEXT PRIMARY KEY, created_at DATETIME NOT NULL, name TEXT, callback_urls BLOB,
	image_type TEXT, created_by_id TEXT REFERENCES users, is_public BOOLEAN DEFAULT FALSE,
	pkce_enabled BOOLEAN DEFAULT FALSE, logout_callback_urls BLOB, credentials BLOB, launch_url TEXT,
	requires_reauthentication BOOLEAN NOT NULL DEFAULT FALSE, dark_image_type TEXT,
	is_group_restricted BOOLEAN NOT NULL DEFAULT FALSE,
	requires_pushed_authorization_requests BOOLEAN NOT NULL DEFAULT FALSE, skip_consent BOOLEAN NOT NULL DEFAULT FALSE,
	pkce_supported BOOLEAN NOT NULL DEFAULT FALSE, description TEXT NOT NULL DEFAULT '',
	client_type TEXT NOT NULL DEFAULT 'standard', metadata_expires_at DATETIME, metadata_grant_types BLOB,
	access_token_duration_minutes INTEGER NOT NULL DEFAULT 60, refresh_token_duration_minutes INTEGER NOT NULL DEFAULT 43200);
CREATE TABLE oidc_clients_allowed_user_groups (user_group_id TEXT NOT NULL REFERENCES user_groups,
	oidc_client_id TEXT NOT NULL REFERENCES oidc_clients, PRIMARY KEY (oidc_client_id, user_group_id));
CREATE TABLE user_authorized_oidc_clients (scope BLOB NOT NULL, user_id TEXT NOT NULL REFERENCES users,
	client_id TEXT NOT NULL REFERENCES oidc_clients, last_used_at DATETIME NOT NULL, PRIMARY KEY (user_id, client_id));
CREATE TABLE webauthn_credentials (id TEXT PRIMARY KEY, created_at DATETIME NOT NULL, name TEXT NOT NULL,
	credential_id BLOB NOT NULL UNIQUE, public_key BLOB NOT NULL, attestation_type TEXT NOT NULL, transport BLOB NOT NULL,
	user_id TEXT REFERENCES users, backup_eligible BOOLEAN DEFAULT FALSE NOT NULL,
	backup_state BOOLEAN DEFAULT FALSE NOT NULL);
CREATE TABLE kv ("key" TEXT NOT NULL PRIMARY KEY, "value" TEXT);
`

// pocketOnPostgres spells the types as the migrations for Postgres do.
var pocketOnPostgres = strings.NewReplacer("DATETIME", "TIMESTAMPTZ", "username TEXT COLLATE NOCASE", "username VARCHAR",
	"id TEXT NOT NULL PRIMARY KEY, created_at", "id UUID NOT NULL PRIMARY KEY, created_at",
	"user_id TEXT", "user_id UUID", "user_group_id TEXT", "user_group_id UUID", "created_by_id TEXT", "created_by_id UUID",
	"id TEXT PRIMARY KEY, created_at DATETIME NOT NULL, name TEXT NOT NULL", "id UUID PRIMARY KEY, created_at TIMESTAMPTZ NOT NULL, name TEXT NOT NULL",
	"credential_id BLOB", "credential_id BYTEA", "public_key BLOB", "public_key BYTEA", "BLOB", "JSONB")

// pocket is a database of Pocket ID.
type pocket struct {
	t     *testing.T
	db    *sql.DB
	place string
	pg    bool
	n     int
}

func newPocket(t *testing.T) *pocket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pocket-id.db")
	return openPocket(t, &pocket{t: t, place: path}, "sqlite", path, pocketSchema)
}

func newPocketOnPostgres(t *testing.T) *pocket {
	t.Helper()
	url := storetest.PostgresURL(t)
	return openPocket(t, &pocket{t: t, place: url, pg: true}, "pgx", url, pocketOnPostgres.Replace(pocketSchema))
}

func openPocket(t *testing.T, p *pocket, driver, place, schema string) *pocket {
	t.Helper()
	var err error
	if p.db, err = sql.Open(driver, place); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.db.Close() })
	for statement := range strings.SplitSeq(schema, ";\n") {
		p.do(statement)
	}
	return p
}

func (p *pocket) do(statement string, args ...any) {
	p.t.Helper()
	for i, arg := range args {
		if at, ok := arg.(time.Time); ok && !p.pg { // types.DateTime
			args[i] = at.Unix()
		}
	}
	if _, err := p.db.Exec(statement, args...); err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
}

// id returns a UUID that says which one it is.
func (p *pocket) id() string {
	p.n++
	return "10000000-0000-4000-8000-" + hex.EncodeToString([]byte{0, 0, 0, 0, byte(p.n >> 8), byte(p.n)})
}

var moment = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

func (p *pocket) user(username string, email any) (id string) {
	id = p.id()
	p.do(`INSERT INTO users (id, created_at, username, email, first_name, last_name, display_name, email_verified, locale)
		VALUES ($1, $2, $3, $4, 'Ada', 'Lovelace', 'Ada Lovelace', true, 'en-GB')`, id, moment, username, email)
	return id
}

func (p *pocket) passkey(userID string, credentialID, public []byte) {
	p.do(`INSERT INTO webauthn_credentials (id, created_at, name, credential_id, public_key, attestation_type, transport,
		user_id, backup_eligible, backup_state) VALUES ($1, $2, 'iCloud Keychain', $3, $4, 'none', $5, $6, true, true)`,
		p.id(), moment, credentialID, public, []byte(`["hybrid","internal","teleport"]`), userID)
}

func (p *pocket) group(name string, members ...string) (id string) {
	id = p.id()
	p.do(`INSERT INTO user_groups (id, created_at, friendly_name, name) VALUES ($1, $2, $3, $4)`, id, moment,
		"All of "+name, name)
	for _, m := range members {
		p.do(`INSERT INTO user_groups_users (user_id, user_group_id) VALUES ($1, $2)`, m, id)
	}
	return id
}

func (p *pocket) client(id string, callbacks string, secrets string) {
	p.do(`INSERT INTO oidc_clients (id, created_at, name, callback_urls, logout_callback_urls, credentials, pkce_enabled)
		VALUES ($1, $2, $3, $4, '[]', $5, true)`, id, moment, "App "+id, []byte(callbacks), []byte(secrets))
}

func (p *pocket) open() *pocketID {
	p.t.Helper()
	src, err := openPocketID(p.t.Context(), p.place)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { src.db.Close() })
	return src
}

// sha is a secret as Pocket ID keeps it.
func sha(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return `{"secrets":[{"id":"1","alg":"sha256","hash":"` + hex.EncodeToString(sum[:]) +
		`","prefix":"abcd","createdAt":"2025-03-04T05:06:07Z"}]}`
}

// newKey returns a credential ID, and a public key in COSE form.
func newKey(t *testing.T) (id, public []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := passkeytest.Passkey{Algorithm: passkeytest.ES256, Key: private}
	if public, err = k.COSE(); err != nil {
		t.Fatal(err)
	}
	id = make([]byte, 20)
	_, _ = rand.Read(id) // never fails
	return id, public
}
