package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

func TestTheAudienceOfAnAssertionMayBeTheEndpoint(t *testing.T) { // RFC 9126 §2
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	strict := h.addKeyClient(func(c *idp.Client) { c.Policy = idp.PolicyFAPI2 }, keys.ES256)
	for _, row := range []struct {
		name, at string
		aud      any
		client   idp.Client
		ok       bool
	}{
		{"the PAR endpoint", oauth.PathPAR, h.url + oauth.PathPAR, c, true},
		{"it and the issuer", oauth.PathPAR, []string{h.url, h.url + oauth.PathPAR}, c, true},
		{"the issuer", oauth.PathPAR, h.url, c, true},
		{"the token endpoint", oauth.PathPAR, h.url + oauth.PathToken, c, true},
		{"introspection", oauth.PathIntrospect, h.url + oauth.PathIntrospect, c, true},
		{"revocation", oauth.PathRevoke, h.url + oauth.PathRevoke, c, true},
		{"the PAR endpoint, elsewhere", oauth.PathIntrospect, h.url + oauth.PathPAR, c, false},
		{"another endpoint", oauth.PathPAR, h.url + oauth.PathIntrospect, c, false},
		{"another provider besides", oauth.PathPAR, []string{h.url + oauth.PathPAR, "https://other.example"}, c, false},
		{"the strict policy: the PAR endpoint", oauth.PathPAR, h.url + oauth.PathPAR, strict, false},
		{"the strict policy: the issuer", oauth.PathPAR, h.url, strict, true},
	} {
		w := h.goodAssertion(row.client)
		w.claims["aud"] = row.aud
		form := request(row.client)
		if row.at != oauth.PathPAR {
			form = url.Values{"token": {"x"}}
		}
		r := h.post(row.at, withAssertion(form, w.text(t)))
		if known := r.StatusCode != http.StatusUnauthorized; known != row.ok {
			t.Errorf("%s: %d %s", row.name, r.StatusCode, r.body)
		}
	}
}

func TestARefreshIgnoresTheScopesThatAuthorizeIgnored(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	const asked = "openid offline_access https://other.example/unheard.of"
	tok := h.tokens(c, u, "scope", asked)
	r := h.refresh(c, tok["refresh_token"], "scope", asked)
	if r.StatusCode != 200 || r.json(t)["scope"] != "openid offline_access" {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	token := r.json(t)["refresh_token"]
	wantError(t, h.refresh(c, token, "scope", "unheard.of"), 400, "invalid_scope") // nothing is left, which is not everything
	wantError(t, h.refresh(c, token, "scope", "openid email"), 400, "invalid_scope")

	const more = "openid offline_access accounts payments"
	aimed := h.tokens(c, u, "scope", more, "resource", apiFiles) // which takes accounts alone
	if r := h.refresh(c, aimed["refresh_token"], "scope", more); r.StatusCode != 200 {
		t.Errorf("a scope that the resources do not take: %d %s", r.StatusCode, r.body)
	}
	if r := h.refresh(c, h.tokens(c, u, "scope", more)["refresh_token"], "scope", "accounts"); r.json(t)["scope"] != "accounts" {
		t.Errorf("narrowed: %s", r.body)
	}
}

func TestAPreflightAllowsTheHeadersThatAScriptNames(t *testing.T) {
	h := open(t)
	preflight := func(names string) string {
		t.Helper()
		r, err := http.NewRequest("OPTIONS", h.url+oauth.PathToken, nil)
		check(t, err)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", names)
		got := h.do(r)
		if got.StatusCode != 204 || !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Access-Control-Request-Headers") {
			t.Errorf("%d %v", got.StatusCode, got.Header)
		}
		return got.Header.Get("Access-Control-Allow-Headers")
	}
	const always = "Authorization, Content-Type, DPoP"
	for names, want := range map[string]string{
		"":                                  always,
		"authorization,dpop":                always,
		"content-type,traceparent, baggage": always + ", traceparent, baggage",
		"x-a\tb,a b,<script>,\"q\",ok":      always + ", ok",
		strings.Repeat("x", 65) + ",ok":     always + ", ok",
		strings.Repeat("n,", 40) + "n":      always + ", n",
		"h1" + strings.Repeat(",h", 5000):   always + ", h1, h",
	} {
		if got := preflight(names); got != want {
			t.Errorf("%.60q: %q, want %q", names, got, want)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, "x-"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	if got := preflight(strings.Join(many, ",")); strings.Count(got, ",") != 2+32 {
		t.Errorf("%d names are echoed", strings.Count(got, ",")-2)
	}
}

func TestAMaxAgeOfAnySizeIsAccepted(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for text, want := range map[string]time.Duration{"2147483648": 1 << 31 * time.Second, "3000000000": 3e9 * time.Second} {
		if h.authorize(request(c, "max_age", text)); h.last.Requirement.MaxAge == nil || *h.last.Requirement.MaxAge != want {
			t.Errorf("%s: %v", text, h.last.Requirement.MaxAge)
		}
	}
	for _, text := range []string{"99999999999", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 300)} {
		h.last = idp.Interaction{}
		if r := h.authorize(request(c, "max_age", text)); !interacts(r) || h.last.Requirement.MaxAge != nil {
			t.Errorf("%.40s: %d %s, %v", text, r.StatusCode, r.Header.Get("Location"), h.last.Requirement.MaxAge)
		}
	}
	strict := h.addClient(func(c *idp.Client) { age := time.Hour; c.DefaultMaxAge = &age })
	if h.authorize(request(strict, "max_age", "99999999999")); h.last.Requirement.MaxAge == nil || *h.last.Requirement.MaxAge != time.Hour {
		t.Errorf("the client's own bound: %v", h.last.Requirement.MaxAge)
	}
}

func TestAuthorizationSchemesAreFollowedByAnyNumberOfBlanks(t *testing.T) { // RFC 9110 §11.4
	h := open(t, full)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u)
	for _, value := range []string{"Bearer  ", "bearer   "} {
		req, err := http.NewRequest("GET", h.url+oauth.PathUserInfo, nil)
		check(t, err)
		req.Header.Set("Authorization", value+tok["access_token"].(string))
		if r := h.do(req); r.StatusCode != 200 {
			t.Errorf("%q: %d %s", value, r.StatusCode, r.body)
		}
	}
	r := h.post(oauth.PathToken, exchangeForm(h.code(c, u)), basic(c), func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), " ", "  ", 1))
	})
	if r.StatusCode != 200 {
		t.Errorf("Basic: %d %s", r.StatusCode, r.body)
	}
	m := h.registered(plainClient)
	if r := h.sendJSON("GET", h.at(m["registration_client_uri"]), "", " "+m["registration_access_token"].(string)); r.StatusCode != 200 {
		t.Errorf("a registration token: %d", r.StatusCode)
	}
}
