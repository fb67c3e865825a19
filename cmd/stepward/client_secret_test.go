package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestSecretsAreRotatedByCommand(t *testing.T) {
	dir := t.TempDir()
	must := func(args ...string) string {
		t.Helper()
		out, err := stepward(t, dir, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := stepward(t, dir, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q\n%s", args, err, want, out)
		}
	}
	type secret struct {
		ID, Name  string
		Value     string     `json:"client_secret"`
		ExpiresAt *time.Time `json:"expires_at"`
		UsedAt    *time.Time `json:"used_at"`
	}
	list := func() (all []secret) {
		t.Helper()
		if err := json.Unmarshal([]byte(must("client", "secret", "list", "wiki", "--output", "json")), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	must("client", "add", "Wiki", "--id", "wiki", "--redirect-uri", "https://wiki.example/cb")
	first := list()
	if len(first) != 1 {
		t.Fatalf("%+v", first)
	}
	refused("only secret", "client", "secret", "remove", "wiki", first[0].ID)

	var made secret
	out := must("client", "secret", "add", "wiki", "--name", "spring", "--ttl", "48h", "--output", "json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || len(made.Value) < 43 {
		t.Fatalf("%v %s", err, out)
	}
	both := list()
	if len(both) != 2 || both[1].ID != made.ID || both[1].Name != "spring" || both[1].Value != "" || both[1].UsedAt != nil {
		t.Fatalf("%+v", both)
	}
	if left := time.Until(*both[1].ExpiresAt); left < 47*time.Hour || left > 48*time.Hour {
		t.Errorf("ends in %s", left)
	}
	text := must("client", "secret", "list", "wiki")
	if !strings.Contains(text, "spring") || !strings.Contains(text, "never") || strings.Contains(text, made.Value) {
		t.Errorf("%s", text)
	}
	must("client", "secret", "expire", "wiki", made.ID, "--never")
	if both := list(); both[1].ExpiresAt != nil {
		t.Errorf("%+v", both)
	}
	must("client", "secret", "expire", "wiki", first[0].ID, "--in", "24h")
	if out := must("client", "secret", "remove", "wiki", first[0].ID); !strings.Contains(out, "5 seconds") {
		t.Errorf("%s", out)
	}
	if left := list(); len(left) != 1 || left[0].ID != made.ID {
		t.Errorf("%+v", left)
	}
	if out := must("client", "secret", "add", "wiki"); !strings.Contains(out, "client_secret  ") {
		t.Errorf("%s", out)
	}

	refused("no such client", "client", "secret", "add", "nobody")
	refused("no such client", "client", "secret", "list", "nobody")
	refused("no such client or secret", "client", "secret", "remove", "wiki", "nothing")
	refused("1 to 80 characters", "client", "secret", "add", "wiki", "--name", strings.Repeat("x", 81))
	refused("--ttl 1s must be", "client", "secret", "add", "wiki", "--ttl", "1s")
	refused("--in", "client", "secret", "expire", "wiki", made.ID)
	for range 3 {
		must("client", "secret", "add", "wiki")
	}
	refused("5 secrets", "client", "secret", "add", "wiki")
}
