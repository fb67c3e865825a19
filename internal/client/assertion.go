package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

const (
	// assertionLife is the longest accepted lifetime of an assertion, and so of a replay mark. Widely used libraries set
	// an hour.
	assertionLife = time.Hour
	maxAssertion  = 8 << 10 // bytes
	maxClientID   = 128     // idp.Client.Faults
)

// assertionTypes are the accepted typ headers, in lower case.
var assertionTypes = []string{"jwt", "client-authentication+jwt"}

// An assertion is a JWT with which a client authenticates itself (RFC 7523 §3). It is parsed, but not checked.
type assertion struct {
	token  *Signed
	claims assertionClaims
}

type assertionClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	SignedTimes
}

// parseAssertion parses an assertion far enough to look up its client.
func parseAssertion(text string) (*assertion, error) {
	a := &assertion{}
	var err error
	if a.token, err = ParseSigned(text, maxAssertion, &a.claims); err != nil {
		return nil, err
	}
	if a.claims.Subject == "" || len(a.claims.Subject) > maxClientID || a.claims.Issuer != a.claims.Subject {
		return nil, errors.New("iss and sub must be the same client_id")
	}
	return a, nil
}

// checkAssertion checks an assertion of client c at the endpoint at path, except for replay. Its errors are for the log
// and repeat no input.
func (s *Authenticator) checkAssertion(
	ctx context.Context, a *assertion, c idp.Client, path string, now time.Time,
) error {
	policy := c.Rules()
	if err := CheckHeader(a.token, assertionTypes, c.AuthAlg, policy); err != nil {
		return err
	}
	if c.ID != a.claims.Subject {
		return errors.New("sub is another client")
	}
	ours := []string{s.cfg.Issuer}
	if policy.AudienceLists {
		ours = append(ours, s.cfg.Issuer+oauth.PathToken, s.cfg.Issuer+path) // RFC 9126 §2, and for the other endpoints
	}
	var aud oauth.Audience
	if err := json.Unmarshal(a.claims.Audience, &aud); err != nil || len(aud) == 0 || oauth.Beyond(aud, ours) {
		return errors.New("aud must be this provider alone")
	}
	if a.claims.Audience[0] == '[' && !policy.AudienceLists {
		return errors.New("aud is an array")
	}
	if err := a.claims.checkTimes(now); err != nil {
		return err
	}
	return s.SignedBy(ctx, c, a.token) // last: it may have to fetch keys
}

func (c assertionClaims) checkTimes(now time.Time) error {
	switch {
	case c.ID == "":
		return errors.New("jti is missing")
	case c.Expires == nil:
		return errors.New("exp is missing")
	case ahead(c.Expires, now) > assertionLife+signedSkew:
		return errors.New("exp is too far ahead")
	}
	return c.Check(now)
}

// markUsed marks a checked assertion as used until it expires, and reports whether it was new. Only one use succeeds
// across all replicas (RFC 7523 §3 item 7).
func (s *Authenticator) markUsed(ctx context.Context, a *assertion, now time.Time) (fresh bool, err error) {
	sum := sha256.Sum256([]byte(a.claims.Subject + "\x00" + a.claims.ID)) // a key of fixed length for any jti
	mark := &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "assertion:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		// Until the second after exp, which may have a fraction. A replica with a slow clock accepts the assertion longer.
		TTL: time.Unix(int64(*a.claims.Expires)+1, 0).Sub(now) + signedSkew,
	}
	err = s.cfg.Ephemeral.Do(ctx, mark)
	return mark.Found, err
}
