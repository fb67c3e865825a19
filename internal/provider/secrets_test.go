package provider

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

func TestASecretMayComeEitherWayUnlessTheClientIsRegisteredForOne(t *testing.T) {
	h := open(t, full)
	u := h.addUser()
	either := h.addClient(func(c *idp.Client) { c.AnySecretMethod = true })
	inForm := func(c idp.Client) url.Values {
		form := exchangeForm(h.code(c, u))
		form.Set("client_id", c.ID)
		form.Set("client_secret", clientSecret.Reveal())
		return form
	}
	if r := h.post(oauth.PathToken, exchangeForm(h.code(either, u)), basic(either)); r.StatusCode != 200 {
		t.Errorf("by Basic: %d %s", r.StatusCode, r.body)
	}
	if r := h.post(oauth.PathToken, inForm(either)); r.StatusCode != 200 {
		t.Errorf("in the form: %d %s", r.StatusCode, r.body)
	}
	if r := h.push(either, request(either)); r.StatusCode != 201 {
		t.Errorf("push: %d %s", r.StatusCode, r.body)
	}
	wantError(t, h.post(oauth.PathToken, inForm(either), basic(either)), 400, "invalid_request") // not both at once
	wrong := inForm(either)
	wrong.Set("client_secret", "wrong")
	wantError(t, h.post(oauth.PathToken, wrong), 401, "invalid_client")
	wantError(t, h.post(oauth.PathToken, withID(exchangeForm(h.code(either, u)), either)), 401, "invalid_client")

	// A client that describes itself says which, or has no preference.
	m := h.registered(plainClient)
	c, err := h.db.Client(t.Context(), m["client_id"].(string))
	check(t, err)
	if m["token_endpoint_auth_method"] != idp.AuthMethodBasic || !c.AnySecretMethod {
		t.Errorf("registered without a method: %v, %+v", m["token_endpoint_auth_method"], c)
	}
	m = h.registered(`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_basic"}`)
	c, err = h.db.Client(t.Context(), m["client_id"].(string))
	check(t, err)
	form := withID(exchangeForm(h.code(c, u)), c)
	form.Set("client_secret", m["client_secret"].(string))
	wantError(t, h.post(oauth.PathToken, form), 401, "invalid_client")
}

// Some libraries send "Basic base64(client_id:)" for a public client, and empty parameters for missing values.
func TestAnEmptyPasswordIsNoSecret(t *testing.T) {
	h := open(t)
	u := h.addUser()
	public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	confidential := h.addClient(func(c *idp.Client) { c.AnySecretMethod = true })
	empty := func(c idp.Client) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.ID+":")))
		}
	}
	r := h.post(oauth.PathToken, exchangeForm(h.code(public, u)), empty(public))
	if r.StatusCode != 200 {
		t.Errorf("a public client: %d %s", r.StatusCode, r.body)
	}
	if r := h.post(oauth.PathRevoke, url.Values{"token": {"x"}}, empty(public)); r.StatusCode != 200 {
		t.Errorf("revocation: %d %s", r.StatusCode, r.body)
	}
	form := withID(exchangeForm(h.code(public, u)), public)
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Set(name, "")
	}
	if r := h.post(oauth.PathToken, form, empty(public)); r.StatusCode != 200 {
		t.Errorf("with empty parameters: %d %s", r.StatusCode, r.body)
	}
	form = exchangeForm(h.code(confidential, u))
	form.Set("client_secret", "")
	if r := h.post(oauth.PathToken, form, basic(confidential)); r.StatusCode != 200 {
		t.Errorf("an empty parameter beside a secret: %d %s", r.StatusCode, r.body)
	}
	wantError(t, h.post(oauth.PathToken, exchangeForm(h.code(confidential, u)), empty(confidential)), 401, "invalid_client")
	wantError(t, h.post(oauth.PathIntrospect, url.Values{"token": {"x"}}, empty(public)), 401, "invalid_client")
}
