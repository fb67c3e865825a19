package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// The parts of Pocket ID 2.14.0's tables that a person with a passkey and a client need. internal/movein tests the rest.
const pocketTables = `
CREATE TABLE users (id TEXT PRIMARY KEY, created_at DATETIME, username TEXT, email TEXT, first_name TEXT, last_name TEXT,
	display_name TEXT, email_verified BOOLEAN, disabled BOOLEAN);
CREATE TABLE user_groups (id TEXT PRIMARY KEY, friendly_name TEXT, name TEXT);
CREATE TABLE user_groups_users (user_id TEXT, user_group_id TEXT);
CREATE TABLE custom_claims (key TEXT, value TEXT, user_id TEXT, user_group_id TEXT);
CREATE TABLE oidc_clients (id TEXT PRIMARY KEY, name TEXT, callback_urls BLOB, credentials BLOB, is_public BOOLEAN);
CREATE TABLE user_authorized_oidc_clients (scope BLOB, user_id TEXT, client_id TEXT, last_used_at DATETIME);
CREATE TABLE webauthn_credentials (id TEXT PRIMARY KEY, created_at DATETIME, name TEXT, credential_id BLOB, public_key BLOB,
	transport BLOB, user_id TEXT, backup_eligible BOOLEAN, backup_state BOOLEAN)`

const (
	movedUser   = "6a9d0d6c-1f3a-4c57-8a51-0f6f9f6e2b11"
	movedSecret = "wJ3h5Zr8Qk1Lm7Nv2Xc9Bt4Yd6Fg0Hs"
)

// oldPasskey puts a passkey into the person's authenticator, as another provider of this host had it made: its user
// handle is the text of the user's ID.
func oldPasskey(p *person, synced bool) (credentialID, public []byte) {
	k := &passkeytest.Passkey{
		ID: make([]byte, 20), RPID: "localhost", UserHandle: []byte(movedUser), Algorithm: passkeytest.ES256,
		Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
	}
	_, _ = rand.Read(k.ID) // never fails
	if p.key.Passkeys = append(p.key.Passkeys, k); synced {
		p.key.Flags |= 1<<3 | 1<<4 // BE, BS
	}
	return k.ID, must(k.COSE())
}

// moveIn runs the command beside the running server.
func (o *op) moveIn(args ...string) string {
	o.t.Helper()
	out, err := operate(o.t, o.Config.DataDir, append(append([]string{"import"}, args...), "--from", o.issuer, "--issuer", o.issuer)...)
	if err != nil {
		o.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// old returns the client that moved in, with the secret that it always had.
func (o *op) old(id string) *rp {
	o.t.Helper()
	a := &rp{op: o, secret: movedSecret, verifier: oauth2.GenerateVerifier()}
	a.Client = must(o.DB.StoredClient(o.t.Context(), id))
	return a
}

func TestAPasskeyOfPocketIDSignsInHere(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	p, _ := o.browser()
	credentialID, public := oldPasskey(p, true)
	file := filepath.Join(t.TempDir(), "pocket-id.db")
	db := must(sql.Open("sqlite", file))
	for statement := range strings.SplitSeq(pocketTables, ";\n") {
		must(db.Exec(statement))
	}
	sum := sha256.Sum256([]byte(movedSecret))
	must(db.Exec(`INSERT INTO users VALUES ($1, 1700000000, 'ada', 'ada@example.com', 'Ada', 'Lovelace', 'Ada Lovelace', 1, 0)`,
		movedUser))
	must(db.Exec(`INSERT INTO user_groups VALUES ('3b8a5f2e-0000-4000-8000-000000000001', 'Admins', 'admins')`))
	must(db.Exec(`INSERT INTO user_groups_users VALUES ($1, '3b8a5f2e-0000-4000-8000-000000000001')`, movedUser))
	must(db.Exec(`INSERT INTO oidc_clients VALUES ('grafana', 'Grafana', $1, $2, 0)`, []byte(`["`+rpOrigin+`grafana/cb"]`),
		[]byte(fmt.Sprintf(`{"secrets":[{"alg":"sha256","hash":%q,"createdAt":"2025-01-01T00:00:00Z"}]}`,
			hex.EncodeToString(sum[:])))))
	must(db.Exec(`INSERT INTO user_authorized_oidc_clients VALUES ('["openid","email","groups"]', $1, 'grafana', 1700000000)`,
		movedUser))
	must(db.Exec(`INSERT INTO webauthn_credentials VALUES ('1', 1700000000, 'Phone', $1, $2, '["internal"]', $3, 1, 1)`,
		credentialID, public, movedUser))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log(o.moveIn("pocket-id", file))

	// Nothing is asked but the passkey: the consent moved in as well.
	got := o.old("grafana").signIn(p, "scope", "openid email groups")
	if got.claims["sub"] != movedUser || got.claims["email"] != "ada@example.com" || fmt.Sprint(got.claims["groups"]) != "[admins]" {
		t.Errorf("the ID token says %v", got.claims)
	}
	if out := o.moveIn("pocket-id", file); !strings.Contains(out, "users     0             1            0") {
		t.Errorf("a second time:\n%s", out)
	}
}

func TestAPasskeyOfKeycloakSignsInHere(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	p, _ := o.browser()
	credentialID, public := oldPasskey(p, true)
	type object = map[string]any
	// As kc.sh export of Keycloak 26.7 writes it: base64 for the ID, base64url for the key, no backup flags.
	data := must(json.Marshal(object{
		"aaguid": "00000000-0000-0000-0000-000000000000", "credentialId": base64.StdEncoding.EncodeToString(credentialID),
		"counter": 0, "credentialPublicKey": base64.RawURLEncoding.EncodeToString(public), "transports": []string{"internal"},
	}))
	realm := must(json.Marshal(object{
		"realm": "acme", "webAuthnPolicyPasswordlessUserVerificationRequirement": "required",
		"users": []object{{
			"id": movedUser, "username": "ada", "email": "ada@example.com", "emailVerified": true, "enabled": true,
			"groups": []string{"/admins"}, "credentials": []object{{
				"type": "webauthn-passwordless", "userLabel": "Phone", "createdDate": 1700000000000, "credentialData": string(data),
			}},
			"clientConsents": []object{{"clientId": "wiki", "grantedClientScopes": []string{"email", "groups"}, "createdDate": 1700000000000}},
		}},
		"groups": []object{{"id": "3b8a5f2e-0000-4000-8000-000000000001", "name": "admins", "path": "/admins"}},
		"clients": []object{{
			"clientId": "wiki", "secret": movedSecret, "protocol": "openid-connect", "clientAuthenticatorType": "client-secret",
			"redirectUris": []string{rpOrigin + "wiki/cb"}, "defaultClientScopes": []string{"email"}, "consentRequired": true,
			"protocolMappers": []object{{"protocolMapper": "oidc-group-membership-mapper"}},
		}},
	}))
	file := filepath.Join(t.TempDir(), "acme.json")
	if err := os.WriteFile(file, realm, 0o600); err != nil {
		t.Fatal(err)
	}
	o.moveIn("keycloak", file)
	got := o.old("wiki").signIn(p, "scope", "openid email groups")
	if got.claims["sub"] != movedUser || got.claims["email"] != "ada@example.com" || fmt.Sprint(got.claims["groups"]) != "[admins]" {
		t.Errorf("the ID token says %v", got.claims)
	}
	// The export does not say that the passkey is synced; the first sign-in does.
	if keys := must(o.DB.PasskeysOf(t.Context(), movedUser)); len(keys) != 1 || !keys[0].Synced() {
		t.Errorf("passkeys: %+v", keys)
	}
}
