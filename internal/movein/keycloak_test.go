package movein

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// object is JSON as kc.sh export of Keycloak 26.7 writes it, as far as it is read.
type object = map[string]any

// webauthn is a credential as an export has it: the ID in base64, the key in base64url, the data as text.
func webauthn(kind string, id, public []byte, counter int) object {
	data, _ := json.Marshal(object{ // it always marshals
		"aaguid": "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "credentialId": base64.StdEncoding.EncodeToString(id),
		"counter": counter, "credentialPublicKey": base64.RawURLEncoding.EncodeToString(public),
		"attestationStatementFormat": "none", "transports": []string{"internal"},
	})
	return object{
		"id": "c1", "type": kind, "userLabel": "Phone", "createdDate": moment.UnixMilli(), "secretData": "{}",
		"credentialData": string(data),
	}
}

func adaOf(credentials ...object) object {
	return object{
		"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0001", "username": "ada", "firstName": "Ada", "lastName": "Lovelace",
		"email": "ada@example.com", "emailVerified": true, "createdTimestamp": moment.UnixMilli(), "enabled": true,
		"attributes": object{"locale": []string{"de"}}, "credentials": credentials, "realmRoles": []string{"offline_access"},
		"groups":         []string{"/staff/admins", "/other/admins"},
		"clientConsents": []object{{"clientId": "wiki", "grantedClientScopes": []string{"email", "roles"}, "createdDate": 1}},
	}
}

// realmOf is a realm with its users before its groups and clients, as Keycloak writes it.
func realmOf(users ...object) object {
	return object{
		"id": "r", "realm": "acme", "users": users, "roles": object{"realm": []object{{"name": "offline_access"}}},
		"webAuthnPolicyPasswordlessUserVerificationRequirement": "required",
		"webAuthnPolicyUserVerificationRequirement":             "not specified",
		"webAuthnPolicyPasswordlessRpId":                        "", "webAuthnPolicyRpId": "",
		"groups": []object{
			{"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0002", "name": "staff", "path": "/staff", "subGroups": []object{
				{"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0003", "name": "admins", "path": "/staff/admins"},
			}},
			{"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0004", "name": "other", "path": "/other", "subGroups": []object{
				{"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0005", "name": "admins", "path": "/other/admins"},
			}},
		},
		"clients": []object{
			{"clientId": "account-console", "publicClient": true, "protocol": "openid-connect"},
			clientOf("wiki", nil), clientOf("short", object{"secret": "hunter2"}),
			clientOf("masked", object{"secret": "**********"}), clientOf("saml", object{"protocol": "saml"}),
			clientOf("wild", object{"redirectUris": []string{"/*"}}), clientOf("off", object{"enabled": false}),
			clientOf("pairwise", object{"protocolMappers": []object{{"protocolMapper": "oidc-sha256-pairwise-sub-mapper"}}}),
		},
	}
}

func clientOf(id string, changes object) object {
	c := object{
		"clientId": id, "name": "The " + id, "enabled": true, "protocol": "openid-connect", "publicClient": false,
		"standardFlowEnabled": true, "clientAuthenticatorType": "client-secret", "secret": "f3Tq8ZcVb1Nn5Mm7Kk2Jj9Hh4Gg6Dd0S",
		"rootUrl": "https://" + id + ".example.com", "redirectUris": []string{"/cb"}, "consentRequired": true,
		"defaultClientScopes": []string{"email", "profile", "roles", "web-origins"}, "optionalClientScopes": []string{"offline_access"},
		"attributes": object{"pkce.code.challenge.method": "S256", "post.logout.redirect.uris": "+"},
	}
	for k, v := range changes {
		c[k] = v
	}
	return c
}

