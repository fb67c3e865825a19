package main

import (
	"strings"
	"testing"
)

func TestExplainAndLintWorkOnTheStore(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"client", "add", "Shop", "--id", "shop", "--redirect-uri", "https://shop.example.com/cb", "--uri", "https://elsewhere.net", "--minimum-acr", "phrh"},
		{"user", "add", "ada@example.com"},
	} {
		if out, err := stepward(t, dir, args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	out, err := stepward(t, dir, "lint")
	if err == nil || !strings.Contains(out, "acr: ") || !strings.Contains(out, "host: ") {
		t.Errorf("lint: %v\n%s", err, out)
	}
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"sign-in no_session", []string{"shop"}},
		{"decided      no_session", []string{"shop", "--user", "ada@example.com"}},
		{`"check": "no_session"`, []string{"shop", "--output", "json"}},
		{"code_challenge is required", []string{"https://id.example.com/oauth2/authorize?client_id=shop&response_type=code&scope=openid&redirect_uri=https%3A%2F%2Fshop.example.com%2Fcb"}},
		{"redirect_uri is not registered", []string{"client_id=shop&response_type=code&scope=openid&redirect_uri=https%3A%2F%2Fevil.example.com%2Fcb"}},
	} {
		if out, err := stepward(t, dir, append([]string{"explain"}, tc.args...)...); err != nil || !strings.Contains(out, tc.want) {
			t.Errorf("explain %q: %v, without %q:\n%s", tc.args, err, tc.want, out)
		}
	}
	if out, err := stepward(t, dir, "explain", "ghost"); err == nil {
		t.Errorf("explain ghost: %s", out)
	}
}
