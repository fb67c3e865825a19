package provider

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// RFC 6749 §3.2. A widely used client asks for userinfo?schema=openid.
func TestUnknownParametersInTheAddressAreIgnored(t *testing.T) {
	h := open(t, full)
	c, u := h.addClient(nil), h.addUser()
	unknown := func(r *http.Request) { r.URL.RawQuery = "schema=openid&grant_types=x" }
	tok := h.post(oauth.PathToken, exchangeForm(h.code(c, u)), basic(c), unknown)
	if tok.StatusCode != 200 {
		t.Fatalf("token: %d %s", tok.StatusCode, tok.body)
	}
	access := tok.json(t)["access_token"].(string)
	if r := h.post(oauth.PathUserInfo, nil, unknown, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+access) }); r.StatusCode != 200 {
		t.Errorf("userinfo: %d %s", r.StatusCode, r.body)
	}
	if r := h.post(oauth.PathPAR, request(c), basic(c), unknown); r.StatusCode != 201 {
		t.Errorf("par: %d %s", r.StatusCode, r.body)
	}
	if r := h.sendJSON("POST", oauth.PathRegister+"?x=1", plainClient, ""); r.StatusCode != 201 {
		t.Errorf("register: %d %s", r.StatusCode, r.body)
	}
	for _, secret := range []string{"client_secret=x", "access_token=x", "code=x", "refresh_token=x", "token=x"} {
		wantError(t, h.post(oauth.PathToken, exchangeForm("x"), basic(c), func(r *http.Request) { r.URL.RawQuery = secret }), 400, "invalid_request")
	}
}

// Dashboards put the whole URL of a page, including its filters, into state.
func TestALongStateAndNonceAreReturnedUnchanged(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	long := strings.Repeat("s%2F", 2<<10)
	h.authorize(request(c, "state", long, "nonce", long))
	done, err := h.respond(h.outcome(u))
	check(t, err)
	if done.query().Get("state") != long {
		t.Errorf("state of %d bytes", len(done.query().Get("state")))
	}
	tok := h.exchange(c, done.query().Get("code")).json(t)
	if _, id := claims(t, tok["id_token"]); id["nonce"] != long {
		t.Error("nonce is not what was sent")
	}
	if q := h.authorize(request(c, "state", long, "scope", "payments_of_nobody")).query(); q.Get("error") == "" || q.Get("state") != long {
		t.Errorf("in an error: %q", q.Get("error"))
	}
}

func TestNamesInTheClaimsParameterMatchExactly(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.FirstParty = true }), h.addUser()
	tok := h.tokens(c, u, "scope", "openid email", "claims", `{"ID_TOKEN":{"email":null},"Userinfo":{"name":null}}`)
	if _, id := claims(t, tok["id_token"]); id["email"] != nil {
		t.Error("ID_TOKEN is taken for id_token")
	}
}
