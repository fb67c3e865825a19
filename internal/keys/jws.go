package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

// The algorithms that Stepward signs with (RFC 7518 §3.1, RFC 8037).
const (
	ES256 = idp.ES256
	EdDSA = idp.EdDSA
	PS256 = idp.PS256
	RS256 = idp.RS256
)

// Algorithms lists them in the order of the metadata.
var Algorithms = []string{ES256, EdDSA, PS256, RS256}

// Token types (the typ header) keep one kind of token from passing for another (RFC 8725 §3.11).
const (
	TypeIDToken       = "JWT"
	TypeAccessToken   = "at+jwt"                  // RFC 9068 §2.1
	TypeLogout        = "logout+jwt"              // Back-Channel Logout §2.4
	TypeIntrospection = "token-introspection+jwt" // RFC 9701 §5
)

// ErrToken means that no published key signed the token as this type.
var ErrToken = errors.New("not a token of this provider")

// A Signer signs and verifies compact JWS with one key. A general library would cost twice as much as the signature
// itself (281 allocations against 10), so this is our own code, with everything constant computed once.
type Signer struct {
	KeyID, alg string
	key        crypto.Signer
	public     crypto.PublicKey
	headers    map[string]string // by typ: the encoded header with its dot
}

func newSigner(alg, kid string, key crypto.Signer) *Signer {
	s := &Signer{KeyID: kid, alg: alg, key: key, public: key.Public(), headers: map[string]string{}}
	for _, typ := range []string{TypeIDToken, TypeAccessToken, TypeLogout, TypeIntrospection} {
		header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, alg, kid, typ)
		s.headers[typ] = base64.RawURLEncoding.EncodeToString([]byte(header)) + "."
	}
	return s
}

// Sign returns claims as a compact JWS (RFC 7515 §3.1).
func (s *Signer) Sign(typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("marshal claims: %w", err)
	}
	header := s.headers[typ]
	enc := base64.RawURLEncoding
	token := make([]byte, 0, len(header)+enc.EncodedLen(len(payload))+1+enc.EncodedLen(256))
	token = append(token, header...)
	token = enc.AppendEncode(token, payload)
	sig, err := s.signature(token)
	if _, remote := s.key.(*agentKey); err == nil && remote && !s.verify(token, sig) {
		err = errors.New("the key agent's signature does not verify")
	}
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", s.alg, err)
	}
	token = append(token, '.')
	return string(enc.AppendEncode(token, sig)), nil
}

func (s *Signer) signature(input []byte) ([]byte, error) {
	var opts crypto.SignerOpts = crypto.SHA256
	switch s.alg {
	case EdDSA:
		opts = crypto.Hash(0)
	case PS256:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	sig, err := s.rawSignature(input, opts)
	if err != nil || s.alg != ES256 {
		return sig, err
	}
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &point); err != nil {
		return nil, err
	}
	raw := make([]byte, 64) // RFC 7518 §3.4: R and S, 32 octets each
	point.R.FillBytes(raw[:32])
	point.S.FillBytes(raw[32:])
	return raw, nil
}

// rawSignature returns the output of crypto.Signer. A key in an agent gets the whole message, because the agent does
// the hashing.
func (s *Signer) rawSignature(input []byte, opts crypto.SignerOpts) ([]byte, error) {
	if elsewhere, ok := s.key.(crypto.MessageSigner); ok {
		return elsewhere.SignMessage(rand.Reader, input, opts)
	}
	if opts.HashFunc() == 0 {
		return s.key.Sign(rand.Reader, input, opts)
	}
	digest := sha256.Sum256(input)
	return s.key.Sign(rand.Reader, digest[:], opts)
}

// Header returns the header of a token of this type, as JSON.
func (s *Signer) Header(typ string) string {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimSuffix(s.headers[typ], "."))
	if err != nil { // newSigner has encoded it
		panic(err)
	}
	return string(text)
}

// verify reports whether sig is this key's signature of input. The algorithm comes from the key, never from a header.
func (s *Signer) verify(input, sig []byte) bool {
	digest := sha256.Sum256(input)
	switch key := s.public.(type) {
	case *ecdsa.PublicKey:
		if len(sig) != 64 {
			return false
		}
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(key, input, sig)
	case *rsa.PublicKey:
		if s.alg == PS256 {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
			return rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, opts) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
	default:
		return false
	}
}

// AtHash returns the at_hash claim: the left half of a hash that depends on the signature algorithm (OIDC Core
// §3.1.3.6).
func (s *Signer) AtHash(accessToken string) string {
	if s.alg == EdDSA { // Ed25519 uses SHA-512
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Open checks a token that one of our keys signed as this typ, and decodes its claims into v. The encoded header must
// be, byte for byte, one that we write. That fixes algorithm, key and type, and no foreign header is ever parsed. The
// caller must check expiry, issuer and audience.
func (r *Set) Open(typ, token string, v any) error {
	header, rest, ok := strings.Cut(token, ".")
	if !ok || strings.ContainsAny(token, "\r\n") { // the decoder would skip line breaks
		return ErrToken
	}
	payload, sig, ok := strings.Cut(rest, ".")
	if !ok {
		return ErrToken
	}
	s := r.byHeader[typ][header]
	if s == nil {
		return ErrToken
	}
	strict := base64.RawURLEncoding.Strict() // one spelling per token
	raw, err := strict.DecodeString(sig)
	if err != nil || !s.verify([]byte(token[:len(header)+1+len(payload)]), raw) {
		return ErrToken
	}
	claims, err := strict.DecodeString(payload)
	if err != nil {
		return ErrToken
	}
	if err := json.NewDecoder(bytes.NewReader(claims)).Decode(v); err != nil {
		return ErrToken
	}
	return nil
}
