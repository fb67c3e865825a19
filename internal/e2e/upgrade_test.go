package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// versionBefore builds the tests of the version before this one, which are also its server, and returns the binary.
// restarts says whether that version starts on a newer schema that it can run on: since migration 20.
func versionBefore(t *testing.T) (binary, name string, restarts bool) {
	t.Helper()
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit := os.Getenv("STEPWARD_TEST_UPGRADE")
	if commit == "" {
		t.Skip("STEPWARD_TEST_UPGRADE is not set: make upgrade")
	}
	if commit == "last" {
		var err error
		if commit, err = git("describe", "--tags", "--abbrev=0"); err != nil {
			newest := must(git("log", "-1", "--diff-filter=A", "--format=%H", "--", "internal/store/migrations"))
			commit = newest + "^"
		}
	}
	commit, err := git("rev-parse", "--short", commit+"^{commit}")
	if err != nil {
		t.Fatalf("no commit %s: %v", os.Getenv("STEPWARD_TEST_UPGRADE"), err)
	}
	tree := filepath.Join(t.TempDir(), "before")
	if out, err := git("worktree", "add", "--detach", tree, commit); err != nil {
		t.Fatalf("check out %s: %v %s", commit, err, out)
	}
	t.Cleanup(func() { _, _ = git("worktree", "remove", "--force", tree) })
	binary = filepath.Join(t.TempDir(), "before.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "./internal/e2e")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", commit, err, out)
	}
	text, err := os.ReadFile(filepath.Join(tree, "internal/store/migrate.go"))
	if err != nil {
		t.Fatal(err)
	}
	return binary, commit, strings.Contains(string(text), "oldest_program")
}

// applications use the provider as long as ctx lives, each for a person of its own: they refresh, ask for userinfo,
// introspect, and ask for tokens of their own. Nothing is tried twice.
type applications struct {
	t           *testing.T
	app         oauth2.Config
	pick        func() *checked // the replica that a balancer would choose
	asked, lost atomic.Int64
}

func (a *applications) use(ctx context.Context, token oauth2.Token) {
	for ctx.Err() == nil {
		next := &struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}{}
		if !a.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}}, "", next) {
			return // what follows would only repeat it
		}
		token.AccessToken, token.RefreshToken = next.Access, next.Refresh
		a.post("/oauth2/userinfo", nil, token.AccessToken, &struct{}{})
		active := &struct{ Active bool }{}
		if a.post("/oauth2/introspect", url.Values{"token": {token.AccessToken}}, "", active); !active.Active {
			a.fail("/oauth2/introspect", fmt.Errorf("a live token is not active"))
		}
		a.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"reports"}}, "", &struct{}{})
	}
}

func (a *applications) fail(path string, err error) {
	a.lost.Add(1)
	a.t.Logf("lost: %s: %v", path, err)
}

// post sends one request to the replica that is next, as the client or with an access token.
func (a *applications) post(path string, form url.Values, bearer string, into any) bool {
	c := a.pick()
	a.asked.Add(1)
	r, err := http.NewRequest(http.MethodPost, "http://"+c.address+path, io.NopCloser(strings.NewReader(form.Encode())))
	if err != nil {
		a.t.Error(err)
		return false
	}
	r.Host = strings.TrimPrefix(strings.TrimSuffix(a.app.Endpoint.TokenURL, "/oauth2/token"), "http://")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	} else {
		r.SetBasicAuth(a.app.ClientID, a.app.ClientSecret)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.kept.RoundTrip(r)
	if err == nil {
		defer resp.Body.Close()
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s %s", resp.Status, body)
		}
		if err == nil {
			err = json.Unmarshal(body, into)
		}
	}
	if err != nil {
		a.fail(path, err)
	}
	return err == nil
}

func TestAnUpgradeUnderLoadLosesNoRequest(t *testing.T) {
	old, commit, restarts := versionBefore(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	settings := append(production(t), "STEPWARD_SHUTDOWN_DELAY=700ms", "STEPWARD_SHUTDOWN_TIMEOUT=8s")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()

	replicas, turn := make([]*checked, 2), atomic.Int64{}
	pick := func() *checked {
		for {
			if c := replicas[int(turn.Add(1))%len(replicas)]; c.ready.Load() {
				return c
			}
			time.Sleep(time.Millisecond)
		}
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Transport: freshConnections, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: "http", Host: pick().address})
		p.Out.Host = p.In.Host
		p.SetXForwarded()
	}})
	defer front.Close()
	issuer := strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	processes := make([]*exec.Cmd, 2)
	start := func(n int, binary string) {
		t.Helper()
		processes[n] = spawnOf(t, binary, replicas[n].address, issuer, settings)
		for deadline := time.Now().Add(2 * time.Minute); !replicas[n].ready.Load(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("replica %d is not ready", n)
			}
		}
	}
	for i := range replicas {
		replicas[i] = &checked{address: freeAddress(t), kept: &http.Transport{MaxIdleConnsPerHost: 8}}
		all.Go(func() { replicas[i].check(ctx) })
	}
	e := &embedded{t: t, issuer: issuer, app: oauth2.Config{
		ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/oauth2/authorize", TokenURL: issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
	}}
	load := &applications{t: t, app: e.app, pick: pick}
	start(0, old) // alone, because each replica keeps the e-mails that it sends
	ada := newPerson(t, issuer, appCallback)
	for i, p := range []*person{ada, newPerson(t, issuer, appCallback), newPerson(t, issuer, appCallback)} {
		token := *e.signIn(p, fmt.Sprintf("person%d@example.com", i))
		all.Go(func() { load.use(ctx, token) })
	}
	start(1, old)
	stop := func(n int) {
		t.Helper()
		if err := processes[n].Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := processes[n].Wait(); err != nil {
			t.Errorf("replica %d stops: %v", n, err)
		}
		replicas[n].ready.Store(false)
	}
	for n := range replicas {
		at := load.asked.Load()
		stop(n)
		start(n, self)
		t.Logf("replica %d is new; %d requests meanwhile", n, load.asked.Load()-at)
		for now := load.asked.Load(); load.asked.Load() < now+400 && load.lost.Load() == 0; { // side by side, or both new
			time.Sleep(10 * time.Millisecond)
		}
		if !e.mayEnter(ada) {
			t.Error("a passkey from before is refused")
		}
		switch {
		case n > 0:
		case restarts: // an old replica that crashes in the middle of a rollout comes back
			stop(1)
			start(1, old)
			t.Log("replica 1 started again, and is still old")
		default:
			t.Logf("%s would refuse a newer schema at its start", commit)
		}
	}
	cancel()
	all.Wait()
	t.Logf("%s to this version: %d of %d requests were lost", commit, load.lost.Load(), load.asked.Load())
	if load.asked.Load() < 800 || load.lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost", load.lost.Load(), load.asked.Load())
	}
}
