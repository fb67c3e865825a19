package adminapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/pkg/adminapi"
)

// person returns a token for a user, as the token endpoint issues it: confirmed is when they did the ceremony that
// opened the class admin; zero: never.
func (h *house) person(u idp.User, confirmed time.Time, scopes ...string) idp.Secret {
	h.Helper()
	c, _ := h.Machine("app-"+u.ID, func(c *idp.Client) {
		c.GrantTypes, c.RedirectURIs = []string{idp.GrantAuthorizationCode}, []string{"https://app.example/cb"}
	}, adminapi.ScopeRead, adminapi.ScopeWrite)
	now := time.Now()
	f := idp.Family{
		ID: idp.NewID(), ClientID: c.ID, UserID: u.ID, SessionID: idp.NewID(), Scopes: scopes, ExpiresAt: now.Add(time.Hour), CreatedAt: now,
		Resources: []string{h.Issuer + adminapi.Path},
		Assurance: idp.Assurance{AuthenticationID: idp.NewID(), ACR: "phr", AuthTime: now.Add(-time.Hour)},
	}
	if !confirmed.IsZero() {
		f.Assurance.AuthTime, f.Assurance.ActionClasses = confirmed, []string{"admin"}
	}
	_, _, err := h.DB.CreateFamily(h.Context(), f, nil)
	h.Must(err)
	signer, err := h.Keys.Signer(h.Context(), keys.ES256)
	h.Must(err)
	text, err := signer.Sign(keys.TypeAccessToken, token.AccessClaims{
		Issuer: h.Issuer, Subject: u.ID, Audience: []string{h.Issuer + adminapi.Path}, ClientID: c.ID, Expires: now.Add(time.Hour).Unix(),
		Issued: now.Unix(), ID: f.ID + ".x", Scope: strings.Join(scopes, " "), AuthTime: f.Assurance.AuthTime.Unix(),
	})
	h.Must(err)
	return idp.Secret(text)
}

// challenge returns the first challenge of an answer.
func (h *house) challenge(r reply, parts ...string) {
	h.Helper()
	got := r.Header.Get("WWW-Authenticate")
	for _, part := range parts {
		without, isNot := strings.CutPrefix(part, "!")
		if strings.Contains(got, without) == isNot {
			h.Errorf("challenge %q, want %q", got, part)
		}
	}
}

func TestATokenIsNeededAndSaidHowToGet(t *testing.T) {
	h := open(t)
	h.problem(401, "token_required", "GET", "/users", "", nil)
	h.challenge(h.call(401, "GET", "/users", "", nil), `Bearer realm="`+h.Issuer+`"`, `scope="stepward:admin:users:read"`, "!error",
		`resource_metadata="`+h.Issuer+`/.well-known/oauth-protected-resource/admin/api/v1"`)
	h.problem(401, "token_required", "GET", "/users", "", nil, with("Authorization", "Basic eDp5"))
	h.problem(401, "invalid_token", "GET", "/users", "made-up", nil)
	h.problem(401, "token_required", "GET", "/users?access_token=x", "", nil)
	r := h.request("GET", "/users", "one", nil)
	r.Header.Add("Authorization", "Bearer two")
	if got := h.do(r); got.StatusCode != 400 {
		t.Errorf("two tokens: %d %s", got.StatusCode, got.body)
	}
	// The metadata and the document need none.
	for _, path := range []string{"/.well-known/oauth-protected-resource/admin/api/v1", "/admin/api/v1/openapi.json"} {
		r := h.request("GET", "", "", nil)
		r.URL.Path = path
		got := h.do(r)
		var m map[string]any
		if err := json.Unmarshal([]byte(got.body), &m); err != nil || got.StatusCode != 200 {
			t.Errorf("%s: %d %v", path, got.StatusCode, err)
		}
		if m["resource"] != nil && m["resource"] != h.Issuer+"/admin/api/v1" {
			t.Errorf("metadata %v", m)
		}
	}
}

