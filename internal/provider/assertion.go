package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// assertionLife is how far ahead exp may lie. It bounds how long a replay mark is kept.
	assertionLife = 5 * time.Minute
	// assertionSkew is how far ahead of ours a client's clock may be (FAPI 2.0 §5.3.2.1: 10 s yes, 60 s no).
	assertionSkew = 10 * time.Second
	maxAssertion  = 8 << 10 // bytes
	maxClientID   = 128     // idp.Client.Faults
)

// assertionTypes are what the typ header may say, in lower case. Every other JWT that the client signs with the same key
// (a request object, a DPoP proof) names a type of its own.
var assertionTypes = []string{"jwt", "client-authentication+jwt"}

// An assertion is a JWT by which a client authenticates itself (RFC 7523 §3): parsed, and nothing of it checked.
type assertion struct {
	token  *jwt.JSONWebToken
	claims assertionClaims
}

// assertionClaims are read by go-jose's decoder, which takes no name twice and no other spelling of one. Times are seconds
// and may have a fraction (RFC 7519 §2).
type assertionClaims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  json.RawMessage `json:"aud"`
	Expires   *float64        `json:"exp"`
	NotBefore *float64        `json:"nbf"`
	Issued    *float64        `json:"iat"`
	ID        string          `json:"jti"`
}

// parseAssertion reads an assertion so far that the client it speaks of can be looked up.
func parseAssertion(text string) (*assertion, error) {
	if len(text) > maxAssertion || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, errors.New("the assertion is too long, or broken into lines")
	}
	algs := make([]jose.SignatureAlgorithm, len(idp.AssertionAlgorithms))
	for i, alg := range idp.AssertionAlgorithms {
		algs[i] = jose.SignatureAlgorithm(alg)
	}
	token, err := jwt.ParseSigned(text, algs)
	if err != nil {
		return nil, errors.New("the assertion is not a JWT, or of an algorithm that is not accepted")
	}
	a := &assertion{token: token}
	if err := token.UnsafeClaimsWithoutVerification(&a.claims); err != nil {
		return nil, errors.New("a claim of the assertion has the wrong type, or comes twice")
	}
	if a.claims.Subject == "" || len(a.claims.Subject) > maxClientID || a.claims.Issuer != a.claims.Subject {
		return nil, errors.New("iss and sub of the assertion are not one client_id")
	}
	return a, nil
}

// check says what is wrong with an assertion of client c, apart from its having been used before. The texts are for the
// log and repeat nothing of what was sent.
func (a *assertion) check(c idp.Client, issuer string, now time.Time) error {
	policy, header := policies[c.Policy], a.token.Headers[0]
	if raw, has := header.ExtraHeaders[jose.HeaderType]; has {
		if typ, ok := raw.(string); !ok || !slices.Contains(assertionTypes, strings.ToLower(typ)) {
			return errors.New("typ of the assertion is that of another kind of JWT")
		}
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} { // RFC 7797 §7: not in a JWT; and we understand no other extension
		if _, has := header.ExtraHeaders[name]; has {
			return errors.New("the assertion demands an extension")
		}
	}
	alg := header.Algorithm
	if c.AuthAlg != "" && alg != c.AuthAlg || alg == RS256 && !policy.assertionRS256 {
		return errors.New("the assertion's algorithm is not the client's")
	}
	if c.ID != a.claims.Subject || !a.signedBy(c, header.KeyID, alg) {
		return errors.New("no registered key verifies the assertion")
	}
	ours := []string{issuer}
	if policy.assertionAudience {
		ours = append(ours, issuer+pathToken)
	}
	var aud audience
	if err := json.Unmarshal(a.claims.Audience, &aud); err != nil || len(aud) == 0 || beyond(aud, ours) {
		return errors.New("aud of the assertion is not this provider alone")
	}
	if a.claims.Audience[0] == '[' && !policy.assertionAudience {
		return errors.New("aud of the assertion is an array")
	}
	return a.claims.checkTimes(now)
}

func (a *assertion) signedBy(c idp.Client, kid, alg string) bool {
	if c.JWKS == nil {
		return false
	}
	return slices.ContainsFunc(c.JWKS.Keys, func(key jose.JSONWebKey) bool {
		named := kid == "" || key.KeyID == "" || kid == key.KeyID
		return named && idp.SignsWith(key, alg) && a.token.Claims(key.Key) == nil
	})
}

func (c assertionClaims) checkTimes(now time.Time) error {
	// ahead is how many seconds a time lies in the future.
	ahead := func(t *float64) float64 { return *t - float64(now.UnixMilli())/1000 }
	switch {
	case c.ID == "":
		return errors.New("jti of the assertion is missing")
	case c.Expires == nil:
		return errors.New("exp of the assertion is missing")
	case ahead(c.Expires) <= 0:
		return errors.New("the assertion has expired")
	case ahead(c.Expires) > (assertionLife + assertionSkew).Seconds():
		return errors.New("exp of the assertion is too far ahead")
	case c.NotBefore != nil && ahead(c.NotBefore) > assertionSkew.Seconds():
		return errors.New("nbf of the assertion is in the future")
	case c.Issued != nil && ahead(c.Issued) > assertionSkew.Seconds():
		return errors.New("iat of the assertion is in the future")
	}
	return nil
}

// use marks an assertion, which has passed check, as used until it expires, and reports whether it had not been: on
// whichever replica, one use wins (RFC 7523 §3 item 7).
func (p *Provider) use(ctx context.Context, a *assertion, now time.Time) (fresh bool, err error) {
	sum := sha256.Sum256([]byte(a.claims.Subject + "\x00" + a.claims.ID)) // any jti, in a key of fixed length
	mark := &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "assertion:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		TTL: time.Unix(int64(*a.claims.Expires)+1, 0).Sub(now), // to the second after exp, which may have a fraction
	}
	err = p.Ephemeral.Do(ctx, mark)
	return mark.Found, err
}
