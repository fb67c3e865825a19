package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	relying "github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// Clients that we did not write complete whole flows, each by the strictest policy it can keep to: make interop. They check
// what they get by their own lights; we check that the step-up was one.

// skipUnlessInterop is for what make interop installs first. It is apart from make test.
func skipUnlessInterop(t *testing.T) {
	t.Helper()
	if os.Getenv("STEPWARD_TEST_INTEROP") == "" {
		t.Skip("make interop runs this")
	}
	t.Parallel()
}

// A stranger is a client that we did not write.
type stranger struct {
	// begin makes an authorization request with these parameters beside its own, and returns what the person opens.
	begin func(params url.Values) string
	// end takes where the browser came back to, and returns the claims of the ID token, which the client has verified, with
	// the email claim of userinfo.
	end func(at page) claims
}

var metaRefresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`)

// arrive goes through whatever is asked, and returns where the browser ends up, and the pages on the way.
func (p *person) arrive(at page) (page, []string) {
	p.t.Helper()
	var seen []string
	for range 8 {
		switch {
		case p.stopAt != "" && strings.HasPrefix(at.url.String(), p.stopAt):
			return at, seen
		case at.name == "login" || at.name == "stepup":
			seen = append(seen, at.name)
			at = p.ceremony(at)
		case at.name == "consent":
			seen = append(seen, at.name)
			at = p.submit(at, "consent-allow", nil)
		case at.name == "continue": // form_post
			at = p.submit(at, "continue", nil)
		default:
			onward := metaRefresh.FindStringSubmatch(at.body)
			if onward == nil {
				return at, seen
			}
			at = p.open(html.UnescapeString(onward[1]))
		}
	}
	p.t.Fatal("went round in circles")
	return page{}, nil
}

// meet takes a stranger through sign-in, silent sign-in and step-up. stepUp are the parameters by which it asks for a proof
// that is at most five minutes old. It returns the person, who is still signed in.
func (o *op) meet(s stranger) *person {
	o.t.Helper()
	home := o.person()
	p, _ := o.browser() // another device, the same passkey
	p.key = home.key
	visit := func(params url.Values) (claims, []string) {
		o.t.Helper()
		at, seen := p.arrive(p.open(s.begin(params)))
		return s.end(at), seen
	}

	first, seen := visit(nil)
	if first.ACR != "phr" || !slices.Contains(first.AMR, "pop") || first.Subject == "" || !strings.HasSuffix(first.Email, "@example.com") || !slices.Equal(seen, []string{"login", "consent"}) {
		o.t.Fatalf("sign-in: %+v by way of %q", first, seen)
	}
	o.t.Logf("%s signed in: acr %s, auth_time %d", o.t.Name(), first.ACR, first.AuthTime)

	again, seen := visit(nil)
	if again.Subject != first.Subject || again.AuthTime != first.AuthTime || len(seen) > 0 {
		o.t.Errorf("again: %+v by way of %q", again, seen)
	}
	o.t.Logf("%s signed in again, silently", o.t.Name())

	o.age(tokens{claims: map[string]any{"sid": first.SID}}, 10*time.Minute)
	paid, seen := visit(url.Values{"acr_values": {"urn:example:recent"}, "max_age": {"300"}})
	if paid.Subject != first.Subject || paid.ACR != "urn:example:recent" || time.Since(time.Unix(paid.AuthTime, 0)) > time.Minute || !slices.Equal(seen, []string{"stepup"}) {
		o.t.Fatalf("step-up: %+v by way of %q", paid, seen)
	}
	o.t.Logf("%s stepped up: acr %s, auth_time %d", o.t.Name(), paid.ACR, paid.AuthTime)
	return p
}

// keyClient registers a client that signs with a key of its own.
func (o *op) keyClient(change func(*idp.Client)) *rp {
	return o.client(func(c *idp.Client) {
		c.AuthMethod = idp.AuthMethodPrivateKey
		change(c)
	})
}

// By FAPI 2.0 over mTLS: the client is known, and its tokens are bound, by its certificate. PAR is by hand, x/oauth2 has none.
func TestInteropGoOIDC(t *testing.T) {
	skipUnlessInterop(t)
	o, _ := newMTLSOP(t)
	cert := opCA.issue(func(c *x509.Certificate) { c.DNSNames = []string{"api.acme.example"} })
	a := o.client(func(c *idp.Client) {
		c.Policy, c.AuthMethod, c.Secrets, c.CertificateBound = idp.PolicyFAPI2, idp.AuthMethodTLS, nil, true
		c.SANDNS = "api.acme.example"
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}, Timeout: 30 * time.Second}
	ctx := oidc.ClientContext(t.Context(), client)
	found, err := oidc.NewProvider(ctx, o.issuer)
	if err != nil {
		t.Fatal(err)
	}
	var there struct {
		Aliases struct {
			Push     string `json:"pushed_authorization_request_endpoint"`
			Token    string `json:"token_endpoint"`
			UserInfo string `json:"userinfo_endpoint"`
		} `json:"mtls_endpoint_aliases"`
		JWKS string `json:"jwks_uri"`
	}
	if err := found.Claims(&there); err != nil {
		t.Fatal(err)
	}
	found = (&oidc.ProviderConfig{
		IssuerURL: o.issuer, AuthURL: found.Endpoint().AuthURL, TokenURL: there.Aliases.Token, UserInfoURL: there.Aliases.UserInfo, JWKSURL: there.JWKS,
		Algorithms: []string{"ES256"},
	}).NewProvider(ctx)
	config := oauth2.Config{ClientID: a.ID, Endpoint: found.Endpoint(), RedirectURL: a.RedirectURIs[0], Scopes: []string{oidc.ScopeOpenID, "email"}}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	var state, nonce, verifier string
	o.meet(stranger{
		begin: func(params url.Values) string {
			state, nonce, verifier = idp.NewID(), idp.NewID(), oauth2.GenerateVerifier()
			options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
			for name := range params {
				options = append(options, oauth2.SetAuthURLParam(name, params.Get(name)))
			}
			long := must(url.Parse(config.AuthCodeURL(state, options...)))
			resp, err := client.PostForm(there.Aliases.Push, long.Query())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var pushed struct {
				RequestURI string `json:"request_uri"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&pushed); err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatalf("push: %d %v", resp.StatusCode, err)
			}
			long.RawQuery = url.Values{"client_id": {a.ID}, "request_uri": {pushed.RequestURI}}.Encode()
			return long.String()
		},
		end: func(at page) (c claims) {
			if back := at.url.Query(); back.Get("state") != state || back.Get("iss") != o.issuer {
				t.Fatalf("%v", back)
			}
			token, err := config.Exchange(ctx, at.url.Query().Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			id, err := found.Verifier(&oidc.Config{ClientID: a.ID}).Verify(ctx, token.Extra("id_token").(string))
			if err != nil || id.Nonce != nonce || id.VerifyAccessToken(token.AccessToken) != nil {
				t.Fatalf("ID token: %+v %v", id, err)
			}
			user, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
			if err != nil || user.Subject != id.Subject {
				t.Fatalf("userinfo: %+v %v", user, err)
			}
			if err := id.Claims(&c); err != nil {
				t.Fatal(err)
			}
			c.Email = user.Email
			return c
		},
	})
}

