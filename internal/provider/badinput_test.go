package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/logout"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// openOn is open with this store. Each store accepts different texts: Postgres accepts only UTF-8 without zero bytes.
func openOn(t testing.TB, db *store.DB) *house {
	h := openInBubble(t)
	h.db = db
	h.build()
	return h
}

// odd are values that no parameter expects. The second to last is longer than any stored value, the last is not text.
var odd = []string{"\x00", "\xff\xfe", "ü\"\\\r\n<script>", "{}", "[]", "null", "-1", "true", "canary' OR 1=1--", "%00", strings.Repeat("x", 20<<10), " "}

// insides are words of stores, libraries and the language, in lower case, that no response may contain.
var insides = []string{
	"sql", "redis", "pgx", "postgres", "zitadel", "jose", "schema:", "strconv", "unmarshal", "marshal", "goroutine", "panic",
	"runtime error", ".go:", "nil pointer", "*url.", "*errors.", "idp.", "oidc.", "op.", "invalid character", "unexpected end", "illegal",
	"invalid url", "x509:", "asn1", "constraint", "ephemeral", "canary", "<script>", "\\u0000",
}

// sound checks what holds for every response: it contains neither internal words nor input, and a description only has
// the characters of RFC 6749 §5.2.
func sound(t *testing.T, what string, r reply) {
	t.Helper()
	if r.StatusCode >= 500 || r.StatusCode < 200 {
		t.Errorf("%s: status %d %s", what, r.StatusCode, r.body)
	}
	said := []string{r.Header.Get("WWW-Authenticate"), r.query().Get("error_description")}
	if r.body != "" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if r.StatusCode >= 400 { // a token may spell anything
			said = append(said, r.body)
		}
		if d, _ := r.json(t)["error_description"].(string); d != oauth.Describable(d) {
			t.Errorf("%s: description %q", what, d)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be kept: %v", what, r.Header)
		}
	} else if r.StatusCode >= 400 {
		_, page, _ := strings.Cut(r.body, "<main")
		said = append(said, strings.ReplaceAll(page, r.Header.Get("X-Request-Id"), "")) // which may spell anything
	}
	if d := r.query().Get("error_description"); d != oauth.Describable(d) {
		t.Errorf("%s: description %q", what, d)
	}
	for _, text := range said {
		for _, word := range insides {
			if strings.Contains(strings.ToLower(text), word) {
				t.Errorf("%s: %q is in the answer: %s", what, word, text)
			}
		}
	}
}

// refused checks status and error of a machine endpoint's response; an empty code means no error.
func refused(t *testing.T, what string, r reply, status int, code string) {
	t.Helper()
	sound(t, what, r)
	got := ""
	if r.body != "" {
		got, _ = r.json(t)["error"].(string)
	}
	if r.StatusCode != status || got != code {
		t.Errorf("%s: %d %q, want %d %q: %.300s", what, r.StatusCode, got, status, code, r.body)
	}
}

// An endpoint is a request that succeeds, or would with another token, and the expected result of an odd value for each
// parameter.
type endpoint struct {
	name, path string
	good       func() url.Values
	edit       func(*http.Request)
	odd        map[string]string // the error; "": none
}

