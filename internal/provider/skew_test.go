package provider

import (
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// The clock of the replica that saw the authentication is two seconds ahead of the one that issues the tokens.
func TestNoTokenIsIssuedBeforeItsAuthentication(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addClient(func(c *idp.Client) { c.AccessFormat = format })
		r := h.authorize(request(c, "scope", "openid offline_access"))
		if r.StatusCode != 302 {
			t.Fatal(r.StatusCode, r.body)
		}
		o := h.outcome(u)
		o.Assurance.AuthTime = time.Now().Add(2 * time.Second).Truncate(time.Second)
		done, err := h.respond(o)
		check(t, err)
		tok := h.exchange(c, done.query().Get("code")).json(t)
		fresh := h.refresh(c, tok["refresh_token"]).json(t)
		said := map[string]map[string]any{"introspection": h.introspect(c, tok["access_token"])}
		_, said["ID token"] = claims(t, tok["id_token"])
		_, said["refreshed ID token"] = claims(t, fresh["id_token"])
		if format == idp.FormatJWT {
			_, said["access token"] = claims(t, tok["access_token"])
		}
		for what, m := range said {
			at, _ := m["auth_time"].(float64)
			iat, _ := m["iat"].(float64)
			if at == 0 || at > iat || at < iat-1 {
				t.Errorf("%s, %s: auth_time %.0f, iat %.0f", format, what, at, iat)
			}
		}
	}
}