func writeRealm(t *testing.T, objects ...object) (files []string) {
	t.Helper()
	for i, o := range objects {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(t.TempDir(), fmt.Sprintf("acme-%d.json", i)))
		if err := os.WriteFile(files[i], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func openRealm(t *testing.T, database string, files ...string) *keycloak {
	t.Helper()
	src, err := openKeycloak(t.Context(), files, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.close() })
	return src
}

func TestARealmOfKeycloakMovesIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		id, public := newKey(t)
		second, public2 := newKey(t)
		robot := object{"id": "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0009", "username": "service-account-wiki", "serviceAccountClientId": "wiki"}
		bob := object{"id": "b0b", "username": "bob", "email": "bob@example.com", "enabled": false}
		files := writeRealm(t, realmOf(adaOf(
			object{"type": "password", "credentialData": "{}"}, webauthn(passwordless, id, public, 41),
			webauthn(secondFactor, second, public2, 0),
		), robot), object{"realm": "acme", "users": []object{bob}})
		all := map[string][3]int{
			kindGroups: {4}, kindClients: {3, 0, 4}, kindUsers: {2}, kindPasskeys: {1, 0, 1}, kindMembers: {2}, kindConsents: {1},
		}
		r := h.move(openRealm(t, "", files...), all)
		h.says(r.Left, kindPasskeys, "ada@example.com", "without required user verification")
		h.says(r.Left, kindClients, "The saml saml", "saml")
		h.says(r.Left, kindClients, "The wild wild", "at least one")
		h.says(r.Left, kindClients, "The off off", "disabled there")
		h.says(r.Left, kindClients, "The pairwise pairwise", "pairwise subs")
		h.says(r.Notes, kindClients, "The short short", "less than 20 characters")
		h.says(r.Notes, kindClients, "The masked masked", "the export does not have it")

		ada := "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0001"
		u := must1(h, ada)
		if u.Email != "ada@example.com" || !u.EmailVerified || u.Name != "Ada Lovelace" || string(u.Handle) != ada ||
			u.Profile.Locale != "de" || !u.CreatedAt.Equal(moment) {
			t.Errorf("ada is %+v", u)
		}
		if !must1(h, "b0b").Disabled() {
			t.Error("bob is not disabled")
		}
		names := []string{}
		for _, g := range must2m(h, ada).Groups {
			names = append(names, g.Name)
		}
		if diff := cmp.Diff([]string{"admins", "other", "other/admins", "staff"}, names); diff != "" {
			t.Errorf("groups: %s", diff)
		}
		keys := mustOf(h, db.PasskeysOf, ada)
		if len(keys) != 1 || !bytes.Equal(keys[0].CredentialID, id) || !bytes.Equal(keys[0].PublicKey, public) ||
			keys[0].SignCount != 41 || !keys[0].UVInitialized || keys[0].Name != "Phone" || keys[0].AAGUID[0] != 0xfb {
			t.Errorf("passkeys are %+v", keys)
		}
		c, err := db.StoredClient(t.Context(), "wiki")
		if _, ok := c.MatchSecret("f3Tq8ZcVb1Nn5Mm7Kk2Jj9Hh4Gg6Dd0S", time.Now()); err != nil || !ok || c.FirstParty ||
			c.Policy != idp.PolicyStandard || strings.Join(c.Scopes, " ") != "email offline_access openid profile" ||
			strings.Join(append(c.RedirectURIs, c.PostLogoutRedirectURIs...), " ") != "https://wiki.example.com/cb https://wiki.example.com/cb" {
			t.Errorf("wiki is %+v, %v", c, err)
		}
		if _, ok := must(h, must1c(h, "masked"), nil).MatchSecret("**********", time.Now()); ok {
			t.Error("a masked secret is a secret")
		}
		was := h.dump()
		h.move(openRealm(t, "", files...), map[string][3]int{
			kindGroups: {0, 4}, kindClients: {0, 3, 4}, kindUsers: {0, 2}, kindPasskeys: {0, 1, 1}, kindMembers: {0, 2},
			kindConsents: {0, 1},
		})
		if diff := cmp.Diff(was, h.dump()); diff != "" {
			t.Errorf("a second time changed something: %s", diff)
		}
	})
}

func must1c(h *house, id string) idp.Client {
	h.Helper()
	c, err := h.db.StoredClient(h.Context(), id)
	return must(h, c, err)
}