// machineEndpoints are all endpoints with forms, with every grant.
func (h *house) machineEndpoints() []endpoint {
	u, c, machine, tele := h.addUser(), h.addClient(nil), h.addMachine(func(c *idp.Client) { c.Scopes = []string{"accounts"} }), h.addDevice(nil)
	tok := h.tokens(c, u, "scope", "openid offline_access")
	info := h.tokens(c, u) // that of revocation ends
	api := h.addPasser(nil)
	token := func() url.Values { return url.Values{"token": {tok["access_token"].(string)}} }
	device, _ := h.asked(tele)
	none := func(*http.Request) {}
	return []endpoint{
		{"code", oauth.PathToken, func() url.Values { return exchangeForm(h.code(c, u)) }, basic(c), map[string]string{
			"grant_type": "unsupported_grant_type", "code": "invalid_grant", "redirect_uri": "invalid_grant", "code_verifier": "invalid_grant",
			"client_id": "invalid_request", "resource": "invalid_target", "foo": "", "scope": "",
		}},
		{"refresh", oauth.PathToken, func() url.Values {
			fresh := h.tokens(c, u, "scope", "openid offline_access")
			return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fresh["refresh_token"].(string)}}
		}, basic(c), map[string]string{
			"grant_type": "unsupported_grant_type", "refresh_token": "invalid_grant", "scope": "invalid_scope", "resource": "invalid_target", "client_id": "invalid_request", "foo": "",
		}},
		{"client credentials", oauth.PathToken, func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }, basic(machine), map[string]string{
			"grant_type": "unsupported_grant_type", "scope": "invalid_scope", "resource": "invalid_target", "client_id": "invalid_request", "foo": "",
		}},
		{"device code", oauth.PathToken, func() url.Values {
			return url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {device}, "client_id": {tele.ID}}
		}, none, map[string]string{
			"grant_type": "unsupported_grant_type", "device_code": "invalid_grant", "client_id": "invalid_client", "client_secret": "invalid_client",
		}},
		{"exchange", oauth.PathToken, func() url.Values {
			return url.Values{"grant_type": {idp.GrantTokenExchange}, "subject_token": {h.tokenFor(api, u).(string)}, "subject_token_type": {typeAccessToken}}
		}, basic(api), map[string]string{
			"grant_type": "unsupported_grant_type", "subject_token": "invalid_request", "subject_token_type": "invalid_request", "requested_token_type": "invalid_request",
			"actor_token": "invalid_request", "actor_token_type": "invalid_request", "scope": "invalid_scope", "resource": "invalid_target", "audience": "invalid_target",
			"client_id": "invalid_request", "foo": "",
		}},
		{"device", oauth.PathDeviceAuthorization, func() url.Values { return url.Values{"scope": {"openid"}, "client_id": {tele.ID}} }, none, map[string]string{
			"scope": "invalid_scope", "client_id": "invalid_client", "client_secret": "invalid_client", "claims": "invalid_request",
			"resource": "invalid_target", "authorization_details": "invalid_authorization_details", "foo": "", "ui_locales": "",
		}},
		{"push", oauth.PathPAR, func() url.Values { return request(c) }, basic(c), map[string]string{
			"client_id": "invalid_request", "redirect_uri": "invalid_request", "response_type": "unsupported_response_type", "response_mode": "invalid_request",
			"code_challenge": "invalid_request", "code_challenge_method": "invalid_request", "scope": "invalid_scope", "prompt": "invalid_request",
			"max_age": "invalid_request", "claims": "invalid_request", "id_token_hint": "invalid_request", "request": "invalid_request_object",
			"request_uri": "invalid_request", "registration": "registration_not_supported", "resource": "invalid_target",
			"authorization_details": "invalid_authorization_details", "acr_values": "", "login_hint": "", "ui_locales": "", "display": "", "foo": "",
		}},
		{"introspection", oauth.PathIntrospect, token, basic(c), map[string]string{"token": "", "token_type_hint": "", "client_id": "invalid_request", "foo": ""}},
		{"revocation", oauth.PathRevoke, token, basic(c), map[string]string{"token": "", "token_type_hint": "", "client_id": "invalid_request", "foo": ""}},
		{"userinfo", oauth.PathUserInfo, func() url.Values { return url.Values{"access_token": {info["access_token"].(string)}} }, none, map[string]string{"access_token": "invalid_token", "foo": ""}},
	}
}

// valid are odd values that a parameter accepts: a space counts as omitted, JSON is JSON, and a value longer than the
// whole request may be gets an error about its length.
var valid = map[string]bool{
	"claims {}": true, "authorization_details []": true, "claims  ": true, "prompt  ": true, "resource  ": true,
}

func TestOddValuesAreRejectedAtEveryMachineEndpoint(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { oddValuesForMachines(t, openOn(t, db)) })
}

