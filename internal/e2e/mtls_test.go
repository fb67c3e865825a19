package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
)

// presenting is a client on the wire, with a certificate or without one.
func presenting(cert ...tls.Certificate) func(t *testing.T, target string, form url.Values, headers ...string) answer {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: cert}}, Timeout: machine.Timeout}
	return func(t *testing.T, target string, form url.Values, headers ...string) answer {
		t.Helper()
		req := must(http.NewRequestWithContext(t.Context(), "POST", target, strings.NewReader(form.Encode())))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp := must(client.Do(req))
		defer resp.Body.Close()
		body := make([]byte, 1<<16)
		n, _ := resp.Body.Read(body)
		return answer{resp.StatusCode, resp.Header, body[:n]}
	}
}

func acme(c *x509.Certificate) {
	c.Subject = pkix.Name{CommonName: "acme", Organization: []string{"Acme Bank"}}
	c.DNSNames, c.IPAddresses = []string{"api.acme.example"}, nil
}

// Under the strictest policy: the certificate is the authentication, and what the tokens are bound to (FAPI 2.0 §5.3.2.1).
func TestAClientSignsPeopleInWithItsCertificate(t *testing.T) {
	t.Parallel()
	o, mtls := newMTLSOP(t)
	p := o.person()
	cert, other := opCA.issue(acme), opCA.issue(acme)
	for name, change := range map[string]func(*idp.Client){
		"tls_client_auth": func(c *idp.Client) {
			c.AuthMethod, c.Secrets, c.CertificateName = idp.AuthMethodTLS, nil, idp.CertificateName{SANDNS: "api.acme.example"}
		},
		"self_signed_tls_client_auth": func(c *idp.Client) {
			c.AuthMethod, c.Secrets = idp.AuthMethodSelfSigned, nil
			c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: cert.Leaf.PublicKey}}}
		},
	} {
		a := o.client(func(c *idp.Client) { change(c); c.Policy, c.CertificateBound = idp.PolicyFAPI2, true })
		mine, nobody, foreign := presenting(cert), presenting(), presenting(other)
		alias := func(name string) string { return o.metadata()["mtls_endpoint_aliases"].(map[string]any)[name].(string) }
		pushed := mine(t, alias("pushed_authorization_request_endpoint"), a.request("scope", "openid profile"))
		if pushed.status != 201 {
			t.Fatalf("%s: push: %d %s", name, pushed.status, pushed.body)
		}
		back := p.through(p.open("/oauth2/authorize?" + url.Values{"client_id": {a.ID}, "request_uri": {pushed.json(t)["request_uri"].(string)}}.Encode()))
		form := func() url.Values {
			return url.Values{
				"client_id": {a.ID}, "grant_type": {"authorization_code"}, "code": {back.Get("code")},
				"redirect_uri": {a.RedirectURIs[0]}, "code_verifier": {a.verifier},
			}
		}
		nobody(t, alias("token_endpoint"), form()).refused(t, 401, "invalid_client")
		mine(t, o.issuer+"/oauth2/token", form()).refused(t, 401, "invalid_client") // no certificate is asked for there
		nobody(t, o.issuer+"/oauth2/token", form(), "Client-Cert", ":"+base64.StdEncoding.EncodeToString(cert.Leaf.Raw)+":").refused(t, 401, "invalid_client")
		got := a.granted(mine(t, alias("token_endpoint"), form()))
		bearer := "Bearer " + got.AccessToken
		if info := mine(t, alias("userinfo_endpoint"), nil, "Authorization", bearer); info.status != 200 || info.json(t)["sub"] != got.claims["sub"] {
			t.Errorf("%s: userinfo: %d %s", name, info.status, info.body)
		}
		nobody(t, alias("userinfo_endpoint"), nil, "Authorization", bearer).refused(t, 401, "invalid_token")
		foreign(t, alias("userinfo_endpoint"), nil, "Authorization", bearer).refused(t, 401, "invalid_token")
		mine(t, o.issuer+"/oauth2/userinfo", nil, "Authorization", bearer).refused(t, 401, "invalid_token")
	}
	// Nothing that people use is where certificates are asked for.
	for _, path := range []string{"/", "/login", "/account", "/oauth2/authorize", "/oauth2/jwks"} {
		resp := must(machine.Get(mtls + path))
		_ = resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s%s: %d", mtls, path, resp.StatusCode)
		}
	}
}

