package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/internal/web"
)

// house is a provider on real stores. Instead of package login, Begin stores the interaction and remembers it, and
// respond ends it as the test chooses.
type house struct {
	t        testing.TB
	db       *store.DB
	eph      *ephemeral.SQLite
	sessions *session.Sessions
	keys     *keys.Ring
	provider *Provider
	config   Config // of provider
	handler  http.Handler
	client   *http.Client // does not follow redirects
	url      string
	mu       *sync.Mutex
	last     idp.Interaction // what Begin saw last; set under mu
	log      *bytes.Buffer
}

const verifier = "dBjftJeZ4CVP-mBjFM0Ecy0QAgU1rJSsdIgmcm-FXSM"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// testPolicy has one risky scope, payments, with a window of five minutes, and an alias.
func testPolicy() idp.Policy {
	return idp.Policy{
		Scopes: map[string]idp.Scope{
			"accounts": {Name: "accounts", Description: "See your accounts"},
			"payments": {Name: "payments", Description: "Make payments", ActionClass: "payments"},
		},
		ActionClasses: map[string]idp.ActionClass{"payments": {Name: "payments", Description: "make a payment", Window: 5 * time.Minute}},
		Aliases:       map[string]idp.Alias{"urn:example:gold": {ACR: idp.ACRPhishingResistantHardware, MaxAge: 5 * time.Minute}},
		Decay:         idp.DefaultDecay(),
		Resources: map[string]idp.Resource{
			apiPay:   {URI: apiPay, Scopes: []string{"payments", "accounts"}},
			apiFiles: {URI: apiFiles, Scopes: []string{"accounts"}, Format: idp.FormatOpaque, TTL: time.Minute},
			apiSafe:  {URI: apiSafe, ActionClasses: []string{"payments"}},
		},
		DetailTypes: map[string]idp.DetailType{
			"payment": {Name: "payment", Description: "Pay {amount}", ActionClass: "payments", Valid: func(detail any) error {
				if _, ok := detail.(map[string]any)["amount"].(json.Number); !ok {
					return errors.New("no amount")
				}
				return nil
			}},
			"account": {Name: "account", Description: "See {account}", Valid: func(any) error { return nil }},
		},
	}
}

// Resources of testPolicy: for two scopes, for opaque tokens of a minute, and one that is itself risky.
const (
	apiPay   = "https://pay.example/api"
	apiFiles = "https://files.example"
	apiSafe  = "https://safe.example"
)

// transport calls the handler directly: for synctest bubbles, where a real connection would keep the clock still.
type transport struct{ h *house }

func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.1:1234"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	tr.h.handler.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// open starts a provider on a real listener.
func open(t testing.TB, configure ...func(*Config)) *house {
	h := &house{t: t}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	h.client = &http.Client{Transport: srv.Client().Transport}
	h.build(configure...)
	return h
}

// openInBubble is open without a listener.
func openInBubble(t testing.TB, configure ...func(*Config)) *house {
	h := &house{t: t, url: "http://localhost"}
	h.client = &http.Client{Transport: transport{h}}
	h.build(configure...)
	return h
}

func (h *house) build(configure ...func(*Config)) {
	t := h.t
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h.client.Jar, _ = cookiejar.New(nil)
	h.log, h.mu = &bytes.Buffer{}, new(sync.Mutex)
	if h.db == nil {
		h.db = storetest.Open(t)
	}
	h.eph = ephemeraltest.Open(t)
	issuer, err := url.Parse(h.url)
	check(t, err)
	logger := slog.New(slog.NewTextHandler(h.log, nil)) // one handler: it writes one record after the other
	shell, err := web.New(web.Config{Issuer: issuer, Insecure: true, Logger: logger})
	check(t, err)
	h.sessions = session.New(session.Config{Store: h.eph, Insecure: true})
	wrapper, err := keys.NewWrapper(bytes.Repeat([]byte{7}, 32))
	check(t, err)
	h.keys, err = keys.New(keys.Config{DB: h.db, Wrapper: wrapper})
	check(t, err)
	interactionsOf := ephemeral.NewBucket[idp.Interaction](h.eph, idp.InteractionBucket, idp.InteractionTTL)
	config := Config{
		Issuer: h.url, DB: h.db, Ephemeral: h.eph, Sessions: h.sessions, Shell: shell, Policy: testPolicy(), Keys: h.keys,
		RefreshKey: bytes.Repeat([]byte{9}, 32), SubjectKey: bytes.Repeat([]byte{8}, 32), Outbound: neighbours(),
		Logger: logger,
		Begin: func(ctx context.Context, _ http.ResponseWriter, _ *http.Request, req idp.Request, need idp.Requirement) (string, error) {
			i := idp.NewInteraction(req, need, time.Now())
			h.mu.Lock()
			h.last = i
			h.mu.Unlock()
			return "/login?i=" + i.ID, interactionsOf.Put(ctx, i.ID, i)
		},
	}
	for _, f := range configure {
		f(&config)
	}
	h.keys, h.config = config.Keys, config
	h.rebuild()
}