func oddValuesForMachines(t *testing.T, h *house) {
	for _, e := range h.machineEndpoints() {
		for param, code := range e.odd {
			for _, value := range odd {
				what := e.name + ": " + param + " " + value[:min(len(value), 30)]
				form := e.good()
				form.Set(param, value)
				r := h.post(e.path, form, e.edit)
				sound(t, what, r)
				got := ""
				if r.body != "" {
					got, _ = r.json(t)["error"].(string)
				}
				blank := strings.TrimSpace(value) == ""
				want := code
				switch {
				case r.StatusCode == 413 && len(value) > oauth.MaxRequest && (e.path == oauth.PathPAR || e.path == oauth.PathDeviceAuthorization): // RFC 9126 §2.3
					continue
				case blank && got == "", valid[param+" "+value] && got == "": // as if omitted (RFC 6749 §3.1)
					continue
				}
				if got != want || (r.StatusCode == 401) != (want == "invalid_client" || want == "invalid_token") || (r.StatusCode < 300) != (want == "") {
					t.Errorf("%s: %d %q, want %q: %.200s", what, r.StatusCode, got, want, r.body)
				}
			}
		}
	}
}

func TestMalformedRequestsAreRejectedAtEveryMachineEndpoint(t *testing.T) {
	h := open(t)
	for _, e := range h.machineEndpoints() {
		send := func(what string, status int, code string, form url.Values, edit ...func(*http.Request)) {
			t.Helper()
			refused(t, e.name+": "+what, h.post(e.path, form, append([]func(*http.Request){e.edit}, edit...)...), status, code)
		}
		body := func(text string) func(*http.Request) {
			return func(r *http.Request) {
				fresh, err := http.NewRequest("POST", h.url, strings.NewReader(text))
				check(t, err)
				r.Body, r.ContentLength = fresh.Body, fresh.ContentLength
			}
		}
		good := e.good()
		for param := range good {
			twice := url.Values{}
			for name, values := range good {
				twice[name] = values
			}
			twice[param] = []string{good.Get(param), good.Get(param)}
			send(param+" twice", 400, "invalid_request", twice)
		}
		unknown := e.good()
		unknown["foo"] = []string{"a", "b"}
		send("an unknown parameter twice", 400, "invalid_request", unknown)
		send("in the address", 400, "invalid_request", good, func(r *http.Request) { r.URL.RawQuery = "scope=openid" })
		send("a broken address", 400, "invalid_request", good, func(r *http.Request) { r.URL.RawQuery = "a=%zz" })
		send("broken encoding", 400, "invalid_request", nil, body("token=%zz"))
		send("a semicolon", 400, "invalid_request", nil, body("token=a;b=c"))
		for _, media := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", "nonsense;;", ""} {
			send("as "+media, 400, "invalid_request", good, func(r *http.Request) { r.Header.Set("Content-Type", media) })
		}
		big := h.post(e.path, url.Values{"foo": {strings.Repeat("x", 70<<10)}}, e.edit)
		if big.StatusCode != 413 {
			t.Errorf("%s: 70 KiB: %d", e.name, big.StatusCode)
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			if e.path == oauth.PathUserInfo && method == "GET" {
				continue
			}
			r, err := http.NewRequest(method, h.url+e.path, nil)
			check(t, err)
			got := h.do(r)
			refused(t, e.name+": "+method, got, 405, "invalid_request")
			if allow := got.Header.Get("Allow"); !strings.Contains(allow, "POST") {
				t.Errorf("%s: Allow %q", e.name, allow)
			}
		}
		if e.path == oauth.PathUserInfo {
			for what, header := range map[string][]string{"none": nil, "another scheme": {"Basic eDp5"}, "no token": {"Bearer"}, "an empty token": {"Bearer "}} {
				r := h.post(e.path, nil, func(r *http.Request) { r.Header["Authorization"] = header; r.Header.Del("Content-Type") })
				refused(t, "userinfo: "+what, r, 401, "invalid_token")
				if c := r.Header.Get("WWW-Authenticate"); strings.Contains(c, "error=") { // RFC 6750 §3.1: nothing was presented
					t.Errorf("userinfo: %s: challenge %q", what, c)
				}
			}
			send("a token in header and body", 400, "invalid_request", good, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") })
			send("two headers", 400, "invalid_request", nil, func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer x", "Bearer y"} })
			continue
		}
		alone := e.good()
		alone.Del("client_id")
		for what, row := range map[string]struct {
			header []string
			status int
			code   string
		}{
			"nobody":                     {nil, 401, "invalid_client"},
			"another scheme":             {[]string{"Bearer x"}, 401, "invalid_client"},
			"not base64":                 {[]string{"Basic ???"}, 401, "invalid_client"},
			"no colon":                   {[]string{"Basic eA=="}, 401, "invalid_client"},
			"no known client":            {[]string{"Basic eDp5"}, 401, "invalid_client"},
			"two headers":                {[]string{"Basic eDp5", "Basic eDp5"}, 400, "invalid_request"},
			"broken encoding within":     {[]string{"Basic JXp6Onk="}, 401, "invalid_client"}, // %zz:y
			"a name that is not printed": {[]string{"Basic AAE6eQ=="}, 401, "invalid_client"},
		} {
			r := h.post(e.path, alone, func(r *http.Request) { r.Header["Authorization"] = row.header })
			refused(t, e.name+": "+what, r, row.status, row.code)
			if row.status == 401 && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s: %s: no challenge", e.name, what)
			}
		}
		assertion := func(text string) url.Values {
			form := e.good()
			form.Del("client_id")
			return withAssertion(form, text)
		}
		for _, text := range []string{"", "x", "a.b.c", "..", strings.Repeat("x", 10<<10), "\x00"} {
			refused(t, e.name+": a broken assertion", h.post(e.path, assertion(text)), 401, "invalid_client")
		}
		refused(t, e.name+": a secret and an assertion", h.post(e.path, assertion("a.b.c"), func(r *http.Request) { r.SetBasicAuth("x", "y") }), 400, "invalid_request")
	}
}

