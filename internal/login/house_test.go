package login

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/internal/web"
)

const origin = "https://login.example.com"

// A house is package login with real neighbours. Instead of the provider, a page begins an interaction and Respond
// stores the outcome.
type house struct {
	*testing.T
	*Login
	handler    http.Handler
	ephemeral  *ephemeral.SQLite
	ceremonies *passkey.Ceremonies

	request  idp.Request // of the next GET /begin
	need     idp.Requirement
	outcomes []idp.Outcome
	told     []string // what Notify was called with

	answersByPage bool // as for response_mode=form_post: only Respond can answer
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, request: idp.Request{ClientID: "app", RedirectURI: "https://app.example.com/cb", Scopes: []string{"openid", "email"}}}
	issuer, _ := url.Parse(origin)
	shell, err := web.New(web.Config{Issuer: issuer, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	h.must(err)
	h.ephemeral, err = ephemeral.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ephemeral.db"), nil)
	h.must(err)
	t.Cleanup(func() { _ = h.ephemeral.Close() })
	h.ceremonies, err = passkey.New(passkey.Config{RPID: "login.example.com", RPName: "Stepward", Origins: []string{origin}, Store: h.ephemeral})
	h.must(err)
	h.Login, err = New(Config{
		Shell: shell, Sessions: session.New(session.Config{Store: h.ephemeral, Idle: 2 * time.Hour}), Ceremonies: h.ceremonies,
		DB: storetest.Open(t), Ephemeral: h.ephemeral, SignUp: true,
		Policy: idp.Policy{
			Decay:  idp.DefaultDecay(),
			Scopes: map[string]idp.Scope{"openid": {Name: "openid", Description: "Know that it is you"}, "email": {Name: "email", Description: "See your e-mail address"}},
			ActionClasses: map[string]idp.ActionClass{
				"payments": {Name: "payments", Description: "make a payment", ACR: "phr", Window: 5 * time.Minute},
				"account":  {Name: "account", ACR: "phr", Window: 5 * time.Minute},
				"vault":    {Name: "vault", ACR: "phrh", Window: 5 * time.Minute},
				"limits":   {Name: "limits", Description: "change your limits", ACR: "phr", Window: time.Minute},
			},
			Resources:   map[string]idp.Resource{"https://api.example.com/v1": {}, "https://files.example.com": {Description: "Use your files"}},
			DetailTypes: map[string]idp.DetailType{"payment": {Name: "payment", Description: "Pay {amount} to {creditor.name}"}},
		},
		Respond: h.respond,
		Answer:  h.answer,
		Notify: func(_ context.Context, u idp.User, kind string, data map[string]string) {
			h.told = append(h.told, u.Email+" "+kind+" "+data["passkey"])
		},
	})
	h.must(err)
	h.must(h.cfg.DB.PutClient(t.Context(), idp.Client{
		ID: "app", Name: "Acme Bank", RedirectURIs: []string{"https://app.example.com/cb"}, LogoURI: "https://app.example.com/logo.png",
		PolicyURI: "https://app.example.com/privacy", TOSURI: "https://app.example.com/terms",
	}))
	mux := http.NewServeMux()
	h.Mount(mux)
	begin := func(w http.ResponseWriter, r *http.Request) error {
		location, err := h.Begin(r.Context(), w, r, h.request, h.need)
		if err == nil && location != "" {
			http.Redirect(w, r, location, http.StatusSeeOther)
		}
		return err
	}
	for _, pattern := range []string{"GET /begin", "POST /begin"} {
		shell.Handle(mux, pattern, begin)
	}
	for _, class := range []string{"", "account", "vault"} {
		shell.Handle(mux, "/own/"+class, func(w http.ResponseWriter, r *http.Request) error {
			if sess, ok := h.Require(w, r, class, "see your account", "/own/"+class+"?x=1"); ok {
				return web.WriteJSON(w, http.StatusOK, map[string]string{"user": sess.UserID})
			}
			return nil
		})
	}
	h.handler = shell.Browser(mux)
	return h
}

// respond behaves like provider.Respond: it takes the interaction and redirects to the redirect URI.
func (h *house) respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	if i.ID == "" { // a silent request, answered where it came in
	} else if _, err := h.interactions.Take(r.Context(), i.ID); err != nil {
		return &web.Problem{Status: http.StatusConflict, Title: "Ended", Text: "This has ended already.", Err: err}
	}
	h.outcomes = append(h.outcomes, o)
	http.Redirect(w, r, i.Request.RedirectURI+"?error="+o.Error, http.StatusSeeOther)
	return nil
}

