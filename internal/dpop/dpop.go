// Package dpop reads and checks DPoP proofs (RFC 9449 §4): a JWT, signed anew for each request, by which whoever sends the
// request proves that he holds a key. It knows nothing of tokens, stores or HTTP: what may be used only once, and which
// nonce is ours, is for the caller to say.
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
	maxProof = 4 << 10 // bytes; the key of an RSA proof takes up most of them
	maxID    = 256     // bytes of jti
	maxNonce = 256
)

// A proof is accepted from MaxAge after its iat until MaxAhead before it: as long as a slow network and clocks that
// disagree a little need (RFC 9449 §11.1).
const (
	MaxAge   = time.Minute
	MaxAhead = 15 * time.Second
)

// A Proof is a proof whose signature is that of the key in it. Whether it is for the request that it came with is for
// Check to say.
type Proof struct {
	// Key is the RFC 7638 thumbprint of the key that signed: what a token is bound to (cnf.jkt).
	Key string
	// ID is jti: a caller takes each ID of a key once, for as long as Until.
	ID string
	// Nonce is what the server gave the client to put in, if it did.
	Nonce string

	method, uri, tokenHash string
	issued                 time.Time
}

// header is the JOSE header of a proof. The decoder knows one spelling of a name, and takes none twice.
type header struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	Key       *jwk            `json:"jwk"`
	Critical  json.RawMessage `json:"crit"`
	B64       json.RawMessage `json:"b64"`
}

// claims are those of RFC 9449 §4.2. Others, exp and nbf among them, change nothing.
type claims struct {
	ID     string   `json:"jti"`
	Method string   `json:"htm"`
	URI    string   `json:"htu"`
	Issued *float64 `json:"iat"`
	Hash   string   `json:"ath"`
	Nonce  string   `json:"nonce"`
}

// Parse reads a proof and verifies its signature (RFC 9449 §4.3, items 2 to 7). Errors repeat nothing of what was sent.
func Parse(text string) (Proof, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxProof || len(parts) != 3 || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return Proof{}, errors.New("the DPoP proof is not one JWT, or is too long")
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
		return Proof{}, errors.New("the header of the DPoP proof cannot be read")
	}
	switch {
	case h.Type != "dpop+jwt":
		return Proof{}, errors.New("typ of the DPoP proof is not dpop+jwt")
	case h.Critical != nil || h.B64 != nil: // RFC 7515 §4.1.11, RFC 7797 §7
		return Proof{}, errors.New("the DPoP proof demands an extension")
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
		return Proof{}, errors.New("the claims of the DPoP proof cannot be read")
	}
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return Proof{}, errors.New("jti of the DPoP proof is missing or too long")
	case c.Issued == nil || *c.Issued < 0 || *c.Issued > 1<<40:
		return Proof{}, errors.New("iat of the DPoP proof is missing or no time")
	case len(c.Nonce) > maxNonce:
		return Proof{}, errors.New("nonce of the DPoP proof is too long")
	}
	return Proof{
		Key: thumbprint, ID: c.ID, Nonce: c.Nonce, method: c.Method, uri: c.URI, tokenHash: c.Hash,
		issued: time.UnixMilli(int64(*c.Issued * 1000)),
	}, nil
}

// Check says what is wrong with a proof for a request of this method to this URI at now (RFC 9449 §4.3, items 8 to 12).
// With an access token the proof must be for that token.
func (p Proof) Check(method, uri, accessToken string, now time.Time) error {
	age := now.Sub(p.issued)
	switch {
	case p.method != method:
		return errors.New("htm of the DPoP proof is not the request's method")
	case !sameTarget(p.uri, uri):
		return errors.New("htu of the DPoP proof is not the request's address")
	case age > MaxAge:
		return errors.New("the DPoP proof is too old")
	case age < -MaxAhead:
		return errors.New("iat of the DPoP proof is in the future")
	case accessToken != "" && subtle.ConstantTimeCompare([]byte(p.tokenHash), []byte(hashOf(accessToken))) != 1:
		return errors.New("ath of the DPoP proof is not that of the access token")
	}
	return nil
}

// Until is when the proof is too old in any case, so that its jti need not be remembered any longer.
func (p Proof) Until() time.Time { return p.issued.Add(MaxAge) }

// hashOf is ath (RFC 9449 §4.2).
func hashOf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameTarget compares two addresses without query and fragment (RFC 9449 §4.3 item 9), and in the normal form of
// RFC 3986 §6.2.2.1 and §6.2.3: scheme and host in any case, the scheme's port left out, an empty path as "/".
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