func TestAProxySaysWhoseCertificateItGot(t *testing.T) {
	t.Parallel()
	cas := filepath.Join(t.TempDir(), "clients.pem")
	if err := writePEM(cas, "CERTIFICATE", opCA.cert.Raw); err != nil {
		t.Fatal(err)
	}
	header := ":" + base64.StdEncoding.EncodeToString(opCA.issue(acme).Leaf.Raw) + ":"
	for trusted, status := range map[string]int{"127.0.0.0/8": 400, "10.0.0.0/8": 401} {
		o := newOP(t, "STEPWARD_MTLS_ORIGIN=https://mtls.example", "STEPWARD_CLIENT_CA_PATH="+cas, "STEPWARD_TRUSTED_PROXIES="+trusted)
		a := o.client(func(c *idp.Client) {
			c.AuthMethod, c.Secrets, c.CertificateName = idp.AuthMethodTLS, nil, idp.CertificateName{SubjectDN: "CN=acme,O=Acme Bank"}
		})
		form := url.Values{"client_id": {a.ID}, "grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": {a.RedirectURIs[0]}, "code_verifier": {a.verifier}}
		// 400: the client is known, and its code is none.
		if got := o.send("POST", "/oauth2/token", form, "Client-Cert", header); got.status != status {
			t.Errorf("proxies in %s: %d %s", trusted, got.status, got.body)
		}
		o.send("POST", "/oauth2/token", form, "Client-Cert", header, "Client-Cert", header).refused(t, 401, "invalid_client")
	}
}

func TestAClientWithACertificateHasNoSecret(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "cert.pem")
	pair := opCA.issue(acme)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	if err := os.WriteFile(file, append(text, text...), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := []string{"--mtls-origin", "https://mtls.example", "--trusted-proxies", "10.0.0.0/8", "--client-ca-path", file}
	add := func(args ...string) (string, error) {
		return operate(t, dir, append([]string{"client", "add", "Acme", "--redirect-uri", "https://acme.example/cb"}, args...)...)
	}
	for _, row := range [][]string{
		{"mtls-origin is not set", "--certificate-file", file},
		{"client-ca-path is not set", "--tls-san-dns", "a.example", "--mtls-origin", "https://mtls.example", "--trusted-proxies", "10.0.0.0/8"},
		{"mtls-origin is not set", "--certificate-bound-tokens"},
		{"exclude each other", "--certificate-file", file, "--public"},
		{"exclude each other", "--certificate-file", file, "--tls-san-dns", "a.example"},
		{"exactly one", "--tls-san-dns", "a.example", "--tls-san-ip", "192.0.2.1"},
		{"_subject_dn has a part", "--tls-subject-dn", "acme"},
		{"has no PEM certificate", "--certificate-file", os.DevNull},
		{"cannot be read", "--certificate-file", filepath.Join(dir, "nothing")},
	} {
		if out, err := add(row[1:]...); err == nil || !strings.Contains(err.Error(), row[0]) {
			t.Errorf("%v: %v %s", row, err, out)
		}
	}
	for id, args := range map[string][]string{
		"self": {"--certificate-file", file}, "named": {"--tls-subject-dn", "CN=acme,O=Acme Bank", "--certificate-bound-tokens"},
	} {
		out, err := add(append(append(args, "--id", id), settings...)...)
		if err != nil || strings.Contains(out, "secret") {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	self, err := operate(t, dir, "client", "show", "self")
	if err != nil || strings.Count(self, `"kty"`) != 2 || !strings.Contains(self, `"self_signed_tls_client_auth"`) {
		t.Errorf("%v %s", err, self)
	}
	named, err := operate(t, dir, "client", "show", "named")
	if err != nil || !strings.Contains(named, `"tls_client_auth_subject_dn": "CN=acme,O=Acme Bank"`) || !strings.Contains(named, `"tls_client_certificate_bound_access_tokens": true`) {
		t.Errorf("%v %s", err, named)
	}
}

func TestCAsOfClientsAreCAs(t *testing.T) {
	file := func(blocks ...*pem.Block) string {
		path := filepath.Join(t.TempDir(), "cas.pem")
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, leaf := &pem.Block{Type: "CERTIFICATE", Bytes: opCA.cert.Raw}, &pem.Block{Type: "CERTIFICATE", Bytes: opCA.issue(acme).Certificate[0]}
	for path, want := range map[string]string{
		file():         "has no PEM certificate",
		file(ca, leaf): "is not that of a CA",
		file(ca, &pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}): "block 2 of",
		file(&pem.Block{Type: "PRIVATE KEY", Bytes: opCA.cert.Raw}):   "block 1 of",
		filepath.Join(t.TempDir(), "nothing.pem"):                     "no such file",
	} {
		if _, err := server.ReadClientCAs(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if pool, err := server.ReadClientCAs(file(ca, ca)); err != nil || pool == nil {
		t.Error(err)
	}
}
