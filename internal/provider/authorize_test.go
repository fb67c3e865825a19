package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/authorize"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
)

func TestAuthorizeAcceptsWhatTheSpecificationsAllow(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, row := range []struct {
		name   string
		params []string
		want   func(idp.Interaction) any // and what it should be
		is     any
	}{
		{"the plain request", nil, func(i idp.Interaction) any { return i.Request.Nonce + i.Request.State }, "n-1st"},
		{"no nonce and no state", []string{"nonce", "", "state", ""}, func(i idp.Interaction) any { return i.Request.Nonce }, ""},
		{"a state of 512 bytes", []string{"state", strings.Repeat("x", 512)}, func(i idp.Interaction) any { return len(i.Request.State) }, 512},
		{"a redirect URI with its query", []string{"redirect_uri", "https://app.example/cb?tenant=1"}, func(i idp.Interaction) any { return i.Request.RedirectURI }, "https://app.example/cb?tenant=1"},
		{"unknown parameters", []string{"foo", "bar"}, func(i idp.Interaction) any { return i.Request.ClientID }, c.ID},
		{"unknown scopes are dropped", []string{"scope", "unknown profile openid"}, func(i idp.Interaction) any { return i.Request.Scopes }, []string{"profile", "openid"}},
		{"prompts may be combined", []string{"prompt", "login consent"}, func(i idp.Interaction) any { return i.Request.Prompt }, []string{"login", "consent"}},
		{"prompt=login needs a new ceremony", []string{"prompt", "login"}, func(i idp.Interaction) any { return i.Requirement.Fresh }, true},
		{"max_age=0 needs a new ceremony", []string{"max_age", "0"}, func(i idp.Interaction) any { return i.Requirement.Fresh }, true},
		{"max_age", []string{"max_age", "300"}, func(i idp.Interaction) any { return *i.Requirement.MaxAge }, 5 * time.Minute},
		{"prompt=create", []string{"prompt", "create"}, func(i idp.Interaction) any { return i.Request.Prompts("create") }, true},
		{
			"hints and manners",
			[]string{"login_hint", "ada@example.com", "ui_locales", "de-CH en", "display", "popup", "claims_locales", "de"},
			func(i idp.Interaction) any { return i.Request.LoginHint + i.Request.UILocales[0] }, "ada@example.comde-CH",
		},
		{"unknown acr_values count for nothing", []string{"acr_values", "1 2"}, func(i idp.Interaction) any { return len(i.Requirement.ACRValues) }, 0},
		{"acr_values in their order", []string{"acr_values", "urn:example:gold phr"}, func(i idp.Interaction) any { return i.Requirement.ACRValues }, []string{"urn:example:gold", "phr"}},
		{"an essential acr", []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["phrh"]}}}`}, func(i idp.Interaction) any { return i.Requirement.Essential }, true},
		{"a scope with an action class", []string{"scope", "openid payments"}, func(i idp.Interaction) any { return i.Requirement.ActionClasses[0].Name }, "payments"},
		{"response_mode=query", []string{"response_mode", "query"}, func(i idp.Interaction) any { return i.Request.ResponseMode }, "query"},
		{"the subject asked for by the claims parameter", []string{"claims", `{"id_token":{"sub":{"value":"u-1"}}}`}, func(i idp.Interaction) any { return i.Request.HintedUser }, "u-1"},
		{"a claim asked for by name is shown at consent", []string{"claims", `{"userinfo":{"email":{"essential":true}}}`}, func(i idp.Interaction) any { return i.Request.Scopes }, []string{"openid", "email"}},
		{"null claims and members of others", []string{"claims", `{"id_token":{"email":null},"verified_claims":{"x":[1]}}`}, func(i idp.Interaction) any { return i.Request.ClaimScopes }, []string{"email"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				h.last = idp.Interaction{}
				v := request(c, row.params...)
				r := h.authorize(v)
				if method == "POST" {
					r = h.post(oauth.PathAuthorize, v)
				}
				if want := map[string]int{"GET": 302, "POST": 303}[method]; r.StatusCode != want || r.Header.Get("Location") != "/login?i="+h.last.ID {
					t.Fatalf("%s: %d to %q: %s", method, r.StatusCode, r.Header.Get("Location"), r.body)
				}
				if d := cmp.Diff(row.is, row.want(h.last)); d != "" {
					t.Errorf("%s (-want +got):\n%s", method, d)
				}
			}
		})
	}
}

// badRequests are authorization requests of a verified client, with the error for each. The authorization endpoint and
// the PAR endpoint read them with the same code.
var badRequests = []struct {
	name   string
	params []string
	code   string
}{
	{"response_type missing", []string{"response_type", ""}, "invalid_request"},
	{"implicit", []string{"response_type", "id_token token"}, "unsupported_response_type"},
	{"hybrid", []string{"response_type", "code id_token"}, "unsupported_response_type"},
	{"no PKCE", []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
	{"PKCE plain", []string{"code_challenge", verifier, "code_challenge_method", "plain"}, "invalid_request"},
	{"PKCE plain by default", []string{"code_challenge_method", ""}, "invalid_request"},
	{"a challenge that is none", []string{"code_challenge", "short"}, "invalid_request"},
	{"a challenge of other characters", []string{"code_challenge", strings.Repeat("=", 43)}, "invalid_request"},
	{"a method without challenge", []string{"code_challenge", ""}, "invalid_request"},
	{"prompt=none with others", []string{"prompt", "none login"}, "invalid_request"},
	{"an unknown prompt", []string{"prompt", "dance"}, "invalid_request"},
	{"a negative max_age", []string{"max_age", "-1"}, "invalid_request"},
	{"a max_age in words", []string{"max_age", "soon"}, "invalid_request"},
	{"a max_age with a sign", []string{"max_age", "+5"}, "invalid_request"},
	{"a scope the client may not have", []string{"scope", "openid accounts"}, "invalid_scope"},
	{"no scope", []string{"scope", ""}, "invalid_scope"},
	{"a request object", []string{"request", "eyJ"}, "invalid_request_object"},
	{"a request_uri", []string{"request_uri", "https://app.example/r"}, "invalid_request_uri"},
	{"a registration", []string{"registration", "{}"}, "registration_not_supported"},
	{"a foreign id_token_hint", []string{"id_token_hint", "a.b.c"}, "invalid_request"},
	{"a nonce too long", []string{"nonce", strings.Repeat("n", 8<<10+1)}, "invalid_request"},
	{"claims that are no JSON", []string{"claims", "{"}, "invalid_request"},
	{"claims that are an array", []string{"claims", "[]"}, "invalid_request"},
	{"claims with a member twice", []string{"claims", `{"id_token":{"acr":{"essential":true,"essential":false}}}`}, "invalid_request"},
	{"claims with something behind", []string{"claims", `{} {}`}, "invalid_request"},
	{"claims of the wrong type", []string{"claims", `{"id_token":{"acr":"phrh"}}`}, "invalid_request"},
	{"claims too long", []string{"claims", `{"x":"` + strings.Repeat("x", 4096) + `"}`}, "invalid_request"},
	{"a response mode we don't have", []string{"response_mode", "fragment"}, "invalid_request"},
}

// narrowed returns c, or for some rows a client with few permissions.
func (h *house) narrowed(c idp.Client, code string) idp.Client {
	if code != "invalid_scope" {
		return c
	}
	return h.addClient(func(c *idp.Client) { c.Scopes = []string{"openid"} })
}

func TestAuthorizeSendsErrorsToTheClient(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, row := range badRequests {
		t.Run(row.name, func(t *testing.T) {
			r := h.authorize(request(h.narrowed(c, row.code), row.params...))
			q := r.query()
			if r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), "https://app.example/cb?") {
				t.Fatalf("%d to %q: %s", r.StatusCode, r.Header.Get("Location"), r.body)
			}
			if q.Get("error") != row.code || q.Get("state") != "st" || q.Get("iss") != h.url {
				t.Errorf("answer: %v", q)
			}
			for name := range q { // op-requirements 8
				if !slices.Contains([]string{"error", "error_description", "state", "iss"}, name) {
					t.Errorf("%s in an error response", name)
				}
			}
			if d := q.Get("error_description"); d == "" || d != oauth.Describable(d) {
				t.Errorf("description %q", d)
			}
		})
	}
}

func TestAuthorizeRefusesRepeatedParameters(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, name := range authorize.Params {
		if name == "client_id" || name == "redirect_uri" {
			continue
		}
		v := request(c)
		v[name] = []string{"x", "y"}
		r := h.authorize(v)
		if name == "resource" { // the one that may (RFC 8707 §2)
			continue
		}
		if q := r.query(); q.Get("error") != "invalid_request" || q.Has("state") == (name == "state") {
			t.Errorf("%s twice: %d %s", name, r.StatusCode, r.Header.Get("Location"))
		}
	}
}

func TestATooLongStateIsRejectedNotTruncated(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	if q := h.authorize(request(c, "state", strings.Repeat("s", 8<<10+1))).query(); q.Get("error") != "invalid_request" || q.Has("state") {
		t.Errorf("answer: %v", q)
	}
}

func TestAnUntrustedRedirectURIGetsAPageAndNoRedirect(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	twice := request(c)
	twice["redirect_uri"] = []string{"https://app.example/cb", "https://evil.example/"}
	twiceClient := request(c)
	twiceClient["client_id"] = []string{c.ID, "other"}
	for name, v := range map[string]url.Values{
		"another host":         request(c, "redirect_uri", "https://evil.example/cb"),
		"a query added":        request(c, "redirect_uri", "https://app.example/cb?x=1"),
		"a query changed":      request(c, "redirect_uri", "https://app.example/cb?tenant=2"),
		"a slash added":        request(c, "redirect_uri", "https://app.example/cb/"),
		"upper case":           request(c, "redirect_uri", "https://APP.example/cb"),
		"a fragment":           request(c, "redirect_uri", "https://app.example/cb#x"),
		"a user":               request(c, "redirect_uri", "https://app.example@evil.example/cb"),
		"a port on a web app":  request(c, "redirect_uri", "https://app.example:444/cb"),
		"none, of two":         request(c, "redirect_uri", ""),
		"twice":                twice,
		"an unknown client":    request(c, "client_id", "nobody"),
		"no client":            request(c, "client_id", ""),
		"two clients":          twiceClient,
		"and an error besides": request(c, "redirect_uri", "https://evil.example/", "response_type", "token"),
	} {
		t.Run(name, func(t *testing.T) {
			r := h.authorize(v)
			if r.StatusCode != 400 || r.Header.Get("Location") != "" || !strings.Contains(r.body, `data-page="error"`) {
				t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
			}
			if strings.Contains(r.body, "evil.example") {
				t.Error("the page repeats what was sent")
			}
		})
	}
}

func TestAnIDTokenHintNamesTheUserEvenWhenExpired(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	hint := h.tokens(c, u)["id_token"].(string)
	h.authorize(request(c, "id_token_hint", hint))
	if h.last.Request.HintedUser != u.ID {
		t.Errorf("hinted user %q, want %q", h.last.Request.HintedUser, u.ID)
	}
	s, err := h.keys.Signer(t.Context(), keys.ES256)
	check(t, err)
	expired, err := s.Sign(keys.TypeIDToken, token.IDClaims{Issuer: h.url, Subject: u.ID, Audience: c.ID, Expires: 1})
	check(t, err)
	h.last = idp.Interaction{}
	h.authorize(request(c, "id_token_hint", expired))
	if h.last.Request.HintedUser != u.ID {
		t.Error("an expired hint was not taken")
	}
	for name, claims := range map[string]token.IDClaims{
		"of another issuer": {Issuer: "https://other.example", Subject: u.ID, Audience: c.ID},
		"of another client": {Issuer: h.url, Subject: u.ID, Audience: "other"},
	} {
		hint, err := s.Sign(keys.TypeIDToken, claims)
		check(t, err)
		if q := h.authorize(request(c, "id_token_hint", hint)).query(); q.Get("error") != "invalid_request" {
			t.Errorf("a hint %s: %v", name, q)
		}
	}
	if q := h.authorize(request(c, "id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"other"}}}`)).query(); q.Get("error") != "invalid_request" {
		t.Errorf("hint and claims name different users: %v", q)
	}
}

