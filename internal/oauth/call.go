package oauth

import (
	"cmp"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepward/stepward/internal/web"
)

// A Call is one request at a machine endpoint, as parsed by its guard.
type Call struct {
	Sender      Sender
	Credentials Credentials
	Form        url.Values // of the body
	client      string
}

// A Sender describes who sent a request, apart from the form and the credentials.
type Sender struct {
	Method, Path string
	Scheme       string   // scheme of the Authorization header, in lower case
	Proofs       []string // DPoP headers (RFC 9449 §4.1)
	// Certificates is the client's certificate chain, leaf first (RFC 8705); nil without one.
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

// Credentials are a client's credentials, parsed once (RFC 6749 §2.3, RFC 7521 §4.2).
type Credentials struct {
	ClientID  string
	Secret    string
	Basic     bool   // id and secret came in the Authorization header
	Assertion string // a JWT
}

// NoteClient records the client that makes the call, or whose token it presents, so that a script of that client may
// read the response. The first one counts: an authenticated client may send another client's token (RFC 8693).
func (c *Call) NoteClient(clientID string) { c.client = cmp.Or(c.client, clientID) }
