package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// An authority issues certificates to clients.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, parent *authority) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signer := a
	if parent != nil {
		signer = parent
	} else {
		a.cert = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, a.key.Public(), signer.key)
	check(t, err)
	a.cert, err = x509.ParseCertificate(der)
	check(t, err)
	return a
}

// issue returns a certificate of a client, or what edit makes of it. Without an authority it signs itself.
func (a *authority) issue(edit func(*x509.Certificate)) *x509.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "acme", Organization: []string{"Acme Bank"}},
		DNSNames: []string{"api.acme.example"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(a.t, err)
	cert, err := x509.ParseCertificate(der)
	check(a.t, err)
	return cert
}

// with sends a request as if its key had been proven in the handshake.
func with(chain ...*x509.Certificate) func(*http.Request) {
	return func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: chain} }
}

// openMTLS opens a provider that accepts client certificates of this authority.
func openMTLS(t testing.TB) (*house, *authority) {
	h := openInBubble(t) // its transport passes the TLS state on
	ca := newAuthority(t, "Clients", nil)
	cas := x509.NewCertPool()
	cas.AddCert(ca.cert)
	h.rebuild(func(c *Config) { c.MTLSOrigin, c.ClientCAs = "https://mtls.localhost", cas })
	return h, ca
}

// addTLSClient stores a client with tls_client_auth.
func (h *house) addTLSClient(f func(*idp.Client)) idp.Client {
	return h.addClient(func(c *idp.Client) {
		c.AuthMethod, c.Secrets, c.ResourceServer = idp.AuthMethodTLS, nil, true
		c.SubjectDN = "CN=acme,O=Acme Bank"
		if f != nil {
			f(c)
		}
	})
}

// addSelfSigned stores a client with self_signed_tls_client_auth and the keys of these certificates.
func (h *house) addSelfSigned(f func(*idp.Client), certs ...*x509.Certificate) idp.Client {
	return h.addClient(func(c *idp.Client) {
		c.AuthMethod, c.Secrets, c.ResourceServer, c.JWKS = idp.AuthMethodSelfSigned, nil, true, &jose.JSONWebKeySet{}
		for _, cert := range certs {
			c.JWKS.Keys = append(c.JWKS.Keys, jose.JSONWebKey{Key: cert.PublicKey, Certificates: []*x509.Certificate{cert}})
		}
		if f != nil {
			f(c)
		}
	})
}

func withID(form url.Values, c idp.Client) url.Values {
	form.Set("client_id", c.ID)
	return form
}

func TestAClientAuthenticatesWithItsCertificateAtEveryEndpoint(t *testing.T) {
	h, ca := openMTLS(t)
	u := h.addUser()
	cert, own := ca.issue(nil), (&authority{t: t}).issue(nil)
	for c, proof := range map[*idp.Client]func(*http.Request){
		new(h.addTLSClient(nil)):       with(cert),
		new(h.addSelfSigned(nil, own)): with(own),
	} {
		name := c.AuthMethod
		r := h.post(oauth.PathPAR, request(*c, "scope", "openid offline_access"), proof)
		if r.StatusCode != 201 {
			t.Fatalf("%s: push: %d %s", name, r.StatusCode, r.body)
		}
		r = h.post(oauth.PathToken, withID(exchangeForm(h.code(*c, u, "scope", "openid offline_access")), *c), proof)
		if r.StatusCode != 200 {
			t.Fatalf("%s: code: %d %s", name, r.StatusCode, r.body)
		}
		r = h.post(oauth.PathToken, withID(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.json(t)["refresh_token"].(string)}}, *c), proof)
		if r.StatusCode != 200 {
			t.Fatalf("%s: refresh: %d %s", name, r.StatusCode, r.body)
		}
		token := withID(url.Values{"token": {r.json(t)["access_token"].(string)}}, *c)
		if r := h.post(oauth.PathIntrospect, token, proof); r.StatusCode != 200 || r.json(t)["active"] != true || r.json(t)["cnf"] != nil {
			t.Errorf("%s: introspection: %d %s", name, r.StatusCode, r.body)
		}
		if r := h.post(oauth.PathRevoke, token, proof); r.StatusCode != 200 {
			t.Errorf("%s: revocation: %d %s", name, r.StatusCode, r.body)
		}
		if r := h.post(oauth.PathIntrospect, token, proof); r.StatusCode != 200 || r.json(t)["active"] != false {
			t.Errorf("%s: after revocation: %d %s", name, r.StatusCode, r.body)
		}
		for _, path := range []string{oauth.PathPAR, oauth.PathIntrospect, oauth.PathRevoke} {
			form := request(*c)
			form.Set("token", "t")
			wantError(t, h.post(path, form), 401, "invalid_client")
		}
	}
}

