package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the commands print can be read back.
func TestThePolicyIsChangedByCommands(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := stepward(t, dir, args...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := stepward(t, dir, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
	}
	must("", "migrate")
	must("# no policy is stored", "policy", "show")
	first := file("scopes:\n  payouts: {description: \"Pay: out\"}\nproduct-name: Acme\n")
	must("scopes: added payouts\nproduct-name: from Stepward to Acme\n", "policy", "check", first)
	must("# no policy is stored", "policy", "show")
	must("version 1;", "policy", "set", first)
	must("nothing to change", "policy", "set", first)
	must("", "client", "add", "App", "--id", "app", "--redirect-uri", "https://app.example/cb", "--scope", "openid", "--scope", "payouts")
	refused(`client app scope "payouts"`, "policy", "set", file("scopes: null"))
	refused("policy.yaml:2): is not known here; did you mean description?", "policy", "set", file("scopes:\n  payouts: {descripton: Pay}"))
	refused("the policy is no longer version 0", "policy", "set", "--expect", "0", first)
	refused("product-name is locked: it is set in --product-name", "--product-name", "Other", "policy", "set", first)
	must("# locked: --product-name\n# product-name: Other\n", "--product-name", "Other", "policy", "show")

	shown := must("# the stored policy\nproduct-name: Acme\n", "policy", "show")
	must("nothing to change", "policy", "set", file(shown))
	must("version 2;", "policy", "set", file("accent: \"#1a6b5a\""))
	must("version 3;", "policy", "set", file(must("", "policy", "show", "--version", "1")))
	must("accent: from #1a6b5a to nothing", "policy", "history")
	must(`"source": "the stored policy"`, "policy", "show", "--output", "json")
	refused("version 9 is not kept", "policy", "show", "--version", "9")
	refused("cannot be read", "policy", "check", filepath.Join(dir, "none.yaml"))
}
