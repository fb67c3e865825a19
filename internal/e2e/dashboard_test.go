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
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// dashboard is what we read of deploy/grafana/stepward.json.
type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name string }
	}
	Panels []dashboardPanel
}

type dashboardPanel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct{ Expr, LegendFormat string }
}

func readText(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(readText(t, "..", "..", "deploy", "grafana", "stepward.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filledIn fills the variables of a query in, as Grafana does.
func filledIn(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", "stepward", "$instance", ".+").Replace(expr)
}

// knownLabels are our metrics and their labels, from where they are made.
func knownLabels(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	made := regexp.MustCompile(`"(stepward_[a-z_]+)",(?: Help:)?\s*"[^"]*",?(?: [a-z]+Buckets,)?((?:\s*"[a-z_]+",?)*)(?:\s*\}, \[\]string\{([^}]*)\})?`)
	for _, file := range []string{"metrics.go", "state.go"} {
		for _, m := range made.FindAllStringSubmatch(readText(t, "..", "telemetry", file), -1) {
			known[m[1]] = append([]string{}, regexp.MustCompile(`[a-z_]+`).FindAllString(m[2]+m[3], -1)...)
		}
	}
	if got := known["stepward_store_operation_seconds"]; !slices.Equal(got, []string{"store", "operation"}) || len(known) < 25 ||
		!slices.Equal(known["stepward_requests_total"], []string{"route", "method", "status"}) {
		t.Fatalf("%d metrics were found: %v", len(known), known)
	}
	return known
}

func TestTheDashboardAsksOnlyForWhatIsMeasured(t *testing.T) {
	t.Parallel()
	d, known := readDashboard(t), knownLabels(t)
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if d.UID != "stepward" || !slices.Equal(variables, []string{"datasource", "job", "instance"}) {
		t.Errorf("uid %s, variables %v", d.UID, variables)
	}
	selector := regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`)
	matcher := regexp.MustCompile(`([a-z_]+)(?:=~|!=|!~|=)"`)
	grouping := regexp.MustCompile(`\bby \(([^)]*)\)`)
	legend := regexp.MustCompile(`\{\{([a-z_]+)\}\}`)
	asked, ids := map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: the id is taken, it has no title, or it stands out", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s is tied to the data source %q, and has %d queries", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, target := range p.Targets {
			labels := []string{"job", "instance", "le"}
			for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
				name := m[1]
				if !strings.Contains(m[2], `job="$job"`) {
					t.Errorf("%s: %s is asked for without the job", p.Title, name)
				}
				if strings.HasPrefix(name, "stepward_") {
					base := name
					for _, suffix := range []string{"_bucket", "_sum", "_count"} {
						if _, ok := known[name]; !ok {
							base = strings.TrimSuffix(base, suffix)
						}
					}
					if known[base] == nil {
						t.Errorf("%s: %s is no metric", p.Title, name)
					}
					asked[base] = true
					labels = append(labels, known[base]...)
				} else if !slices.Contains([]string{
					"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "go_goroutines",
				}, name) {
					t.Errorf("%s: %s is no metric", p.Title, name)
				}
				for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
					if !slices.Contains(labels, l[1]) {
						t.Errorf("%s: %s has no label %s", p.Title, name, l[1])
					}
				}
			}
			if n := len(stepwardMetric.FindAllString(strings.ReplaceAll(target.Expr, `"stepward"`, ""), -1)); n > len(selector.FindAllString(target.Expr, -1)) {
				t.Errorf("%s: a metric without a selector in %s", p.Title, target.Expr)
			}
			for _, m := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				for label := range strings.SplitSeq(m[1], ", ") {
					if !slices.Contains(labels, label) {
						t.Errorf("%s: grouped by %s, which %s has not", p.Title, label, target.Expr)
					}
				}
			}
			for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, m[1]) {
					t.Errorf("%s: the legend names %s", p.Title, m[1])
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !asked[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// A Prometheus reads two replicas in use, and each panel's query is put to it.
func TestPackagesDashboardShowsAServerInUse(t *testing.T) {
	prometheus, promtool, d := tool(t, "prometheus"), tool(t, "promtool"), readDashboard(t)
	s := newSite(t, 2, append(production(t), "STEPWARD_METRICS_LISTEN=127.0.0.1:0"))
	var targets []string
	for _, r := range s.replicas {
		private := httptest.NewServer(r.Private())
		t.Cleanup(private.Close)
		targets = append(targets, private.Listener.Addr().String())
	}
	dir, listen := t.TempDir(), freeAddress(t)
	settings := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: stepward, static_configs: [{targets: [%s]}]}]\n", strings.Join(targets, ", "))
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			rules += fmt.Sprintf("      - {record: %s, expr: %q}\n", "a:b"+fmt.Sprint(strings.Count(rules, "record")), filledIn(target.Expr))
		}
	}
	for name, text := range map[string]string{"prometheus.yml": settings, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, promtool, "check", "rules", "rules.yml")
	cmd := exec.Command(prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+listen, "--log.level=error")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	s.app.Scopes = append(s.app.Scopes, "payouts")
	use := func() { // what an application and its user do in a while
		p.through(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "login"))))
		token, _ := s.tokens(p)
		if _, err := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.app.Exchange(t.Context(), "wrong", oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
			t.Fatal("a wrong code was exchanged")
		}
	}
	query := func(expr string) (values []string) {
		resp, err := http.Get("http://" + listen + "/api/v1/query?query=" + url.QueryEscape(filledIn(expr)))
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
			t.Fatalf("%s: %s", expr, answer.Error)
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
	// Nothing of these happens here: no TLS, no store out of order, no refused passkey, no application to tell.
	quiet := []string{"Certificate", "Out of order", "Refused ceremonies", "Requests to applications"}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		use()
		var missing []string
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if len(query(target.Expr)) == 0 && !slices.Contains(quiet, p.Title) {
					missing = append(missing, p.Title)
				}
			}
		}
		if len(missing) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing to see on %s", strings.Join(missing, ", "))
		}
		<-time.After(time.Second)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			values := query(target.Expr)
			t.Logf("%s\n  %s", p.Title, strings.Join(values, "\n  "))
			if !slices.Contains(quiet, p.Title) && len(values) == 0 {
				t.Errorf("nothing to see on %s", p.Title)
			}
		}
	}
}
