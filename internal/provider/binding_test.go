package provider

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

// bound issues an access token that is bound to what cnf names, as if it had been proven.
func (h *house) bound(c idp.Client, u idp.User, cnf idp.Confirmation) map[string]any {
	h.t.Helper()
	ctx, now := h.t.(*testing.T).Context(), time.Now()
	is, err := h.provider.prepare(ctx, c, now)
	check(h.t, err)
	is.confirmation = cnf
	f := idp.Family{
		ID: familyOf(idp.NewSecret()), ClientID: c.ID, UserID: u.ID, Scopes: []string{"openid"}, Confirmation: cnf,
		Assurance: idp.Assurance{ACR: "phr", AuthTime: now}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	check(h.t, h.provider.allow(is, f))
	_, _, err = h.db.CreateFamily(ctx, f, is.row(f.ID))
	check(h.t, err)
	resp, err := h.provider.sign(is, f, u, "", "")
	check(h.t, err)
	text, err := json.Marshal(resp)
	check(h.t, err)
	return reply{body: string(text)}.json(h.t)
}

func TestABoundTokenSaysWhatItIsBoundToAndOpensNothingWithoutIt(t *testing.T) {
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
			if tok["token_type"] != tt.typ {
				t.Errorf("%s, %s: token_type %v", format, name, tok["token_type"])
			}
			if format == idp.FormatJWT {
				_, access := claims(t, tok["access_token"])
				if d := cmp.Diff(tt.want, access["cnf"]); d != "" {
					t.Errorf("%s: cnf of the token (-want +got):\n%s", name, d)
				}
			}
			said := h.introspect(c, tok["access_token"])
			if d := cmp.Diff(tt.want, said["cnf"]); d != "" || said["token_type"] != tt.typ || said["active"] != true {
				t.Errorf("%s, %s: introspection %v", format, name, said)
			}
			wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
		}
		if tok := h.tokens(c, u); h.introspect(c, tok["access_token"])["cnf"] != nil || tok["token_type"] != "Bearer" {
			t.Errorf("%s: a bearer token: %v", format, tok)
		}
	}
}
