package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store/registrations"
)

const statementIssuer = "https://software.example"

// byToken is full, with registration by token.
func byToken(c *Config) {
	full(c)
	c.Registration.Mode = client.RegisterByToken
}

// sendJSON sends a body, with a bearer token if there is one.
func (h *house) sendJSON(method, path, body, token string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	check(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return h.do(req)
}

// registered registers a client with this metadata and returns the response.
func (h *house) registered(says string) map[string]any {
	h.t.Helper()
	r := h.sendJSON("POST", oauth.PathRegister, says, "")
	if r.StatusCode != 201 {
		h.t.Fatalf("register: %d %s", r.StatusCode, r.body)
	}
	return r.json(h.t)
}

// registrationToken creates an initial access token.
func (h *house) registrationToken() string {
	h.t.Helper()
	token, now := idp.NewSecret(), time.Now()
	check(h.t, registrations.PutToken(context.Background(), h.db, token.Hash(), 1, now, now.Add(time.Hour)))
	return token.Reveal()
}

// manage sends a request to a client's own registration.
func (h *house) manage(method string, c map[string]any, body string) reply {
	h.t.Helper()
	return h.sendJSON(method, h.at(c["registration_client_uri"]), body, c["registration_access_token"].(string))
}

const plainClient = `{"redirect_uris":["https://app.example/cb"],"client_name":"App"}`

func TestAClientRegistersItselfAndSignsPeopleIn(t *testing.T) {
	h := open(t, full)
	r := h.sendJSON("POST", oauth.PathRegister, `{"redirect_uris":["https://app.example/cb"],"client_name":" The  App ","client_name#ja":"x",
		"Client_Name":"Other","scope":"openid profile payments","logo_uri":"https://app.example/logo.png","first_party":true,
		"policy":"compatible","resource_server":true,"serves":["`+apiPay+`"],"authorization_details_types":["payment"],
		"userinfo_signed_response_alg":"RS256","introspection_signed_response_alg":"ES256","client_id":"mine","unheard_of":{"a":[1]},"default_max_age":600}`, "")
	if r.StatusCode != 201 || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	m := r.json(t)
	id, secret := m["client_id"].(string), m["client_secret"].(string)
	if id == "mine" || len(secret) < 43 || m["registration_client_uri"] != h.url+"/oauth2/register/"+id || len(m["registration_access_token"].(string)) < 43 {
		t.Errorf("%v", m)
	}
	for _, name := range []string{"client_id", "client_secret", "registration_client_uri", "registration_access_token", "client_id_issued_at"} {
		delete(m, name)
	}
	want := map[string]any{
		"redirect_uris": []any{"https://app.example/cb"}, "client_name": "The App", "scope": "openid profile", "logo_uri": "https://app.example/logo.png",
		"grant_types": []any{"authorization_code"}, "response_types": []any{"code"}, "application_type": "web", "client_secret_expires_at": 0.0,
		"token_endpoint_auth_method": "client_secret_basic", "subject_type": "public", "id_token_signed_response_alg": "RS256",
		"default_max_age": 600.0, "require_auth_time": true, "userinfo_signed_response_alg": "RS256", "introspection_signed_response_alg": "ES256",
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("what is registered (-want +got):\n%s", d)
	}
	c, err := h.db.Client(t.Context(), id)
	check(t, err)
	if !c.Dynamic || c.FirstParty || c.ResourceServer || len(c.Serves)+len(c.DetailTypes) > 0 || c.Policy != idp.PolicyStandard || c.Native {
		t.Errorf("%+v", c)
	}
	code := h.code(c, h.addUser())
	r = h.post(oauth.PathToken, exchangeForm(code), func(r *http.Request) { r.SetBasicAuth(id, secret) })
	header, _ := claims(t, r.json(t)["id_token"])
	if header["alg"] != "RS256" {
		t.Errorf("%v", header)
	}
	if n := kinds(t, h, idp.EventClientAdded); n != 1 {
		t.Errorf("%d events", n)
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestARegistrationKeepsAllSupportedMetadata(t *testing.T) {
	h := open(t, full)
	says := map[string]any{
		"redirect_uris": []any{"https://app.example/cb"}, "request_uris": []any{"https://app.example/request"}, "request_object_signing_alg": "ES256",
		"authorization_signed_response_alg": "PS256", "userinfo_signed_response_alg": "RS256", "dpop_bound_access_tokens": true,
		"backchannel_logout_uri": "https://app.example/out", "backchannel_logout_session_required": true,
		"frontchannel_logout_uri": "https://app.example/frame", "frontchannel_logout_session_required": true,
		"require_pushed_authorization_requests": true, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks",
		"id_token_signed_response_alg": "EdDSA", "default_acr_values": []any{"phr"}, "post_logout_redirect_uris": []any{"https://app.example/bye"},
	}
	body, err := json.Marshal(says)
	check(t, err)
	m := h.registered(string(body))
	for name, want := range says {
		if d := cmp.Diff(want, m[name]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestForbiddenClientMetadataIsRejected(t *testing.T) {
	h := open(t, full, func(c *Config) { c.Registration.Scopes = []string{"openid", "accounts"} })
	const uri, meta = "invalid_redirect_uri", "invalid_client_metadata"
	with := func(members string) string { return `{"redirect_uris":["https://app.example/cb"],` + members + `}` }
	const key = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	for _, row := range []struct{ name, body, err string }{
		{"nothing", ``, meta},
		{"no object", `[]`, meta},
		{"two objects", plainClient + plainClient, meta},
		{"a member twice", with(`"client_name":"A","client_name":"B"`), meta},
		{"a member twice, deep down", with(`"jwks":{"keys":[],"keys":[]}`), meta},
		{"no redirect URI", `{}`, uri},
		{"redirect URIs in a string", `{"redirect_uris":"https://app.example/cb"}`, uri},
		{"a number among them", `{"redirect_uris":[1]}`, uri},
		{"a fragment", `{"redirect_uris":["https://app.example/cb#x"]}`, uri},
		{"http", `{"redirect_uris":["http://app.example/cb"]}`, uri},
		{"a script", `{"redirect_uris":["javascript:alert(1)"]}`, uri},
		{"a wildcard", `{"redirect_uris":["https://*.example/cb"]}`, uri},
		{"a name of the wrong type", with(`"client_name":7`), meta},
		{"a name too long", with(`"client_name":"` + strings.Repeat("x", 81) + `"`), meta},
		{"an unknown method", with(`"token_endpoint_auth_method":"client_secret_jwt"`), meta},
		{"a key without keys", with(`"token_endpoint_auth_method":"private_key_jwt"`), meta},
		{"keys twice", with(`"jwks":{"keys":[` + key + `]},"jwks_uri":"https://app.example/jwks"`), meta},
		{"keys over http", with(`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://app.example/jwks"`), meta},
		{"no key set", with(`"jwks":[]`), meta},
		{"implicit", with(`"grant_types":["implicit"]`), meta},
		{"tokens from the front", with(`"response_types":["code id_token"]`), meta},
		{"code without its grant", `{"grant_types":["refresh_token"],"response_types":["code"]}`, meta},
		{"its own name", with(`"grant_types":["client_credentials"],"scope":"accounts"`), meta},
		{"a device", with(`"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`), meta},
		{"other clients' tokens", with(`"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],"scope":"accounts"`), meta},
		{"scopes of others alone", with(`"scope":"payments"`), meta},
		{"an unknown subject type", with(`"subject_type":"private"`), meta},
		{"none", with(`"id_token_signed_response_alg":"none"`), meta},
		{"none for userinfo", with(`"userinfo_signed_response_alg":"none"`), meta},
		{"a secret for introspection", with(`"introspection_signed_response_alg":"HS256"`), meta},
		{"encryption", with(`"id_token_encrypted_response_alg":"RSA-OAEP"`), meta},
		{"a negative age", with(`"default_max_age":-1`), meta},
		{"an age of the wrong type", with(`"default_max_age":"1"`), meta},
		{"an unknown acr", with(`"default_acr_values":["gold"]`), meta},
		{"an unknown application type", with(`"application_type":"service"`), meta},
		{"sign-in begun over http", with(`"initiate_login_uri":"http://app.example/login"`), meta},
		{"a logo that is a script", with(`"logo_uri":"javascript:x"`), meta},
		{"a redirect after sign-out", with(`"post_logout_redirect_uris":["http://app.example/"]`), meta},
		{"a logout over http", with(`"backchannel_logout_uri":"http://app.example/out"`), meta},
		{"a logout of another origin", with(`"frontchannel_logout_uri":"https://other.example/out"`), meta},
		{"a sector that cannot be reached", with(`"sector_identifier_uri":"https://127.0.0.2:1/"`), meta},
		{"a software statement", with(`"software_statement":"a.b.c"`), "unapproved_software_statement"},
		{"a software statement of the wrong type", with(`"software_statement":1`), "unapproved_software_statement"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.forgive()
			r := h.sendJSON("POST", oauth.PathRegister, row.body, "")
			wantError(t, r, 400, row.err)
			if d, _ := r.json(t)["error_description"].(string); d == "" || d != oauth.Describable(d) || r.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("description %q, headers %v", d, r.Header)
			}
		})
	}
	h.forgive()
	wantError(t, h.sendJSON("POST", oauth.PathRegister, with(`"contacts":["`+strings.Repeat("x", (32<<10))+`"]`), ""), 413, meta)
	wantError(t, h.post(oauth.PathRegister, url.Values{"redirect_uris": {"https://app.example/cb"}}), 400, meta)
	wantError(t, h.sendJSON("POST", oauth.PathRegister+"?access_token=x", plainClient, ""), 400, "invalid_request")
	if all, err := h.db.Clients(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d clients were stored, %v", len(all), err)
	}
}

// forgive resets the limit of this network's registrations.
func (h *house) forgive() {
	h.t.Helper()
	h.rebuild(func(c *Config) { c.Ephemeral = ephemeraltest.Open(h.t) })
}

func TestRegistrationRequiresAnOperatorsToken(t *testing.T) {
	h := open(t, byToken)
	token, now := idp.NewSecret(), time.Now()
	check(t, registrations.PutToken(t.Context(), h.db, token.Hash(), 2, now, now.Add(time.Hour)))
	r := h.sendJSON("POST", oauth.PathRegister, plainClient, "")
	wantError(t, r, 401, "invalid_token")
	if got := r.Header.Get("WWW-Authenticate"); got != `Bearer realm="`+h.url+`"` {
		t.Errorf("challenge %q", got)
	}
	r = h.sendJSON("POST", oauth.PathRegister, plainClient, "made-up")
	wantError(t, r, 401, "invalid_token")
	if !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("challenge %q", r.Header.Get("WWW-Authenticate"))
	}
	wantError(t, h.sendJSON("POST", oauth.PathRegister, `{}`, token.Reveal()), 400, "invalid_redirect_uri") // the token is not used up by it
	m := h.sendJSON("POST", oauth.PathRegister, `{"grant_types":["client_credentials"],"scope":"accounts"}`, token.Reveal()).json(t)
	machine := func(r *http.Request) { r.SetBasicAuth(m["client_id"].(string), m["client_secret"].(string)) }
	if r := h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}}, machine); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := h.manage("PUT", m, `{"client_id":"`+m["client_id"].(string)+`","grant_types":["client_credentials"],"scope":"accounts"}`); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := h.sendJSON("POST", oauth.PathRegister, plainClient, token.Reveal()); r.StatusCode != 201 {
		t.Errorf("the second use: %d %s", r.StatusCode, r.body)
	}
	wantError(t, h.sendJSON("POST", oauth.PathRegister, plainClient, token.Reveal()), 401, "invalid_token")
}