func TestInvalidCertificatesAreRejected(t *testing.T) {
	h, ca := openMTLS(t)
	other := newAuthority(t, "Clients", nil) // of the same name
	below := newAuthority(t, "Clients below", ca)
	unknown := &authority{t: t}
	own := unknown.issue(nil)
	byDN, byDNS := h.addTLSClient(nil), h.addTLSClient(func(c *idp.Client) { c.CertificateName = idp.CertificateName{SANDNS: "api.acme.example"} })
	bySelf := h.addSelfSigned(nil, unknown.issue(nil), own)
	secretive, public := h.addClient(nil), h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	keyed := h.addKeyClient(nil, keys.ES256)
	stranger := func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "evil", []string{"api.evil.example"} }
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(10 * time.Second) }
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	faded := unknown.issue(past)
	for name, row := range map[string]struct {
		c     idp.Client
		chain []*x509.Certificate
		edit  func(url.Values, *http.Request)
		ok    bool
	}{
		"good":                                 {c: byDN, chain: []*x509.Certificate{ca.issue(nil)}, ok: true},
		"good, by a host name":                 {c: byDNS, chain: []*x509.Certificate{ca.issue(nil)}, ok: true},
		"good, for nothing in particular":      {c: byDN, chain: []*x509.Certificate{ca.issue(func(c *x509.Certificate) { c.ExtKeyUsage = nil })}, ok: true},
		"good, over a CA between":              {c: byDN, chain: []*x509.Certificate{below.issue(nil), below.cert}, ok: true},
		"good, self-signed":                    {c: bySelf, chain: []*x509.Certificate{own}, ok: true},
		"none":                                 {c: byDN},
		"none, self-signed":                    {c: bySelf},
		"another CA of the same name":          {c: byDN, chain: []*x509.Certificate{other.issue(nil)}},
		"another CA that is sent along":        {c: byDN, chain: []*x509.Certificate{other.issue(nil), other.cert}},
		"self-signed instead of the CA's":      {c: byDN, chain: []*x509.Certificate{unknown.issue(nil)}},
		"a CA between that is not sent along":  {c: byDN, chain: []*x509.Certificate{below.issue(nil)}},
		"the right one, but not in front":      {c: byDN, chain: []*x509.Certificate{unknown.issue(nil), ca.issue(nil)}},
		"expired":                              {c: byDN, chain: []*x509.Certificate{ca.issue(past)}},
		"not valid yet":                        {c: byDN, chain: []*x509.Certificate{ca.issue(future)}},
		"for servers":                          {c: byDN, chain: []*x509.Certificate{ca.issue(forServers)}},
		"another subject":                      {c: byDN, chain: []*x509.Certificate{ca.issue(stranger)}},
		"another host name":                    {c: byDNS, chain: []*x509.Certificate{ca.issue(stranger)}},
		"self-signed, another key":             {c: bySelf, chain: []*x509.Certificate{unknown.issue(nil)}},
		"self-signed, expired":                 {c: h.addSelfSigned(nil, faded), chain: []*x509.Certificate{faded}},
		"a certificate and a secret":           {c: byDN, chain: []*x509.Certificate{ca.issue(nil)}, edit: func(v url.Values, _ *http.Request) { v.Set("client_secret", clientSecret.Reveal()) }},
		"a certificate and a secret as header": {c: byDN, chain: []*x509.Certificate{ca.issue(nil)}, edit: func(_ url.Values, r *http.Request) { basic(byDN)(r) }},
		"a certificate and an assertion": {c: byDN, chain: []*x509.Certificate{ca.issue(nil)}, edit: func(v url.Values, _ *http.Request) {
			withAssertion(v, h.goodAssertion(byDN).text(t))
		}},
		"another client's":                       {c: byDN, chain: []*x509.Certificate{own}},
		"a certificate instead of a secret":      {c: secretive, chain: []*x509.Certificate{ca.issue(nil)}},
		"a certificate instead of an assertion":  {c: keyed, chain: []*x509.Certificate{ca.issue(nil)}},
		"a public client that has one, harmless": {c: public, chain: []*x509.Certificate{ca.issue(nil)}, ok: true},
	} {
		form := withID(exchangeForm("no-such-code"), row.c)
		proof := func(r *http.Request) {
			if row.chain != nil {
				with(row.chain...)(r)
			}
		}
		req := []func(*http.Request){proof}
		if edit := row.edit; edit != nil {
			header := &http.Request{Header: http.Header{}}
			edit(form, header)
			req = append(req, func(r *http.Request) {
				if v := header.Header.Get("Authorization"); v != "" {
					r.Header.Set("Authorization", v)
				}
			})
		}
		r := h.post(oauth.PathToken, form, req...)
		if row.ok { // known, and then the code is wrong
			if r.StatusCode != 400 || r.json(t)["error"] != "invalid_grant" {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			}
			continue
		}
		if r.StatusCode != 401 || r.json(t)["error"] != "invalid_client" || r.json(t)["error_description"] != "client authentication failed" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	h.rebuild(func(c *Config) { c.ClientCAs = nil })
	wantError(t, h.post(oauth.PathToken, withID(exchangeForm("no-such-code"), byDN), with(ca.issue(nil))), 401, "invalid_client")
	if text := h.log.String(); !strings.Contains(text, "client-ca-path") || strings.Contains(text, "evil") {
		t.Error("the log does not say why, or repeats what was sent")
	}
}

