// Package dpop parses and verifies DPoP proofs (RFC 9449 §4): JWTs, signed anew for each request, by which the sender
// proves possession of a key. It knows nothing of tokens, stores or HTTP. The caller detects replays and checks the
// nonce.
package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// Limits of a proof.
const (
	maxProof = 4 << 10 // bytes; an RSA key takes up most of them
	maxID    = 256     // bytes of jti
	maxNonce = 256
)

// A proof is accepted from MaxAhead before its iat to MaxAge after it, to allow for slow networks and clocks that
// disagree a little (RFC 9449 §11.1).
const (
	MaxAge   = time.Minute
	MaxAhead = 15 * time.Second
)

// A Proof is a proof with a verified signature by the key in it. Check whether it belongs to the request with Check.
type Proof struct {
	// Key is the RFC 7638 thumbprint of the key that signed, to which tokens are bound (cnf.jkt).
	Key string
	// ID is jti. The caller must accept each ID of a key only once, until Until.
	ID string
	// Nonce is the server's nonce, if the proof has one.
	Nonce string

	method, uri, tokenHash string
	issued                 time.Time
}

// header is the JOSE header of a proof. The decoder is case-sensitive and rejects duplicate names.
type header struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	Key       *jwk            `json:"jwk"`
	Critical  json.RawMessage `json:"crit"`
	B64       json.RawMessage `json:"b64"`
}

// claims are the claims of RFC 9449 §4.2. Others, including exp and nbf, are ignored.
type claims struct {
	ID     string   `json:"jti"`
	Method string   `json:"htm"`
	URI    string   `json:"htu"`
	Issued *float64 `json:"iat"`
	Hash   string   `json:"ath"`
	Nonce  string   `json:"nonce"`
}

// Parse parses a proof and verifies its signature (RFC 9449 §4.3, items 2 to 7). Errors do not repeat any input.
func Parse(text string) (Proof, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxProof || len(parts) != 3 || strings.ContainsAny(text, "\r\n") { // the decoder would skip line breaks
		return Proof{}, errors.New("the DPoP proof is not a single JWT, or is too long")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return Proof{}, errors.New("the DPoP proof is not base64url")
		}
	}
	var h header
	if err := json.Unmarshal(raw[0], &h); err != nil {
		return Proof{}, errors.New("the header of the DPoP proof is invalid")
	}
	switch {
	case h.Type != "dpop+jwt":
		return Proof{}, errors.New("typ of the DPoP proof is not dpop+jwt")
	case h.Critical != nil || h.B64 != nil: // RFC 7515 §4.1.11, RFC 7797 §7
		return Proof{}, errors.New("the DPoP proof requires an extension")
	case h.Key == nil:
		return Proof{}, errors.New("jwk of the DPoP proof is missing")
	}
	verify, thumbprint, err := h.Key.open(h.Algorithm)
	if err != nil {
		return Proof{}, err
	}
	if !verify([]byte(text[:len(text)-len(parts[2])-1]), raw[2]) {
		return Proof{}, errors.New("the signature of the DPoP proof is wrong")
	}
	var c claims
	if err := json.Unmarshal(raw[1], &c); err != nil {
		return Proof{}, errors.New("the claims of the DPoP proof are invalid")
	}
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return Proof{}, errors.New("jti of the DPoP proof is missing or too long")
	case c.Issued == nil || *c.Issued < 0 || *c.Issued > 1<<40:
		return Proof{}, errors.New("iat of the DPoP proof is missing or not a time")
	case len(c.Nonce) > maxNonce:
		return Proof{}, errors.New("nonce of the DPoP proof is too long")
	}
	return Proof{
		Key: thumbprint, ID: c.ID, Nonce: c.Nonce, method: c.Method, uri: c.URI, tokenHash: c.Hash,
		issued: time.UnixMilli(int64(*c.Issued * 1000)),
	}, nil
}

// Check reports why a proof does not fit a request with this method and URI at now (RFC 9449 §4.3, items 8 to 12). If
// accessToken is not empty, the proof must be for that token.
func (p Proof) Check(method, uri, accessToken string, now time.Time) error {
	age := now.Sub(p.issued)
	switch {
	case p.method != method:
		return errors.New("htm of the DPoP proof is not the request's method")
	case !sameTarget(p.uri, uri):
		return errors.New("htu of the DPoP proof is not the request's URI")
	case age > MaxAge:
		return errors.New("the DPoP proof is too old")
	case age < -MaxAhead:
		return errors.New("iat of the DPoP proof is in the future")
	case accessToken != "" && subtle.ConstantTimeCompare([]byte(p.tokenHash), []byte(hashOf(accessToken))) != 1:
		return errors.New("ath of the DPoP proof does not match the access token")
	}
	return nil
}

// Until returns when the proof has expired, so that its jti can be forgotten.
func (p Proof) Until() time.Time { return p.issued.Add(MaxAge) }

// hashOf returns ath (RFC 9449 §4.2).
func hashOf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameTarget compares two URIs without query and fragment (RFC 9449 §4.3 item 9), normalized by RFC 3986 §6.2.2.1 and
// §6.2.3: scheme and host in lower case, no default port, an empty path as "/".
func sameTarget(a, b string) bool {
	x, okX := target(a)
	y, okY := target(b)
	return okX && okY && x == y
}

func target(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	scheme, host, path := strings.ToLower(u.Scheme), strings.ToLower(u.Host), u.EscapedPath()
	switch scheme {
	case "https":
		host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":")
	case "http":
		host = strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":")
	default:
		return "", false
	}
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}