// answer behaves like provider.Answer.
func (h *house) answer(_ *http.Request, i idp.Interaction, o idp.Outcome) ([]*ephemeral.Op, func() (string, error), error) {
	if h.answersByPage {
		return nil, nil, nil
	}
	take := h.interactions.TakeOp(i.ID)
	return []*ephemeral.Op{take}, func() (string, error) {
		if !take.Found {
			return "", nil
		}
		h.outcomes = append(h.outcomes, o)
		return i.Request.RedirectURI + "?error=" + o.Error, nil
	}, nil
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// last returns the last outcome.
func (h *house) last() idp.Outcome {
	h.Helper()
	if len(h.outcomes) == 0 {
		h.Fatal("no outcome")
	}
	return h.outcomes[len(h.outcomes)-1]
}

// kinds lists the kinds of all audit events, oldest first.
func (h *house) kinds() (kinds []idp.EventKind) {
	h.Helper()
	events, err := h.cfg.DB.Events(h.Context(), "", 1000)
	h.must(err)
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// A browser has cookies and a device with passkeys.
type browser struct {
	*house
	jar     http.CookieJar
	device  *passkeytest.Authenticator
	headers http.Header
}

func (h *house) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{house: h, jar: jar, device: passkeytest.New(origin), headers: http.Header{}}
}

// enrol creates an account with a passkey on this browser's device.
func (b *browser) enrol(email string) idp.User {
	b.Helper()
	u := idp.NewUser(email, "", time.Now())
	b.must(b.cfg.DB.CreateUser(b.Context(), u))
	b.addPasskey(u)
	return u
}

func (b *browser) addPasskey(u idp.User, change ...func(*idp.Passkey)) idp.Passkey {
	b.Helper()
	cer, options, err := b.ceremonies.NewRegistration(b.Context(), u, nil, "enrolment")
	b.must(err)
	response, err := b.device.Create(options)
	b.must(err)
	k, err := b.ceremonies.FinishRegistration(b.Context(), cer.ID, "enrolment", u, response, time.Now())
	b.must(err)
	k.Name = "my passkey"
	for _, c := range change {
		c(&k)
	}
	b.must(b.cfg.DB.AddPasskey(b.Context(), k))
	return k
}

// proven marks a passkey as one with a verified attestation.
func provenHardware(k *idp.Passkey) {
	k.KeyProtection, k.AttestationVerifiedAt = idp.KeyProtectionHardware, time.Now()
}

// An answer is a response to a browser.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
	json     map[string]any
}

// says reports whether the page has this text. Names in it are isolated from the text around them.
func (a answer) says(text string) bool {
	return strings.Contains(strings.NewReplacer("<bdi>", "", "</bdi>", "").Replace(a.body), text)
}

func (b *browser) send(method, path, contentType string, body io.Reader) answer {
	b.Helper()
	r := httptest.NewRequest(method, origin+path, body).WithContext(b.Context())
	r.Header = b.headers.Clone()
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if r.Header.Get("Sec-Fetch-Site") == "" {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	b.jar.SetCookies(r.URL, w.Result().Cookies())
	a := answer{status: w.Code, location: w.Header().Get("Location"), header: w.Header(), body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.json)
	return a
}

func (b *browser) get(path string) answer { b.Helper(); return b.send("GET", path, "", nil) }

func (b *browser) form(path string, fields ...string) answer {
	b.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()))
}

func (b *browser) post(path string, v any) answer {
	b.Helper()
	body, err := json.Marshal(v)
	b.must(err)
	return b.send("POST", path, "application/json", bytes.NewReader(body))
}

// begin opens an interaction of the client and returns its ID. A browser that has been here before posts, because a GET
// that its session suffices for is answered at once.
func (b *browser) begin() string {
	b.Helper()
	if len(b.jar.Cookies(mustURL(origin))) > 0 {
		return b.interaction(b.send("POST", "/begin", "", nil))
	}
	return b.interaction(b.get("/begin"))
}

