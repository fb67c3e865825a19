package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
)

func TestAClientWithKeysHasNoSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	add := func(args ...string) (string, error) {
		return stepward(t, dir, append([]string{"client", "add", "Acme", "--redirect-uri", "https://acme.example/cb", "--id", "acme"}, args...)...)
	}
	// RFC 7517 appendix A: the EC key, its public and its private form.
	const public = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"`
	const private = public + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"`
	for _, row := range []struct{ text, flag, want string }{
		{`{"keys":[{` + private + `}]}`, "", "is private or symmetric"},
		{`{"keys":[{"kty":"oct","k":"AAAA"}]}`, "", "is private or symmetric"},
		{`{"keys":[]}`, "", "jwks_uri is needed"},
		{`{"keys":[{` + public + `}]}`, "--auth-alg=PS256", "PS256 fits no key"},
		{`{"keys":[{` + public + `}]}`, "--public", "exclude each other"},
		{`[]`, "", "is not a JWK set"},
	} {
		args := []string{"--jwks-file", file(row.text)}
		if row.flag != "" {
			args = append(args, row.flag)
		}
		if out, err := add(args...); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: %v %s", row.text, row.flag, err, out)
		}
	}
	if _, err := add("--jwks-file", filepath.Join(dir, "nothing.json")); err == nil || !strings.Contains(err.Error(), "--jwks-file: \"") {
		t.Errorf("no file: %v", err)
	}
	if _, err := add("--auth-alg", "ES256"); err == nil || !strings.Contains(err.Error(), "only for private_key_jwt") {
		t.Errorf("an algorithm without keys: %v", err)
	}
	for flags, want := range map[string]string{
		"--jwks-uri=http://acme.example/keys":                                                 "must be an https URL",
		"--jwks-uri=https://acme.example/keys --public":                                       "exclude each other",
		"--jwks-uri=https://acme.example/keys --jwks-file=" + file(`{"keys":[{`+public+`}]}`): "exclude each other",
	} {
		if out, err := add(strings.Fields(flags)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %s", flags, err, out)
		}
	}
	out, err := add("--jwks-uri", "https://acme.example/keys", "--id", "published")
	if err != nil || strings.Contains(out, "secret") {
		t.Fatalf("%v %s", err, out)
	}
	out, err = stepward(t, dir, "client", "show", "published")
	if err != nil || !strings.Contains(out, "private_key_jwt") || !strings.Contains(out, `"jwks_uri": "https://acme.example/keys"`) {
		t.Errorf("%v %s", err, out)
	}
	out, err = add("--jwks-uri", "https://acme.example/keys", "--id", "signing", "--require-signed-request", "--request-object-alg", "PS256",
		"--request-uri", "https://acme.example/r#1", "--response-alg", "PS256")
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	out, err = stepward(t, dir, "client", "show", "signing")
	for _, want := range []string{
		`"require_signed_request_object": true`, `"request_object_signing_alg": "PS256"`, `"https://acme.example/r#1"`, `"authorization_signed_response_alg": "PS256"`,
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("no %s: %v %s", want, err, out)
		}
	}
	out, err = add("--jwks-file", file(`{"keys":[{`+public+`}]}`), "--auth-alg", "ES256")
	if err != nil || strings.Contains(out, "secret") {
		t.Fatalf("%v %s", err, out)
	}
	out, err = stepward(t, dir, "client", "show", "acme")
	if err != nil || !strings.Contains(out, "private_key_jwt") || !strings.Contains(out, "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4") {
		t.Errorf("%v %s", err, out)
	}
}

// Software that was made for other providers expects RS256, the default of OIDC Core §15.1, and needs no flag.
func TestIDTokensAreSignedAsMostSoftwareExpects(t *testing.T) {
	dir := t.TempDir()
	for id, row := range map[string]struct {
		flags []string
		want  string
	}{
		"plain":  {nil, "RS256"},
		"public": {[]string{"--public"}, "RS256"},
		"chosen": {[]string{"--id-token-alg", "ES256"}, "ES256"},
		"strict": {[]string{"--policy", "fapi2", "--jwks-uri", "https://acme.example/keys", "--dpop-bound"}, "ES256"},
	} {
		args := append([]string{"client", "add", "Acme", "--id", id, "--redirect-uri", "https://acme.example/cb"}, row.flags...)
		if out, err := stepward(t, dir, args...); err != nil {
			t.Fatalf("%s: %v %s", id, err, out)
		}
		out, err := stepward(t, dir, "client", "show", id)
		if err != nil || !strings.Contains(out, `"id_token_signed_response_alg": "`+row.want+`"`) {
			t.Errorf("%s: not %s: %v %s", id, row.want, err, out)
		}
	}
}

