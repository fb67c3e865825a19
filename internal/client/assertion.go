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
	// assertionLife is how far ahead exp may lie. It bounds how long a replay mark is kept; widely used libraries set an hour.
	assertionLife = time.Hour
	maxAssertion  = 8 << 10 // bytes
	maxClientID   = 128     // idp.Client.Faults
)

// assertionTypes are what the typ header may say, in lower case.
var assertionTypes = []string{"jwt", "client-authentication+jwt"}

// An assertion is a JWT by which a client authenticates itself (RFC 7523 §3): parsed, and nothing of it checked.
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

// parseAssertion reads an assertion so far that the client it speaks of can be looked up.
func parseAssertion(text string) (*assertion, error) {
	a := &assertion{}
	var err error
	if a.token, err = ParseSigned(text, maxAssertion, &a.claims); err != nil {
		return nil, err
	}
	if a.claims.Subject == "" || len(a.claims.Subject) > maxClientID || a.claims.Issuer != a.claims.Subject {
		return nil, errors.New("iss and sub are not one client_id")
	}
	return a, nil
}

// checkAssertion says what is wrong with an assertion of client c that came to the endpoint at path, apart from its having been used before. The texts are for
// the log and repeat nothing of what was sent.
func (s *Authenticator) checkAssertion(ctx context.Context, a *assertion, c idp.Client, path string, now time.Time) error {
	policy := c.Rules()
	if err := CheckHeader(a.token, assertionTypes, c.AuthAlg, policy); err != nil {
		return err
	}
	if c.ID != a.claims.Subject {
		return errors.New("sub is another client")
	}
	ours := []string{s.cfg.Issuer}
	if policy.AudienceLists {
		ours = append(ours, s.cfg.Issuer+oauth.PathToken, s.cfg.Issuer+path) // RFC 9126 §2, and alike elsewhere
	}
	var aud oauth.Audience
	if err := json.Unmarshal(a.claims.Audience, &aud); err != nil || len(aud) == 0 || oauth.Beyond(aud, ours) {
		return errors.New("aud is not this provider alone")
	}
	if a.claims.Audience[0] == '[' && !policy.AudienceLists {
		return errors.New("aud is an array")
	}
	if err := a.claims.checkTimes(now); err != nil {
		return err
	}
	return s.SignedBy(ctx, c, a.token) // last: it may have to ask for the keys
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

// markUsed marks an assertion that passed its checks as used until it expires, and reports whether it was new. One use wins,
// on whichever replica (RFC 7523 §3 item 7).
func (s *Authenticator) markUsed(ctx context.Context, a *assertion, now time.Time) (fresh bool, err error) {
	sum := sha256.Sum256([]byte(a.claims.Subject + "\x00" + a.claims.ID)) // any jti, in a key of fixed length
	mark := &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "assertion:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		// To the second after exp, which may have a fraction; and a replica whose clock is behind takes it longer.
		TTL: time.Unix(int64(*a.claims.Expires)+1, 0).Sub(now) + signedSkew,
	}
	err = s.cfg.Ephemeral.Do(ctx, mark)
	return mark.Found, err
}
