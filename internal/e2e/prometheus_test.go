package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// A watched site is two replicas in use, and a Prometheus that reads them.
type watched struct {
	*site
	listen string
	ada    *person
	redis  *wire
}

// newWatched starts one. promtool checks that these queries may stand in a rule.
func newWatched(t *testing.T, queries []string) *watched {
	t.Helper()
	prometheus, promtool := tool(t, "prometheus"), tool(t, "promtool")
	stores, _, redis := wired(t)
	s := newSite(t, 2, append(stores, "STEPWARD_METRICS_LISTEN=127.0.0.1:0"))
	var targets []string
	for _, r := range s.replicas {
		private := httptest.NewServer(r.Private())
		t.Cleanup(private.Close)
		targets = append(targets, private.Listener.Addr().String())
	}
	dir := t.TempDir()
	w := &watched{site: s, listen: freeAddress(t), redis: redis}
	settings := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: stepward, static_configs: [{targets: [%s]}]}]\n", strings.Join(targets, ", "))
	rules := "groups:\n  - name: queries\n    rules:\n"
	for i, q := range queries {
		rules += fmt.Sprintf("      - {record: a:b%d, expr: %q}\n", i, q)
	}
	for name, text := range map[string]string{"prometheus.yml": settings, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, promtool, "check", "rules", "rules.yml")
	cmd := exec.Command(prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+w.listen, "--log.level=error")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w.ada = newPerson(t, s.issuer, appCallback)
	w.ada.signUp(w.ada.open(w.begin()), "ada@example.com")
	s.app.Scopes = append(s.app.Scopes, "payouts")
	return w
}

func (w *watched) begin() string {
	return w.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "login"))
}

// use is what an application and its user do in a while, with a passkey that is refused and a moment without Redis.
func (w *watched) use() {
	w.t.Helper()
	flags := w.ada.key.Flags
	w.ada.key.Flags &^= idp.FlagUserVerified
	if next, answer := w.ada.tryCeremony(w.ada.open(w.begin())); next != "" {
		w.t.Fatalf("a passkey without verification was taken: %v", answer)
	}
	w.ada.key.Flags = flags
	w.ada.through(w.ada.open(w.begin()))
	token, _ := w.tokens(w.ada)
	if _, err := w.app.TokenSource(w.t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.app.Exchange(w.t.Context(), "wrong", oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		w.t.Fatal("a wrong code was exchanged")
	}
	w.redis.cut()
	if at := w.ada.open(w.begin()); at.status != http.StatusServiceUnavailable {
		w.t.Fatalf("without Redis: %v", at)
	}
	w.redis.mend()
}

// query returns what Prometheus finds, in words.
func (w *watched) query(expr string) (values []string) {
	resp, err := http.Get("http://" + w.listen + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil // not yet up
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil
	}
	if answer.Status == "error" && resp.StatusCode == http.StatusBadRequest {
		w.t.Fatalf("%s: %s", expr, answer.Error)
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] == "NaN" {
			continue
		}
		var names []string
		for _, label := range slices.Sorted(maps.Keys(r.Metric)) {
			if label != "job" && label != "__name__" {
				names = append(names, label+"="+r.Metric[label])
			}
		}
		values = append(values, fmt.Sprintf("%v {%s}", r.Value[1], strings.Join(names, " ")))
	}
	return values
}

// until uses the site until nothing is missing.
func (w *watched) until(what string, missing func() []string) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(time.Second) {
		w.use()
		left := missing()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s %s", what, strings.Join(left, ", "))
		}
	}
}
