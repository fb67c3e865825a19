package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// A file is applied by a command of its own, beside two replicas, which notice by themselves.
func TestAnAppliedFileCountsOnEveryReplica(t *testing.T) {
	t.Parallel()
	settings := production(t)
	s := newSite(t, 2, settings)
	p := s.newcomer()
	s.tokens(p)
	path := must(program())
	apply := func(groups string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "house.yaml")
		text := fmt.Sprintf(`
groups: [{name: staff}]
policy:
  scopes: {reports: {description: Read reports}}
clients:
  - client_id: wiki
    client_name: Wiki
    redirect_uris: [%s]
    scopes: [openid, reports]
    allowed_groups: [%s]
    first_party: true
    secrets: [{name: first, value: "env:WIKI_SECRET"}]
`, appCallback, groups)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "apply", "-f", file)
		cmd.Env = append(append(os.Environ(), settings...), "STEPWARD_ISSUER="+s.issuer, "WIKI_SECRET=a-secret-of-forty-three-characters-aaaaaaaaa")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	ask := func(i int) url.Values {
		t.Helper()
		link := (&oauth2.Config{ClientID: "wiki", Endpoint: s.app.Endpoint, RedirectURL: appCallback, Scopes: []string{"openid", "reports"}}).
			AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "none"))
		request, err := http.NewRequest(http.MethodGet, strings.Replace(link, s.issuer, s.replicas[i].front.URL, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = must(url.Parse(s.issuer)).Host
		for _, c := range p.http.Jar.Cookies(must(url.Parse(link))) {
			request.AddCookie(c)
		}
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		to, err := answer.Location()
		if err != nil {
			return url.Values{"status": {answer.Status}}
		}
		return to.Query()
	}
	// within waits until both replicas answer so.
	within := func(what string, answers func(url.Values) bool) {
		t.Helper()
		for i := range s.replicas {
			for begin := time.Now(); !answers(ask(i)); time.Sleep(50 * time.Millisecond) {
				if time.Since(begin) > time.Minute {
					t.Fatalf("%s: replica %d answers %v", what, i, ask(i))
				}
			}
		}
	}
	if got := ask(0).Get("status"); !strings.HasPrefix(got, "400") {
		t.Fatalf("before there is a client: %v", got)
	}
	if plan := apply("staff"); !strings.Contains(plan, "+ client wiki") || !strings.Contains(plan, "scopes") {
		t.Errorf("plan: %s", plan)
	}
	within("who is in no group", func(q url.Values) bool { return q.Get("error") == "access_denied" })
	apply("")
	within("open to all", func(q url.Values) bool { return q.Get("code") != "" })
	if plan := apply(""); !strings.Contains(plan, "nothing to change") {
		t.Errorf("again: %s", plan)
	}
	for i, r := range s.replicas {
		if r.PolicyVersion() != 1 {
			t.Errorf("replica %d has version %d of the policy", i, r.PolicyVersion())
		}
	}
}