func TestEachOperationNeedsItsScope(t *testing.T) {
	h := open(t)
	ada := h.User("ada@example.org", "")
	for _, c := range []struct {
		scope, method, path string
		body                any
		status              int
	}{
		{adminapi.ScopeUsersRead, "GET", "/users", nil, 200},
		{adminapi.ScopeUsersWrite, "GET", "/users", nil, 200},
		{adminapi.ScopeRead, "GET", "/users", nil, 200},
		{adminapi.ScopeWrite, "GET", "/users", nil, 200},
		{adminapi.ScopeGroupsWrite, "GET", "/users", nil, 403},
		{adminapi.ScopeRead, "POST", "/groups", adminapi.NewGroup{Name: "a"}, 403},
		{adminapi.ScopeGroupsRead, "POST", "/groups", adminapi.NewGroup{Name: "a"}, 403},
		{adminapi.ScopeGroupsWrite, "POST", "/groups", adminapi.NewGroup{Name: "b"}, 201},
		{adminapi.ScopeUsersRead, "DELETE", "/users/" + ada.ID, nil, 403},
		{adminapi.ScopeUsersRead, "GET", "/events", nil, 403},
		{adminapi.ScopeEventsRead, "GET", "/events", nil, 200},
		{adminapi.ScopePolicyRead, "GET", "/policy", nil, 200},
		{adminapi.ScopeClaimsRead, "GET", "/claims", nil, 200},
		{adminapi.ScopeClientsRead, "GET", "/clients", nil, 200},
		{adminapi.ScopeClaimsRead, "GET", "/clients", nil, 403},
	} {
		got := h.call(c.status, c.method, c.path, h.robot(c.scope), c.body)
		if c.status == 403 {
			h.challenge(got, `error="insufficient_scope"`, `scope="stepward:admin:`)
		}
	}
}

// A token for a part of the API must not lead to all of it.
func TestANarrowScopeDoesNotLeadToMore(t *testing.T) {
	h := open(t)
	ada := h.User("ada@example.org", "")
	users, clients, all := h.robot(adminapi.ScopeUsersWrite), h.robot(adminapi.ScopeClientsWrite), h.robot(adminapi.ScopeWrite)
	strong, _ := h.Machine("strong", nil, adminapi.ScopeWrite)
	h.call(201, "POST", "/groups", all, adminapi.NewGroup{Name: "wheel"})
	role := "admin"
	client := adminapi.Client{Name: "x", GrantTypes: []string{idp.GrantClientCredentials}, Scopes: []string{adminapi.ScopeWrite}}
	for _, c := range []struct {
		token        idp.Secret
		method, path string
		body         any
	}{
		{users, "POST", "/users", adminapi.NewUser{Email: "new@example.org", Role: "auditor"}},
		{users, "POST", "/users", adminapi.NewUser{Email: "new@example.org", Groups: []string{"wheel"}}},
		{users, "POST", "/users/invitations", adminapi.NewInvitation{NewUser: adminapi.NewUser{Email: "new@example.org", Role: "admin"}, TTL: 300}},
		{users, "PATCH", "/users/" + ada.ID, adminapi.UserChange{Role: &role}},
		{users, "PUT", "/users/" + ada.ID + "/groups", adminapi.GroupNames{Groups: []string{"wheel"}}},
		{clients, "POST", "/clients", client},
		{clients, "POST", "/clients", adminapi.Client{Name: "x", GrantTypes: client.GrantTypes, Scopes: []string{directory.ScopeSCIM}}},
		{clients, "PUT", "/clients/" + strong.ID, client},
		{clients, "POST", "/clients/" + strong.ID + "/secrets", adminapi.NewSecret{}},
		{clients, "DELETE", "/clients/" + strong.ID + "/secrets/" + strong.Secrets[0].ID, nil},
		{clients, "POST", "/clients/" + strong.ID + "/disable", nil},
		{clients, "DELETE", "/clients/" + strong.ID, nil},
	} {
		h.problem(403, "insufficient_scope", c.method, c.path, c.token, c.body, with("If-Match", "*"))
	}
	h.call(200, "PATCH", "/users/"+ada.ID, all, adminapi.UserChange{Role: &role}, with("If-Match", "*"))
	h.call(201, "POST", "/clients", all, client)
}

