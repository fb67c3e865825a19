package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

var (
	chartDir   = filepath.Join("..", "..", "deploy", "helm", "stepward")
	systemdDir = filepath.Join("..", "..", "deploy", "systemd")
)

// knownSettings are the settings of docs/configuration.md: those of one value, and those with a structure.
func knownSettings(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(readText(t, "..", "..", "docs", "configuration.md"), -1) {
		known[m[1]] = true
		known[strings.TrimSuffix(m[1], "-file")] = true
	}
	if len(known) < 50 {
		t.Fatalf("%d settings", len(known))
	}
	return known
}

func TestPackagesNameOnlySettingsThatExist(t *testing.T) {
	t.Parallel()
	known := knownSettings(t)
	check := func(where, setting string) {
		t.Helper()
		if !known[setting] {
			t.Errorf("%s names %s, which is no setting", where, setting)
		}
	}
	var schema struct {
		Properties struct {
			Config struct {
				PropertyNames struct {
					Not struct{ Enum []string }
				}
			}
			SecretKeys struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(readText(t, chartDir, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	owned := schema.Properties.Config.PropertyNames.Not.Enum
	for _, setting := range owned {
		check("values.schema.json", setting)
	}
	// What the chart sets itself, people cannot: their value would be lost without a word.
	set := regexp.MustCompile(`"([a-z]+(?:-[a-z]+)*)" (?:":8080"|"json"|"/run|\(printf)`)
	helpers := readText(t, chartDir, "templates", "_helpers.tpl")
	names := set.FindAllStringSubmatch(helpers, -1)
	if len(names) != 7 {
		t.Errorf("the chart sets %d settings", len(names))
	}
	for _, m := range names {
		check("_helpers.tpl", m[1])
		if !slices.Contains(owned, m[1]) {
			t.Errorf("the chart sets %s and takes it as a value", m[1])
		}
	}
	var values struct {
		SecretKeys map[string]string `yaml:"secretKeys"`
	}
	readYAML(t, filepath.Join(chartDir, "values.yaml"), &values)
	if got, want := slices.Sorted(maps.Keys(values.SecretKeys)), slices.Sorted(maps.Keys(schema.Properties.SecretKeys.Properties)); !slices.Equal(got, want) {
		t.Errorf("secretKeys of the values %v, of the schema %v", got, want)
	}
	for setting := range values.SecretKeys {
		check("values.yaml", setting)
		if !slices.Contains(owned, setting) {
			t.Errorf("config could hold the secret %s", setting)
		}
	}
	sets, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(sets) < 3 {
		t.Fatal(sets, err)
	}
	for _, file := range sets {
		var values struct{ Config map[string]any }
		readYAML(t, file, &values)
		for setting := range values.Config {
			check(file, setting)
		}
	}
	for _, file := range []string{"stepward.service", "stepward.yaml"} {
		text := readText(t, systemdDir, file)
		for _, m := range regexp.MustCompile(`STEPWARD_([A-Z_]+?)(?:_FILE)?=|(?m)^([a-z-]+):`).FindAllStringSubmatch(text, -1) {
			check(file, strings.ToLower(strings.ReplaceAll(m[1]+m[2], "_", "-")))
		}
	}
}

func TestTheChartHoldsItsPromises(t *testing.T) {
	t.Parallel()
	deployment, helpers := readText(t, chartDir, "templates", "deployment.yaml"), readText(t, chartDir, "templates", "_helpers.tpl")
	server := readText(t, "..", "server", "wiring.go")
	paths := regexp.MustCompile(`path: (/[a-z]+), port: http`).FindAllStringSubmatch(deployment, -1)
	if len(paths) != 3 {
		t.Errorf("%d probes", len(paths))
	}
	for _, m := range paths {
		if !strings.Contains(server, `"GET `+m[1]+`"`) {
			t.Errorf("a probe asks %s, which the server does not have", m[1])
		}
	}
	for what, line := range map[string]string{
		"kill only after shutdown-timeout":  "terminationGracePeriodSeconds: {{ add (int .Values.shutdown.timeout) 5 }}",
		"replace pods when settings change": "checksum/config:",
	} {
		if !strings.Contains(deployment, line) {
			t.Errorf("the chart does not %s", what)
		}
	}
	for what, line := range map[string]string{
		"run as nobody":                       "runAsNonRoot: true",
		"keep the root read-only":             "readOnlyRootFilesystem: true",
		"drop capabilities":                   "capabilities: { drop: [ALL] }",
		"keep the token of the account away":  "automountServiceAccountToken: false",
		"keep Kubernetes' variables away":     "enableServiceLinks: false",
		"filter system calls":                 "seccompProfile: { type: RuntimeDefault }",
		"pass secrets as files of one Secret": "secretName: {{ required",
	} {
		if !strings.Contains(helpers, line) {
			t.Errorf("the chart does not %s", what)
		}
	}
	for _, file := range []string{"deployment.yaml", "migrate.yaml"} {
		text := readText(t, chartDir, "templates", file)
		for _, part := range []string{`include "stepward.pod"`, `include "stepward.container"`, `include "stepward.volumes"`} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %s", file, part)
			}
		}
	}
	for name, target := range map[string]string{
		"stepward.rules.yaml": filepath.Join("..", "..", "deploy", "prometheus", "stepward.rules.yaml"),
		"stepward.json":       filepath.Join("..", "..", "deploy", "grafana", "stepward.json"),
	} {
		if readText(t, chartDir, "files", name) != readText(t, target) {
			t.Errorf("the chart's %s is not the one of deploy", name)
		}
	}
}

// chartSets are the values with which the chart is tried.
var chartSets = []string{"least", "all", "one"}

func renderChart(t *testing.T, helm, set string) string {
	t.Helper()
	out, err := exec.Command(helm, "template", "stepward", chartDir, "--namespace", "id", "--kube-version", "1.30.0", "--is-upgrade",
		"-f", filepath.Join(chartDir, "ci", set+"-values.yaml")).Output()
	if err != nil {
		t.Fatalf("helm template with %s: %v", set, err)
	}
	return string(out)
}

// kubernetesSchemas writes the schemas of Kubernetes 1.30 that the module kubectl-validate holds, for kubeconform.
func kubernetesSchemas(t *testing.T) (dir string) {
	t.Helper()
	module := moduleDir(t, "sigs.k8s.io/kubectl-validate@v0.0.4")
	dir = t.TempDir()
	for api, kinds := range map[string][]string{
		"api/v1": {"Service", "ServiceAccount", "ConfigMap"}, "apis/apps/v1": {"Deployment"}, "apis/batch/v1": {"Job"},
		"apis/policy/v1": {"PodDisruptionBudget"}, "apis/autoscaling/v2": {"HorizontalPodAutoscaler"},
		"apis/networking.k8s.io/v1": {"Ingress", "NetworkPolicy"},
	} {
		text := readText(t, module, "pkg", "openapiclient", "builtins", "1.30", api+".json")
		var document struct {
			Components struct{ Schemas map[string]map[string]any }
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "#/components/schemas/", "#/definitions/")), &document); err != nil {
			t.Fatal(err)
		}
		schemas := document.Components.Schemas
		for name, schema := range schemas {
			switch {
			case strings.HasSuffix(name, "resource.Quantity"):
				schemas[name] = map[string]any{"type": []string{"string", "number"}}
			case strings.HasSuffix(name, "intstr.IntOrString"):
				schemas[name] = map[string]any{"type": []string{"string", "integer"}}
			case schema["properties"] != nil:
				schema["additionalProperties"] = false
			}
		}
		for _, kind := range kinds {
			for name := range schemas {
				if !strings.HasSuffix(name, "."+kind) {
					continue
				}
				text, err := json.Marshal(map[string]any{"definitions": schemas, "$ref": "#/definitions/" + name})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, strings.ToLower(kind)+".json"), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

// moduleDir returns the folder of a Go module, which it downloads.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", module)
	download.Dir = t.TempDir() // outside our module
	out, err := download.Output()
	if err != nil {
		t.Fatalf("go mod download: %v %s", err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found.Dir
}

func TestPackagesChartIsValid(t *testing.T) {
	helm, kubeconform := tool(t, "helm"), tool(t, "kubeconform")
	schemas := kubernetesSchemas(t)
	for _, set := range chartSets {
		run(t, ".", helm, "lint", "--strict", "--kube-version", "1.30.0", "-f", filepath.Join(chartDir, "ci", set+"-values.yaml"), chartDir)
		rendered := filepath.Join(t.TempDir(), set+".yaml")
		if err := os.WriteFile(rendered, []byte(renderChart(t, helm, set)), 0o600); err != nil {
			t.Fatal(err)
		}
		// These belong to the Prometheus operator and the Gateway API.
		t.Log(run(t, ".", kubeconform, "-strict", "-summary", "-skip", "ServiceMonitor,PrometheusRule,HTTPRoute",
			"-schema-location", filepath.Join(schemas, "{{.ResourceKind}}.json"), rendered))
	}
	for _, wrong := range []string{
		"config.listen=:1", "config.key=abc", "config.issuer=http://id.example.com", "existingSecret=", "secretKeys.key=", "replica=3",
		"shutdown.timeout=5", "image.digest=latest",
	} {
		cmd := exec.Command(helm, "template", "stepward", chartDir, "--kube-version", "1.30.0", "-f", filepath.Join(chartDir, "ci", "least-values.yaml"), "--set", wrong)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("helm took %s:\n%s", wrong, out)
		}
	}
}

// The program itself reads the settings and secrets as a pod of the chart has them.
func TestPackagesChartConfiguresTheProgram(t *testing.T) {
	helm := tool(t, "helm")
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range chartSets {
		root := t.TempDir()
		write := func(name, text string) {
			t.Helper()
			file := filepath.Join(root, "run", "stepward", name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/run/stepward/", filepath.Join(root, "run", "stepward")+"/")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, secret := range map[string]string{
			"database-url": "postgres://db/stepward", "redis-url": "redis://redis:6379/0", "key": strings.Repeat("A", 43) + "=",
			"smtp-url": "smtps://mail.example.com:465", "trace-headers": "Authorization: Basic eA==",
		} {
			write("secrets/"+name, secret+"\n")
		}
		var environ, args []string
		for document := range strings.SplitSeq(renderChart(t, helm, set), "\n---\n") {
			var object struct {
				Kind     string
				Metadata struct{ Name string }
				Data     map[string]string
				Spec     struct {
					Template struct {
						Spec struct {
							Containers []struct {
								Args []string
								Env  []struct{ Name, Value string }
							}
						}
					}
				}
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatalf("%v in\n%s", err, document)
			}
			switch object.Kind {
			case "ConfigMap":
				if text, ok := object.Data["stepward.yaml"]; ok {
					write("config/stepward.yaml", text)
				}
				if text, ok := object.Data["stepward.json"]; ok && !json.Valid([]byte(text)) {
					t.Error("the dashboard of the chart is no JSON")
				}
			case "Deployment":
				args = object.Spec.Template.Spec.Containers[0].Args
				for _, e := range object.Spec.Template.Spec.Containers[0].Env {
					environ = append(environ, e.Name+"="+strings.ReplaceAll(e.Value, "/run/stepward/", filepath.Join(root, "run", "stepward")+"/"))
				}
			}
		}
		if !slices.Equal(args, []string{"serve"}) {
			t.Errorf("the pod runs %v", args)
		}
		if set == "all" { // a certificate, which the settings name
			certificate, key := selfSigned(t)
			write("tls/tls.crt", certificate)
			write("tls/tls.key", key)
		}
		check := exec.Command(path, "config", "check")
		check.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
		out, err := check.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Postgres and Redis") {
			t.Errorf("%s: %v\n%s", set, err, out)
		}
	}
}

func TestPackagesUnitIsHardened(t *testing.T) {
	analyze, unit := tool(t, "systemd-analyze"), filepath.Join(systemdDir, "stepward.service")
	out := run(t, ".", analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit)
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n"):])
	verified, _ := exec.Command(analyze, "verify", unit).CombinedOutput() // fails if the program is not installed
	for line := range strings.Lines(string(verified)) {
		if strings.Contains(line, "stepward.service") && !strings.Contains(line, "/usr/bin/stepward is not executable") {
			t.Error(line)
		}
	}
}

func TestPackagesReleaseIsConfigured(t *testing.T) {
	goreleaser := tool(t, "goreleaser")
	run(t, filepath.Join("..", ".."), goreleaser, "check")
}

// selfSigned returns a certificate for id.example.com and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"id.example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