func TestTokensAreBoundToTheCertificate(t *testing.T) {
	h, ca := openMTLS(t)
	u := h.addUser()
	mine, renewed, foreign := ca.issue(nil), ca.issue(nil), ca.issue(func(c *x509.Certificate) { c.Subject.CommonName = "evil" })
	bound := func(c *idp.Client) { c.CertificateBound = true }
	userinfo := func(token any, edit ...func(*http.Request)) reply {
		return h.post(oauth.PathUserInfo, url.Values{"access_token": {token.(string)}}, edit...)
	}
	for name, c := range map[string]idp.Client{
		"tls_client_auth": h.addTLSClient(bound),
		"opaque":          h.addTLSClient(func(c *idp.Client) { bound(c); c.AccessFormat = idp.FormatOpaque }),
		"public":          h.addClient(func(c *idp.Client) { bound(c); c.AuthMethod = idp.AuthMethodNone }),
		"a secret":        h.addClient(func(c *idp.Client) { bound(c); c.AuthMethod = idp.AuthMethodPost }),
	} {
		form := func(v url.Values) url.Values {
			if c.AuthMethod == idp.AuthMethodPost {
				v.Set("client_secret", clientSecret.Reveal())
			}
			return withID(v, c)
		}
		r := h.post(oauth.PathToken, form(exchangeForm(h.code(c, u, "scope", "openid offline_access"))), with(mine))
		if r.StatusCode != 200 || r.json(t)["token_type"] != "Bearer" {
			t.Fatalf("%s: %d %s", name, r.StatusCode, r.body)
		}
		tok := r.json(t)
		if c.AccessFormat != idp.FormatOpaque {
			if _, access := claims(t, tok["access_token"]); access["cnf"].(map[string]any)["x5t#S256"] != idp.CertificateThumbprint(mine) {
				t.Errorf("%s: cnf %v", name, access["cnf"])
			}
		}
		if r := userinfo(tok["access_token"], with(mine)); r.StatusCode != 200 {
			t.Errorf("%s: userinfo: %d %s", name, r.StatusCode, r.body)
		}
		wantError(t, userinfo(tok["access_token"]), 401, "invalid_token")
		wantError(t, userinfo(tok["access_token"], with(foreign)), 401, "invalid_token")
		wantError(t, userinfo(tok["access_token"], with(renewed)), 401, "invalid_token") // the same name is not the same certificate
		wantError(t, userinfo(tok["access_token"], with(foreign, mine)), 401, "invalid_token")
		if r := userinfo(tok["access_token"]); !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: challenge %q", name, r.Header.Get("WWW-Authenticate"))
		}
		asking := h.addClient(func(c *idp.Client) { c.ResourceServer = true })
		said := h.introspect(asking, tok["access_token"])
		if cnf, _ := said["cnf"].(map[string]any); said["active"] != true || cnf["x5t#S256"] != idp.CertificateThumbprint(mine) {
			t.Errorf("%s: introspection %v", name, said)
		}
		again := form(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
		if c.AuthMethod != idp.AuthMethodTLS {
			r := h.post(oauth.PathToken, again)
			wantError(t, r, 400, "invalid_request")
		}
		switch r := h.post(oauth.PathToken, again, with(renewed)); {
		case c.Public(): // whose refresh token is bound as well (RFC 8705 §4)
			wantError(t, r, 400, "invalid_grant")
			if r := h.post(oauth.PathToken, again, with(mine)); r.StatusCode != 200 {
				t.Errorf("%s: refresh: %d %s", name, r.StatusCode, r.body)
			}
		case r.StatusCode != 200:
			t.Errorf("%s: refresh with the next certificate: %d %s", name, r.StatusCode, r.body)
		default: // authenticated some other way: the new token is bound to the new certificate
			if r := userinfo(r.json(t)["access_token"], with(renewed)); r.StatusCode != 200 {
				t.Errorf("%s: after the refresh: %d %s", name, r.StatusCode, r.body)
			}
			wantError(t, userinfo(r.json(t)["access_token"], with(mine)), 401, "invalid_token")
		}
	}
	machine := h.addMachine(func(c *idp.Client) {
		bound(c)
		c.AuthMethod, c.Secrets, c.SubjectDN = idp.AuthMethodTLS, nil, "CN=acme,O=Acme Bank"
	})
	r := h.post(oauth.PathToken, withID(url.Values{"grant_type": {"client_credentials"}}, machine), with(mine))
	if _, access := claims(t, r.json(t)["access_token"]); access["cnf"].(map[string]any)["x5t#S256"] != idp.CertificateThumbprint(mine) {
		t.Errorf("a machine: cnf %v", access["cnf"])
	}
}

