package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/config"
)

const document = `
scopes:
  payouts: {description: "Pay “out” <money> & 💶", action-class: payments}
action-classes:
  payments: {description: make a payment, window: 5m}
authorization-details-types:
  payment:
    description: Pay {amount}
    schema: {type: object, properties: {amount: {type: string, pattern: '^[0-9]{1,9}\.[0-9]{2}$', maxLength: 12}}}
acr-aliases:
  urn:example:gold: {acr: phrh, max-age: 5m}
sign-up: closed
recovery-hold: 72h
product-name: "#1 'Bank': \\ \"A\" \u2028 on"
passkey-models-forbidden: [2fc0579f-8113-47ea-b116-bb5a8db9202a]
passkey-rules: [everyone minimum=2, "role:admin kind=device-bound"]
recovery-approval: required
`

func readDocument(t *testing.T, text string) config.Document {
	t.Helper()
	d, err := config.ReadDocument("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A document says the same as the file of settings, also after it was stored.
func TestADocumentCountsLikeTheFile(t *testing.T) {
	inFile, err := config.Load(config.Sources{File: write(t, "stepward.yaml", document)})
	if err != nil {
		t.Fatal(err)
	}
	base, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := readDocument(t, document).Text()
	if err != nil {
		t.Fatal(err)
	}
	c, err := base.With(readDocument(t, stored), 7)
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"scopes": {inFile.Policy.Scopes, c.Policy.Scopes}, "classes": {inFile.Policy.ActionClasses, c.Policy.ActionClasses},
		"aliases": {inFile.Policy.Aliases, c.Policy.Aliases}, "name": {inFile.ProductName, c.ProductName},
		"hold": {inFile.RecoveryHold, c.RecoveryHold}, "models": {inFile.ForbiddenModels, c.ForbiddenModels},
		"rules": {inFile.PasskeyRules, c.PasskeyRules}, "approval": {inFile.RecoveryApproval, c.RecoveryApproval},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if valid := c.Policy.DetailTypes["payment"].Valid; valid(map[string]any{"amount": "1.00"}) != nil || valid(map[string]any{"amount": "x"}) == nil {
		t.Error("the schema does not count")
	}
	if c.Policy.Version != 7 || base.Policy.Version != 0 || len(base.Policy.Aliases) != 0 || base.ProductName != "Stepward" {
		t.Errorf("With changed the settings it began with: %+v", base.Policy)
	}
	again, err := c.With(config.Document{}, 8)
	if err != nil || len(again.Policy.Aliases) != 0 || again.ProductName != "Stepward" {
		t.Errorf("an empty document leaves %v of the one before (%v)", again.Policy.Aliases, err)
	}
}

func TestWhatIsSetAtTheStartWinsOverTheDocument(t *testing.T) {
	file := write(t, "stepward.yaml", "acr-aliases:\n  urn:example:silver: {acr: phr}\n")
	base, err := config.Load(config.Sources{File: file, Environ: []string{"STEPWARD_PRODUCT_NAME=Acme", "STEPWARD_ACCENT="}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := base.With(readDocument(t, document+"accent: '#1a6b5a'\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, gold := c.Policy.Aliases["urn:example:gold"]; gold || c.ProductName != "Acme" || c.Accent != "#1a6b5a" || c.RecoveryHold != 72*time.Hour {
		t.Errorf("aliases %v, name %q, accent %q, hold %v", c.Policy.Aliases, c.ProductName, c.Accent, c.RecoveryHold)
	}
	got := map[string]string{}
	for _, s := range c.Sections() {
		if s.Key == "acr-aliases" || s.Key == "product-name" || s.Key == "accent" || s.Key == "recovery" {
			got[s.Key] = s.Source + " " + strings.Join(strings.Fields(string(s.Value)), "")
			if s.Locked != (s.Key == "acr-aliases" || s.Key == "product-name") {
				t.Errorf("%s: locked is %v", s.Key, s.Locked)
			}
		}
	}
	want := map[string]string{
		"acr-aliases": file + `:1 {"urn:example:silver":{"acr":"phr"}}`, "product-name": `STEPWARD_PRODUCT_NAME "Acme"`,
		"accent": `the stored policy "#1a6b5a"`, "recovery": `default "codes"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestABadDocumentIsRefusedWithEveryFault(t *testing.T) {
	base, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"scope: {}":                           "scope (policy.yaml:1): is not a setting; did you mean scopes?",
		"listen: ':80'":                       "listen (policy.yaml:1): is not a setting",
		"sign-up: {a: b}":                     "sign-up (policy.yaml:1)",
		"scopes:\n  a: {text: x}":             "scopes.a.text (policy.yaml:2): is not known here",
		"[1, 2]":                              "must contain settings",
		"scopes: {a: &a {description: *a}}":   "",
		"acr-aliases: {gold: {acr: nothing}}": `acr-aliases.gold.acr (the stored policy): "nothing" is not phr or phrh`,
		"scopes: {a: {description: A, action-class: b}}":                                                    `"b" is not among action-classes`,
		"acr-decay: {phr: {absolute: 1h, idle: 1m}}\naction-classes: {pay: {description: pay, window: 2h}}": "window (the stored policy): 2h is longer than phr lasts, which is 1h",
		"sign-up: open": "smtp-url: is missing",
		"accent: red":   "accent (the stored policy)",
		"product-name: " + strings.Repeat("x", config.MaxDocument): "is larger than 256 KiB",
	} {
		d, err := config.ReadDocument("policy.yaml", []byte(text))
		if err == nil {
			_, err = base.With(d, 1)
		}
		var faults config.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %.300v, want %q", text, err, want)
		}
	}
}

func FuzzReadDocument(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"scopes": {"a": {"description": "A"}}, "sign-up": null}`))
	base, err := config.Load(config.Sources{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := config.ReadDocument("policy.yaml", text)
		if err != nil {
			return
		}
		first, err := base.With(d, 1)
		if err != nil {
			return
		}
		stored, err := d.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.ReadDocument("stored", []byte(stored))
		if err != nil {
			t.Fatalf("%s: what was stored cannot be read: %v", stored, err)
		}
		second, err := base.With(again, 1)
		if err != nil {
			t.Fatalf("%s: what was stored is refused: %v", stored, err)
		}
		if diff := cmp.Diff(first.Policy.Scopes, second.Policy.Scopes); diff != "" || first.ProductName != second.ProductName {
			t.Error(diff, first.ProductName, second.ProductName)
		}
	})
}

func TestTheLineOfAFaultIsFound(t *testing.T) {
	text := "# the scopes\nscopes:\n  payouts:\n    description: Pay\n    action-class: none\n  a.b: {description: A}\nresources:\n  https://api.example.com: {}\n"
	for setting, line := range map[string]int{
		"scopes": 2, "scopes.payouts": 3, "scopes.payouts.action-class": 5, "scopes.payouts.text": 3, "scopes.a.b.description": 6,
		"scopes.none": 2, "resources.https://api.example.com": 8, "acr-decay": 0, "": 0,
	} {
		if got := config.Line(text, setting); got != line {
			t.Errorf("%q is in line %d, want %d", setting, got, line)
		}
	}
	if config.Line("a: [", "a") != 0 || config.Line("", "a") != 0 || config.Line("scopes: 1", "scopes.x") != 1 {
		t.Error("texts that are no mapping")
	}
}