func TestOfflineAccessIsIgnoredForAClientWithoutRefreshTokens(t *testing.T) {
	h := open(t)
	c := h.addClient(func(c *idp.Client) { c.GrantTypes = []string{"authorization_code"} })
	h.authorize(request(c, "scope", "openid offline_access"))
	if d := cmp.Diff([]string{"openid"}, h.last.Request.Scopes); d != "" {
		t.Error(d)
	}
}

func TestAParameterInTheAddressOfAPostedRequestDoesNotCount(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.post(oauth.PathAuthorize+"?prompt=none&scope=openid+email", request(c))
	if len(h.last.Request.Prompt) != 0 || len(h.last.Request.Scopes) != 1 {
		t.Errorf("request: %+v", h.last.Request)
	}
}

func TestAnUnsupportedMethodIsRefused(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for path, methods := range map[string][]string{
		oauth.PathAuthorize: {"DELETE", "PUT"}, oauth.PathToken: {"GET", "DELETE"}, oauth.PathUserInfo: {"DELETE"}, oauth.PathIntrospect: {"GET"}, oauth.PathRevoke: {"GET"},
		oauth.PathJWKS: {"POST"}, oauth.PathEndSession: {"PUT"}, "/.well-known/openid-configuration": {"POST"},
	} {
		for _, method := range methods {
			req, err := http.NewRequest(method, h.url+path, strings.NewReader(request(c).Encode()))
			check(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if r := h.do(req); r.StatusCode != 405 || r.Header.Get("Allow") == "" {
				t.Errorf("%s %s: %d", method, path, r.StatusCode)
			}
		}
	}
}
