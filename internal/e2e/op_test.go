//go:debug x509usefallbackroots=1

package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/server"
)

// The tests of the op-requirements, what the OpenID Foundation's certification looks at, item by item: TestOP<number>…, in
// op_*_test.go; docs/conformance.md has the table of them (conformance_test.go holds it). They run against the server as
// serve runs it, over real HTTPS, on the embedded stores:
//
//	func TestOP09ANonceComesBack(t *testing.T) {
//		t.Parallel()
//		o := sharedOP(t)                     // one for all tests; newOP(t, "STEPWARD_…=…") is one of your own
//		a := o.client(func(c *idp.Client) {  // standard, client_secret_basic, all scopes; change what you need
//			c.Policy = idp.PolicyCompatible
//		})
//		p := o.person()                      // a browser and a passkey; signed up, and signed in
//		got := a.signIn(p, "nonce", "n-1")   // authorize + code exchange; must succeed
//		if got.claims["nonce"] != "n-1" { … }
//	}
//
// One level deeper: a.authorize(p, …) returns the parameters of the authorization response, a.open(p, …) the page that the
// person sees (for requests that get no response), a.token(…) and a.post(path, …) raw answers with the client authenticated its
// own way (private_key_jwt included: c.AuthMethod = idp.AuthMethodPrivateKey is all it takes), o.send any request at all.
// Parameters are name, value, name, value; an empty value leaves out what would be there.
// answer.refused(t, 400, "invalid_grant") expects an OAuth error by the book. o.verify checks a JWT against the published keys.
//
// The test binary trusts opCA and nothing else. outside(t, handler) serves something over HTTPS that the provider may
// fetch (jwks_uri, …); opCA.issue makes further certificates, such as those of clients.

// op is a provider under test.
type op struct {
	*server.Server
	t      *testing.T
	issuer string
	stop   func()
}

// sharedOP returns the provider that all tests share. Each brings its own clients and persons, and leaves what concerns
// all (keys, settings, the clock) alone.
func sharedOP(t *testing.T) *op {
	t.Helper()
	shared.once.Do(func() {
		shared.dir, shared.err = os.MkdirTemp("", "stepward-op-")
		if shared.err == nil {
			shared.op, shared.err = startOP(shared.dir, os.Stderr)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	o := shared.op
	o.t = t
	return &o
}

var shared struct {
	once sync.Once
	dir  string
	op   op
	err  error
}

// stopSharedOP is called when all tests are over (TestMain).
func stopSharedOP() {
	if shared.op.stop != nil {
		shared.op.stop()
	}
	_ = os.RemoveAll(shared.dir)
}

// newOP returns a provider of one's own, with settings beside the usual ones.
func newOP(t *testing.T, settings ...string) *op {
	t.Helper()
	o, err := startOP(t.TempDir(), t.Output(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.stop)
	o.t = t
	return &o
}

// startOP does what serveCmd does, with a mailbox to read.
func startOP(dir string, log io.Writer, settings ...string) (op, error) {
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := opCA.issueFiles(cert, key); err != nil {
		return op{}, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return op{}, err
	}
	o := op{issuer: fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)}
	file := ""
	for _, s := range settings {
		if path, found := strings.CutPrefix(s, "STEPWARD_CONFIG="); found {
			file = path
		}
	}
	cfg, err := config.Load(config.Sources{File: file, Environ: append([]string{
		"STEPWARD_ISSUER=" + o.issuer, "STEPWARD_DATA_DIR=" + dir, "STEPWARD_TLS_CERT_PATH=" + cert, "STEPWARD_TLS_KEY_PATH=" + key,
		"STEPWARD_TRUSTED_PROXIES=127.0.0.0/8", // each person comes from an address of their own
		"STEPWARD_OUTBOUND_ALLOW=127.0.0.0/8,::1",
	}, settings...)})
	if err != nil {
		return op{}, err
	}
	cfg.SignUp, cfg.Policy = true, server.DemoPolicy(cfg.Policy)
	cfg.Policy.Aliases["urn:example:recent"] = idp.Alias{ACR: idp.ACRPhishingResistant, MaxAge: 5 * time.Minute}
	o.Server, err = server.New(context.Background(), cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})), &mail.Mailbox{})
	if err != nil {
		return op{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Serve(ctx, listener) }()
	o.stop = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			fmt.Fprintln(os.Stderr, "provider under test:", err)
		}
		o.Close()
	}
	return o, nil
}

// rpOrigin is where the clients' redirect URIs are. Nobody is there: the browser of a person stops before it.
const rpOrigin = "https://rp.example/"

var persons atomic.Int64

// person returns a user who has an account with one passkey and is signed in.
func (o *op) person() *person {
	o.t.Helper()
	p, email := o.browser()
	a := o.client(func(*idp.Client) {})
	at := p.signUp(a.open(p), email)
	p.through(at)
	return p
}

// browser returns a fresh browser with an authenticator without passkeys, and an unused e-mail address.
func (o *op) browser() (p *person, email string) {
	p = newPerson(o.t, o.issuer, rpOrigin)
	n := persons.Add(1)
	p.http.Transport = comesFrom(fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255))
	return p, fmt.Sprintf("person%d@example.com", n)
}

// comesFrom sends requests as if a proxy had them from this address: limits are per address, and one office is not meant.
type comesFrom string

func (c comesFrom) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", string(c))
	if r.Header.Get("Content-Type") != "application/json" { // a navigation, not a script's call
		r.Header.Set("Accept", "text/html")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// An answer is what came back to a machine.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var machine = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends any request. target is a path of the provider, or a URL; form, if not nil, becomes the body; headers are name,
// value, name, value.
func (o *op) send(method, target string, form url.Values, headers ...string) answer {
	o.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = o.issuer + target
	}
	req, err := http.NewRequestWithContext(o.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		o.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return o.do(req)
}

func (o *op) do(req *http.Request) answer {
	o.t.Helper()
	resp, err := machine.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// userInfo asks for the claims behind an access token.
func (o *op) userInfo(token string) answer {
	o.t.Helper()
	return o.send("GET", "/oauth2/userinfo", nil, "Authorization", "Bearer "+token)
}

// metadata is the document of OpenID Connect Discovery.
func (o *op) metadata() map[string]any {
	o.t.Helper()
	return o.send("GET", "/.well-known/openid-configuration", nil).json(o.t)
}

// keys are the published keys.
func (o *op) publishedKeys() (set jose.JSONWebKeySet) {
	o.t.Helper()
	o.send("GET", "/oauth2/jwks", nil).read(o.t, &set)
	return set
}

// outside serves something over HTTPS that the provider may fetch, and returns its URL.
func outside(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{opCA.issue(func(*x509.Certificate) {})}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// opCA is the one authority that this process trusts (the go:debug line above makes it so on every system).
var opCA = func() *authority {
	a := newAuthority("Stepward tests")
	x509.SetFallbackRoots(a.pool())
	return a
}()

func newAuthority(name string) *authority {
	a := &authority{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key))))
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue returns a certificate for localhost, servers and clients, or what change makes of it.
func (a *authority) issue(change func(*x509.Certificate)) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// issueFiles writes a certificate for localhost and its key as PEM.
func (a *authority) issueFiles(certPath, keyPath string) error {
	pair := a.issue(func(*x509.Certificate) {})
	return errors.Join(
		writePEM(certPath, "CERTIFICATE", pair.Certificate[0]),
		writePEM(keyPath, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(pair.PrivateKey.(crypto.Signer)))),
	)
}

func writePEM(path, kind string, der []byte) error {
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
