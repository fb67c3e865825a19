package provider

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
)

// A stranger who knows a client's ID must not use up what the client may ask for.
func TestOnlyAClientItselfUsesUpItsRequests(t *testing.T) {
	h := open(t, func(c *Config) { c.ClientRate = limit.NewRate[string]("client", 2) })
	c := h.addClient(func(*idp.Client) {})
	form := url.Values{"token": {"x"}}
	for range 20 {
		h.post(oauth.PathIntrospect, form, func(r *http.Request) { r.SetBasicAuth(c.ID, "wrong") })
	}
	for i := range 10 {
		if r := h.post(oauth.PathIntrospect, form, basic(c)); r.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, r.StatusCode, r.body)
		}
	}
	r := h.post(oauth.PathIntrospect, form, basic(c))
	if r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "5" ||
		r.Header.Get("RateLimit") != `"client";r=0;t=5` || r.json(t)["error"] != "temporarily_unavailable" {
		t.Errorf("%d %v %s", r.StatusCode, r.Header, r.body)
	}
	if r := h.post(oauth.PathIntrospect, form, basic(h.addClient(func(c *idp.Client) { c.ID = "other" }))); r.StatusCode != http.StatusOK {
		t.Errorf("another client pays for it: %d %s", r.StatusCode, r.body)
	}
	public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	for range 20 { // anybody can be a public client
		r := h.post(oauth.PathRevoke, url.Values{"token": {"x"}, "client_id": {public.ID}})
		if r.StatusCode != http.StatusOK {
			t.Fatalf("a public client: %d %s", r.StatusCode, r.body)
		}
	}
}
