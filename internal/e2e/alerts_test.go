package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// alertRules are the files of deploy/prometheus.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

type alertCases struct {
	Tests []struct {
		Rules []struct {
			Alertname string
			Expected  []any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func readYAML(t *testing.T, path string, into any) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(text)
}

var stepwardMetric = regexp.MustCompile(`stepward_[a-z_]+`)

// knownMetrics are the names that a server has, from its own answer after requests of every kind.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, file := range []string{"metrics.go", "state.go"} {
		text, err := os.ReadFile(filepath.Join("..", "telemetry", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range stepwardMetric.FindAllString(string(text), -1) {
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				known[name+suffix] = true
			}
		}
	}
	return known
}

func TestEachAlertHasARunbookAndFiresInATest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "deploy", "prometheus")
	var rules alertRules
	readYAML(t, filepath.Join(dir, "stepward.rules.yaml"), &rules)
	var cases alertCases
	readYAML(t, filepath.Join(dir, "stepward.rules_test.yaml"), &cases)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range cases.Tests {
		for _, rule := range test.Rules {
			if len(rule.Expected) > 0 {
				fires[rule.Alertname] = true
			} else {
				quiet[rule.Alertname] = true
			}
		}
	}
	runbook, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	known, n := knownMetrics(t), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			if !strings.Contains(string(runbook), "\n## "+rule.Alert+"\n") ||
				!strings.HasSuffix(rule.Annotations["runbook_url"], "docs/runbook.md#"+strings.ToLower(rule.Alert)) {
				t.Errorf("%s has no section in the runbook, or its link leads elsewhere", rule.Alert)
			}
			if !fires[rule.Alert] || !quiet[rule.Alert] {
				t.Errorf("%s has no test in which it fires, or none in which it does not", rule.Alert)
			}
			if !slices.Contains([]string{"critical", "warning"}, rule.Labels["severity"]) || rule.Annotations["summary"] == "" {
				t.Errorf("%s: %v %v", rule.Alert, rule.Labels, rule.Annotations)
			}
			for _, name := range stepwardMetric.FindAllString(rule.Expr, -1) {
				if !known[name] {
					t.Errorf("%s looks at %s, which is no metric", rule.Alert, name)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d alerts", n)
	}
}

// tool returns a program that checks the packages, which make packages installs. Other runs do without.
func tool(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("STEPWARD_TEST_PACKAGES") == "" {
		t.Skipf("make packages runs %s", name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: make packages installs what it can", name)
	}
	return path
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPackagesAlertsFire(t *testing.T) {
	promtool, dir := tool(t, "promtool"), filepath.Join("..", "..", "deploy", "prometheus")
	run(t, dir, promtool, "check", "rules", "stepward.rules.yaml")
	run(t, dir, promtool, "test", "rules", "stepward.rules_test.yaml")
}
