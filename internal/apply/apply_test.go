// These tests are inside the package: a file is what commands read, and nobody else.
package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

const strong = "0123456789abcdef0123456789abcdef"

// variables are an environment.
func variables(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestEveryFaultOfAFileIsReportedWithItsPlace(t *testing.T) {
	_, err := parse("dir/stepward.yaml", []byte(`clients:
  - client_id: grafana
    client_name: Grafana
    redirect_uri: [https://grafana.example/cb]
    secrets:
      - {value: env:NONE}
      - value: hunter2hunter2hunter2hunter2hunter2
  - client_name: [x]
groups:
  - name: a
    within: staff
policies: {}
policy:
  scoops: {}
roles:
  ada@example.com: boss
`), variables())
	want := []string{
		"dir/stepward.yaml cannot be applied; nothing was changed",
		"  dir/stepward.yaml:4:5: clients[0].redirect_uri unexpected property",
		"  dir/stepward.yaml:8:5: clients[1] expected required property client_id to be present",
		"  dir/stepward.yaml:8:5: clients[1].client_name expected string",
		"  dir/stepward.yaml:11:5: groups[0].within expected array",
		"  dir/stepward.yaml:12:1: policies unexpected property",
		"  dir/stepward.yaml:14:3: policy.scoops unexpected property",
		"  dir/stepward.yaml:16:3: roles.ada@example.com must be none, auditor, support, admin or owner",
		"  dir/stepward.yaml:6:10: clients[0].secrets[0].value the variable NONE is not set",
		"  dir/stepward.yaml:7:9: clients[0].secrets[1].value is a secret in clear, which does not belong into a file: write env:NAME or file:/path",
	}
	if err == nil {
		t.Fatal("it was taken")
	}
	got := strings.Split(err.Error(), "\n")
	for _, line := range want {
		found := false
		for _, g := range got {
			found = found || g == line
		}
		if !found {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() || len(got) != len(want) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s", err)
	}
}

func TestASecretIsAReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(strong+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(value string) (*file, error) {
		return parse("stepward.yaml", []byte("clients:\n- client_id: a\n  client_name: A\n  secrets: [{value: '"+value+"'}]\n"),
			variables("A", strong, "SHORT", "hunter2"))
	}
	for _, good := range []string{"env:A", "file:" + path} {
		f, err := file(good)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.state.Clients[0].Secrets[0].Hash; got != idp.Secret(strong).Hash() {
			t.Errorf("%s: %s", good, got)
		}
	}
	for bad, want := range map[string]string{
		strong: "is a secret in clear", "sha256:" + idp.Secret(strong).Hash(): "is a secret in clear",
		"env:B": "the variable B is not set", "env:SHORT": "32 to 256 characters", "file:/none/at/all": "cannot be read",
	} {
		_, err := file(bad)
		if err == nil || !strings.Contains(err.Error(), "stepward.yaml:4:14: clients[0].secrets[0].value "+want) &&
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), strong) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestYAMLThatMeansTwoThingsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"clients: [":                         "stepward.yaml:1:",
		"roles: {a@b.c: owner, a@b.c: none}": "stepward.yaml:1:",
		"---\nroles: {}\n---\nroles: {}\n":   "more than one document",
		"groups: [{<<: {name: a}}]":          "write the members out",
		"groups: [*x]":                       "alias",
		"- a":                                "expected object",
		"groups: [{name: .nan}]":             "is no value that JSON has",
		strings.Repeat("a: {", 40) + strings.Repeat("}", 40): "too deep",
	} {
		if _, err := parse("stepward.yaml", []byte(text), variables()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	f, err := parse("x/stepward.yaml", []byte("groups:\n- &a {name: a, description: 'b: c'}\n- {name: 7up}\n"), variables())
	if err != nil || f.source != "stepward.yaml" || f.state.Groups[0].Description != "b: c" {
		t.Errorf("%+v %v", f, err)
	}
	if at := f.document.at("groups[0].name.x"); at != "x/stepward.yaml:2:7" {
		t.Errorf("it is at %s", at)
	}
}