func TestForeignAndUsedCredentialsAreRejected(t *testing.T) {
	h := open(t)
	u, mine, theirs := h.addUser(), h.addClient(nil), h.addClient(nil)
	tele, telly := h.addDevice(nil), h.addDevice(nil)
	public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	old := h.addClient(func(c *idp.Client) { c.Policy = idp.PolicyCompatible })
	tok := h.tokens(mine, u, "scope", "openid offline_access")

	used := h.code(mine, u)
	h.exchange(mine, used)
	device, _ := h.asked(tele)
	plain := h.code(old, u, "code_challenge", "", "code_challenge_method", "")
	for what, r := range map[string]reply{
		"another client's code":                     h.exchange(theirs, h.code(mine, u)),
		"another client's code, by a public one":    h.exchange(public, h.code(mine, u)),
		"a code that was used":                      h.exchange(mine, used),
		"another client's device code":              h.poll(telly, device),
		"a device code as code":                     h.exchange(mine, device),
		"a code as device code":                     h.poll(tele, h.code(mine, u)),
		"an access token as code":                   h.exchange(mine, tok["access_token"].(string)),
		"a code as refresh token":                   h.refresh(mine, h.code(mine, u)),
		"an access token as refresh token":          h.refresh(mine, tok["access_token"]),
		"a verifier for a request without one":      h.exchange(old, plain),
		"another client's refresh token":            h.refresh(theirs, h.tokens(mine, u, "scope", "openid offline_access")["refresh_token"]),
		"another client's, presented by a stranger": h.refresh(public, h.tokens(mine, u, "scope", "openid offline_access")["refresh_token"]),
	} {
		refused(t, what, r, 400, "invalid_grant")
	}
	for what, r := range map[string]reply{
		"a grant it is not registered for": h.machineToken(mine, ""),
		"a code for a device":              h.exchange(tele, "none"),
		"the device grant for a web app":   h.poll(mine, device),
	} {
		refused(t, what, r, 400, "unauthorized_client")
	}
	for what, token := range map[string]any{"a refresh token": tok["refresh_token"], "an ID token": tok["id_token"], "a code": h.code(mine, u)} {
		if m := h.introspect(mine, token); m["active"] != false || len(m) != 1 {
			t.Errorf("introspection of %s: %v", what, m)
		}
		refused(t, "userinfo with "+what, h.userinfo(token), 401, "invalid_token")
	}
	refused(t, "introspection by a public client", h.post(oauth.PathIntrospect, withID(url.Values{"token": {tok["access_token"].(string)}}, public)), 401, "invalid_client")
	refused(t, "revocation by another client", h.post(oauth.PathRevoke, url.Values{"token": {tok["access_token"].(string)}}, basic(theirs)), 200, "")
	if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
		t.Errorf("another client revoked it: %d %s", r.StatusCode, r.body)
	}
	for what, form := range map[string]url.Values{
		"without PKCE, by a client that needs it":    request(mine, "code_challenge", "", "code_challenge_method", ""),
		"without PKCE, by a public client":           request(public, "code_challenge", "", "code_challenge_method", ""),
		"PKCE plain, by a client that may have none": request(old, "code_challenge", verifier, "code_challenge_method", "plain"),
		"another client's redirect URI":              request(mine, "redirect_uri", "https://other.example/cb"),
		"another client's client_id":                 request(theirs),
	} {
		c := mine
		switch form.Get("client_id") {
		case public.ID:
			refused(t, "push "+what, h.post(oauth.PathPAR, form), 400, "invalid_request")
			continue
		case old.ID:
			c = old
		}
		refused(t, "push "+what, h.post(oauth.PathPAR, form, basic(c)), 400, "invalid_request")
	}
}

