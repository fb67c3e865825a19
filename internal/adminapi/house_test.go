package adminapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server/servertest"
	"github.com/stepward/stepward/pkg/adminapi"
)

// house is a whole server, called without a network, and the document of its API.
type house struct {
	*servertest.House
	document document
}

func open(t *testing.T, settings ...string) *house {
	t.Helper()
	h := &house{House: servertest.Open(t, nil, settings...)}
	var err error
	h.document, err = readDocument(h.do(h.request("GET", "/openapi.json", "", nil)).body)
	h.Must(err)
	return h
}

// A reply is an answer that has been read.
type reply struct {
	*http.Response
	body string
}

func (h *house) do(r *http.Request) reply {
	h.Helper()
	w := httptest.NewRecorder()
	h.Handler.ServeHTTP(w, r)
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	h.Must(err)
	return reply{resp, string(body)}
}

// request returns a request at the API; body is JSON, or a value for it.
func (h *house) request(method, path string, token idp.Secret, body any) *http.Request {
	h.Helper()
	r := h.Request(method, adminapi.Path+path, token, body)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// call calls the API and checks the status.
func (h *house) call(status int, method, path string, token idp.Secret, body any, edit ...func(*http.Request)) reply {
	h.Helper()
	r := h.request(method, path, token, body)
	for _, f := range edit {
		f(r)
	}
	got := h.do(r)
	if got.StatusCode != status {
		h.Fatalf("%s %s: %d, want %d: %s", method, path, got.StatusCode, status, got.body)
	}
	at, _, _ := strings.Cut(path, "?")
	if err := h.document.check(method, at, got); err != nil && status != 405 {
		h.Errorf("%s %s: %d is outside the document: %v: %s", method, path, status, err, got.body)
	}
	return got
}

// problem checks the status and code of a problem.
func (h *house) problem(status int, code, method, path string, token idp.Secret, body any, edit ...func(*http.Request)) adminapi.Problem {
	h.Helper()
	got := h.call(status, method, path, token, body, edit...)
	var p adminapi.Problem
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || p.Code != code || p.Status != status || p.Type != "urn:stepward:error:"+code ||
		got.Header.Get("Content-Type") != "application/problem+json" {
		h.Errorf("%s %s: code %q (%s), want %q: %s", method, path, p.Code, got.Header.Get("Content-Type"), code, got.body)
	}
	return p
}

func in[T any](h *house, r reply) (v T) {
	h.Helper()
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		h.Fatalf("%v: %s", err, r.body)
	}
	return v
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// tokenOf gets a token for the API by the client_credentials grant.
func (h *house) tokenOf(c idp.Client, secret idp.Secret, edit ...func(*http.Request)) idp.Secret {
	h.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {h.Issuer + adminapi.Path}}
	return h.Token(c, secret, form, edit...)
}

// robot returns a token of a client with these scopes.
func (h *house) robot(scopes ...string) idp.Secret {
	h.Helper()
	c, secret := h.Machine(idp.NewID(), nil, scopes...)
	return h.tokenOf(c, secret)
}
