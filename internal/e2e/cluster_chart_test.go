package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Definitions of objects that the chart makes for others, in the versions that the tests take.
const (
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	gatewayAPI         = "sigs.k8s.io/gateway-api@v1.4.1"
)

// chartCluster is a cluster with what the chart needs beside itself: a namespace that takes only pods of the profile
// "restricted", and the definitions of others.
func chartCluster(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	monitoring := filepath.Join(moduleDir(t, prometheusOperator), "example", "prometheus-operator-crd")
	c.define(
		filepath.Join(monitoring, "monitoring.coreos.com_servicemonitors.yaml"),
		filepath.Join(monitoring, "monitoring.coreos.com_prometheusrules.yaml"),
		filepath.Join(moduleDir(t, gatewayAPI), "config", "crd", "standard", "gateway.networking.k8s.io_httproutes.yaml"),
	)
	c.apply("", `apiVersion: v1
kind: Namespace
metadata:
  name: id
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: identity }
value: 1000
`, "")
	return c
}

// helm runs helm on the cluster. It must not print a warning of the API server.
func (c *cluster) helm(args ...string) error {
	c.t.Helper()
	cmd := exec.Command(clusterProgram(c.t, "helm"), append(args, "--namespace=id",
		"--kube-apiserver="+c.url, "--kube-token="+c.admin, "--kube-tls-server-name=localhost", "--kube-insecure-skip-tls-verify")...)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "arning") {
			c.t.Errorf("helm %s: %s", args[0], line)
		}
	}
	if err != nil {
		return fmt.Errorf("helm %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// values returns the flags for helm with a set of values.
func values(set string) []string {
	return []string{"stepward", chartDir, "-f", filepath.Join(chartDir, "ci", set+"-values.yaml")}
}

// rendered are the objects of the chart with a set of values: those that stay, and those of the migration.
func (c *cluster) rendered(set string) (stay, hooks []manifest) {
	for _, m := range manifests(c.t, renderChart(c.t, clusterProgram(c.t, "helm"), set)) {
		if strings.Contains(m.text, "helm.sh/hook:") {
			hooks = append(hooks, m)
		} else {
			stay = append(stay, m)
		}
	}
	return stay, hooks
}

// stored names the objects of the namespace, of the kinds that the chart has.
func (c *cluster) stored() (names []string) {
	c.t.Helper()
	seen := map[string]bool{}
	for _, set := range chartSets {
		stay, hooks := c.rendered(set)
		for _, m := range append(stay, hooks...) {
			if seen[m.Kind] {
				continue
			}
			seen[m.Kind] = true
			for _, item := range c.do(call{method: "GET", path: m.path("id")})["items"].([]any) {
				names = append(names, m.Kind+" "+item.(map[string]any)["metadata"].(map[string]any)["name"].(string))
			}
		}
	}
	return slices.Sorted(slices.Values(names))
}

// migrate plays the controller of jobs and the node: it waits for the job of the migration and ends it.
func (c *cluster) migrate(succeeds bool) {
	c.t.Helper()
	job := call{method: "GET", path: "/apis/batch/v1/namespaces/id/jobs/stepward-migrate"}
	open := func() bool { // not the one of the upgrade before, which failed
		found := c.as(c.admin, job)
		return found.status == http.StatusOK && !strings.Contains(string(found.body), `"conditions"`)
	}
	for deadline := time.Now().Add(30 * time.Second); !open(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Error("the upgrade has no job")
			return
		}
	}
	c.admits(c.do(job))
	now := time.Now().UTC().Format(time.RFC3339)
	status := map[string]any{"startTime": now, "failed": 1}
	first, last := "FailureTarget", "Failed"
	if succeeds {
		status = map[string]any{"startTime": now, "completionTime": now, "succeeded": 1}
		first, last = "SuccessCriteriaMet", "Complete"
	}
	for _, condition := range []string{first, last} {
		conditions, _ := status["conditions"].([]any)
		status["conditions"] = append(conditions, map[string]any{"type": condition, "status": "True", "lastTransitionTime": now})
	}
	body := must(json.Marshal(map[string]any{"status": status}))
	c.do(call{"PATCH", job.path + "/status", "application/merge-patch+json", string(body)})
}

// admits checks that the cluster admits a pod of this workload.
func (c *cluster) admits(workload map[string]any) {
	c.t.Helper()
	template := workload["spec"].(map[string]any)["template"].(map[string]any)
	metadata := maps.Clone(template["metadata"].(map[string]any))
	metadata["generateName"] = "try-"
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
	body := must(json.Marshal(pod))
	c.do(call{method: "POST", path: "/api/v1/namespaces/id/pods?dryRun=All&fieldValidation=Strict", body: string(body)})
}

// Every object of the chart is what the API server takes, strictly and without a warning, also its pods in a namespace
// that takes only restricted ones.
func TestClusterTakesEveryObjectOfTheChart(t *testing.T) {
	t.Parallel()
	c := chartCluster(t)
	for _, set := range chartSets {
		stay, hooks := c.rendered(set)
		for _, m := range append(stay, hooks...) {
			c.apply("id", m.text, "&dryRun=All")
		}
		t.Logf("%s: %d objects, %d of the migration", set, len(stay), len(hooks))
	}
}

// One release goes from the least values to all of them and back: nothing that cannot change is changed, nothing that is
// switched off is left, and a migration that fails leaves the old pods alone.
func TestClusterTakesTheChartThroughItsLife(t *testing.T) {
	t.Parallel()
	c := chartCluster(t)
	deployment := call{method: "GET", path: "/apis/apps/v1/namespaces/id/deployments/stepward"}
	want := func(after, set string) {
		t.Helper()
		var names []string
		stay, _ := c.rendered(set)
		for _, m := range stay {
			names = append(names, m.Kind+" "+m.Metadata.Name)
		}
		slices.Sort(names)
		if got := c.stored(); !slices.Equal(got, names) {
			t.Errorf("after %s: %q, want %q", after, got, names)
		}
	}
	upgrade := func(set string, succeeds bool) error {
		t.Helper()
		done := make(chan error, 1)
		_, hooks := c.rendered(set)
		go func() { done <- c.helm(append([]string{"upgrade", "--timeout=60s"}, values(set)...)...) }()
		if len(hooks) > 0 {
			c.migrate(succeeds)
		}
		return <-done
	}

	if err := c.helm(append([]string{"install"}, values("least")...)...); err != nil {
		t.Fatal(err)
	}
	want("the installation", "least")
	first := c.do(deployment)
	c.admits(first)

	if err := upgrade("all", false); err == nil {
		t.Error("an upgrade goes on although its migration failed")
	}
	if now := c.do(deployment); fmt.Sprint(now["spec"]) != fmt.Sprint(first["spec"]) {
		t.Errorf("a failed migration changed the deployment: %v", now["spec"])
	}

	if err := upgrade("all", true); err != nil {
		t.Fatal(err)
	}
	want("the upgrade", "all")
	replicas := func() any { return c.do(deployment)["spec"].(map[string]any)["replicas"] }
	if n := replicas(); n != 2.0 {
		t.Errorf("turning the autoscaler on made %v replicas of 2", n)
	}
	c.admits(c.do(deployment))

	// The autoscaler's number outlives an upgrade.
	c.do(call{"PATCH", deployment.path + "/scale", "application/merge-patch+json", `{"spec":{"replicas":7}}`})
	if err := upgrade("all", true); err != nil {
		t.Fatal(err)
	}
	if n := replicas(); n != 7.0 {
		t.Errorf("the autoscaler asked for 7 replicas, an upgrade made %v of them", n)
	}

	if err := upgrade("least", true); err != nil {
		t.Fatal(err)
	}
	want("going back", "least")
	uninstall := func() {
		t.Helper()
		if err := c.helm("uninstall", "stepward"); err != nil {
			t.Fatal(err)
		}
		if left := c.stored(); len(left) > 0 {
			t.Errorf("uninstalling leaves %q", left)
		}
	}
	uninstall()

	if err := c.helm(append([]string{"install"}, values("one")...)...); err != nil {
		t.Fatal(err)
	}
	want("the installation of one replica", "one")
	if err := upgrade("one", true); err != nil {
		t.Error(err)
	}
	uninstall()
}