// In the browser, an error goes to the client if client and redirect URI are verified, else to the person, and never
// anywhere else.
func TestOddValuesNeverRedirectElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { oddValuesForPeople(t, openOn(t, db)) })
}

func oddValuesForPeople(t *testing.T, h *house) {
	c := h.addClient(nil)
	errors := map[string]string{ // "page": shown to the person
		"client_id": "page", "redirect_uri": "page", "response_type": "unsupported_response_type", "response_mode": "invalid_request", "state": "",
		"scope": "invalid_scope", "nonce": "", "prompt": "invalid_request", "max_age": "invalid_request", "claims": "invalid_request",
		"code_challenge": "invalid_request", "code_challenge_method": "invalid_request", "id_token_hint": "invalid_request",
		"request": "invalid_request_object", "request_uri": "invalid_request_uri", "registration": "registration_not_supported",
		"resource": "invalid_target", "authorization_details": "invalid_authorization_details", "acr_values": "", "login_hint": "", "ui_locales": "", "display": "", "foo": "",
	}
	for _, method := range []string{"GET", "POST"} {
		for param, code := range errors {
			for _, value := range odd {
				if len(value) > 1<<10 {
					value = value[:1<<10] // of an address; longer ones the server refuses whole
				}
				what := method + " " + param + " " + value[:min(len(value), 30)]
				form := request(c, param, value)
				r := h.authorize(form)
				if method == "POST" {
					r = h.post(oauth.PathAuthorize, form)
				}
				sound(t, what, r)
				to, got := r.Header.Get("Location"), r.query().Get("error")
				switch {
				case code == "page":
					if r.StatusCode != 400 || to != "" {
						t.Errorf("%s: %d to %q", what, r.StatusCode, to)
					}
				case strings.HasPrefix(to, "/login?i="): // taken, or not looked at
					blank := strings.TrimSpace(value) == "" || valid[param+" "+value]
					if code != "" && !blank {
						t.Errorf("%s: taken", what)
					}
				case !strings.HasPrefix(to, "https://app.example/cb?"):
					t.Errorf("%s: %d to %q %.200s", what, r.StatusCode, to, r.body)
				case got != code && !(slices.Contains([]string{"state", "nonce"}, param) && len(value) > oauth.MaxState) && strings.TrimSpace(value) != "":
					t.Errorf("%s: %q, want %q", what, got, code)
				}
			}
		}
	}
	for _, param := range logout.Params {
		for _, value := range odd[:len(odd)-2] {
			form := url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {"https://app.example/bye"}}
			form.Set(param, value)
			for what, r := range map[string]reply{"GET": h.get(oauth.PathEndSession + "?" + form.Encode()), "POST": h.post(oauth.PathEndSession, form)} {
				what += " " + param + " " + value
				sound(t, what, r)
				to := r.Header.Get("Location")
				if to != "" && !strings.HasPrefix(to, "/logout") && !strings.HasPrefix(to, "/logged-out") && !strings.HasPrefix(to, "https://app.example/bye") {
					t.Errorf("%s: to %q", what, to)
				}
				if param == "post_logout_redirect_uri" && r.StatusCode != 400 {
					t.Errorf("%s: %d to %q", what, r.StatusCode, to)
				}
			}
		}
	}
}
