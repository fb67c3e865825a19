package floor

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
)

var header = b64([]byte(`{"alg":"ES256"}`))

// sign returns a JWT with these claims (RFC 7515 §3.1, ES256).
func (s *Server) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := header + "." + b64(payload)
	digest := sha256.Sum256([]byte(signed))
	r, n, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	n.FillBytes(signature[32:])
	return signed + "." + b64(signature[:]), nil
}

// verify returns the family of an access token of this server.
func (s *Server) verify(token string) (family string, err error) {
	end := strings.LastIndexByte(token, '.')
	if end < len(header)+1 {
		return "", errors.New("not a token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil || len(signature) != 64 {
		return "", errors.New("not a signature")
	}
	digest := sha256.Sum256([]byte(token[:end]))
	r, n := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(&s.key.PublicKey, digest[:], r, n) {
		return "", errors.New("wrong signature")
	}
	payload, err := base64.RawURLEncoding.DecodeString(token[len(header)+1 : end])
	if err != nil {
		return "", err
	}
	var claims struct{ Fam string }
	err = json.Unmarshal(payload, &claims)
	return claims.Fam, err
}
