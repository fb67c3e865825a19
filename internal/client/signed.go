package client

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
)

// What clients sign: assertions and request objects. Both are JWTs with one of the client's keys, told apart by their type
// (RFC 8725 §3.11) and their claims. The texts of errors repeat nothing of what was sent.

// signedSkew is how far ahead of ours a client's clock may be (FAPI 2.0 §5.3.2.1: 10 s yes, 60 s no).
const signedSkew = 10 * time.Second

// signingAlgorithms are those that clients may sign with.
var signingAlgorithms = func() (algs []jose.SignatureAlgorithm) {
	for _, alg := range idp.AssertionAlgorithms {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	return algs
}()

// A Signed is a JWT that a client signed: parsed, and nothing of it checked.
type Signed struct {
	*jwt.JSONWebToken
	text string
}

// ParseSigned reads a JWT of at most limit bytes into claims and checks nothing of it. go-jose's decoder takes no name twice,
// and no other spelling of one.
func ParseSigned(text string, limit int, claims ...any) (*Signed, error) {
	if len(text) > limit || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, errors.New("the JWT is too long, or broken into lines")
	}
	token, err := jwt.ParseSigned(text, signingAlgorithms)
	if err != nil {
		return nil, errors.New("not a signed JWT, or of an algorithm that is not accepted")
	}
	if err := token.UnsafeClaimsWithoutVerification(claims...); err != nil {
		return nil, errors.New("a claim has the wrong type, or comes twice")
	}
	return &Signed{token, text}, nil
}

// CheckHeader says what is wrong with a header: its typ, if there is one, must be one of types (in lower case), and its
// algorithm the registered one, if there is one.
func CheckHeader(token *Signed, types []string, registered string, policy idp.Rules) error {
	header := token.Headers[0]
	if raw, has := header.ExtraHeaders[jose.HeaderType]; has {
		if typ, ok := raw.(string); !ok || !slices.Contains(types, strings.ToLower(typ)) {
			return errors.New("typ is that of another kind of JWT")
		}
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} { // RFC 7797 §7: not in a JWT; and we understand no other extension
		if _, has := header.ExtraHeaders[name]; has {
			return errors.New("an extension is demanded")
		}
	}
	if registered != "" && header.Algorithm != registered || header.Algorithm == keys.RS256 && !policy.RS256 {
		return errors.New("the algorithm is not the client's")
	}
	return nil
}

// SignedTimes are seconds and may have a fraction (RFC 7519 §2).
type SignedTimes struct {
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	Issued    *float64 `json:"iat"`
}

// Check says whether a JWT holds now, as far as it says when.
func (t SignedTimes) Check(now time.Time) error {
	switch {
	case t.Expires != nil && ahead(t.Expires, now) <= 0:
		return errors.New("exp is past")
	case t.NotBefore != nil && ahead(t.NotBefore, now) > signedSkew:
		return errors.New("nbf is in the future")
	case t.Issued != nil && ahead(t.Issued, now) > signedSkew:
		return errors.New("iat is in the future")
	}
	return nil
}

// ahead is how far a time lies in the future, a century at the most.
func ahead(t *float64, now time.Time) time.Duration {
	const century = 100 * 365 * 24 * 3600
	return time.Duration(min(max(*t-float64(now.UnixMilli())/1000, -century), century) * float64(time.Second))
}

// SignedBy verifies the signature with a key of the client.
func (s *Authenticator) SignedBy(ctx context.Context, c idp.Client, token *Signed) error {
	found, err := s.anyKey(ctx, c, func(key jose.JSONWebKey) bool { return verifies(key, token) })
	if err == nil && !found {
		err = errors.New("no key of the client verifies the signature")
	}
	return err
}

// anyKey reports whether a key of the client fits. Those behind a jwks_uri are asked for again if none does, because the client
// may have new ones.
func (s *Authenticator) anyKey(ctx context.Context, c idp.Client, fits func(jose.JSONWebKey) bool) (bool, error) {
	if c.JWKSURI == "" {
		return c.JWKS != nil && slices.ContainsFunc(c.JWKS.Keys, fits), nil
	}
	keys, fetched, err := s.keySets.keys(ctx, c.JWKSURI, false)
	if err == nil && !fetched && !slices.ContainsFunc(keys, fits) {
		keys, _, err = s.keySets.keys(ctx, c.JWKSURI, true)
	}
	return err == nil && slices.ContainsFunc(keys, fits), err
}

func verifies(key jose.JSONWebKey, token *Signed) bool {
	header := token.Headers[0]
	if header.KeyID != "" && key.KeyID != "" && header.KeyID != key.KeyID || !idp.SignsWith(key, header.Algorithm) {
		return false
	}
	if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && header.Algorithm == keys.PS256 {
		return token.verifiesPSS(rsaKey)
	}
	return token.Claims(key.Key) == nil
}

// verifiesPSS verifies a PS256 signature. Its salt is as long as the hash (RFC 7518 §3.5); go-jose takes any.
func (t *Signed) verifiesPSS(key *rsa.PublicKey) bool {
	end := strings.LastIndexByte(t.text, '.')
	if end < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(t.text[end+1:])
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(t.text[:end]))
	return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}
