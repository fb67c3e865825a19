package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// lists are the lists of a registration that the response may shorten.
func lists(m map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range []string{"redirect_uris", "post_logout_redirect_uris", "grant_types", "response_types"} {
		if m[name] != nil {
			out[name] = m[name]
		}
	}
	return out
}

// One unusable URI, grant or response type must not reject the whole client: many clients list all that they support.
func TestUnusableMetadataIsDroppedFromARegistration(t *testing.T) {
	h := open(t, full)
	for _, row := range []struct {
		name, says string
		want       map[string]any
		native     bool
	}{
		{
			"an editor's scheme beside a loopback address",
			`"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","http://127.0.0.1:3000/cb","http://app.example/cb","https://app.example/cb#x"]`,
			map[string]any{"redirect_uris": []any{"http://127.0.0.1:3000/cb"}, "grant_types": []any{"authorization_code"}, "response_types": []any{"code"}},
			true,
		},
		{
			"an editor's scheme beside a web address", `"redirect_uris":["cursor://x","https://app.example/cb"]`,
			map[string]any{"redirect_uris": []any{"https://app.example/cb"}, "grant_types": []any{"authorization_code"}, "response_types": []any{"code"}},
			false,
		},
		{
			"a page for after sign-out", `"redirect_uris":["https://app.example/cb"],"post_logout_redirect_uris":["http://app.example/","https://app.example/bye"]`,
			map[string]any{
				"redirect_uris": []any{"https://app.example/cb"}, "post_logout_redirect_uris": []any{"https://app.example/bye"},
				"grant_types": []any{"authorization_code"}, "response_types": []any{"code"},
			},
			false,
		},
		{
			"implicit and hybrid beside the code flow",
			`"redirect_uris":["https://app.example/cb"],"grant_types":["implicit","authorization_code","refresh_token","password"],"response_types":["code id_token","code","token"]`,
			map[string]any{
				"redirect_uris": []any{"https://app.example/cb"}, "grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"},
			},
			false,
		},
		{
			"grants that a client cannot give itself",
			`"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","client_credentials","` + idp.GrantDeviceCode + `","` + idp.GrantTokenExchange + `"]`,
			map[string]any{"redirect_uris": []any{"https://app.example/cb"}, "grant_types": []any{"authorization_code"}, "response_types": []any{"code"}},
			false,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.forgive()
			m := h.registered("{" + row.says + "}")
			if d := cmp.Diff(row.want, lists(m)); d != "" {
				t.Errorf("registered (-want +got):\n%s", d)
			}
			if (m["application_type"] == "native") != row.native {
				t.Errorf("application_type %v", m["application_type"])
			}
			r := h.manage("PUT", m, fmt.Sprintf(`{"client_id":%q,%s}`, m["client_id"], row.says))
			if d := cmp.Diff(row.want, lists(r.json(t))); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
			address := h.describedClient(func() string { return row.says })
			c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
			uri := row.want["redirect_uris"].([]any)[0].(string)
			if r := h.authorize(request(c, "redirect_uri", uri)); !interacts(r) {
				t.Errorf("a document: %d %s", r.StatusCode, r.body)
			}
		})
	}
}