// rebuild creates the provider again with a changed configuration.
func (h *house) rebuild(configure ...func(*Config)) {
	h.t.Helper()
	for _, f := range configure {
		f(&h.config)
	}
	var err error
	h.provider, err = New(h.config)
	check(h.t, err)
	shell := h.config.Shell
	protocol, browser, outer := http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	h.provider.Mount(protocol, browser)
	outer.Handle("/oauth2/", shell.Protocol(protocol))
	outer.Handle("/.well-known/", shell.Protocol(protocol))
	outer.Handle("/", shell.Browser(browser))
	h.handler = outer
}

// neighbours is an outbound client that can only reach the servers of elsewhere.
func neighbours() *outbound.Client {
	return outbound.New(outbound.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: neighbourhood()})
}

// neighbourhood trusts the certificate of all httptest servers.
var neighbourhood = sync.OnceValue(func() *x509.CertPool {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return roots
})

// elsewhere starts an https server that neighbours can reach, and returns its URL. In a bubble it must be started from
// outside, or the bubble's clock stands still.
func elsewhere(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewTLSServer(handler)
	t.Cleanup(srv.Close)
	return srv.URL
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addUser stores a user with every claim set.
func (h *house) addUser() idp.User {
	h.t.Helper()
	u := idp.NewUser("ada-"+strings.ToLower(idp.NewSecret().Reveal())+"@example.com", "Ada Lovelace", time.Now())
	u.EmailVerified = true
	u.Profile = idp.Profile{
		GivenName: "Ada", FamilyName: "Lovelace", MiddleName: "King", Nickname: "Countess", PreferredUsername: "ada",
		URL: "https://ada.example/", Picture: "https://ada.example/p.png", Website: "https://ada.example/w", Gender: "female",
		Birthdate: "1815-12-10", Zoneinfo: "Europe/London", Locale: "en-GB", PhoneNumber: "+441234", PhoneVerified: true,
		Address: idp.Address{Formatted: "12 St James's Square", Country: "UK"},
	}
	check(h.t, h.db.CreateUser(h.t.(interface{ Context() context.Context }).Context(), u))
	return u
}

const clientSecret = idp.Secret("a-secret-of-the-client")

// addClient stores a confidential client that may do everything, changed by f.
func (h *house) addClient(f func(*idp.Client)) idp.Client {
	h.t.Helper()
	now := time.Now()
	c := idp.Client{
		ID: "app-" + strings.ToLower(idp.NewSecret().Reveal()[:8]), Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic,
		Secrets:                []idp.ClientSecret{{ID: "s1", Hash: clientSecret.Hash(), CreatedAt: now}},
		RedirectURIs:           []string{"https://app.example/cb", "https://app.example/cb?tenant=1"},
		PostLogoutRedirectURIs: []string{"https://app.example/bye"},
		GrantTypes:             []string{"authorization_code", "refresh_token"},
		Scopes:                 []string{"openid", "profile", "email", "address", "phone", "groups", "offline_access", "accounts", "payments"},
		CreatedAt:              now,
	}
	if f != nil {
		f(&c)
	}
	if c.Public() {
		c.Secrets = nil
	}
	check(h.t, h.db.PutClient(context.Background(), c))
	return c
}

// request returns a valid authorization request. params replace its own; an empty value removes one.
func request(c idp.Client, params ...string) url.Values {
	v := url.Values{
		"client_id": {c.ID}, "redirect_uri": {"https://app.example/cb"}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"st"}, "nonce": {"n-1"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
		if params[i+1] == "" {
			v.Del(params[i])
		}
	}
	return v
}

// A reply is a response with its body.
type reply struct {
	*http.Response
	body string
}

func (r reply) query() url.Values {
	u, _ := url.Parse(r.Header.Get("Location"))
	if u == nil {
		return url.Values{}
	}
	return u.Query()
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("not JSON (%d): %s", r.StatusCode, r.body)
	}
	return m
}

func (h *house) do(req *http.Request) reply {
	h.t.Helper()
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "text/html, application/json") // as a browser
	}
	resp, err := h.client.Do(req)
	check(h.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(h.t, err)
	return reply{resp, string(body)}
}

