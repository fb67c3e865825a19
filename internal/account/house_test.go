package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/internal/web"
)

const issuer = "https://login.example.com"

// A house serves the account pages from real stores, without a network, so that it works inside a synctest bubble.
type house struct {
	t         *testing.T
	db        *store.DB
	ephemeral ephemeral.Store
	sessions  *session.Sessions
	account   *account.Account
	handler   http.Handler
	log       *bytes.Buffer
	signedUp  []string // interactions passed to SignedUp
}

func build(t *testing.T, change ...func(*account.Config)) *house {
	t.Helper()
	h := &house{t: t, db: storetest.Open(t), ephemeral: ephemeraltest.Open(t), log: &bytes.Buffer{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.log)
		}
	})
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	shell, err := web.New(web.Config{Issuer: u, Logger: slog.New(slog.NewTextHandler(h.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ceremonies, err := passkey.New(passkey.Config{
		RPID: "login.example.com", RPName: "Stepward", Origins: []string{issuer}, Store: h.ephemeral,
	})
	if err != nil {
		t.Fatal(err)
	}
	mailer, err := mail.New(mail.Config{DB: h.db, Transport: &mail.Mailbox{}, From: "Stepward <no-reply@example.com>"})
	if err != nil {
		t.Fatal(err)
	}
	h.sessions = session.New(session.Config{Store: h.ephemeral, Agent: web.Agent})
	c := account.Config{
		Shell: shell, Sessions: h.sessions, Ceremonies: ceremonies, DB: h.db, Ephemeral: h.ephemeral, Mailer: mailer,
		Issuer: issuer, RPID: "login.example.com", SignUp: true, Require: h.require,
		Policy: idp.Policy{
			Scopes: map[string]idp.Scope{
				"email": {Name: "email", Description: "See your e-mail address"},
				"pay":   {Name: "pay", Description: "Make payments", ActionClass: "payments"},
			},
			ActionClasses: map[string]idp.ActionClass{
				"payments": {Name: "payments", Description: "make a payment", Window: 5 * time.Minute},
				"account":  {Name: "account", Description: "change how you sign in", Window: 5 * time.Minute},
			},
		},
		SignedUp: func(_ context.Context, _ *http.Request, i string) error {
			h.signedUp = append(h.signedUp, i)
			return nil
		},
	}
	for _, f := range change {
		f(&c)
	}
	if h.account, err = account.New(c); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.account.Mount(mux)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<body data-page="login">`)
	})
	h.handler = shell.Browser(mux)
	return h
}

// require stands in for login.Login.Require: it demands a session and, with a class, a step-up within five minutes.
func (h *house) require(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool) {
	s, err := h.sessions.Current(r.Context(), r)
	if err == nil && (class == "" || slices.ContainsFunc(s.Authentications, func(a idp.HeldAuthentication) bool {
		return slices.Contains(a.ActionClasses, class) && time.Since(a.At) < 5*time.Minute
	})) {
		return s, true
	}
	if r.Header.Get("Content-Type") == "application/json" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"step_up_required","location":"/login?i=step"}`)
		return nil, false
	}
	http.Redirect(w, r, "/login?class="+class+"&back="+url.QueryEscape(returnTo), http.StatusSeeOther)
	return nil, false
}

// user stores a user with the given number of passkeys.
func (h *house) user(email string, passkeys int) (idp.User, []idp.Passkey) {
	h.t.Helper()
	u := idp.NewUser(email, "Ada Lovelace", time.Now())
	u.EmailVerified = true
	if err := h.db.CreateUser(h.t.Context(), u); err != nil {
		h.t.Fatal(err)
	}
	for i := range passkeys {
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(idp.NewSecret().Reveal()), PublicKey: []byte{1},
			Name: fmt.Sprintf("Key %d", i+1), CreatedAt: time.Now(),
		}
		if err := h.db.AddPasskey(h.t.Context(), k); err != nil {
			h.t.Fatal(err)
		}
	}
	return u, h.passkeys(u)
}