func TestOpenRegistrationStillChecksATokenThatIsSent(t *testing.T) {
	h := open(t, full)
	wantError(t, h.sendJSON("POST", oauth.PathRegister, plainClient, "made-up"), 401, "invalid_token")
}

func TestDisabledRegistrationHasNoEndpoint(t *testing.T) {
	h := open(t)
	for _, r := range []reply{h.sendJSON("POST", oauth.PathRegister, plainClient, ""), h.sendJSON("GET", oauth.PathRegister+"/x", "", "y")} {
		if r.StatusCode != 404 {
			t.Errorf("%d", r.StatusCode)
		}
	}
	if h.get("/.well-known/openid-configuration").json(t)["registration_endpoint"] != nil {
		t.Error("announced")
	}
}

func TestAClientManagesItsRegistration(t *testing.T) {
	h := open(t, full)
	m := h.registered(plainClient)
	shown := h.manage("GET", m, "").json(t)
	if shown["client_secret"] != nil || shown["registration_access_token"] != m["registration_access_token"] || shown["client_name"] != "App" {
		t.Errorf("shown: %v", shown)
	}
	id := m["client_id"].(string)
	change := func(members string) string {
		return `{"client_id":"` + id + `","redirect_uris":["https://app.example/cb"]` + members + `}`
	}
	r := h.manage("PUT", m, change(`,"client_name":"New","client_secret":"`+m["client_secret"].(string)+`"`))
	changed := r.json(t)
	if r.StatusCode != 200 || changed["client_name"] != "New" || changed["registration_access_token"] == m["registration_access_token"] || changed["client_secret"] != nil {
		t.Fatalf("%d %v", r.StatusCode, changed)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		wantError(t, h.manage(method, m, change("")), 401, "invalid_token") // the token of before
	}
	if c, err := h.db.Client(t.Context(), id); err != nil || c.Name != "New" || !hasSecret(c, m["client_secret"]) {
		t.Errorf("%v %+v", err, c)
	}
	for name, body := range map[string]string{
		"no client_id":      plainClient,
		"another client_id": `{"client_id":"other","redirect_uris":["https://app.example/cb"]}`,
		"a secret it chose": change(`,"client_secret":"chosen"`),
		"a secret of 7":     change(`,"client_secret":7`),
		"its own name":      change(`,"grant_types":["client_credentials"]`),
		"a device":          change(`,"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`),
	} {
		r := h.manage("PUT", changed, body)
		if r.StatusCode != 400 || r.json(t)["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	public := h.manage("PUT", changed, change(`,"token_endpoint_auth_method":"none"`)).json(t)
	if c, err := h.db.Client(t.Context(), id); err != nil || len(c.Secrets) > 0 || c.Name != "app.example" {
		t.Errorf("%v %+v", err, c)
	}
	secret := h.manage("PUT", public, change("")).json(t)
	if secret["client_secret"] == nil || secret["client_secret"] == m["client_secret"] {
		t.Errorf("%v", secret)
	}
	c, err := h.db.Client(t.Context(), id)
	check(t, err)
	h.code(c, h.addUser())
	if r := h.manage("DELETE", secret, ""); r.StatusCode != 204 || r.body != "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := h.authorize(request(c)); r.StatusCode != 400 {
		t.Errorf("removed, and still known: %d", r.StatusCode)
	}
	wantError(t, h.manage("GET", secret, ""), 401, "invalid_token")
	for kind, want := range map[idp.EventKind]int{idp.EventClientAdded: 1, idp.EventClientChanged: 3, idp.EventClientRemoved: 1} {
		if n := kinds(t, h, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestAClientCannotManageOtherRegistrations(t *testing.T) {
	h := open(t, full)
	mine, other, operators := h.registered(plainClient), h.registered(plainClient), h.addClient(nil)
	token := mine["registration_access_token"].(string)
	for name, row := range map[string]struct{ id, token string }{
		"another's token":           {other["client_id"].(string), token},
		"a client of the operator":  {operators.ID, token},
		"no client":                 {"nobody", token},
		"no token":                  {mine["client_id"].(string), ""},
		"the client's secret":       {mine["client_id"].(string), mine["client_secret"].(string)},
		"the hash of the token":     {mine["client_id"].(string), idp.Secret(token).Hash()},
		"a client without any hash": {operators.ID, "x"},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			r := h.sendJSON(method, oauth.PathRegister+"/"+row.id, `{"client_id":"`+row.id+`","redirect_uris":["https://evil.example/"]}`, row.token)
			wantError(t, r, 401, "invalid_token")
			if t.Failed() {
				t.Fatalf("%s, %s", name, method)
			}
		}
	}
	twice := func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token} }
	req, err := http.NewRequest("GET", mine["registration_client_uri"].(string), nil)
	check(t, err)
	twice(req)
	wantError(t, h.do(req), 401, "invalid_token")
}

func TestASoftwareStatementOverridesTheClientsMetadata(t *testing.T) {
	h := open(t, full, func(c *Config) {
		c.Registration.Statements = client.Statements{Issuer: statementIssuer, Keys: []jose.JSONWebKey{{Key: clientKeys()[keys.ES256].Public(), KeyID: "s1"}}}
	})
	statement := func(edit func(*wording)) string {
		w := &wording{
			key: clientKeys()[keys.ES256], alg: keys.ES256, header: map[string]any{"alg": keys.ES256, "kid": "s1"},
			claims: map[string]any{"iss": statementIssuer, "software_id": "acme", "client_name": "Acme", "redirect_uris": []string{"https://acme.example/cb"}},
		}
		if edit != nil {
			edit(w)
		}
		return w.text(t)
	}
	body := func(statement string, extra string) string {
		return `{"redirect_uris":["https://evil.example/cb"],"client_name":"Evil","software_statement":"` + statement + `"` + extra + `}`
	}
	good := statement(nil)
	m := h.registered(body(good, ""))
	if m["client_name"] != "Acme" || m["software_id"] != "acme" || m["software_statement"] != good ||
		!slices.Equal(m["redirect_uris"].([]any), []any{"https://acme.example/cb"}) {
		t.Errorf("%v", m)
	}
	id := `,"client_id":"` + m["client_id"].(string) + `"`
	r := h.manage("PUT", m, `{"redirect_uris":["https://evil.example/cb"]`+id+`}`)
	wantError(t, r, 400, "invalid_software_statement")
	if r := h.manage("PUT", m, body(good, id)); r.json(t)["client_name"] != "Acme" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for name, row := range map[string]struct {
		err  string
		edit func(*wording)
	}{
		"another key":            {"invalid_software_statement", func(w *wording) { w.key, w.alg, w.header["alg"] = clientKeys()["PS256"], "PS256", "PS256" }},
		"another kid":            {"invalid_software_statement", func(w *wording) { w.header["kid"] = "s2" }},
		"none":                   {"invalid_software_statement", func(w *wording) { w.alg, w.header["alg"] = "none", "none" }},
		"expired":                {"invalid_software_statement", func(w *wording) { w.claims["exp"] = time.Now().Unix() - 1 }},
		"of tomorrow":            {"invalid_software_statement", func(w *wording) { w.claims["nbf"] = time.Now().Unix() + 3600 }},
		"another kind of JWT":    {"invalid_software_statement", func(w *wording) { w.header["typ"] = "at+jwt" }},
		"an extension":           {"invalid_software_statement", func(w *wording) { w.header["crit"] = []string{"x"}; w.header["x"] = 1 }},
		"a claim twice":          {"invalid_software_statement", func(w *wording) { w.raw = `{"iss":"` + statementIssuer + `","iss":"` + statementIssuer + `"}` }},
		"another issuer":         {"unapproved_software_statement", func(w *wording) { w.claims["iss"] = "https://other.example" }},
		"no issuer":              {"unapproved_software_statement", func(w *wording) { delete(w.claims, "iss") }},
		"a redirect over http":   {"invalid_redirect_uri", func(w *wording) { w.claims["redirect_uris"] = []string{"http://acme.example/cb"} }},
		"a name of another type": {"invalid_client_metadata", func(w *wording) { w.claims["client_name"] = 7 }},
	} {
		t.Run(name, func(t *testing.T) {
			h.forgive()
			wantError(t, h.sendJSON("POST", oauth.PathRegister, body(statement(row.edit), ""), ""), 400, row.err)
		})
	}
	h.forgive()
	wantError(t, h.sendJSON("POST", oauth.PathRegister, body(good+strings.Repeat("A", (8<<10)), ""), ""), 400, "invalid_software_statement")
}

func TestRegistrationsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t, full)
		for range 20 {
			h.registered(plainClient)
		}
		r := h.sendJSON("POST", oauth.PathRegister, plainClient, "")
		wantError(t, r, 429, "temporarily_unavailable")
		if r.Header.Get("Retry-After") != "3600" {
			t.Errorf("headers %v", r.Header)
		}
		time.Sleep(time.Hour)
		h.registered(plainClient)
		for range 500 { // of other networks
			check(t, h.eph.Do(t.Context(), &ephemeral.Op{Verb: ephemeral.Count, Key: "limit-register-all:all", TTL: time.Hour}))
		}
		wantError(t, h.sendJSON("POST", oauth.PathRegister, plainClient, ""), 429, "temporarily_unavailable")
	})
}

