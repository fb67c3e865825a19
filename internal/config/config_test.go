package config_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
)

func TestDefaultsAreTheEmbeddedProfile(t *testing.T) {
	c, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Embedded() || !c.Insecure() || c.Issuer.String() != "http://localhost:8080" || c.SessionIdle != time.Hour || c.SessionAbsolute != 12*time.Hour || c.SignUp {
		t.Errorf("defaults: %+v", c)
	}
}

func TestFlagsBeatEnvironmentBeatsFile(t *testing.T) {
	file := write(t, "stepward.yaml", "session-idle: 10m\nsession-absolute: 2h\naccess-token-ttl: 1m\n")
	c, err := config.Load(config.Sources{
		File:    file,
		Environ: []string{"STEPWARD_SESSION_IDLE=20m", "STEPWARD_SESSION_ABSOLUTE_FILE=" + write(t, "absolute", "3h\n"), "PATH=/bin"},
		Flags:   map[string]string{"session-idle": "30m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []time.Duration{c.SessionIdle, c.SessionAbsolute, c.AccessTokenTTL}
	if diff := cmp.Diff([]time.Duration{30 * time.Minute, 3 * time.Hour, time.Minute}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLanguagesAreThoseThatWeHave(t *testing.T) {
	for given, want := range map[string]string{"": "en de es fr ja ar", "de, en": "de en", "ar": "ar"} {
		c, err := config.Load(config.Sources{Environ: []string{"STEPWARD_LANGUAGES=" + given}})
		if err != nil || strings.Join(c.Languages.Tags(), " ") != want {
			t.Errorf("%q: %v", given, err)
		}
	}
	for given, want := range map[string]string{"de, it": `"it" is none of en, de, es, fr, ja, ar`, ",": "at least one of en,"} {
		if _, err := config.Load(config.Sources{Environ: []string{"STEPWARD_LANGUAGES=" + given}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", given, err)
		}
	}
}

func TestOutboundAllowTakesNetworksAddressesAndHosts(t *testing.T) {
	c, err := config.Load(config.Sources{Environ: []string{"STEPWARD_OUTBOUND_ALLOW=10.1.2.3/16, 192.0.2.7,fd00::/8 ::1, Keys.Internal,localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	got := append([]string{}, c.OutboundHosts...)
	for _, network := range c.OutboundNetworks {
		got = append(got, network.String())
	}
	if diff := cmp.Diff([]string{"keys.internal", "localhost", "10.1.0.0/16", "192.0.2.7/32", "fd00::/8", "::1/128"}, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0", "300.1.1.1", "https://keys.internal", "keys.internal:443", "*.internal", "-a.internal", "a..b"} {
		if _, err := config.Load(config.Sources{Environ: []string{"STEPWARD_OUTBOUND_ALLOW=" + bad}}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestEveryFaultIsReportedAtOnceWithItsSource(t *testing.T) {
	file := write(t, "stepward.yaml", `session-idle: tomorrow
isuer: https://id.example.com
scopes:
  payouts: {description: Pay, action-class: payment}
action-classes:
  payments: {description: make a payment, window: 1s}
`)
	_, err := config.Load(config.Sources{
		File:    file,
		Environ: []string{"STEPWARD_ISSUER=http://id.example.com", "STEPWARD_LISTENN=x", "STEPWARD_DATABASE_URL=postgres://u:hunter2@h/d"},
		Flags:   map[string]string{"trusted-proxies": "0.0.0.0/0", "log-level": "loud"},
	})
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error is %T: %v", err, err)
	}
	text := err.Error()
	for _, want := range []string{
		"session-idle (" + file + ":1)", "isuer (" + file + ":2): is not a setting; did you mean issuer?",
		"issuer (STEPWARD_ISSUER): \"http://id.example.com\" is not https", "STEPWARD_LISTENN (environment): is not a setting; did you mean STEPWARD_LISTEN?",
		"trusted-proxies (--trusted-proxies)", "log-level (--log-level)", "redis-url: is missing", "key: is missing",
		"scopes.payouts.action-class (" + file + ":3): \"payment\" is not among action-classes", "action-classes.payments.window",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a password was printed:\n%s", text)
	}
}

func TestIssuerIsAnHTTPSOriginUnlessLocalhost(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://id.example.com": true, "https://id.example.com/": true, "http://localhost:8080": true, "https://ID.example.com:443": true,
		"http://id.example.com": false, "https://id.example.com/auth": false, "https://id.example.com?x=1": false, "ftp://localhost": false,
		"http://127.0.0.1:8080": false, "https://192.0.2.1": false, "http://localhost.example.com": false, "https://user@id.example.com": false, "id.example.com": false,
	} {
		_, err := config.Load(config.Sources{Flags: map[string]string{"issuer": issuer}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

func TestOneStoreURLWithoutTheOtherIsRefused(t *testing.T) {
	key := "STEPWARD_KEY=" + strings.Repeat("A", 43) + "="
	for env, want := range map[string]string{
		"STEPWARD_DATABASE_URL=postgres://h/d": "redis-url: is missing",
		"STEPWARD_REDIS_URL=redis://h":         "database-url: is missing",
	} {
		_, err := config.Load(config.Sources{Environ: []string{env, key}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", env, err)
		}
	}
	c, err := config.Load(config.Sources{Environ: []string{"STEPWARD_DATABASE_URL=postgres://h/d", "STEPWARD_REDIS_URL=redis://h", key}})
	if err != nil || c.Embedded() {
		t.Errorf("both: %v", err)
	}
}

func TestSecretsHaveNoFlagAndPrintNothing(t *testing.T) {
	for _, s := range config.Settings {
		if s.Secret && !strings.HasSuffix(s.Flag(), "-file") {
			t.Errorf("%s has the flag --%s", s.Name, s.Flag())
		}
	}
	secret := strings.Repeat("A", 43) + "="
	c, err := config.Load(config.Sources{Flags: map[string]string{"key-file": write(t, "key", secret+"\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Key != idp.Secret(secret) {
		t.Error("the key was not read from its file")
	}
}

func TestTheExampleLoads(t *testing.T) {
	c, err := config.Load(config.Sources{File: write(t, "stepward.yaml", config.Example)})
	if err != nil {
		t.Fatal(err)
	}
	want := idp.ActionClass{Name: "payments", Description: "make a payment", ACR: "phr", Window: 5 * time.Minute}
	if diff := cmp.Diff(want, c.Policy.ActionClasses[c.Policy.Scopes["payouts"].ActionClass]); diff != "" {
		t.Error(diff)
	}
	if c.Policy.Aliases["urn:example:gold"] != (idp.Alias{ACR: "phrh", MaxAge: 5 * time.Minute}) {
		t.Errorf("aliases: %v", c.Policy.Aliases)
	}
}

func TestDetailsAreValidatedAgainstTheirSchema(t *testing.T) {
	c, err := config.Load(config.Sources{File: write(t, "stepward.yaml", config.Example)})
	if err != nil {
		t.Fatal(err)
	}
	payment := c.Policy.DetailTypes["payment_initiation"]
	for text, ok := range map[string]bool{
		`{"type":"payment_initiation","creditor":"Acme","amount":{"value":"1.50","currency":"EUR"}}`:          true,
		`{"type":"payment_initiation","creditor":"Acme","amount":{"value":"1.5","currency":"EUR"}}`:           false,
		`{"type":"payment_initiation","creditor":"Acme","amount":{"value":"1.50","currency":"XXX"}}`:          false,
		`{"type":"payment_initiation","creditor":"Acme","amount":{"value":1.50,"currency":"EUR"}}`:            false,
		`{"type":"payment_initiation","creditor":"Acme","amount":{"value":"1.50","currency":"EUR"},"more":1}`: false,
		`{"type":"payment_initiation","creditor":"Acme"}`:                                                     false,
	} {
		var d idp.Detail
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if err := payment.Valid(d.Value()); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	r := c.Policy.Resources["https://api.example.com"]
	if diff := cmp.Diff(idp.Resource{URI: "https://api.example.com", Scopes: []string{"payouts"}, TTL: 5 * time.Minute}, r); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfResourcesAndDetailTypes(t *testing.T) {
	secret := write(t, "secret.json", `{"type":"object"}`)
	for content, want := range map[string]string{
		"resources: {/api: {}}":                                                                               "must be an absolute URI",
		"resources: {\"https://a.example/#x\": {}}":                                                           "must be an absolute URI",
		"resources: {https://a.example: {scopes: [nothing]}}":                                                 `scope "nothing" is not among scopes`,
		"resources: {https://a.example: {scopes: [openid]}}":                                                  "only for userinfo",
		"resources: {https://a.example: {action-classes: [nothing]}}":                                         "is not among action-classes",
		"resources: {https://a.example: {access-token-format: xml}}":                                          "neither jwt nor opaque",
		"resources: {https://a.example: {access-token-ttl: 1s}}":                                              "is not between 10s and 24h",
		"resources: {https://a.example: {colour: red}}":                                                       "is not known here",
		"authorization-details-types: {a b: {description: x, schema: {type: object}}}":                        "without spaces",
		"authorization-details-types: {a: {schema: {type: object}}}":                                          "description is missing",
		"authorization-details-types: {a: {description: \"x {\", schema: {type: object}}}":                    "must name members",
		"authorization-details-types: {a: {description: x, action-class: y, schema: {type: object}}}":         "not among action-classes",
		"authorization-details-types: {a: {description: x}}":                                                  "schema is missing",
		"authorization-details-types: {a: {description: x, schema: {type: 7}}}":                               "is not a valid JSON schema",
		"authorization-details-types: {a: {description: x, schema: {$ref: \"https://elsewhere.example/s\"}}}": "references to other documents are not allowed",
		"authorization-details-types: {a: {description: x, schema: {$ref: \"file://" + secret + "\"}}}":       "references to other documents are not allowed",
		"action-classes: {a b: {description: x, window: 1m}}":                                                 "without spaces",
	} {
		_, err := config.Load(config.Sources{File: write(t, "stepward.yaml", content)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func FuzzFileNeverPanics(f *testing.F) {
	f.Add(config.Example)
	f.Add("a: [b: {c")
	f.Add("scopes: [1,2]\naction-classes: x\n? y\n")
	f.Fuzz(func(t *testing.T, content string) {
		_, _ = config.Load(config.Sources{File: write(t, "f.yaml", content)})
	})
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClientCertificatesNeedTheirOwnOriginAndAListenerOrProxy(t *testing.T) {
	tls := map[string]string{"issuer": "https://id.example.com", "tls-cert-path": "c", "tls-key-path": "k"}
	for _, row := range []struct {
		flags string
		want  string // "": good
	}{
		{"mtls-origin=https://mtls.example.com mtls-listen=:8443", ""},
		{"mtls-origin=https://ID.example.com:8443/ mtls-listen=:8443 client-ca-path=cas", ""},
		{"mtls-origin=https://mtls.example.com trusted-proxies=10.0.0.0/8", ""},
		{"mtls-listen=:8443", "mtls-origin: is missing"},
		{"client-ca-path=cas", "mtls-origin: is missing"},
		{"mtls-origin=https://id.example.com:443 mtls-listen=:8443", "is the issuer"},
		{"mtls-origin=https://mtls.example.com", "mtls-listen: is missing"},
		{"mtls-origin=http://mtls.example.com mtls-listen=:8443", "use an https origin"},
		{"mtls-origin=https://mtls.example.com/path mtls-listen=:8443", "more than an origin"},
		{"mtls-origin=https://mtls.example.com mtls-listen=8443", "is not address:port"},
		{"mtls-origin=https://mtls.example.com mtls-listen=:8443 tls-cert-path= tls-key-path=", "tls-cert-path: is missing"},
	} {
		flags := maps.Clone(tls)
		for flag := range strings.FieldsSeq(row.flags) {
			name, v, _ := strings.Cut(flag, "=")
			flags[name] = v
		}
		c, err := config.Load(config.Sources{Flags: flags})
		switch {
		case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v", row.flags, err)
		case err == nil && strings.HasSuffix(c.MTLSOrigin.String(), "/"):
			t.Errorf("%s: %s is not an origin", row.flags, c.MTLSOrigin)
		}
	}
}

func TestStoppingLeavesTimeForRequestsUnderWay(t *testing.T) {
	for _, wrong := range [][]string{{"5s", "5s"}, {"10s", "9s"}} {
		_, err := config.Load(config.Sources{Flags: map[string]string{"shutdown-delay": wrong[0], "shutdown-timeout": wrong[1]}})
		if err == nil || !strings.Contains(err.Error(), "shutdown-timeout") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	if c, err := config.Load(config.Sources{}); err != nil || c.ShutdownDelay != 0 || c.ShutdownTimeout != 9*time.Second {
		t.Errorf("the defaults: %+v %v", c, err)
	}
}
