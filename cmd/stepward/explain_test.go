package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rawGo are words of Go and of its libraries that should not reach a person at the command line.
var rawGo = regexp.MustCompile(`time:|json:|unmarshal|Go (struct|value)|\bEOL\b|64 bit|bool value|dial |open /|listen tcp`)

func TestFaultsOfTheCommandLineNameTheFlagTheValueAndTheHelp(t *testing.T) {
	dir, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
	if _, err := stepward(t, dir, "client", "add", "App", "--id", "app", "--redirect-uri", "https://app.example/cb"); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"client token --ttl 5y":                     `--ttl: "5y" is not a duration; the longest unit is an hour: write 43800h; see: stepward client token --help`,
		"client token --ttl=5_minutes":              `--ttl: "5 minutes" is not a duration; write 5m; see: stepward client token --help`,
		"client token --ttl 1s":                     `--ttl 1s must be between 1m and 9600h`,
		"client token --uses x":                     `--uses: "x" is not a whole number, such as 10; see: stepward client token --help`,
		"client token --uses -1":                    `--uses: "-1" stands where its value should; write --uses=VALUE; see: stepward client token --help`,
		"client token --uses=-1":                    `--uses -1 must be 0 or more`,
		"client token --ttl":                        `--ttl needs a value; see: stepward client token --help`,
		"client add x --default-max-age 1":          `--default-max-age: "1" is a duration without a unit; write 1s, 1m or 1h; see: stepward client add --help`,
		"client add x --default-max-age=-5m":        `--default-max-age -5m must be longer than 0s`,
		"client add x --id":                         `--id needs a value; see: stepward client add --help`,
		"client add":                                `<name> is missing; see: stepward client add --help`,
		"client add x --redirect-ur y":              `unknown flag --redirect-ur, did you mean "--redirect-uri"?; see: stepward client add --help`,
		"client":                                    `the command is not complete: add one of "add", "list"`,
		"client add x --jwks-file " + none:          `--jwks-file: "` + none + `" cannot be read: no such file or directory`,
		"client add x --certificate-file " + none:   `--certificate-file: "` + none + `" cannot be read: no such file or directory`,
		"client set app " + none:                    `"` + none + `" cannot be read: no such file or directory`,
		"client list --config " + none:              `config (--config): "` + none + `" cannot be read: no such file or directory`,
		"user list --limit=-1":                      `--limit -1 must be 1 or more`,
		"user invite ada@example.com --ttl 1m":      `--ttl 1m must be between 5m and 168h`,
		"user set x --email-verified=maybe":         `--email-verified: "maybe" is neither true nor false; see: stepward user set --help`,
		"healthcheck --listen 127.0.0.1:1":          `listen (--listen): not healthy: nothing answers at 127.0.0.1:1: connection refused`,
		"demo --listen 127.0.0.1:0 --app-listen :x": `--app-listen :x: `,
		"nothing": `unexpected argument nothing; see: stepward --help`,
	} {
		fields := strings.Fields(args)
		for i := range fields {
			fields[i] = strings.ReplaceAll(fields[i], "5_minutes", "5 minutes")
		}
		_, err := stepward(t, dir, fields...)
		if err == nil || !strings.Contains(err.Error(), want) || rawGo.MatchString(err.Error()) {
			t.Errorf("%s: %v\nwant %s", args, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                    "it is empty",
		"{":                                   "its end is missing",
		"[]":                                  "it is a list and must be an object",
		"{]":                                  "byte 2: invalid character ']'",
		`{"client_id":1}`:                     "client_id is a number and must be a text",
		`{"redirect_uris":"x"}`:               "redirect_uris is a text and must be a list",
		`{"redirect_uris":[1]}`:               "redirect_uris is a number and must be a text",
		`{"default_max_age":"5m"}`:            "default_max_age is a text and must be a number",
		`{"jwks":5}`:                          "jwks is a number and must be an object",
		`{"nosuch":1}`:                        `"nosuch" is no member of a client`,
		`{"client_id":"app"} {"client_id":1}`: "something follows the client",
	} {
		path := filepath.Join(dir, "client.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := stepward(t, dir, "client", "set", "app", path)
		if err == nil || !strings.Contains(err.Error(), want) || rawGo.MatchString(err.Error()) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}