func TestTheLimitOfRegistrationsIsASetting(t *testing.T) {
	h := open(t, full, func(c *Config) { c.Registration.Most = 2 })
	for range 2 {
		h.registered(plainClient)
	}
	wantError(t, h.sendJSON("POST", oauth.PathRegister, plainClient, ""), 429, "temporarily_unavailable")
}

func TestUseOfADynamicClientIsRecordedOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t, full)
		m := h.registered(plainClient)
		id, secret := m["client_id"].(string), m["client_secret"].(string)
		use := func() (usedAt time.Time, trips int64) {
			_, err := h.db.Client(t.Context(), id) // warm
			check(t, err)
			before := h.db.RoundTrips()
			h.post(oauth.PathRevoke, url.Values{"token": {"x"}}, func(r *http.Request) { r.SetBasicAuth(id, secret) })
			trips = h.db.RoundTrips() - before
			c, err := h.db.StoredClient(t.Context(), id)
			check(t, err)
			return c.UsedAt, trips
		}
		first, plain := use()
		time.Sleep(23 * time.Hour)
		if at, trips := use(); !at.Equal(first) || trips != plain {
			t.Errorf("the same day: %v, %d round trips, not %d", at, trips, plain)
		}
		time.Sleep(time.Hour)
		if at, trips := use(); !at.Equal(time.Now().Truncate(time.Millisecond)) || trips != plain+1 {
			t.Errorf("the next day: %v, %d round trips, not %d", at, trips, plain+1)
		}
		if _, trips := use(); trips != plain {
			t.Errorf("again: %d round trips", trips)
		}
	})
}

