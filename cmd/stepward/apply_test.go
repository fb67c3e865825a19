package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/apply"
)

var (
	block   = regexp.MustCompile("(?s)```(yaml)?\n(.*?)```")
	setting = regexp.MustCompile(`^export (\w+)=\$\(openssl rand -base64 33\)$`)
)

// The page is followed word by word.
func TestThePageAboutApplyIsFollowed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "apply.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	outputs := map[string]string{}
	must := func(line string) string {
		t.Helper()
		out, err := stepward(t, dir, strings.Fields(strings.TrimPrefix(line, "stepward "))...)
		if drift := (apply.Drift{}); err != nil && !errors.As(err, &drift) {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		outputs[line] = out
		return out
	}
	must("stepward migrate")
	for _, found := range block.FindAllStringSubmatch(string(page), -1) {
		if found[1] == "yaml" {
			name, _, _ := strings.Cut(strings.TrimPrefix(found[2], "# "), "\n")
			if err := os.WriteFile(name, []byte(found[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for line := range strings.Lines(found[2]) {
			line = strings.TrimSpace(line)
			line, file, redirected := strings.Cut(line, " > ")
			if name := setting.FindStringSubmatch(line); name != nil {
				t.Setenv(name[1], "c2VjcmV0IG9mIHRoZSB0ZXN0LCBub3QgcmFuZG9t")
				continue
			}
			out := must(line)
			if redirected {
				if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const plan = "+ group staff\n+ group engineering\n+ client grafana\n"
	if got := outputs["stepward apply -f stepward.yaml --dry-run"]; got != plan {
		t.Errorf("dry run:\n%s", got)
	}
	if got := outputs["stepward apply -f stepward.yaml"]; got != plan+"applied; it counts on every replica within 5 seconds\n" {
		t.Errorf("apply:\n%s", got)
	}
	if got := must("stepward apply"); got != "nothing to change\n" {
		t.Errorf("again:\n%s", got)
	}
	if got := outputs["stepward apply -f more.yaml"]; !strings.Contains(got, "~ policy scopes: added payouts") ||
		!strings.Contains(got, "! role ada@example.com") {
		t.Errorf("more:\n%s", got)
	}
}

func TestDriftAndFaultsHaveTheirExitCodes(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "stepward.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code := func(want int, text string, args ...string) {
		t.Helper()
		out, err := stepward(t, dir, append([]string{"apply", "-f", file}, args...)...)
		got := 0
		if err != nil {
			got = 1
			if coded, ok := errors.AsType[apply.Drift](err); ok {
				got = coded.ExitCode()
			}
			out += err.Error()
		}
		if got != want || !strings.Contains(out, text) {
			t.Errorf("%v: exit code %d, want %d with %q: %s", args, got, want, text, out)
		}
	}
	if _, err := stepward(t, dir, "migrate"); err != nil {
		t.Fatal(err)
	}
	write("groups: [{name: staff}]\n")
	code(2, "+ group staff", "--dry-run")
	code(2, `"text": "+ group staff"`, "--dry-run", "--output", "json")
	code(1, "something has changed since the plan was made", "--expect", "other")
	code(0, "applied")
	code(0, "nothing to change", "--dry-run")
	write("groups: [{nam: staff}]\n")
	code(1, file+":1:11: groups[0].nam unexpected property", "--dry-run")
	write("groups: []\n")
	code(0, "- group staff: no longer in stepward.yaml (only with --prune)", "--dry-run")
	code(2, "- group staff", "--dry-run", "--prune")
	code(0, "$defs", "--schema")
	if out, err := stepward(t, dir, "group", "remove", "staff"); err == nil || !strings.Contains(err.Error(), "managed by stepward.yaml") {
		t.Errorf("%v %s", err, out)
	}
	code(0, "stepward.yaml manages nothing any more (1 things)", "--release")
	code(0, "nothing to change", "--prune")
}

// An export describes what is there: applied, it changes nothing but who manages it.
func TestAnExportIsAFileForApply(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	must := func(args ...string) string {
		t.Helper()
		out, err := stepward(t, dir, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	out := must("client", "add", "Grafana: one", "--id", "grafana-1", "--redirect-uri", "https://g.example/cb", "--default-max-age", "1h")
	secret := regexp.MustCompile(`client_secret  (\S+)`).FindStringSubmatch(out)[1]
	must("client", "add", "App", "--id", "app", "--public", "--redirect-uri", "https://a.example/cb", "--id-token-alg", "ES256")
	must("group", "add", "ops", "--description", "Say: hello # no comment")
	must("group", "add", "7 up", "--within", "ops")
	must("claim", "set", "level", "--type", "number")
	must("group", "set", "ops", "--claim", "level=3")
	text := must("export")
	if !strings.Contains(text, "value: env:GRAFANA_1_SECRET # only its hash") || strings.Contains(text, secret) ||
		!strings.Contains(text, "default_max_age: 3600") {
		t.Errorf("%s", text)
	}
	if err := os.WriteFile("stepward.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stepward(t, dir, "apply"); err == nil || !strings.Contains(err.Error(), "the variable GRAFANA_1_SECRET is not set") {
		t.Errorf("%v", err)
	}
	t.Setenv("GRAFANA_1_SECRET", secret)
	for line := range strings.Lines(must("apply")) {
		if !strings.HasPrefix(line, "= ") && !strings.HasPrefix(line, "applied") && !strings.Contains(line, `secrets from nothing to "managed from now on"; from`) {
			t.Errorf("%s", line)
		}
	}
	if got := must("apply"); got != "nothing to change\n" {
		t.Errorf("%s", got)
	}
	if again := must("export"); again != text {
		t.Errorf("exported again:\n%s", again)
	}
}