func TestInteropZitadel(t *testing.T) {
	skipUnlessInterop(t)
	o := sharedOP(t)
	mux := http.NewServeMux()
	home := outside(t, mux)
	home = strings.Replace(home, "127.0.0.1", "localhost", 1)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	a := o.keyClient(func(c *idp.Client) {
		c.RedirectURIs = []string{home + "/callback"}
		c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}}
	})
	cookies := httphelper.NewCookieHandler([]byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef0123456789abcdef"))
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	party, err := relying.NewRelyingPartyOIDC(t.Context(), o.issuer, a.ID, "", a.RedirectURIs[0], []string{"openid", "email"},
		relying.WithCookieHandler(cookies), relying.WithPKCE(cookies), relying.WithJWTProfile(relying.SignerFromKeyAndKeyID(private, "1")), relying.WithSigningAlgsFromDiscovery(),
		relying.WithVerifierOpts(relying.WithIssuedAtMaxAge(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		var options []relying.URLParamOpt
		for name := range r.URL.Query() {
			options = append(options, relying.WithURLParam(name, r.URL.Query().Get(name)))
		}
		relying.AuthURLHandler(idp.NewID, party, options...)(w, r)
	})
	mux.Handle("GET /callback", relying.CodeExchangeHandler(relying.UserinfoCallback(
		func(w http.ResponseWriter, _ *http.Request, got *zitadel.Tokens[*zitadel.IDTokenClaims], _ string, _ relying.RelyingParty, info *zitadel.UserInfo) {
			c := got.IDTokenClaims
			sid, _ := c.Claims["sid"].(string)
			_ = json.NewEncoder(w).Encode(claims{Subject: c.Subject, ACR: c.AuthenticationContextClassReference, AMR: c.AuthenticationMethodsReferences, AuthTime: c.AuthTime.AsTime().Unix(), SID: sid, Email: info.Email})
		}), party))
	o.meet(stranger{
		begin: func(params url.Values) string { return home + "/login?" + params.Encode() },
		end:   claimsOn(t),
	})
}

// claimsOn reads the claims that a web application shows.
func claimsOn(t *testing.T) func(page) claims {
	return func(at page) (c claims) {
		t.Helper()
		if err := json.Unmarshal([]byte(at.body), &c); at.status != 200 || err != nil {
			t.Fatalf("%v: %v\n%.1000s", at, err, at.body)
		}
		return c
	}
}

const interopFolder = "testdata/interop"

func TestInteropOpenIDClient(t *testing.T) {
	skipUnlessInterop(t)
	sharedOP(t).meetFAPINode("openid-client.mjs")
}

func TestInteropOAuth4WebAPI(t *testing.T) {
	skipUnlessInterop(t)
	sharedOP(t).meetFAPINode("oauth4webapi.mjs")
}

func TestInteropOpenIDClientRegistersItself(t *testing.T) {
	skipUnlessInterop(t)
	registering(t).meetNode("openid-client-dynamic.mjs", map[string]any{"redirect": rpOrigin + "cb"})
}

// meetFAPINode meets a client in JavaScript that keeps to FAPI 2.0 and signs its requests.
func (o *op) meetFAPINode(script string) {
	o.t.Helper()
	a := o.keyClient(func(c *idp.Client) { c.Policy, c.RequireSignedRequest = idp.PolicyFAPI2, true })
	o.meetNode(script, map[string]any{"client": a.ID, "redirect": a.RedirectURIs[0], "key": jose.JSONWebKey{Key: a.key}})
}

// meetNode meets a client in JavaScript; driver.mjs says how they talk.
func (o *op) meetNode(script string, settings map[string]any) {
	t := o.t
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := writePEM(ca, "CERTIFICATE", opCA.cert.Raw); err != nil {
		t.Fatal(err)
	}
	settings["issuer"] = o.issuer
	node := start(t, []string{"NODE_EXTRA_CA_CERTS=" + ca, "INTEROP_SETTINGS=" + string(must(json.Marshal(settings)))}, "node", script)
	o.meet(stranger{
		begin: func(params url.Values) string {
			flat := map[string]string{}
			for name := range params {
				flat[name] = params.Get(name)
			}
			return node.ask(t, map[string]any{"params": flat}).Open
		},
		end: func(at page) claims {
			return node.ask(t, map[string]any{"back": at.url.String()}).Claims
		},
	})
}

// A process is a client that talks JSON, a line at a time.
type process struct {
	in  io.Writer
	out *bufio.Reader
}

type told struct {
	Open   string `json:"open"`
	Claims claims `json:"claims"`
	Error  string `json:"error"`
}

func (p process) ask(t *testing.T, what any) (out told) {
	t.Helper()
	if _, err := p.in.Write(append(must(json.Marshal(what)), '\n')); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &out)
	}
	if err != nil || out.Error != "" {
		t.Fatalf("%v %s (%s)", err, out.Error, line)
	}
	return out
}