func (h *house) get(path string, edit ...func(*http.Request)) reply {
	h.t.Helper()
	req, err := http.NewRequest("GET", h.url+path, nil)
	check(h.t, err)
	for _, f := range edit {
		f(req)
	}
	return h.do(req)
}

func (h *house) post(path string, form url.Values, edit ...func(*http.Request)) reply {
	h.t.Helper()
	req, err := http.NewRequest("POST", h.url+path, strings.NewReader(form.Encode()))
	check(h.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range edit {
		f(req)
	}
	return h.do(req)
}

func (h *house) authorize(v url.Values) reply {
	h.t.Helper()
	return h.get(oauth.PathAuthorize + "?" + v.Encode())
}

// basic authenticates as a client.
func basic(c idp.Client) func(*http.Request) {
	return func(r *http.Request) {
		r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(clientSecret.Reveal()))
	}
}

// outcome is a sign-in that just happened, with all requested scopes.
func (h *house) outcome(u idp.User) idp.Outcome {
	return idp.Outcome{UserID: u.ID, SessionID: "sid-1", Scopes: h.last.Request.Scopes, Assurance: idp.Assurance{
		AuthenticationID: "auth-1", ACR: "phr", AMR: []string{"pop", "user", "mfa"}, AuthTime: time.Now().Truncate(time.Second),
		ActionClasses: []string{"payments"},
	}}
}

// respond ends the last interaction and returns what the browser gets.
func (h *house) respond(o idp.Outcome) (reply, error) {
	h.t.Helper()
	rec := httptest.NewRecorder()
	err := h.provider.Respond(rec, httptest.NewRequest("GET", "/login?i="+h.last.ID, nil), h.last, o)
	return reply{rec.Result(), rec.Body.String()}, err
}

// code runs a request to its code.
func (h *house) code(c idp.Client, u idp.User, params ...string) string {
	h.t.Helper()
	r := h.authorize(request(c, params...))
	if !strings.HasPrefix(r.Header.Get("Location"), "/login?i=") {
		h.t.Fatalf("no interaction: %d %s %s", r.StatusCode, r.Header.Get("Location"), r.body)
	}
	done, err := h.respond(h.outcome(u))
	check(h.t, err)
	code := done.query().Get("code")
	if code == "" {
		h.t.Fatalf("no code: %s", done.Header.Get("Location"))
	}
	return code
}

func exchangeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://app.example/cb"}, "code_verifier": {verifier}}
}

func (h *house) exchange(c idp.Client, code string) reply {
	h.t.Helper()
	form := exchangeForm(code)
	if c.Public() {
		form.Set("client_id", c.ID)
		return h.post(oauth.PathToken, form)
	}
	return h.post(oauth.PathToken, form, basic(c))
}

// tokens runs a whole request and returns the token response.
func (h *house) tokens(c idp.Client, u idp.User, params ...string) map[string]any {
	h.t.Helper()
	r := h.exchange(c, h.code(c, u, params...))
	if r.StatusCode != 200 {
		h.t.Fatalf("exchange: %d %s", r.StatusCode, r.body)
	}
	return r.json(h.t)
}

func (h *house) refresh(c idp.Client, token any, params ...string) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	if c.Public() {
		form.Set("client_id", c.ID)
		return h.post(oauth.PathToken, form)
	}
	return h.post(oauth.PathToken, form, basic(c))
}

func (h *house) userinfo(token any) reply {
	h.t.Helper()
	req, err := http.NewRequest("GET", h.url+oauth.PathUserInfo, nil)
	check(h.t, err)
	req.Header.Set("Authorization", "Bearer "+token.(string))
	return h.do(req)
}

func (h *house) introspect(c idp.Client, token any) map[string]any {
	h.t.Helper()
	r := h.post(oauth.PathIntrospect, url.Values{"token": {token.(string)}}, basic(c))
	if r.StatusCode != 200 {
		h.t.Fatalf("introspect: %d %s", r.StatusCode, r.body)
	}
	return r.json(h.t)
}

// claims decodes a token without checking it.
func claims(t testing.TB, token any) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(token.(string), ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %v", token)
	}
	for i, dst := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		check(t, err)
		check(t, json.Unmarshal(b, dst))
	}
	return header, payload
}

// wantError checks an OAuth error of a machine endpoint.
func wantError(t testing.TB, r reply, status int, code string) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("status %d, want %d: %s", r.StatusCode, status, r.body)
	}
	if got := r.json(t)["error"]; got != code {
		t.Errorf("error %v, want %s: %s", got, code, r.body)
	}
}