func TestAClientActsAsAnAdminAtMost(t *testing.T) {
	h := open(t)
	owner, admin := h.User("owner@example.org", directory.RoleOwner), h.User("admin@example.org", directory.RoleAdmin)
	token := h.robot(adminapi.ScopeWrite)
	role, email := "owner", "mine@example.org"
	h.problem(403, "denied_own_role", "PATCH", "/users/"+admin.ID, token, adminapi.UserChange{Role: &role}, with("If-Match", "*"))
	h.problem(403, "denied_higher_role", "POST", "/users/"+owner.ID+"/disable", token, nil)
	h.problem(403, "denied_higher_role", "PATCH", "/users/"+admin.ID, token, adminapi.UserChange{Email: &email}, with("If-Match", "*"))
}

func TestAPersonNeedsTheirRoleAndARecentConfirmation(t *testing.T) {
	h := open(t)
	group := func(name string) adminapi.NewGroup { return adminapi.NewGroup{Name: name} }
	admin := h.User("admin@example.org", directory.RoleAdmin)
	read := h.person(admin, time.Time{}, adminapi.ScopeRead)
	h.call(200, "GET", "/users", read, nil)
	// After the window, a refreshed token lacks the scope: the challenge asks for a step-up (RFC 9470).
	h.problem(401, "insufficient_user_authentication", "POST", "/groups", read, group("a"))
	h.challenge(h.call(401, "POST", "/groups", read, group("a")), `error="insufficient_user_authentication"`, `acr_values="phr"`,
		`max_age="300"`, `scope="stepward:admin:groups:write"`)
	fresh := h.person(h.User("two@example.org", directory.RoleAdmin), time.Now().Add(-time.Minute), adminapi.ScopeRead, adminapi.ScopeWrite)
	h.call(201, "POST", "/groups", fresh, group("b"))
	// Without the class, and with a confirmation that is too old, the token itself is over.
	h.problem(401, "invalid_token", "POST", "/groups", h.person(h.User("three@example.org", directory.RoleAdmin), time.Time{}, adminapi.ScopeWrite), group("c"))
	h.problem(401, "invalid_token", "POST", "/groups", h.person(h.User("four@example.org", directory.RoleAdmin), time.Now().Add(-6*time.Minute), adminapi.ScopeWrite), group("c"))
	for role, status := range map[directory.Role]int{directory.RoleUser: 403, directory.RoleAuditor: 403, directory.RoleSupport: 403} {
		u := h.User(role.Name()+"@roles.example", role)
		token := h.person(u, time.Now(), adminapi.ScopeRead, adminapi.ScopeWrite)
		h.problem(status, "denied_role", "POST", "/groups", token, group("d"))
		want := 200
		if role == directory.RoleUser {
			want = 403
		}
		h.call(want, "GET", "/users", token, nil)
		h.call(want, "GET", "/policy", token, nil)
		h.call(want, "GET", "/version", token, nil)
	}
	events := in[adminapi.Page[adminapi.Event]](h, h.call(200, "GET", "/events?kind=group.created", read, nil))
	if len(events.Items) != 1 || events.Items[0].ActorID == "" || events.Items[0].Detail["through"] == "" || events.Items[0].SessionID == "" {
		t.Errorf("event %+v", events)
	}
}