func TestAMachineClientNeedsNoRedirectURI(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stepward.yaml")
	if err := os.WriteFile(path, []byte("scopes:\n  reports: {description: Read reports}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(id string, args ...string) (string, error) {
		t.Helper()
		args = append([]string{"client", "add", "Nightly", "--config", path, "--id", id, "--grant", "client_credentials"}, args...)
		if _, err := stepward(t, dir, args...); err != nil {
			return "", err
		}
		return stepward(t, dir, "client", "show", id, "--config", path)
	}
	out, err := add("machine", "--scope", "reports")
	if err != nil || !strings.Contains(out, `"grant_types": [
    "client_credentials"
  ]`) {
		t.Errorf("%v %s", err, out)
	}
	out, err = add("both", "--scope", "reports", "--scope", "openid", "--redirect-uri", "https://acme.example/cb")
	if err != nil || !strings.Contains(out, `"authorization_code"`) || !strings.Contains(out, `"refresh_token"`) || !strings.Contains(out, `"client_credentials"`) {
		t.Errorf("%v %s", err, out)
	}
	out, err = add("api", "--scope", "reports", "--resource-server")
	if err != nil || strings.Contains(out, `"authorization_code"`) || !strings.Contains(out, `"reports"`) {
		t.Errorf("%v %s", err, out)
	}
	for want, args := range map[string][]string{
		"needs a scope that has no":          nil,
		"requires client authentication":     {"--scope", "reports", "--public"},
		"access_token_format must be jwt":    {"--scope", "reports", "--access-token", "opaque"},
		"no action class and is not about a": {"--scope", "email"},
	} {
		if out, err := add("bad", args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

func TestTheOperatorCreatesInitialAccessTokens(t *testing.T) {
	dir := t.TempDir()
	made := func(args ...string) idp.Secret {
		t.Helper()
		out, err := stepward(t, dir, append([]string{"client", "token"}, args...)...)
		token := regexp.MustCompile(`initial access token  (\S{52})\n`).FindStringSubmatch(out)
		if err != nil || token == nil || !strings.Contains(out, "Registration is off") {
			t.Fatalf("%v\n%s", err, out)
		}
		return idp.Secret(token[1])
	}
	once, many := made(), made("--uses", "0", "--ttl", "1h")
	db, err := store.Open(t.Context(), store.Config{Dir: dir, Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	live := func(token idp.Secret, at time.Time) bool {
		live, err := registrations.HasToken(t.Context(), db, token.Hash(), at)
		if err != nil {
			t.Fatal(err)
		}
		return live
	}
	now := time.Now()
	if !live(once, now.Add(23*time.Hour)) || live(once, now.Add(25*time.Hour)) || !live(many, now) || live(many, now.Add(2*time.Hour)) {
		t.Error("the tokens have the wrong lifetime")
	}
	for i, client := range []string{"a", "b", "c"} {
		if err := registrations.Register(t.Context(), db, idp.Client{ID: client}, many.Hash(), now); err != nil {
			t.Errorf("use %d: %v", i+1, err)
		}
	}
	if _, err := stepward(t, dir, "client", "token", "--revoke-all"); err != nil || live(once, now) || live(many, now) {
		t.Errorf("%v, or the token still works", err)
	}
	for _, args := range [][]string{{"--uses", "-1"}, {"--ttl", "1s"}} {
		if _, err := stepward(t, dir, append([]string{"client", "token"}, args...)...); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestAFAPI2ClientNeedsAKey(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	const set = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	if err := os.WriteFile(keys, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	add := []string{"client", "add", "Acme", "--redirect-uri", "https://acme.example/cb", "--id", "acme", "--policy", "fapi2", "--dpop-bound"}
	if _, err := stepward(t, dir, add...); err == nil || !strings.Contains(err.Error(), "shared secret") {
		t.Errorf("with a secret: %v", err)
	}
	if _, err := stepward(t, dir, append(add, "--jwks-file", keys)...); err != nil {
		t.Fatal(err)
	}
	out, err := stepward(t, dir, "client", "show", "acme")
	if err != nil || !strings.Contains(out, `"policy": "fapi2"`) || !strings.Contains(out, `"dpop_bound_access_tokens": true`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestClaimsOfIDTokensAreAListOfScopes(t *testing.T) {
	dir := t.TempDir()
	add := []string{"client", "add", "Cluster", "--redirect-uri", "https://acme.example/cb", "--id", "cluster"}
	if _, err := stepward(t, dir, append(add, "--id-token-claims", "openid")...); err == nil || !strings.Contains(err.Error(), "profile, email") {
		t.Errorf("a scope without claims: %v", err)
	}
	if _, err := stepward(t, dir, append(add, "--id-token-claims", "profile,email")...); err != nil {
		t.Fatal(err)
	}
	out, err := stepward(t, dir, "client", "show", "cluster")
	if err != nil || !strings.Contains(out, `"id_token_claims": [
    "profile",
    "email"
  ]`) {
		t.Errorf("%v\n%s", err, out)
	}
}