func TestADynamicClientGetsThePolicyThatTheOperatorChose(t *testing.T) {
	h := open(t, full, func(c *Config) { c.Registration.Policy = idp.PolicyCompatible })
	policy := func(m map[string]any) idp.ClientPolicy {
		t.Helper()
		c, err := h.db.Client(t.Context(), m["client_id"].(string))
		check(t, err)
		return c.Policy
	}
	m := h.registered(plainClient)
	c, err := h.db.Client(t.Context(), m["client_id"].(string))
	check(t, err)
	if r := h.authorize(request(c, "code_challenge", "", "code_challenge_method", "")); c.Policy != idp.PolicyCompatible || !interacts(r) {
		t.Errorf("policy %s, without PKCE %d %s", c.Policy, r.StatusCode, r.body)
	}
	const public = `"token_endpoint_auth_method":"none"`
	for name, says := range map[string]string{
		"public": `"redirect_uris":["https://app.example/cb"],` + public,
		"native": `"redirect_uris":["http://127.0.0.1/cb"]`, // any program on the device can have its codes
	} {
		if got := policy(h.registered("{" + says + "}")); got != idp.PolicyStandard {
			t.Errorf("%s: %s", name, got)
		}
	}
	if r := h.manage("PUT", m, fmt.Sprintf(`{"client_id":%q,"redirect_uris":["http://127.0.0.1/cb"]}`, m["client_id"])); r.StatusCode != 200 || policy(m) != idp.PolicyStandard {
		t.Errorf("one that becomes native: %d %s", r.StatusCode, r.body)
	}
	strict := h.registered(plainClient)
	c, err = h.db.Client(t.Context(), strict["client_id"].(string))
	check(t, err)
	c.RequirePAR, c.Policy = true, idp.PolicyFAPI2 // the operator's word
	check(t, h.db.PutClient(t.Context(), c))
	h.manage("PUT", strict, fmt.Sprintf(`{"client_id":%q,"redirect_uris":["https://app.example/cb"]}`, c.ID))
	if got := policy(strict); got != idp.PolicyFAPI2 {
		t.Errorf("the operator's policy became %s", got)
	}
	usual := open(t, full)
	if c, err := usual.db.Client(t.Context(), usual.registered(plainClient)["client_id"].(string)); err != nil || c.Policy != idp.PolicyStandard {
		t.Errorf("without the setting: %v %s", err, c.Policy)
	}
}

// With open registration, anybody could fill the database: 500 clients an hour, kept for a month.
func TestAnOpenRegistrationIsSmall(t *testing.T) {
	h := open(t, full)
	uris := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"https://app.example/%02d/%s"`, i, strings.Repeat("x", 500)))
		}
		return `"redirect_uris":[` + strings.Join(list, ",") + `]`
	}
	r := h.sendJSON("POST", oauth.PathRegister, "{"+uris(9)+"}", "")
	wantError(t, r, 400, "invalid_client_metadata")
	m := h.registered("{" + uris(6) + "}")
	wantError(t, h.manage("PUT", m, fmt.Sprintf(`{"client_id":%q,%s}`, m["client_id"], uris(9))), 400, "invalid_client_metadata")
	address := h.describedClient(func() string { return uris(9) })
	if r := h.authorize(request(idp.Client{ID: address})); interacts(r) {
		t.Error("a document of any size is kept")
	}
	h.forgive()
	if r := h.sendJSON("POST", oauth.PathRegister, "{"+uris(9)+"}", h.registrationToken()); r.StatusCode != 201 {
		t.Errorf("with a token of the operator's: %d %s", r.StatusCode, r.body)
	} else if m := r.json(t); h.manage("PUT", m, fmt.Sprintf(`{"client_id":%q,%s}`, m["client_id"], uris(9))).StatusCode != 200 {
		t.Error("and it cannot be changed any more")
	}
}

func TestOnlySigningKeysOfARegistrationAreKept(t *testing.T) {
	h := open(t, full)
	const key = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	says := func(keys string) string {
		return `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + keys + `]}}`
	}
	m := h.registered(says(`{"use":"enc",` + key + `},{"kty":"unheard of"},{"key_ops":["deriveKey"],` + key + `},{"x5c":["AAAA"],"kid":"1",` + key + `}`))
	if kept := m["jwks"].(map[string]any)["keys"].([]any); len(kept) != 1 || kept[0].(map[string]any)["kid"] != "1" || kept[0].(map[string]any)["x5c"] != nil {
		t.Errorf("kept %v", kept)
	}
	wantError(t, h.sendJSON("POST", oauth.PathRegister, says(`{`+key+`,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"},{`+key+`}`), ""), 400, "invalid_client_metadata")
	wantError(t, h.sendJSON("POST", oauth.PathRegister, says(`{"kty":"unheard of"}`), ""), 400, "invalid_client_metadata")
}
