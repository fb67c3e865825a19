package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// A cluster is the API server of a Kubernetes with its etcd: make cluster builds both. It has no nodes and no controllers,
// so objects are checked and stored, and nothing runs.
type cluster struct {
	t     *testing.T
	url   string
	admin string // a token of the group system:masters
}

// clusterProgram returns a program of the folder that make cluster fills.
func clusterProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("STEPWARD_TEST_CLUSTER"), name)
	if _, err := os.Stat(path); err != nil || os.Getenv("STEPWARD_TEST_CLUSTER") == "" {
		t.Skipf("STEPWARD_TEST_CLUSTER names no folder with %s: run make cluster", name)
	}
	return path
}

// newCluster starts a cluster; flags are for the API server.
func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	etcd, apiServer := clusterProgram(t, "etcd"), clusterProgram(t, "kube-apiserver")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := opCA.issueFiles(file("cert.pem"), file("key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := writePEM(file("ca.pem"), "CERTIFICATE", opCA.cert.Raw); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("tokens.csv"), []byte("the-admin,admin,1,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stores, peers, address := freeAddress(t), freeAddress(t), freeAddress(t)
	keepRunning(t, etcd, "--data-dir="+file("etcd"), "--listen-client-urls=http://"+stores, "--advertise-client-urls=http://"+stores,
		"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers, "--initial-cluster=default=http://"+peers,
		"--unsafe-no-fsync")
	await(t, stores)
	_, port, _ := net.SplitHostPort(address)
	ended := keepRunning(t, apiServer, append([]string{
		"--etcd-servers=http://" + stores, "--bind-address=127.0.0.1", "--secure-port=" + port, "--cert-dir=" + dir,
		"--tls-cert-file=" + file("cert.pem"), "--tls-private-key-file=" + file("key.pem"),
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default",
		"--service-account-key-file=" + file("cert.pem"), "--service-account-signing-key-file=" + file("key.pem"),
		"--authorization-mode=RBAC", "--token-auth-file=" + file("tokens.csv"),
	}, flags...)...)
	c := &cluster{t, "https://" + address, "the-admin"}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		req := must(http.NewRequestWithContext(t.Context(), "GET", c.url+"/readyz", nil))
		req.Header.Set("Authorization", "Bearer "+c.admin)
		if resp, err := machine.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return c
			}
		}
		select {
		case <-ended:
			t.Fatal("the API server does not start")
		case <-time.After(200 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("the API server is not ready after two minutes")
			}
		}
	}
}

// keepRunning runs a program until the test ends, and closes ended if it ends before. What it logs is shown only if the
// test fails.
func keepRunning(t *testing.T, program string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	log := must(os.Create(filepath.Join(t.TempDir(), "log")))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			text := must(os.ReadFile(log.Name()))
			t.Logf("the last lines of %s:\n%s", filepath.Base(program), text[max(0, len(text)-8000):])
		}
		_ = log.Close()
	})
	return done
}

// A call is a request to the API server. Body is YAML if kind is application/apply-patch+yaml, and else JSON.
type call struct {
	method, path string
	kind         string
	body         string
}

// as makes a call with a bearer token; later, if the API server says so.
func (c *cluster) as(token string, r call) (got answer) {
	c.t.Helper()
	for range 20 {
		if got = c.once(token, r); got.status != http.StatusTooManyRequests {
			break
		}
		<-time.After(time.Second)
	}
	return got
}

func (c *cluster) once(token string, r call) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), r.method, c.url+r.path, strings.NewReader(r.body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", r.kind)
	if r.kind == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := machine.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// do makes a call as the admin, which the API server must accept without a warning.
func (c *cluster) do(r call) (object map[string]any) {
	c.t.Helper()
	got := c.as(c.admin, r)
	if got.status >= 300 || got.header.Get("Warning") != "" {
		c.t.Fatalf("%s %s: %d %q\n%.2000s", r.method, r.path, got.status, got.header.Values("Warning"), got.body)
	}
	if err := json.Unmarshal(got.body, &object); err != nil {
		c.t.Fatalf("%v: %.500s", err, got.body)
	}
	return object
}

// A manifest is a document of YAML with one object.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	text       string
}

// plurals are the names that paths have for the kinds that the tests use; those of namespaces first.
var plurals = map[string]string{
	"ConfigMap": "configmaps", "Service": "services", "ServiceAccount": "serviceaccounts", "Secret": "secrets",
	"Deployment": "deployments", "Job": "jobs", "PodDisruptionBudget": "poddisruptionbudgets",
	"HorizontalPodAutoscaler": "horizontalpodautoscalers", "Ingress": "ingresses", "NetworkPolicy": "networkpolicies",
	"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules", "HTTPRoute": "httproutes",
	"Namespace": "namespaces", "ClusterRoleBinding": "clusterrolebindings", "PriorityClass": "priorityclasses",
	"CustomResourceDefinition": "customresourcedefinitions",
}

// manifests reads the objects of a file.
func manifests(t *testing.T, text string) (list []manifest) {
	t.Helper()
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		m := manifest{text: document}
		if err := yaml.Unmarshal([]byte(document), &m); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if m.Kind != "" {
			list = append(list, m)
		}
	}
	return list
}

// path returns where an object is; an empty namespace is none.
func (m manifest) path(namespace string) string {
	path := "/apis/" + m.APIVersion
	if !strings.Contains(m.APIVersion, "/") {
		path = "/api/" + m.APIVersion
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + plurals[m.Kind]
}

// apply creates or changes the objects of a text as kubectl apply --server-side --validate=strict does; query is more of
// the request.
func (c *cluster) apply(namespace, text, query string) {
	c.t.Helper()
	for _, m := range manifests(c.t, text) {
		c.do(call{
			"PATCH", m.path(namespace) + "/" + m.Metadata.Name + "?fieldManager=test&fieldValidation=Strict" + query,
			"application/apply-patch+yaml", m.text,
		})
	}
}

// define adds custom resource definitions from files, and waits until their objects can be stored.
func (c *cluster) define(files ...string) {
	c.t.Helper()
	for _, file := range files {
		text := readText(c.t, file)
		c.apply("", text, "")
		for _, m := range manifests(c.t, text) {
			c.t.Logf("defined %s", m.Metadata.Name)
			for deadline := time.Now().Add(30 * time.Second); ; {
				if defined := fmt.Sprint(c.do(call{method: "GET", path: m.path("") + "/" + m.Metadata.Name})["status"]); strings.Contains(defined, "type:Established") {
					break
				}
				if time.Now().After(deadline) {
					c.t.Fatalf("%s is not established", m.Metadata.Name)
				}
				<-time.After(100 * time.Millisecond)
			}
		}
	}
}
