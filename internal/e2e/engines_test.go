package e2e

import (
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// on returns the settings of the production profile with another database or another Redis; "": the usual one.
func on(t *testing.T, database, redis string) []string {
	t.Helper()
	if database == "" {
		database = storetest.PostgresURL(t)
	}
	if redis == "" {
		redis = ephemeraltest.RedisURL(t)
	}
	return []string{
		"STEPWARD_DATABASE_URL=" + database, "STEPWARD_REDIS_URL=" + redis,
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
}

// use goes through everything that an application does with its user, on two replicas.
func (s *site) use(p *person) {
	s.t.Helper()
	token, first := s.tokens(p)
	user, err := must(oidc.NewProvider(s.t.Context(), s.issuer)).UserInfo(s.t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || user.Subject != first.Subject {
		s.t.Errorf("userinfo: %+v %v", user, err)
	}
	s.app.Scopes = append(s.app.Scopes, "payouts")
	paid, stepped := s.tokens(p)
	if stepped.Subject != first.Subject || !strings.Contains(paid.Extra("scope").(string), "payouts") {
		s.t.Errorf("step-up: %+v scope %v", stepped, paid.Extra("scope"))
	}
	held := paid.RefreshToken
	for range 3 {
		fresh, err := s.app.TokenSource(s.t.Context(), &oauth2.Token{RefreshToken: held}).Token()
		if err != nil || fresh.RefreshToken == held {
			s.t.Fatalf("refresh: %v", err)
		}
		held = fresh.RefreshToken
	}
	verifier := oauth2.GenerateVerifier()
	if won, again := s.exchanged(s.authorize(p, verifier).Get("code"), verifier); !won || again {
		s.t.Errorf("a code: exchanged %v, twice %v", won, again)
	}
}

// newcomer signs up.
func (s *site) newcomer() *person {
	s.t.Helper()
	p := newPerson(s.t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	return p
}

func TestPeopleSignInOverARedisCluster(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, on(t, "", ephemeraltest.StartCluster(t, false).URL))
	s.use(s.newcomer())
}

func TestPeopleSignInThroughPgBouncer(t *testing.T) {
	t.Parallel()
	pooler := storetest.StartPgBouncer(t, "transaction", 8)
	s := newSite(t, 2, on(t, pooler.URL(t, storetest.PostgresURL(t)), ""))
	s.use(s.newcomer())
}

func TestASignInSurvivesAFailoverOfSentinels(t *testing.T) {
	t.Parallel()
	set := ephemeraltest.StartSentinels(t)
	s := newSite(t, 2, on(t, "", set.URL))
	p := s.newcomer()
	verifier := oauth2.GenerateVerifier()
	at := p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "login")))
	primary := set.Nodes[0].Client(t)
	if n, err := primary.Wait(t.Context(), 1, time.Second).Result(); n != 1 || err != nil {
		t.Fatalf("%d replicas have everything: %v", n, err)
	}
	set.Nodes[0].Stop()
	down, begin := 0, time.Now()
	p.t = attempt{t}
	var back url.Values
	for try(func() { back = p.through(p.open(at.url.String())) }) != nil && time.Since(begin) < 60*time.Second {
		down++
		time.Sleep(100 * time.Millisecond)
	}
	p.t = t
	t.Logf("counted: the sign-in went on %v after Redis was lost; the person reloaded %d times",
		time.Since(begin).Round(100*time.Millisecond), down)
	if won, again := s.exchanged(back.Get("code"), verifier); !won || again {
		t.Errorf("exchanged %v, twice %v, reloaded %d times", won, again, down)
	}
	s.use(p)
}

func TestPostgresOverTLSIsCheckedWithTheCAFileOfTheURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	pair := opCA.issue(func(c *x509.Certificate) { c.IPAddresses = nil })
	if err := errors.Join(
		writePEM(file("server.crt"), "CERTIFICATE", pair.Certificate[0]),
		writePEM(file("server.key"), "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(pair.PrivateKey))),
		writePEM(file("ca.pem"), "CERTIFICATE", opCA.cert.Raw),
		writePEM(file("other.pem"), "CERTIFICATE", newAuthority("another authority").cert.Raw),
	); err != nil {
		t.Fatal(err)
	}
	port := ephemeraltest.FreePorts(t, 1)[0]
	storetest.NewLone(t, "listen_addresses = '127.0.0.1'\nport = "+port+"\nssl = on", map[string]string{
		"server.crt": string(must(os.ReadFile(file("server.crt")))), "server.key": string(must(os.ReadFile(file("server.key")))),
	})
	address := func(host, ca string) []string {
		return on(t, "postgres://postgres:hunter2@"+host+":"+port+"/postgres?sslmode=verify-full&sslrootcert="+ca, "")
	}
	s := newSite(t, 1, address("localhost", file("ca.pem")))
	s.use(s.newcomer())
	s.refusesToStart(address("localhost", file("other.pem")), "certificate signed by unknown authority")
	s.refusesToStart(address("127.0.0.1", file("ca.pem")), "cannot validate certificate for 127.0.0.1")
	s.refusesToStart(address("localhost", file("none.pem")), "unable to read CA file")
}
