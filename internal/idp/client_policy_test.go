package idp

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// documented maps the rows of the table in docs/integrate/register.md to fields of Rules.
var documented = [][2]string{
	{"WithoutPKCE", "confidential clients without PKCE"},
	{"WithoutPush", "authorization requests that were not pushed"},
	{"SharedSecrets", "authentication with a `client_secret`"},
	{"Public", "public clients, which do not authenticate"},
	{"BearerTokens", "bearer access tokens, not bound to a key"},
	{"WithoutNonce", "DPoP proofs without our nonce"},
	{"RS256", "RS256 for assertions, signed requests and ID tokens"},
	{"AudienceLists", "`aud` of assertions as a list, or as the token endpoint's address"},
	{"UndatedRequests", "signed requests without `exp` or `nbf`"},
	{"Rotation", "a new refresh token with each use"},
	{"LocalRedirects", "redirect URIs on loopback hosts or with private-use schemes"},
	{"Devices", "signing in for another device (device flow)"},
	{"AccessTTL", "access tokens that live longer than ten minutes"},
}

func TestTheDocumentedPoliciesMatchTheCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/integrate/register.md")
	if err != nil {
		t.Fatal(err)
	}
	head := "| permits |"
	for _, policy := range Policies {
		head += " `" + string(policy) + "` |"
	}
	_, table, found := strings.Cut(string(page), head+"\n|-|-|-|-|\n")
	if !found {
		t.Fatalf("docs/integrate/register.md has no table that begins with %s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")
	fields := reflect.TypeFor[Rules]()
	if len(lines) != len(documented) || fields.NumField() != len(documented) {
		t.Fatalf("%d rows in the docs, %d known here, %d fields of Rules", len(lines), len(documented), fields.NumField())
	}
	for i, row := range documented {
		want := "| " + row[1] + " |"
		for _, policy := range Policies {
			cell := "no"
			switch v := reflect.ValueOf(Client{Policy: policy}.Rules()).FieldByName(row[0]).Interface().(type) {
			case bool:
				if v {
					cell = "yes"
				}
			case time.Duration:
				if v == 0 {
					cell = "yes"
				} else if v != 10*time.Minute {
					t.Errorf("%s: %v", row[0], v)
				}
			}
			want += " " + cell + " |"
		}
		if lines[i] != want {
			t.Errorf("docs/integrate/register.md says\n%s\nbut the code says\n%s", lines[i], want)
		}
	}
}

func TestAnUnknownPolicyPermitsNothing(t *testing.T) {
	if (Client{Policy: "lax"}).Rules() != (Client{Policy: PolicyFAPI2}).Rules() {
		t.Error("an unknown policy permits more than fapi2")
	}
}