func TestACodeIsNotBurntByAForgottenCertificate(t *testing.T) {
	h, ca := openMTLS(t)
	c := h.addClient(func(c *idp.Client) { c.CertificateBound = true })
	code := h.code(c, h.addUser())
	wantError(t, h.post(oauth.PathToken, exchangeForm(code), basic(c)), 400, "invalid_request")
	if r := h.post(oauth.PathToken, exchangeForm(code), basic(c), with(ca.issue(nil))); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestMetadataNamesTheMTLSEndpoints(t *testing.T) {
	h := openInBubble(t)
	read := func() (meta map[string]any) {
		return h.get("/.well-known/openid-configuration").json(t)
	}
	methods := func(meta map[string]any, endpoint string) []string {
		var out []string
		for _, m := range meta[endpoint+"_endpoint_auth_methods_supported"].([]any) {
			if strings.Contains(m.(string), "tls") {
				out = append(out, m.(string))
			}
		}
		return out
	}
	meta := read()
	if meta["mtls_endpoint_aliases"] != nil || meta["tls_client_certificate_bound_access_tokens"] != nil || methods(meta, "token") != nil {
		t.Errorf("without mTLS: %v", meta)
	}
	h.rebuild(func(c *Config) { c.MTLSOrigin = "https://mtls.localhost" })
	if meta = read(); !slices.Equal(methods(meta, "token"), []string{"self_signed_tls_client_auth"}) {
		t.Errorf("without a CA: %v", methods(meta, "token"))
	}
	h.rebuild(func(c *Config) { c.ClientCAs = x509.NewCertPool() })
	meta = read()
	for _, endpoint := range []string{"token", "revocation", "introspection"} {
		if !slices.Equal(methods(meta, endpoint), []string{"tls_client_auth", "self_signed_tls_client_auth"}) {
			t.Errorf("%s: %v", endpoint, methods(meta, endpoint))
		}
	}
	mux := http.NewServeMux()
	h.provider.MountMTLS(mux)
	for name, alias := range meta["mtls_endpoint_aliases"].(map[string]any) {
		path, ours := strings.CutPrefix(alias.(string), "https://mtls.localhost")
		if !ours || meta[name] != h.url+path {
			t.Errorf("%s: %v, and without a certificate %v", name, alias, meta[name])
		}
		r, err := http.NewRequest("POST", path, nil)
		check(t, err)
		if _, pattern := mux.Handler(r); pattern == "" {
			t.Errorf("%s: no endpoint is there", alias)
		}
	}
	if meta["tls_client_certificate_bound_access_tokens"] != true {
		t.Error("bound tokens are not announced")
	}
}
