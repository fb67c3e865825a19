package movein

import (
	"github.com/stepward/stepward/internal/idp"
)

// newClient returns a client that signs people in, as other providers know them: ID tokens are signed with RS256, and
// contain the claims.
func newClient(id, name string) idp.Client {
	return idp.Client{
		ID: id, Name: name, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, AnySecretMethod: true,
		GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken, idp.GrantDeviceCode},
		Scopes:     []string{"openid", "profile", "email", "groups", "offline_access"},
		IDTokenAlg: idp.RS256, IDTokenClaims: []string{"profile", "email", "groups"}, ResponseAlg: idp.ES256,
		AccessFormat: idp.FormatJWT,
	}
}

// makePublic makes the client one that cannot keep a secret. Native applications may return to a loopback host on any
// port, and to schemes of their own.
func (c *app) makePublic() {
	c.AuthMethod, c.AnySecretMethod, c.Secrets, c.Policy = idp.AuthMethodNone, false, nil, idp.PolicyStandard
	for _, uri := range c.RedirectURIs {
		c.Native = c.Native || !idp.UsableRedirect(uri, false) && idp.UsableRedirect(uri, true)
	}
}

// needSecret gives the client a secret that nobody knows, because the old one cannot be taken over: the operator has to
// make one.
func (c *app) needSecret(reason string) {
	if len(c.Secrets) == 0 {
		c.AddSecret(c.CreatedAt)
		c.Secrets[0].Name = "unknown: make another one"
	}
	c.notes = append(c.notes, "needs a new secret, from the console or the API: "+reason)
}
