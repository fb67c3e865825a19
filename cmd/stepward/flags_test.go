package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/stepward/stepward/internal/config"
)

var (
	flagName = regexp.MustCompile(`--([a-z][a-z-]+)`)
	yamlText = regexp.MustCompile("(?ms)^```yaml\n(issuer: .*?)^```$")
)

func TestTheExampleInOperateIsValid(t *testing.T) {
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	m := yamlText.FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("no example")
	}
	path := filepath.Join(t.TempDir(), "stepward.yaml")
	if err := os.WriteFile(path, []byte(m[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	// Settings that the example leaves to the environment, as the page says.
	environ := []string{
		"STEPWARD_DATABASE_URL=postgres://db/x", "STEPWARD_REDIS_URL=redis://r", "STEPWARD_SMTP_URL=smtp://m",
		"STEPWARD_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	}
	if _, err := config.Load(config.Sources{File: path, Environ: environ}); err != nil {
		t.Error(err)
	}
}

// flagsOf returns the flags of all commands, and of the settings.
func flagsOf(t *testing.T) map[string]bool {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings {
		known[s.Flag()] = true
	}
	return known
}

// splitAtCommas are the flags that say in their help that they are split.
var splitAtCommas = map[string]bool{
	"id-token-claims": true, "allowed-groups": true, "groups-only": true, "seen-by": true, "edited-by": true,
}

func TestListsAreNotSplitAtCommas(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.IsSlice() && (flag.Tag.Sep == ',') != splitAtCommas[flag.Name] {
			t.Errorf("--%s is split at %q", flag.Name, flag.Tag.Sep)
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	uri := "https://acme.example/cb?a=1,2"
	if _, err := stepward(t, dir, "client", "add", "Acme", "--id", "acme", "--redirect-uri", uri); err != nil {
		t.Fatal(err)
	}
	out, err := stepward(t, dir, "client", "show", "acme")
	if err != nil || !strings.Contains(out, `"`+uri+`"`) {
		t.Errorf("%v %s", err, out)
	}
	for _, list := range []string{"openid,profile", "openid profile"} {
		_, err = stepward(t, dir, "client", "add", "Acme", "--redirect-uri", uri, "--scope", list)
		if err == nil || !strings.Contains(err.Error(), "give each scope its own --scope") {
			t.Errorf("%s: %v", list, err)
		}
	}
}
