package adminapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

func TestARequestIsExplained(t *testing.T) {
	h := open(t)
	read := h.robot(adminapi.ScopeRead)
	h.User("ada@example.org", "")
	made := in[adminapi.MadeClient](h, h.call(201, "POST", "/clients", h.robot(adminapi.ScopeWrite), adminapi.Client{
		Name: "x", RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"},
	}))
	e := in[adminapi.Explanation](h, h.call(200, "GET", "/explain?client_id="+made.ID, read, nil))
	if e.Step != "sign-in" || e.Check != "no_session" || len(e.Checks) == 0 || e.Checks[0].Check == "" || e.Checks[0].Result == "" {
		t.Errorf("the usual request: %+v", e)
	}
	link := url.QueryEscape(h.Issuer + "/oauth2/authorize?client_id=" + made.ID + "&redirect_uri=https://evil.example/cb&response_type=code")
	if e := in[adminapi.Explanation](h, h.call(200, "GET", "/explain?user=ada@example.org&link="+link, read, nil)); e.Unusable == "" || e.Step != "" {
		t.Errorf("another redirect URI: %+v", e)
	}
	for want, must := range map[string]adminapi.Client{
		"": {}, "pushed": {RequirePAR: true}, "signed": {RequireSignedRequest: true, AuthMethod: "private_key_jwt", JWKSURI: "https://app.example/keys"},
	} {
		must.Name, must.RedirectURIs, must.GrantTypes, must.Scopes = "x", []string{"https://app.example/cb"}, []string{"authorization_code"}, []string{"openid"}
		id := in[adminapi.MadeClient](h, h.call(201, "POST", "/clients", h.robot(adminapi.ScopeWrite), must)).ID
		e := in[adminapi.Explanation](h, h.call(200, "GET", "/explain?client_id="+id, read, nil))
		if e.AsIf != want || e.Refused != nil || e.Step != "sign-in" {
			t.Errorf("the usual request of a client whose requests must be %q: %+v", want, e)
		}
		asItIs := url.QueryEscape("client_id=" + id + "&redirect_uri=https://app.example/cb&response_type=code&scope=openid&code_challenge=" +
			strings.Repeat("A", 43) + "&code_challenge_method=S256")
		e = in[adminapi.Explanation](h, h.call(200, "GET", "/explain?link="+asItIs, read, nil))
		if e.AsIf != "" || (e.Refused != nil) != (want != "") {
			t.Errorf("a link of such a client, which is read as it is: %+v", e)
		}
	}
	for _, query := range []string{
		"", "link=x&client_id=" + made.ID, "link=https://elsewhere.example/", "client_id=ghost", "client_id=" + made.ID + "&user=ghost",
		"client_id=" + made.ID + "&user=ada@example.org&session=ghost",
	} {
		h.problem(422, "faults", "GET", "/explain?"+query, read, nil)
	}
	for _, scope := range []string{adminapi.ScopeUsersRead, adminapi.ScopeClientsRead, adminapi.ScopePolicyRead} {
		h.problem(403, "insufficient_scope", "GET", "/explain?client_id="+made.ID, h.robot(scope), nil)
	}
	nobody := h.person(h.User("nobody@example.org", directory.RoleUser), time.Time{}, adminapi.ScopeRead)
	h.problem(403, "denied_role", "GET", "/explain?client_id="+made.ID, nobody, nil)
	h.problem(403, "denied_role", "GET", "/explain?link="+link, nobody, nil) // which asks no other operation
}
