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
	"github.com/stepward/stepward/internal/pubkey"
)

// Clients sign assertions and request objects. Both are JWTs signed with a client key. Their types (RFC 8725 §3.11)
// and claims tell them apart. The errors repeat no input.

// signedSkew is how far a client's clock may be ahead of ours (FAPI 2.0 §5.3.2.1: accept 10 s, reject 60 s).
const signedSkew = 10 * time.Second

// signingAlgorithms are the algorithms that clients may sign with.
var signingAlgorithms = func() (algs []jose.SignatureAlgorithm) {
	for _, alg := range idp.AssertionAlgorithms {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	return algs
}()

// A Signed is a JWT signed by a client. It is parsed, but not checked.
type Signed struct {
	*jwt.JSONWebToken
	text string
}

// ParseSigned parses a JWT of at most limit bytes into claims and checks nothing. go-jose's decoder rejects duplicate
// names and other spellings of a name.
func ParseSigned(text string, limit int, claims ...any) (*Signed, error) {
	if len(text) > limit || strings.ContainsAny(text, "\r\n") { // the decoder would skip line breaks
		return nil, errors.New("the JWT is too long or has line breaks")
	}
	token, err := jwt.ParseSigned(text, signingAlgorithms)
	if err != nil {
		return nil, errors.New("not a signed JWT, or unsupported algorithm")
	}
	if err := token.UnsafeClaimsWithoutVerification(claims...); err != nil {
		return nil, errors.New("a claim has the wrong type or is duplicated")
	}
	return &Signed{token, text}, nil
}

// CheckHeader checks the header of a JWT. A typ, if present, must be one of types (in lower case). The algorithm must
// be the registered one, if there is one.
func CheckHeader(token *Signed, types []string, registered string, policy idp.Rules) error {
	header := token.Headers[0]
	if raw, has := header.ExtraHeaders[jose.HeaderType]; has {
		if typ, ok := raw.(string); !ok || !slices.Contains(types, strings.ToLower(typ)) {
			return errors.New("typ is that of another kind of JWT")
		}
	}
	// b64 is not for JWTs (RFC 7797 §7), and we support no extension
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, has := header.ExtraHeaders[name]; has {
			return errors.New("unsupported critical extension")
		}
	}
	if registered != "" && header.Algorithm != registered || header.Algorithm == keys.RS256 && !policy.RS256 {
		return errors.New("the algorithm is not allowed for the client")
	}
	return nil
}

// SignedTimes holds the times of a JWT in seconds, possibly with a fraction (RFC 7519 §2).
type SignedTimes struct {
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	Issued    *float64 `json:"iat"`
}

// Check checks that a JWT is valid now. Missing times are not checked.
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

// ahead returns how far t is in the future, at most a century.
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

// anyKey reports whether a key of the client fits. If none does, it fetches the jwks_uri again, because the client may
// have new keys.
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
	if header.KeyID != "" && key.KeyID != "" && header.KeyID != key.KeyID || !pubkey.SignsWith(key, header.Algorithm) {
		return false
	}
	if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && header.Algorithm == keys.PS256 {
		return token.verifiesPSS(rsaKey)
	}
	return token.Claims(key.Key) == nil
}

// verifiesPSS verifies a PS256 signature. RFC 7518 §3.5 requires a salt as long as the hash; go-jose accepts any.
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
	return rsa.VerifyPSS(
		key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	) == nil
}
