package oauth

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepward/stepward/internal/web"
)

// A Call is one request at an endpoint that machines call, as its guard has read it.
type Call struct {
	Sender      Sender
	Credentials Credentials
	Form        url.Values // of the body
	asker       string
}

// A Sender is what a request says about who sends it, apart from its form and its credentials.
type Sender struct {
	Method, Path string
	Scheme       string   // of the Authorization header, in lower case
	Proofs       []string // DPoP headers (RFC 9449 §4.1)
	// Certificates is the chain of the client's TLS handshake, its own first (RFC 8705); nil if it sent none.
	Certificates []*x509.Certificate
}

// SenderOf reads the sender of a request.
func SenderOf(r *http.Request) Sender {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return Sender{
		Method: r.Method, Path: r.URL.Path, Scheme: strings.ToLower(scheme), Proofs: r.Header.Values("DPoP"),
		Certificates: web.ClientCertificate(r.Context()),
	}
}

// Credentials are what a client authenticates itself with, parsed once (RFC 6749 §2.3, RFC 7521 §4.2).
type Credentials struct {
	ClientID  string
	Secret    string
	Basic     bool   // id and secret came in the Authorization header
	Assertion string // a JWT
}

// Asks notes which client a call comes from, or whose token it presents, so that a script of that client may read the answer.
// The first counts: a client that authenticates may send another client's token (RFC 8693).
func (c *Call) Asks(clientID string) { c.asker = cmp.Or(c.asker, clientID) }