// start runs a program in the folder of the strangers until the test ends; half a minute at the most.
func start(t *testing.T, environ []string, name string, args ...string) process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = interopFolder, append(os.Environ(), environ...), 5*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // Apache ends its children
	cmd.Stderr = t.Output()
	in, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; make interop installs it", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
	})
	return process{in, bufio.NewReader(out)}
}

// await waits until a server listens at an address.
func await(t *testing.T, address string) {
	t.Helper()
	awaitFor(t, 20*time.Second, address)
}

// awaitFor is await for a server that is slow to start.
func awaitFor(t *testing.T, limit time.Duration, address string) {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("no server listens at %s", address)
}

// Apache httpd with mod_auth_openidc stands before an application that knows nothing of OpenID Connect.
func TestInteropApache(t *testing.T) {
	skipUnlessInterop(t)
	o := sharedOP(t)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claim := func(name string) string { return r.Header.Get("OIDC_CLAIM_" + name) }
		authTime, _ := strconv.ParseInt(claim("auth_time"), 10, 64)
		_ = json.NewEncoder(w).Encode(claims{Subject: claim("sub"), ACR: claim("acr"), AMR: strings.Split(claim("amr"), ","), AuthTime: authTime, SID: claim("sid"), Email: claim("email")})
	}))
	t.Cleanup(behind.Close)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	home := "https://" + address + "/app"

	dir := t.TempDir()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	o.keyClient(func(c *idp.Client) {
		c.ID, c.RedirectURIs, c.RequireSignedRequest = "apache", []string{home + "/oidc"}, true
		c.BackchannelLogoutURI = home + "/oidc?logout=backchannel"
		c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}}
	})
	for _, err := range []error{
		opCA.issueFiles(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")),
		writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", opCA.cert.Raw), os.Chmod(filepath.Dir(dir), 0o711), os.Chmod(filepath.Join(dir, "ca.pem"), 0o644), // Apache's children, who are nobody, read this one
		writePEM(filepath.Join(dir, "client-key.pem"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		writePEM(filepath.Join(dir, "client-cert.pem"), "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, backend, _ := strings.Cut(behind.Listener.Addr().String(), ":")
	conf := must(filepath.Abs(filepath.Join(interopFolder, "apache.conf")))
	args := []string{"-f", conf, "-DFOREGROUND"}
	if os.Getuid() == 0 {
		args = append(args, "-DROOT")
	}
	start(t, []string{
		"INTEROP_DIR=" + dir, "INTEROP_PORT=" + port, "INTEROP_BACKEND=" + backend, "INTEROP_ISSUER=" + o.issuer, "INTEROP_PASSPHRASE=" + idp.NewSecret().Reveal(),
	}, "/usr/sbin/apache2", args...)
	await(t, address)
	p := o.meet(stranger{
		begin: func(params url.Values) string {
			if params.Has("acr_values") {
				return home + "/payout"
			}
			return home
		},
		end: claimsOn(t),
	})

	p.submit(p.open("/oauth2/end_session"), "logout-confirm", nil)
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(50 * time.Millisecond) {
		if at := p.open(home); at.name == "login" { // Apache has heard that its session is over
			t.Logf("%s signed out by the provider", t.Name())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("signed out at the provider, and Apache does not know")
		}
	}
}