func TestTokensOfDisabledAdminsAndRemovedClientsAreRefused(t *testing.T) {
	h := open(t)
	admin := h.User("admin@example.org", directory.RoleAdmin)
	person := h.person(admin, time.Now(), adminapi.ScopeRead)
	h.call(200, "GET", "/users", person, nil)
	all := h.robot(adminapi.ScopeWrite)
	h.call(200, "POST", "/users/"+admin.ID+"/disable", all, nil)
	h.problem(401, "invalid_token", "GET", "/users", person, nil)
	h.challenge(h.call(401, "GET", "/users", person, nil), `error="invalid_token"`)
	for path, method := range map[string]string{"": "DELETE", "/disable": "POST"} {
		c, secret := h.Machine(idp.NewID(), nil, adminapi.ScopeUsersRead)
		token := h.tokenOf(c, secret)
		h.call(200, "GET", "/users", token, nil)
		h.do(h.request(method, "/clients/"+c.ID+path, all, nil))
		h.problem(401, "invalid_token", "GET", "/users", token, nil)
	}
	// A token for something else.
	c, secret := h.Machine("elsewhere", nil, adminapi.ScopeUsersRead)
	h.problem(401, "invalid_token", "GET", "/users", h.tokenOf(c, secret, func(r *http.Request) {
		r.Body = http.NoBody
		body := "grant_type=client_credentials"
		again := h.request("POST", "", "", body)
		r.Body, r.ContentLength = again.Body, int64(len(body))
	}), nil)
}

func TestATokenOfAKeyIsOfNoUseWithoutIt(t *testing.T) {
	h := open(t)
	key := dpoptest.New("ES256")
	proof := func(method, uri string, change ...any) string {
		r := h.request("GET", "/users", "x", nil)
		r.Header.Set("DPoP", key.Proof("GET", h.Issuer+adminapi.Path+"/users"))
		change = append(change, dpoptest.Claims{"nonce": h.do(r).Header.Get("DPoP-Nonce")})
		return key.Proof(method, uri, change...)
	}
	c, secret := h.Machine("bound", func(c *idp.Client) { c.DPoPBound = true }, adminapi.ScopeUsersRead)
	token := h.tokenOf(c, secret, with("DPoP", proof("POST", h.Issuer+"/oauth2/token")))
	h.problem(401, "invalid_token", "GET", "/users", token, nil)
	bound := func(proof string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", "DPoP "+token.Reveal())
			r.Header.Set("DPoP", proof)
		}
	}
	one := proof("GET", h.Issuer+adminapi.Path+"/users", dpoptest.Hash(token.Reveal()))
	h.call(200, "GET", "/users", token, nil, bound(one))
	h.problem(401, "invalid_dpop_proof", "GET", "/users", token, nil, bound(one))
	h.problem(401, "invalid_dpop_proof", "GET", "/users", token, nil, bound(proof("GET", h.Issuer+adminapi.Path+"/groups", dpoptest.Hash(token.Reveal()))))
	h.challenge(h.call(401, "GET", "/users", token, nil, bound(one)), `DPoP realm=`, `algs="`)
	stranger := dpoptest.New("ES256")
	h.problem(401, "invalid_token", "GET", "/users", token, nil, bound(stranger.Proof("GET", h.Issuer+adminapi.Path+"/users", dpoptest.Hash(token.Reveal()))))
}

func TestBodiesAreStrictJSON(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	for body, want := range map[string]string{
		`{"name":"a","name":"b"}`:     "400 invalid_request",
		`{"name":"a"} {"name":"b"}`:   "400 invalid_request",
		`{"Name":"a"}`:                "422 faults",
		`{"name":"a","colour":"red"}`: "422 faults",
		`{"name":7}`:                  "422 faults",
		`[]`:                          "400 invalid_request",
		`nothing`:                     "400 invalid_request",
		`{}`:                          "422 faults",
		`{"name":"a\u202eb"}`:         "422 faults",
		"{\"name\":\"" + strings.Repeat("a", 70<<10) + "\"}": "413 too_large",
	} {
		got := h.do(h.request("POST", "/groups", token, body))
		p := in[adminapi.Problem](h, got)
		status, code, _ := strings.Cut(want, " ")
		if got.Status[:3] != status || p.Code != code || p.RequestID == "" && got.StatusCode == 0 {
			t.Errorf("%.60s: %s %+v, want %s", body, got.Status, p, want)
		}
		if strings.Contains(got.body, "colour\":\"red") {
			t.Errorf("the answer repeats the input: %s", got.body)
		}
	}
	h.problem(415, "unsupported_media_type", "POST", "/groups", token, `{"name":"a"}`, with("Content-Type", "text/plain"))
	h.problem(404, "not_found", "GET", "/nothing", token, nil)
	h.problem(405, "method_not_allowed", "DELETE", "/users", token, nil)
}

