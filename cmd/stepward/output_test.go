package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stepward/stepward/internal/idp"
)

// silent are the commands without --output, and why.
var silent = map[string]string{
	"serve":       "prints only its log, for which there is log-format",
	"demo":        "prints only its log, and addresses to open",
	"healthcheck": "answers with its exit code alone",
}

// leaves returns the commands of the program, "client secret add" for instance, and their output formats.
func leaves(t *testing.T) map[string][]string {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, leaf := range parser.Model.Leaves(false) {
		name, _, _ := strings.Cut(strings.TrimPrefix(leaf.Path(), "cli "), " <")
		name = strings.TrimSpace(strings.TrimPrefix(name, parser.Model.Name))
		found[name] = nil
		for _, flag := range leaf.Flags {
			if flag.Name == "output" {
				found[name] = flag.EnumSlice()
			}
		}
	}
	return found
}

func TestEveryCommandPrintsJSONIfAskedTo(t *testing.T) {
	all := leaves(t)
	if len(all) < 45 {
		t.Errorf("%d commands: %v", len(all), all)
	}
	for name, formats := range all {
		if (silent[name] == "") != slices.Contains(formats, "json") {
			t.Errorf("stepward %s: --output %v", name, formats)
		}
	}
	for name := range silent {
		if _, known := all[name]; !known {
			t.Errorf("there is no command %s", name)
		}
	}
}

// elsewhere are the commands that no line of script runs, and where their JSON is tested, or why it is not.
var elsewhere = map[string]string{
	"import pocket-id": "movein", "import keycloak": "movein", "apply": "TestDriftAndFaultsHaveTheirExitCodes",
	"user recover": "TestTheOperatorMakesARecoveryLinkAndItsEventSaysSo",
}

// script has a line for each command, in an order in which they work. {…} is a member of the last output.
const script = `
migrate --dry-run
migrate
config check
version
claim set tier --scope email
claim list
group add staff
group add dev --within staff --description Developers
group set dev --claim tier=gold
group list
group show dev
user add ada@example.com --group dev --role auditor
user set ada@example.com --name Ada --claim tier=silver
user show ada@example.com
user list
user invite bob@example.com
user disable ada@example.com
user enable ada@example.com
user signout ada@example.com
events --user ada@example.com --limit 3
user import-csv people.csv --dry-run
user import-csv people.csv
group member dev --add bob@example.com
client add App --id app --redirect-uri https://a.example/cb
client list
client show app
client set app app.json
client disable app
client enable app
client token
explain app --user ada@example.com
client secret list app
client secret add app --name second
client secret expire app {id} --in 24h
client secret remove app {id}
provisioning add app --url https://a.example/scim --token-file token
provisioning list
provisioning show app
provisioning preview app
provisioning pause app
provisioning resume app
provisioning sync app
provisioning remove app
client remove app
lint
policy show
policy check policy.yaml
policy set policy.yaml
policy history
policy show --version 1
export
keys rotate
keys list
keys revoke {kid} --yes
keys rotate --operator
backup backup.db
copy --from data --to copied
restore backup.db --replace
group remove dev
claim remove tier --yes
user remove ada@example.com --yes`

var snake = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// named are the members whose own members are names that people chose.
var named = map[string]bool{"claims": true, "value": true, "stored": true, "rows": true, "policy": true}

// names checks the names of members.
func names(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			names(t, at, each)
		}
	case map[string]any:
		for name, value := range v {
			if !snake.MatchString(name) {
				t.Errorf("%s: a member is named %q", at, name)
			}
			if !named[name] {
				names(t, at+"."+name, value)
			}
		}
	}
}

// member returns a member of the last output, or of the first element of a list.
func member(last any, name string) string {
	if list, ok := last.([]any); ok && len(list) > 0 {
		last = list[0]
	}
	object, _ := last.(map[string]any)
	text, _ := object[name].(string)
	return text
}

func TestTheOutputOfEveryCommandIsJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"people.csv": "email\ncarl@example.com\n", "token": "secret", "policy.yaml": "scopes:\n  payouts: {description: Pay out}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, missing := filepath.Join(".", "data"), leaves(t)
	place := regexp.MustCompile(`\{(\w+)\}`)
	var last any
	for line := range strings.Lines(strings.TrimSpace(script)) {
		line = place.ReplaceAllStringFunc(strings.TrimSpace(line), func(m string) string { return member(last, m[1:len(m)-1]) })
		args := strings.Fields(line)
		if line == "keys rotate" { // a server makes the first ones
			_, stop := serveIn(t, dir)
			stop()
		}
		out, err := stepward(t, dir, append(args, "--output", "json")...)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		var v any
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Errorf("%s: %v: %q", line, err, out)
		}
		if !strings.HasPrefix(line, "policy show --version") && !strings.HasPrefix(line, "export") { // the names of settings
			names(t, line, v)
		}
		last = v
		for name := range missing {
			if line == name || strings.HasPrefix(line, name+" ") {
				delete(missing, name)
			}
		}
		if line == "client show app" {
			if err := os.WriteFile("app.json", []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range missing {
		if silent[name] == "" && elsewhere[name] == "" {
			t.Errorf("the script has no line for %s", name)
		}
	}
}

func TestAnOldScriptReadsTheSecretOfANewClient(t *testing.T) {
	out, err := stepward(t, t.TempDir(), "client", "add", "App", "--id", "app", "--redirect-uri", "https://a.example/cb", "--json")
	var made map[string]any
	if json.Unmarshal([]byte(out), &made) != nil || made["client_id"] != "app" || made["client_secret"] == "" || made["issuer"] != "http://localhost:8080" {
		t.Errorf("%v %s", err, out)
	}
}

// Names that people chose cannot control the terminal of the person who reads them.
func TestOutputDoesNotControlTheTerminal(t *testing.T) {
	dir := t.TempDir()
	s, _ := serveIn(t, dir)
	now := time.Now()
	bad := idp.Client{ID: "bad", Name: "a\u202eb\x1b[31mc\u0085d\ne", CreatedAt: now, UpdatedAt: now} // no door lets it in
	if err := s.DB.PutClient(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"client list", "client list --output json", "client show bad"} {
		out, err := stepward(t, dir, strings.Fields(args)...)
		if err != nil || !strings.Contains(out, "a") || strings.ContainsAny(out, "\u202e\x1b\u0085") {
			t.Errorf("%s: %q %v", args, out, err)
		}
	}
}
