// Package servertest has a whole server for tests of its APIs, called without a network.
package servertest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/server"
)

// A House is a server on an empty folder, and the test that it is for.
type House struct {
	*testing.T
	*server.Server
	Issuer string
	Box    *mail.Mailbox // nil: there is no mail server
}

// Open starts a server with these settings, in the form of the environment. It ends with the test.
func Open(t *testing.T, box *mail.Mailbox, settings ...string) *House {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: append(settings, "STEPWARD_DATA_DIR="+t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler), box)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &House{t, s, cfg.Issuer.String(), box}
}

// Context is that of the test.
func (h *House) Context() context.Context { return h.T.Context() }

// Must ends the test if err is not nil.
func (h *House) Must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// Machine adds a client that acts for itself with these scopes, and returns it and its secret. edit may be nil.
func (h *House) Machine(id string, edit func(*idp.Client), scopes ...string) (idp.Client, idp.Secret) {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	c := idp.Client{
		ID: id, Name: id, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, CreatedAt: now, UpdatedAt: now,
		GrantTypes: []string{idp.GrantClientCredentials}, Scopes: scopes,
	}
	secret := c.AddSecret(now)
	if edit != nil {
		edit(&c)
	}
	if faults := c.Faults(h.Config.Policy); len(faults) > 0 {
		h.Fatal(faults)
	}
	h.Must(h.DB.PutClient(h.Context(), c))
	return c, secret
}

// Token gets an access token for a client.
func (h *House) Token(c idp.Client, secret idp.Secret, form url.Values, edit ...func(*http.Request)) idp.Secret {
	h.Helper()
	r := httptest.NewRequest(http.MethodPost, h.Issuer+"/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(secret.Reveal()))
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.Handler.ServeHTTP(w, r)
	var m struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.Token == "" {
		h.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	return idp.Secret(m.Token)
}

// Request returns a request at the server with an access token, if there is one. body is JSON, or a value for it; nil:
// none.
func (h *House) Request(method, path string, token idp.Secret, body any) *http.Request {
	h.Helper()
	var in io.Reader
	if body != nil {
		text, ok := body.(string)
		if !ok {
			b, err := json.Marshal(body)
			h.Must(err)
			text = string(b)
		}
		in = strings.NewReader(text)
	}
	r := httptest.NewRequest(method, h.Issuer+path, in)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	return r
}

// User adds a user, whom no directory manages.
func (h *House) User(email string, role directory.Role) idp.User {
	h.Helper()
	u := idp.NewUser(email, "Somebody", time.Now().Truncate(time.Millisecond))
	u.Role = role
	h.Must(h.DB.CreateUser(h.Context(), u))
	return u
}