func (h *house) passkeys(u idp.User) []idp.Passkey {
	h.t.Helper()
	keys, err := h.db.PasskeysOf(h.t.Context(), u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return keys
}

// kinds returns the kinds of the user's events, oldest first.
func (h *house) kinds(u idp.User) []idp.EventKind {
	h.t.Helper()
	events, err := h.db.EventsOf(h.t.Context(), u.ID, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	var kinds []idp.EventKind
	for _, e := range slices.Backward(events) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// email takes the next e-mail out of the outbox.
func (h *house) email() outbox.Mail {
	h.t.Helper()
	m, err := outbox.ClaimMail(h.t.Context(), h.db, time.Now(), time.Minute)
	if err != nil {
		h.t.Fatalf("no e-mail: %v", err)
	}
	if err := outbox.FinishMail(h.t.Context(), h.db, m.ID, "", time.Time{}); err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *house) noEmail() {
	h.t.Helper()
	if m, err := outbox.ClaimMail(h.t.Context(), h.db, time.Now(), time.Minute); !errors.Is(err, idp.ErrNotFound) {
		h.t.Errorf("unexpected e-mail %q (%v)", m.Subject, err)
	}
}

var eightDigits = regexp.MustCompile(`(?m)^\s*(\d{8})\s*$`)

// code takes the next e-mail and returns its code.
func (h *house) code() string {
	h.t.Helper()
	m := h.email()
	found := eightDigits.FindStringSubmatch(m.Text)
	if found == nil {
		h.t.Fatalf("no code in %q", m.Text)
	}
	return found[1]
}

// A browser follows redirects, keeps cookies, sends Sec-Fetch-Site and has an authenticator.
type browser struct {
	*house
	client        *http.Client
	authenticator *passkeytest.Authenticator
	site          string // Sec-Fetch-Site
	address       string
	languages     string // Accept-Language
}

func (h *house) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	b := &browser{house: h, authenticator: passkeytest.New(issuer), site: "same-origin", address: "192.0.2.1:1234"}
	b.client = &http.Client{Jar: jar, Transport: b}
	return b
}

// RoundTrip implements http.RoundTripper.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header = r.Header.Clone()
	in.Header.Set("Sec-Fetch-Site", b.site)
	in.Header.Set("Accept-Language", b.languages)
	in.Header.Set("User-Agent", "Mozilla/5.0 (Macintosh) Gecko/20100101 Firefox/150.0")
	in.ContentLength, in.RemoteAddr = r.ContentLength, b.address
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, in)
	response := w.Result()
	response.Request = r
	return response, nil
}

// signedIn adds Ada, who has one passkey, and returns a browser in which she has just confirmed it for her account.
func (h *house) signedIn() (*browser, idp.User, idp.Passkey) {
	h.t.Helper()
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID, account.ActionClass)
	return b, u, keys[0]
}

// signIn starts a session of the user, as an assertion with this passkey would.
func (b *browser) signIn(u idp.User, passkeyID string, classes ...string) *idp.Session {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", issuer+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (Macintosh) Gecko/20100101 Firefox/150.0")
	w := httptest.NewRecorder()
	s, err := b.sessions.Start(b.t.Context(), w, r, idp.Authentication{
		ID: idp.NewID(), UserID: u.ID, PasskeyID: passkeyID,
		At: time.Now(), Purpose: idp.PurposeSignIn, ActionClasses: classes, UserVerified: true,
	}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(r.URL, w.Result().Cookies())
	return s
}

// A page is a response as the browser shows it.
type page struct {
	t      *testing.T
	status int
	url    *url.URL
	body   string
}

func (b *browser) do(method, path, contentType, body string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, issuer+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{b.t, response.StatusCode, response.Request.URL, string(content)}
}

func (b *browser) get(path string) page { b.t.Helper(); return b.do("GET", path, "", "") }

func (b *browser) post(path string, fields ...string) page {
	b.t.Helper()
	values := url.Values{}
	for pair := range slices.Chunk(fields, 2) {
		values.Set(pair[0], pair[1])
	}
	return b.do("POST", path, "application/x-www-form-urlencoded", values.Encode())
}

func (b *browser) json(path string, v any) page {
	b.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do("POST", path, "application/json", string(body))
}

// is stops the test unless this is the page with this name and status.
func (p page) is(name string, status int) page {
	p.t.Helper()
	if got := p.attribute(`data-page`); got != name || p.status != status {
		p.t.Fatalf("%s: page %q status %d, want %q %d\n%s", p.url, got, p.status, name, status, p.content())
	}
	return p
}

// content returns the page without its layout, for error messages.
func (p page) content() string {
	_, main, _ := strings.Cut(p.body, "<main")
	main, _, _ = strings.Cut(main, "</main>")
	return strings.Join(strings.Fields(main), " ")
}

func (p page) attribute(name string) string {
	found := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(p.body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func (p page) has(hook string) bool { return strings.Contains(p.body, `data-test="`+hook+`"`) }

// wants checks that the page has these data-test hooks.
func (p page) wants(hooks ...string) page {
	p.t.Helper()
	for _, hook := range hooks {
		if !p.has(hook) {
			p.t.Errorf("%s: no %q on the page\n%s", p.url, hook, p.content())
		}
	}
	return p
}

func (p page) member(name string) string {
	p.t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p.body), &members); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.url, err, p.body)
	}
	var s string
	if err := json.Unmarshal(members[name], &s); err != nil {
		p.t.Fatalf("%s: member %q: %v\n%s", p.url, name, err, p.body)
	}
	return s
}

// create runs the page's registration and posts the new credential.
func (b *browser) create(p page) page {
	b.t.Helper()
	credential, err := b.authenticator.Create([]byte(p.attribute("data-options")))
	if err != nil {
		b.t.Fatalf("create: %v", err)
	}
	return b.json(p.attribute("data-finish"), map[string]any{
		"i": p.attribute("data-interaction"), "ceremony": p.attribute("data-ceremony"),
		"credential": json.RawMessage(credential),
	})
}

// signUp signs up and returns the page that offers the first passkey.
func (b *browser) signUp(email string) page {
	b.t.Helper()
	b.post("/signup", "email", email, "name", "Ada", "i", "I1").is("verify", 200)
	return b.post("/signup/verify", "token", b.code()).is("passkey", 200)
}
