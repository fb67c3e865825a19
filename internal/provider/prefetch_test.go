package provider

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// ahead prefetches a page like a browser.
func (h *house) ahead(path string) reply {
	h.t.Helper()
	req, err := http.NewRequest("GET", h.url+path, nil)
	check(h.t, err)
	req.Header.Set("Sec-Purpose", "prefetch;prerender")
	return h.do(req)
}

func TestAPrefetchUsesNothingUp(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	reference := h.pushed(c, "prompt", "none")
	h.last = idp.Interaction{}
	link := oauth.PathAuthorize + "?" + url.Values{"client_id": {c.ID}, "request_uri": {reference}}.Encode()
	if r := h.ahead(link); r.StatusCode != 403 || h.last.ID != "" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("authorize: %d, interaction %q", r.StatusCode, h.last.ID)
	}
	h.begun(c, reference)
	signedIn, tok := h.signIn(c, u)
	if r := h.ahead(oauth.PathEndSession + "?" + url.Values{"id_token_hint": {tok["id_token"].(string)}}.Encode()); r.StatusCode != 403 {
		t.Errorf("end_session: %d", r.StatusCode)
	}
	if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
		t.Errorf("a prefetch signed session %s out: %d", signedIn.ID, r.StatusCode)
	}
}