func TestASectorListsTheRedirectURIs(t *testing.T) {
	h := open(t, full)
	list := `["https://a.example/cb","https://b.example/cb"]`
	address := elsewhere(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, list) })
	says := func(uris string) string {
		return `{"subject_type":"pairwise","sector_identifier_uri":"` + address + `/sector.json","redirect_uris":[` + uris + `]}`
	}
	m := h.registered(says(`"https://a.example/cb","https://b.example/cb"`))
	if m["subject_type"] != "pairwise" || m["sector_identifier_uri"] != address+"/sector.json" {
		t.Errorf("%v", m)
	}
	for name, row := range map[string]struct{ list, uris string }{
		"one is not in it": {list, `"https://a.example/cb","https://c.example/cb"`},
		"no list":          {`{"redirect_uris":["https://a.example/cb"]}`, `"https://a.example/cb"`},
		"too long":         {`["https://a.example/cb",` + strings.Repeat(" ", (64<<10)) + `""]`, `"https://a.example/cb"`},
	} {
		list = row.list
		r := h.sendJSON("POST", oauth.PathRegister, says(row.uris), "")
		if r.StatusCode != 400 || r.json(t)["error"] != "invalid_client_metadata" || !strings.Contains(r.body, "sector_identifier_uri") {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
}

func TestASectorsListMustNotBeRedirected(t *testing.T) {
	h := open(t, full)
	evil := elsewhere(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `["https://evil.example/cb"]`) })
	victim := elsewhere(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.FormValue("to"), http.StatusFound) })
	r := h.sendJSON("POST", oauth.PathRegister, `{"subject_type":"pairwise","redirect_uris":["https://evil.example/cb"],
		"sector_identifier_uri":"`+victim+`/?`+url.Values{"to": {evil}}.Encode()+`"}`, "")
	wantError(t, r, 400, "invalid_client_metadata")
}