func (b *browser) interaction(a answer) string {
	b.Helper()
	u, err := url.Parse(a.location)
	if a.status != http.StatusSeeOther || err != nil || u.Path != "/login" {
		b.Fatalf("no interaction: %d %q %s", a.status, a.location, a.body)
	}
	return u.Query().Get("i")
}

func (b *browser) show(i string) answer { b.Helper(); return b.get("/login?i=" + i) }

// A dialog is what a page passes to navigator.credentials.get.
type dialog struct {
	I, Ceremony string
	Options     []byte
}

var attribute = regexp.MustCompile(`data-(interaction|ceremony|options)="([^"]*)"`)

func (a answer) dialog() (d dialog) {
	for _, m := range attribute.FindAllStringSubmatch(a.body, -1) {
		switch value := html.UnescapeString(m[2]); m[1] {
		case "interaction":
			d.I = value
		case "ceremony":
			d.Ceremony = value
		case "options":
			d.Options = []byte(value)
		}
	}
	return d
}

// answerWith finishes a dialog with a response.
func (b *browser) answerWith(d dialog, response []byte) answer {
	b.Helper()
	return b.post("/login/passkey/finish", map[string]any{"i": d.I, "ceremony": d.Ceremony, "credential": json.RawMessage(response)})
}

// confirm confirms the dialog on the device.
func (b *browser) confirm(d dialog) answer {
	b.Helper()
	response, err := b.device.Get(d.Options)
	b.must(err)
	return b.answerWith(d, response)
}

// offered begins a ceremony by script.
func (b *browser) offered(i, email string) dialog {
	b.Helper()
	in := map[string]string{"i": i}
	if email != "" {
		in["email"] = email
	}
	a := b.post("/login/passkey/begin", in)
	if a.status != http.StatusOK {
		b.Fatalf("begin: %d %s", a.status, a.body)
	}
	options, err := json.Marshal(map[string]any{"publicKey": a.json["publicKey"]})
	b.must(err)
	return dialog{I: i, Ceremony: a.json["ceremony"].(string), Options: options}
}

// signIn runs a new interaction until the user is signed in and has allowed everything.
func (b *browser) signIn() idp.Outcome {
	b.Helper()
	i := b.begin()
	a := b.confirm(b.show(i).dialog())
	if a.json["next"] != "/login?i="+i { // nothing is left to ask
		b.expect(a, http.StatusOK, "https://app.example.com/cb?error=")
		return b.last()
	}
	page := b.show(i)
	if strings.Contains(page.body, `data-page="consent"`) {
		user := regexp.MustCompile(`name="user" value="([^"]*)"`).FindStringSubmatch(page.body)[1]
		b.form("/login/consent", "i", i, "user", user, "answer", "allow")
		page = b.show(i)
	}
	b.expect(page, http.StatusSeeOther, "https://app.example.com/cb?error=")
	return b.last()
}

// expect checks status and, in this order of what is there: next, location, data-page, error.
func (h *house) expect(a answer, status int, what string) {
	h.Helper()
	got := a.location
	if s, ok := a.json["next"].(string); ok {
		got = s
	} else if s, ok := a.json["error"].(string); ok {
		got = s
	} else if m := regexp.MustCompile(`data-page="([^"]*)"`).FindStringSubmatch(a.body); m != nil {
		got = m[1]
	}
	if a.status != status || got != what {
		_, body, _ := strings.Cut(a.body, "<main")
		body, _, _ = strings.Cut(body, "</main>")
		h.Fatalf("got %d %q, want %d %q\n%s", a.status, got, status, what, body)
	}
}

// hooks lists the data-test values of a page, in order, each once.
func (a answer) hooks() (hooks []string) {
	for _, m := range regexp.MustCompile(`data-test="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if !slices.Contains(hooks, m[1]) {
			hooks = append(hooks, m[1])
		}
	}
	return hooks
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func decode(t *testing.T, id string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// visitor is a request of this browser, as another package's handler would get it.
func (b *browser) visitor() *http.Request {
	r := httptest.NewRequest("GET", origin+"/signup", nil)
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}