func TestAnIdempotencyKeyMakesARequestSafeToRepeat(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	body := adminapi.Client{Name: "Wiki", RedirectURIs: []string{"https://wiki.example/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid"}}
	key := with("Idempotency-Key", "k-1")
	one := h.call(201, "POST", "/clients", token, body, key)
	two := h.call(201, "POST", "/clients", token, body, key)
	if one.body != two.body || two.Header.Get("Location") != one.Header.Get("Location") || two.Header.Get("ETag") != one.Header.Get("ETag") || two.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the second answer differs: %s %v\n%s %v", one.body, one.Header, two.body, two.Header)
	}
	if page := in[adminapi.Page[adminapi.Client]](h, h.call(200, "GET", "/clients?q=wiki", token, nil)); len(page.Items) != 1 {
		t.Errorf("%d clients", len(page.Items))
	}
	body.Name = "Another"
	h.problem(422, "idempotency_key_reused", "POST", "/clients", token, body, key)
	h.problem(422, "idempotency_key_reused", "POST", "/groups", token, adminapi.NewGroup{Name: "a"}, key)
	// The key is the caller's own, and one whose request was refused can be used again.
	h.call(201, "POST", "/groups", h.robot(adminapi.ScopeGroupsWrite), adminapi.NewGroup{Name: "theirs"}, key)
	again := with("Idempotency-Key", "k-2")
	h.problem(422, "faults", "POST", "/groups", token, adminapi.NewGroup{Name: "theirs"}, again)
	h.call(201, "POST", "/groups", token, adminapi.NewGroup{Name: "mine"}, again)
	h.problem(400, "invalid_request", "POST", "/groups", token, adminapi.NewGroup{Name: "long"}, with("Idempotency-Key", strings.Repeat("k", 256)))
}

func TestTheAPIHasLimits(t *testing.T) {
	h := open(t)
	c, secret := h.Machine("busy", nil, adminapi.ScopePolicyRead)
	token := h.tokenOf(c, secret)
	for range limit.AdminAPI.Most {
		h.Must(h.Ephemeral.Do(t.Context(), &limit.AdminAPI.Of("client:busy").Op))
	}
	h.problem(429, "too_many_requests", "GET", "/version", token, nil)
	if got := h.call(429, "GET", "/version", token, nil); got.Header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	h.call(200, "GET", "/version", h.robot(adminapi.ScopePolicyRead), nil)
	for range limit.AdminAPIRefused.Most {
		h.Must(h.Ephemeral.Do(t.Context(), &limit.AdminAPIRefused.Of("192.0.2.1").Op))
	}
	h.problem(429, "too_many_requests", "GET", "/version", "made-up", nil)
}

func TestAKeptAnswerIsUnreadableInTheStore(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	body := adminapi.Client{Name: "Wiki with a secret", RedirectURIs: []string{"https://wiki.example/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid"}}
	const key = "a key that the caller made up"
	made := in[adminapi.MadeClient](h, h.call(201, "POST", "/clients", token, body, with("Idempotency-Key", key)))
	var all []byte
	files, err := filepath.Glob(filepath.Join(h.Config.DataDir, "*"))
	h.Must(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		h.Must(err)
		all = append(all, text...)
	}
	if !bytes.Contains(all, []byte("admin-api-repeat")) || !bytes.Contains(all, []byte(body.Name)) {
		t.Fatal("the stores are not in these files")
	}
	for what, secret := range map[string]string{
		"the client's secret": made.Value, "the key": key, "the answer": base64.StdEncoding.EncodeToString([]byte(`{"client_id":"` + made.ID)),
	} {
		if bytes.Contains(all, []byte(secret)) {
			t.Errorf("%s is in the store", what)
		}
	}
}
