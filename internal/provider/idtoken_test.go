package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

func TestAnIDTokenCarriesTheClaimsOfTheScopesThatTheClientIsRegisteredFor(t *testing.T) {
	h := open(t)
	u := h.addUser()
	usual := h.addClient(nil)
	c := h.addClient(func(c *idp.Client) { c.IDTokenClaims = []string{"email", "profile"} })
	said := func(token any) map[string]any {
		t.Helper()
		_, payload := claims(t, token)
		out := map[string]any{}
		for _, name := range []string{"name", "preferred_username", "email", "email_verified", "phone_number", "address"} {
			if v, ok := payload[name]; ok {
				out[name] = v
			}
		}
		return out
	}
	const all = "openid profile email phone address offline_access"
	tok := h.tokens(c, u, "scope", all)
	want := map[string]any{"name": u.Name, "preferred_username": "ada", "email": u.Email, "email_verified": true}
	if d := cmp.Diff(want, said(tok["id_token"])); d != "" {
		t.Errorf("at the code exchange (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, said(h.refresh(c, tok["refresh_token"]).json(t)["id_token"])); d != "" {
		t.Errorf("at a refresh (-want +got):\n%s", d)
	}
	email := map[string]any{"email": u.Email, "email_verified": true}
	if d := cmp.Diff(email, said(h.tokens(c, u, "scope", "openid email")["id_token"])); d != "" {
		t.Errorf("without the scope profile (-want +got):\n%s", d)
	}
	asked := h.tokens(c, u, "scope", "openid email", "claims", `{"id_token":{"phone_number":null}}`)
	if d := cmp.Diff(map[string]any{"email": u.Email, "email_verified": true, "phone_number": "+441234"}, said(asked["id_token"])); d != "" {
		t.Errorf("beside claims asked for by name (-want +got):\n%s", d)
	}
	// The scopes of an access token for a resource are others; the ID token is for the client all the same.
	aimed := h.tokens(c, u, "scope", "openid email accounts", "resource", apiPay)
	if d := cmp.Diff(email, said(aimed["id_token"])); d != "" {
		t.Errorf("with a resource (-want +got):\n%s", d)
	}
	if got := said(h.tokens(usual, u, "scope", all)["id_token"]); len(got) != 0 {
		t.Errorf("a client that is not registered for any: %v", got)
	}
}