// The tables of Keycloak 26.7 that hold credentials (model/jpa): realm, user_entity, credential, with the columns read.
const keycloakTables = `
CREATE TABLE realm (id VARCHAR(36) PRIMARY KEY, name VARCHAR(255));
CREATE TABLE user_entity (id VARCHAR(36) PRIMARY KEY, realm_id VARCHAR(255));
CREATE TABLE credential (id VARCHAR(36) PRIMARY KEY, type VARCHAR(255), user_id VARCHAR(36), created_date BIGINT,
	user_label VARCHAR(255), secret_data TEXT, credential_data TEXT, priority INTEGER);
INSERT INTO realm VALUES ('r1', 'acme'), ('r2', 'other');
INSERT INTO user_entity VALUES ('5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0001', 'r1'), ('u2', 'r2')`

func TestPasskeysThatAnExportLacksComeFromTheDatabase(t *testing.T) {
	h := newHouse(t, storetest.Open(t))
	url := storetest.PostgresURL(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id, public := newKey(t)
	if _, err := db.Exec(keycloakTables); err != nil {
		t.Fatal(err)
	}
	for i, user := range []string{"5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0001", "u2"} {
		if _, err := db.Exec(`INSERT INTO credential (id, type, user_id, created_date, user_label, credential_data)
			VALUES ($1, $2, $3, $4, 'Phone', $5)`, fmt.Sprint(i), passwordless, user, moment.UnixMilli(),
			webauthn(passwordless, id, public, 0)["credentialData"]); err != nil {
			t.Fatal(err)
		}
	}
	realm := realmOf(adaOf())
	realm["clients"], realm["groups"] = nil, nil
	h.move(openRealm(t, url, writeRealm(t, realm)...), map[string][3]int{
		kindUsers: {1}, kindPasskeys: {1}, kindMembers: {0, 0, 2}, kindConsents: {0, 0, 1},
	})
	if keys := mustOf(h, h.db.PasskeysOf, "5fe4b5a6-0d6c-4a6a-9a0f-8b1d5f1f0001"); len(keys) != 1 {
		t.Errorf("%d passkeys", len(keys))
	}
}

func TestAHostileExportIsRefusedOrTold(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "list": "[]", "other": `{"a": 1}`, "cut": `{"realm": "acme", "users": [{"id": "1"`,
		"deep": `{"realm": "acme", "x": ` + strings.Repeat("[", 20_000), "users": `{"realm": "acme", "users": {"id": 1}}`,
		"type": `{"realm": 7}`,
	} {
		file := filepath.Join(dir, name+".json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if src, err := openKeycloak(t.Context(), []string{file}, ""); err == nil {
			t.Errorf("%s is the realm %q", name, src.realm.Realm)
		}
	}
	if _, err := openKeycloak(t.Context(), []string{filepath.Join(dir, "missing.json")}, ""); err == nil ||
		!strings.Contains(err.Error(), "missing.json") || errors.Is(err, errNoRealm) {
		t.Errorf("a missing file: %v", err)
	}

	h := newHouse(t, storetest.Open(t))
	id, public := newKey(t)
	broken := webauthn(passwordless, nil, nil, 0)
	broken["credentialData"] = "{"
	twice := adaOf()
	twice["email"], twice["credentials"] = "twice@example.com", []object{webauthn(passwordless, []byte(strings.Repeat("x", 20)), public, 0)}
	other := realmOf(adaOf(webauthn(passwordless, id, public, 0), broken), twice)
	other["webAuthnPolicyPasswordlessRpId"] = "elsewhere.example.com"
	r := h.move(openRealm(t, "", writeRealm(t, other)...), map[string][3]int{
		kindGroups: {4}, kindClients: {3, 0, 4}, kindUsers: {1, 0, 1}, kindPasskeys: {0, 0, 3}, kindMembers: {2}, kindConsents: {1},
	})
	h.says(r.Left, kindUsers, "twice@example.com", "a user with this ID")
	h.says(r.Left, kindPasskeys, "ada@example.com", "made for elsewhere.example.com")
	h.says(r.Left, kindPasskeys, "ada@example.com", "cannot be read")
}
