package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// balancer gives each request to the next replica, and to the one after when none listens there: what a proxy does that
// may try again after a failed connection.
type balancer struct {
	replicas []string
	turn     atomic.Int64
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	var lastErr error
	for range b.replicas {
		try := r.Clone(r.Context())
		try.URL.Host = b.replicas[int(b.turn.Add(1))%len(b.replicas)]
		try.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := freshConnections.RoundTrip(try)
		if op, ok := errors.AsType[*net.OpError](err); err == nil || !ok || op.Op != "dial" {
			return resp, err
		}
		lastErr = err
	}
	return nil, lastErr
}

// freshConnections dials anew for each request: a killed replica is met at the dial, where trying again is safe.
var freshConnections = &http.Transport{DisableKeepAlives: true}

// spawn runs a replica as a process of its own.
func spawn(t *testing.T, listen, issuer string, settings []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return spawnOf(t, self, listen, issuer, settings)
}

// replicaOf is a test binary as a replica that is to run with these settings, and to serve /stats at an address.
func replicaOf(binary, stats string, settings ...string) *exec.Cmd {
	cmd := exec.Command(binary)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GOCOVERDIR=") }), settings...)
	cmd.Env = append(cmd.Env, benchServer+"="+stats, "STEPWARD_TRUSTED_PROXIES=127.0.0.0/8")
	return cmd
}

// spawnOf is spawn for a test binary of any version.
func spawnOf(t *testing.T, binary, listen, issuer string, settings []string) *exec.Cmd {
	t.Helper()
	cmd := replicaOf(binary, freeAddress(t), append(slices.Clip(settings), "STEPWARD_LISTEN="+listen, "STEPWARD_ISSUER="+issuer)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if conn, err := net.Dial("tcp", listen); err == nil {
			_ = conn.Close()
			return cmd
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("the replica did not start")
	return nil
}

func TestKillingEitherProcessDuringASignInLosesNothing(t *testing.T) {
	t.Parallel()
	for victim := range 2 {
		settings := production(t)
		b := &balancer{replicas: []string{freeAddress(t), freeAddress(t)}}
		target, _ := url.Parse("http://replica")
		front := httptest.NewServer(&httputil.ReverseProxy{Transport: b, Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		}})
		defer front.Close()
		issuer := strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
		processes := []*exec.Cmd{spawn(t, b.replicas[0], issuer, settings)}
		app := oauth2.Config{
			ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "offline_access"},
			Endpoint: oauth2.Endpoint{AuthURL: issuer + "/oauth2/authorize", TokenURL: issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
		}
		p := newPerson(t, issuer, appCallback)
		begin := func() (page, string) {
			verifier := oauth2.GenerateVerifier()
			return p.open(app.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "login"))), verifier
		}
		at, _ := begin()
		p.through(p.signUp(at, "ada@example.com")) // the first replica alone, so that its mailbox has the letter
		processes = append(processes, spawn(t, b.replicas[1], issuer, settings))
		at, verifier := begin()
		if at.name != "stepup" && at.name != "login" {
			t.Fatalf("at %v", at)
		}
		if err := processes[victim].Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = processes[victim].Wait()
		back := p.through(at)
		token, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil || token.RefreshToken == "" {
			t.Fatalf("replica %d was killed: %v", victim, err)
		}
		if _, err := app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
			t.Errorf("refresh afterwards: %v", err)
		}
	}
}
