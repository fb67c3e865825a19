package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

// registering is a provider at which any client may register.
func registering(t *testing.T) *op { return newOP(t, "STEPWARD_REGISTRATION=open") }

// sendJSON sends a JSON body, with a bearer token if there is one.
func (o *op) sendJSON(method, target string, body any, token any) answer {
	o.t.Helper()
	if path, ours := strings.CutPrefix(target, o.issuer); ours {
		target = path
	}
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.issuer+target, strings.NewReader(string(must(json.Marshal(body)))))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if text, ok := token.(string); ok {
		req.Header.Set("Authorization", "Bearer "+text)
	}
	return o.do(req)
}

// registers registers a client that says this of itself; what it says of redirect_uris may be left out.
func (o *op) registers(says map[string]any) (*rp, map[string]any) {
	o.t.Helper()
	if says["redirect_uris"] == nil {
		says["redirect_uris"] = []string{rpOrigin + "cb"}
	}
	a := o.sendJSON("POST", o.metadata()["registration_endpoint"].(string), says, nil)
	if a.status != http.StatusCreated {
		o.t.Fatalf("register: %d %s", a.status, a.body)
	}
	m := a.json(o.t)
	c, err := o.DB.Client(o.t.Context(), m["client_id"].(string))
	if err != nil {
		o.t.Fatal(err)
	}
	secret, _ := m["client_secret"].(string)
	return &rp{op: o, Client: c, secret: secret, verifier: strings.Repeat("v", 43)}, m
}

func TestOP27AClientRegistersReadsAndRemovesItsRegistration(t *testing.T) {
	t.Parallel()
	o := registering(t)
	a, m := o.registers(map[string]any{
		"client_name": "App", "initiate_login_uri": "https://rp.example/login", "scope": "openid profile offline_access",
		"grant_types": []string{"authorization_code", "refresh_token"},
	})
	address, token := m["registration_client_uri"].(string), m["registration_access_token"]
	if m["client_secret"] == nil || m["client_secret_expires_at"] == nil || token == nil || !strings.HasPrefix(address, "https://") {
		t.Errorf("%v", m)
	}
	if got := a.signIn(o.person(), "scope", "openid offline_access", "prompt", "consent"); got.claims["sub"] == nil {
		t.Errorf("%+v", got)
	}
	shown := o.sendJSON("GET", address, nil, token).json(t)
	for _, name := range []string{"client_id", "client_name", "initiate_login_uri", "scope", "registration_access_token", "registration_client_uri"} {
		if shown[name] != m[name] {
			t.Errorf("%s: registered %v, shown %v", name, m[name], shown[name])
		}
	}
	if gone := o.sendJSON("DELETE", address, nil, token); gone.status != http.StatusNoContent || len(gone.body) > 0 {
		t.Errorf("%d %s", gone.status, gone.body)
	}
	o.sendJSON("GET", address, nil, token).refused(t, 401, "invalid_token")
	a.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "a.b").refused(t, 401, "invalid_client")
}

func TestOP28RedirectURIsAndSectorsAreChecked(t *testing.T) {
	t.Parallel()
	o := registering(t)
	register := func(says map[string]any) answer { return o.sendJSON("POST", "/oauth2/register", says, nil) }
	cb := rpOrigin + "cb"
	register(map[string]any{"redirect_uris": []string{cb + "#x"}}).refused(t, 400, "invalid_redirect_uri")
	register(map[string]any{"redirect_uris": []string{cb}, "initiate_login_uri": "http://rp.example/login"}).refused(t, 400, "invalid_client_metadata")

	listed := []string{cb, rpOrigin + "other"}
	sector := outside(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(listed)
	})) + "/sector.json"
	register(map[string]any{"redirect_uris": []string{cb, rpOrigin + "third"}, "sector_identifier_uri": sector, "subject_type": "pairwise"}).refused(t, 400, "invalid_client_metadata")

	p := o.person()
	subs := map[any]bool{}
	for range 2 { // one sector, one sub
		a, _ := o.registers(map[string]any{"redirect_uris": []string{cb}, "sector_identifier_uri": sector, "subject_type": "pairwise"})
		subs[a.signIn(p).claims["sub"]] = true
	}
	for _, says := range []map[string]any{{"subject_type": "pairwise"}, {}} { // another sector, and the public sub
		a, _ := o.registers(says)
		subs[a.signIn(p).claims["sub"]] = true
	}
	if len(subs) != 3 {
		t.Errorf("%d different subs: %v", len(subs), subs)
	}
}

func TestOP29LogoAndPoliciesStandOnTheSignInPage(t *testing.T) {
	t.Parallel()
	o := registering(t)
	addresses := map[string]any{"logo_uri": "https://rp.example/logo.png", "policy_uri": "https://rp.example/privacy", "tos_uri": "https://rp.example/terms"}
	a, m := o.registers(map[string]any{"logo_uri": addresses["logo_uri"], "policy_uri": addresses["policy_uri"], "tos_uri": addresses["tos_uri"]})
	p, _ := o.browser()
	at := a.open(p)
	if at.name != "login" {
		t.Fatalf("at %v", at)
	}
	for name, address := range addresses {
		if m[name] != address || !strings.Contains(at.body, `"`+address.(string)+`"`) {
			t.Errorf("%s is %v, and on the page: %v", name, m[name], strings.Contains(at.body, address.(string)))
		}
	}
}

func TestOP30ARegisteredClientKeepsItsKeysAtAJWKSURI(t *testing.T) {
	t.Parallel()
	o := registering(t)
	keyed := o.client(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPrivateKey }) // for its key
	asked := 0
	address := outside(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_ = json.NewEncoder(w).Encode(keyed.JWKS)
	})) + "/jwks"
	a, m := o.registers(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": address})
	if m["jwks_uri"] != address || m["client_secret"] != nil || m["jwks"] != nil {
		t.Errorf("%v", m)
	}
	a.key = keyed.key
	p := o.person()
	for _, aud := range []string{o.issuer, o.issuer + "/oauth2/token"} {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {a.authorize(p).Get("code")}, "redirect_uri": {a.RedirectURIs[0]}, "code_verifier": {a.verifier},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {a.assertion("aud", aud)},
		}
		if got := o.send("POST", "/oauth2/token", form); got.status != 200 {
			t.Errorf("aud %s: %d %s", aud, got.status, got.body)
		}
	}
	if asked != 1 {
		t.Errorf("the keys were fetched %d times", asked)
	}
}