// A client that already has tokens could take them into another sector and learn the names there.
func TestAClientStaysInItsSector(t *testing.T) {
	h := open(t, full)
	list := elsewhere(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `["https://victim.example/cb"]`) })
	body := func(host, more string) string { return `{"redirect_uris":["https://` + host + `/cb"]` + more }
	const pairwise = `,"subject_type":"pairwise"`
	for name, row := range map[string]struct {
		before, after string
		ok            bool
	}{
		"another host":         {body("evil.example", pairwise), body("victim.example", pairwise), false},
		"another list":         {body("evil.example", pairwise), body("victim.example", pairwise+`,"sector_identifier_uri":"`+list+`"`), false},
		"from public":          {body("evil.example", ""), body("victim.example", pairwise), false},
		"from public, at home": {body("evil.example", ""), body("evil.example", pairwise), false},
		"to public":            {body("evil.example", pairwise), body("evil.example", ""), false},
		"the same":             {body("evil.example", pairwise), body("evil.example", pairwise+`,"client_name":"New"`), true},
		"public, another host": {body("evil.example", ""), body("victim.example", ""), true},
	} {
		h.forgive()
		m := h.registered(row.before + `}`)
		r := h.manage("PUT", m, row.after+`,"client_id":"`+m["client_id"].(string)+`"}`)
		if (r.StatusCode == 200) != row.ok || !row.ok && r.json(t)["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
}

func TestStrangersCannotBlockHoldersOfARegistrationToken(t *testing.T) {
	h := open(t, full)
	now, token := time.Now(), idp.NewSecret()
	check(t, registrations.PutToken(t.Context(), h.db, token.Hash(), 1, now, now.Add(time.Hour)))
	for range limit.Registrations.Most + 1 {
		h.sendJSON("POST", oauth.PathRegister, plainClient, "nonsense")
	}
	wantError(t, h.sendJSON("POST", oauth.PathRegister, plainClient, ""), 429, "temporarily_unavailable")
	if r := h.sendJSON("POST", oauth.PathRegister, plainClient, token.Reveal()); r.StatusCode != 201 {
		t.Errorf("with a token: %d %s", r.StatusCode, r.body)
	}
}

func TestADynamicClientThatComesToLookLikeAnotherIsAskedForAgain(t *testing.T) {
	for name, change := range map[string]struct {
		from, to string
		asks     bool
	}{
		"name":          {`"client_name":"Plain"`, `"client_name":"Acme Bank"`, true},
		"redirect host": {`https://app.example/cb`, `https://bank.example/cb`, true},
		"logo":          {`"client_name":"Plain"`, `"client_name":"Plain","logo_uri":"https://app.example/bank.png"`, true},
		"path alone":    {`https://app.example/cb`, `https://app.example/other`, false},
		"contact":       {`"client_name":"Plain"`, `"client_name":"Plain","contacts":["a@app.example"]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, full)
			says := `{"client_name":"Plain","redirect_uris":["https://app.example/cb"]}`
			m, u := h.registered(says), h.addUser()
			id, now := m["client_id"].(string), time.Now()
			check(t, h.db.PutGrant(t.Context(), idp.Grant{UserID: u.ID, ClientID: id, Scopes: []string{"openid"}, CreatedAt: now, UpdatedAt: now}))
			body := strings.Replace(strings.Replace(says, change.from, change.to, 1), "{", `{"client_id":"`+id+`",`, 1)
			if r := h.manage("PUT", m, body); r.StatusCode != 200 {
				t.Fatalf("%d %s", r.StatusCode, r.body)
			}
			_, err := h.db.Grant(t.Context(), u.ID, id)
			if errors.Is(err, idp.ErrNotFound) != change.asks {
				t.Errorf("consent: %v", err)
			}
		})
	}
}

func hasSecret(c idp.Client, secret any) bool {
	text, _ := secret.(string)
	_, ok := c.MatchSecret(idp.Secret(text), time.Now())
	return ok
}
