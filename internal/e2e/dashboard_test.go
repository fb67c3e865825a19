package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	d := readDashboard(t)
	var queries []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, filledIn(target.Expr))
		}
	}
	w := newWatched(t, queries)
	// Nothing of these happens here: no TLS, no store out of order, no application to tell.
	quiet := []string{"Certificate", "Out of order", "Requests to applications"}
	w.until("nothing to see on", func() (missing []string) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if len(w.query(filledIn(target.Expr))) == 0 && !slices.Contains(quiet, p.Title) {
					missing = append(missing, p.Title)
				}
			}
		}
		return missing
	})
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			t.Logf("%s\n  %s", p.Title, strings.Join(w.query(filledIn(target.Expr)), "\n  "))
		}
	}
}

// pageQueries are the queries on the pages, by page: code with a range or a selector.
func pageQueries(t *testing.T) map[string][]string {
	t.Helper()
	pages := must(filepath.Glob(filepath.Join("..", "..", "docs", "*.md")))
	code := regexp.MustCompile("`([^`\n]+)`")
	asks := regexp.MustCompile(`\b(stepward|process|go)_[a-z_]+(\{|\[|\))`)
	queries := map[string][]string{}
	for _, page := range pages {
		for _, m := range code.FindAllStringSubmatch(readText(t, page), -1) {
			if asks.MatchString(m[1]) {
				queries[filepath.Base(page)] = append(queries[filepath.Base(page)], m[1])
			}
		}
	}
	if len(queries["runbook.md"]) < 6 {
		t.Fatalf("the queries of the runbook were not found: %q", queries)
	}
	return queries
}

func TestTheQueriesOfThePagesAskOnlyForWhatIsMeasured(t *testing.T) {
	t.Parallel()
	known := knownLabels(t)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	labels := regexp.MustCompile(`\b([a-z_]+)(?:=~|!=|!~|=)"|\bby \(([^)]*)\)`)
	for page, queries := range pageQueries(t) {
		for _, q := range queries {
			has := []string{"job", "instance", "le"}
			for _, name := range stepwardMetric.FindAllString(q, -1) {
				if known[name] == nil {
					name = suffix.ReplaceAllString(name, "")
				}
				if known[name] == nil {
					t.Errorf("%s: %s is no metric", page, name)
				}
				has = append(has, known[name]...)
			}
			for _, m := range labels.FindAllStringSubmatch(q, -1) {
				for label := range strings.SplitSeq(m[1]+m[2], ", ") {
					if !slices.Contains(has, label) {
						t.Errorf("%s: %s has no label %s", page, q, label)
					}
				}
			}
		}
	}
}

// Each query of the pages is put to a Prometheus that reads two replicas in use.
func TestPackagesQueriesOfThePagesFindSomething(t *testing.T) {
	pages := pageQueries(t)
	w := newWatched(t, slices.Concat(slices.Collect(maps.Values(pages))...))
	w.until("nothing is found by", func() (missing []string) {
		for page, queries := range pages {
			for _, q := range queries {
				if len(w.query(q)) == 0 {
					missing = append(missing, page+": "+q)
				}
			}
		}
		return missing
	})
	for page, queries := range pages {
		for _, q := range queries {
			t.Logf("%s: %s\n  %s", page, q, strings.Join(w.query(q), "\n  "))
		}
	}
}
