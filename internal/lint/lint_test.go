package lint_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/lint"
	"github.com/stepward/stepward/internal/words"
)

func TestEachRuleFindsItsCaseAndNothingElse(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	good := func() lint.Facts {
		return lint.Facts{
			Policy: idp.Policy{
				Scopes:        map[string]idp.Scope{"openid": {Name: "openid"}, "phone": {}, "pay": {ActionClass: "payments"}, "stepward:admin:read": {}},
				ActionClasses: map[string]idp.ActionClass{"payments": {ACR: "phr", Window: 5 * time.Minute}, "admin": {ACR: "phr", Window: 5 * time.Minute}},
				Decay:         idp.DefaultDecay(),
				Resources:     map[string]idp.Resource{"https://api.example.com": {}},
				DetailTypes:   map[string]idp.DetailType{"transfer": {}},
			},
			Clients: []idp.Client{{
				ID: "bank", Name: "Bank", URI: "https://www.example.com", RedirectURIs: []string{"https://app.example.com/cb", "http://localhost/cb"},
				Scopes: []string{"openid", "pay"}, DetailTypes: []string{"transfer"}, GrantTypes: []string{idp.GrantAuthorizationCode},
				Secrets: []idp.ClientSecret{{ID: "1"}}, CreatedAt: now.AddDate(0, -1, 0),
			}},
			Uses: map[string]lint.Use{"bank": {TokensAt: now.Add(-time.Hour), ErrorAt: now.Add(-time.Minute)}},
			Now:  now,
		}
	}
	for want, change := range map[string]func(*lint.Facts, *idp.Client){
		"":         func(*lint.Facts, *idp.Client) {},
		"scope":    func(f *lint.Facts, _ *idp.Client) { f.Policy.Scopes["old"] = idp.Scope{} },
		"resource": func(_ *lint.Facts, c *idp.Client) { c.Resources = []string{"https://other.example.com"} },
		"detail":   func(_ *lint.Facts, c *idp.Client) { c.DetailTypes = nil },
		"class": func(f *lint.Facts, _ *idp.Client) {
			f.Policy.ActionClasses["unused"] = idp.ActionClass{ACR: "phr", Window: time.Minute}
		},
		"class_acr": func(f *lint.Facts, _ *idp.Client) {
			f.Policy.ActionClasses["payments"] = idp.ActionClass{ACR: "phrh", Window: time.Minute}
		},
		"window": func(f *lint.Facts, _ *idp.Client) {
			f.Policy.ActionClasses["payments"] = idp.ActionClass{ACR: "phr", Window: 25 * time.Hour}
		},
		"idle": func(f *lint.Facts, _ *idp.Client) {
			f.Policy.ActionClasses["payments"] = idp.ActionClass{ACR: "phr", Window: 2 * time.Hour}
		},
		"acr":      func(_ *lint.Facts, c *idp.Client) { c.MinimumACR = "phrh" },
		"host":     func(_ *lint.Facts, c *idp.Client) { c.RedirectURIs = []string{"https://example.net/cb"} },
		"expired":  func(_ *lint.Facts, c *idp.Client) { c.Secrets[0].ExpiresAt = now.Add(-time.Hour) },
		"expiring": func(_ *lint.Facts, c *idp.Client) { c.Secrets[0].ExpiresAt = now.Add(time.Hour) },
		"errors":   func(f *lint.Facts, _ *idp.Client) { f.Uses["bank"] = lint.Use{ErrorAt: now.Add(-time.Hour)} },
	} {
		f := good()
		change(&f, &f.Clients[0])
		var got []string
		for _, found := range lint.Check(f) {
			got = append(got, found.Code)
			for _, text := range []words.Text{found.Text, found.Remedy} {
				if err := words.Check(text); err != nil {
					t.Error(err)
				}
			}
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("found %q, want %q", got, want)
		}
		f.Clients[0].DisabledAt = now
		if found := lint.Check(f); want != "" && slices.ContainsFunc(found, func(x lint.Finding) bool { return x.ClientID != "" }) {
			t.Errorf("%s: of a disabled client", want)
		}
	}
	f := good()
	f.Hardware, f.Clients[0].MinimumACR = true, "phrh"
	if found := lint.Check(f); len(found) > 0 {
		t.Errorf("with metadata: %+v", found)
	}
}
