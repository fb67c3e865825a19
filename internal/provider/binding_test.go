package provider

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/store"
)

// bound returns an access token bound to cnf, as if the key had been proven.
func (h *house) bound(c idp.Client, u idp.User, cnf idp.Confirmation) string {
	h.t.Helper()
	ctx, now := h.t.(*testing.T).Context(), time.Now()
	f := idp.Family{
		ID: idp.NewSecret().Reveal(), ClientID: c.ID, UserID: u.ID, Scopes: []string{"openid"}, Confirmation: cnf,
		Assurance: idp.Assurance{ACR: "phr", AuthTime: now}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if c.AccessFormat == idp.FormatOpaque {
		token := idp.NewSecret()
		_, _, err := h.db.CreateFamily(ctx, f, &store.OpaqueToken{
			Hash: token.Hash(), FamilyID: f.ID, Scopes: f.Scopes, Audience: []string{h.url}, Confirmation: cnf, IssuedAt: now, ExpiresAt: f.ExpiresAt,
		})
		check(h.t, err)
		return token.Reveal()
	}
	_, _, err := h.db.CreateFamily(ctx, f, nil)
	check(h.t, err)
	s, err := h.keys.Signer(ctx, keys.ES256)
	check(h.t, err)
	token, err := s.Sign(keys.TypeAccessToken, map[string]any{
		"iss": h.url, "sub": u.ID, "aud": h.url, "client_id": c.ID, "exp": f.ExpiresAt.Unix(), "iat": now.Unix(), "jti": f.ID + ".x",
		"scope": "openid", "cnf": cnf,
	})
	check(h.t, err)
	return token
}

func TestABoundTokenNamesItsKeyAndRequiresItsProof(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addClient(func(c *idp.Client) { c.AccessFormat = format })
		for name, tt := range map[string]struct {
			cnf  idp.Confirmation
			want map[string]any
			typ  string
		}{
			"a DPoP key":    {idp.Confirmation{JKT: "thumb"}, map[string]any{"jkt": "thumb"}, "DPoP"},
			"a certificate": {idp.Confirmation{X5T: "cert"}, map[string]any{"x5t#S256": "cert"}, "Bearer"},
		} {
			tok := h.bound(c, u, tt.cnf)
			said := h.introspect(c, tok)
			if d := cmp.Diff(tt.want, said["cnf"]); d != "" || said["token_type"] != tt.typ || said["active"] != true {
				t.Errorf("%s, %s: introspection %v", format, name, said)
			}
			wantError(t, h.userinfo(tok), 401, "invalid_token")
		}
		if tok := h.tokens(c, u); h.introspect(c, tok["access_token"])["cnf"] != nil || tok["token_type"] != "Bearer" {
			t.Errorf("%s: a bearer token: %v", format, tok)
		}
	}
}
