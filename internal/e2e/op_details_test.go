package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
)

func TestOP31IDTokensAndUserinfoAreSignedAsRegistered(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		a := o.client(func(c *idp.Client) { c.IDTokenAlg, c.UserInfoAlg = alg, alg })
		got := a.signIn(p, "scope", "openid email")
		info := o.userInfo(got.AccessToken)
		if info.status != 200 || info.header.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%s: %d %s %s", alg, info.status, info.header.Get("Content-Type"), info.body)
		}
		if header(t, got.IDToken)["alg"] != alg || header(t, string(info.body))["alg"] != alg {
			t.Errorf("%s: ID token %v, userinfo %v", alg, header(t, got.IDToken), header(t, string(info.body)))
		}
		claims := o.verify(string(info.body))
		if claims["iss"] != o.issuer || claims["aud"] != a.ID || claims["sub"] != got.claims["sub"] || claims["email"] == nil {
			t.Errorf("%s: %v", alg, claims)
		}
	}
	plain := o.client(func(*idp.Client) {})
	if r := o.userInfo(plain.signIn(p).AccessToken); r.json(t)["sub"] == nil {
		t.Errorf("unregistered: %s", r.body)
	}
}

func TestOP48WhatWasAllowedInDetailIsInTheTokenResponse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "stepward.yaml")
	if err := os.WriteFile(file, []byte(config.Example), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOP(t, "STEPWARD_CONFIG="+file)
	if types := o.metadata()["authorization_details_types_supported"]; !cmp.Equal(types, []any{"payment_initiation", "payout"}) { // that of the file and that of the demo
		t.Errorf("announced: %v", types)
	}
	a := o.client(func(c *idp.Client) {
		c.DetailTypes, c.FirstParty = []string{"payment_initiation"}, true
	})
	p := o.person()
	const details = `[{"type":"payment_initiation","creditor":"Acme","amount":{"value":"19.90","currency":"EUR"}}]`
	refusedBack(t, o, a.authorize(p, "authorization_details", `[{"type":"payment_initiation"}]`), "invalid_authorization_details")
	refusedBack(t, o, a.authorize(p, "authorization_details", details, "resource", "https://elsewhere.example"), "invalid_target")

	var push []string
	for name, values := range a.request("authorization_details", details, "scope", "openid offline_access") {
		push = append(push, name, values[0])
	}
	pushed := a.post("/oauth2/par", push...)
	if pushed.status != 201 {
		t.Fatalf("pushed: %d %s", pushed.status, pushed.body)
	}
	reference := pushed.json(t)["request_uri"].(string)
	back := p.through(p.open("/oauth2/authorize?" + url.Values{"client_id": {a.ID}, "request_uri": {reference}}.Encode()))
	got := a.granted(a.exchange(back.Get("code")))
	want := []any{map[string]any{
		"type": "payment_initiation", "creditor": "Acme", "amount": map[string]any{"value": "19.90", "currency": "EUR"},
	}}
	if d := cmp.Diff(want, got.answer.json(t)["authorization_details"]); d != "" {
		t.Errorf("token response (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, o.verify(got.AccessToken)["authorization_details"]); d != "" {
		t.Errorf("access token (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, a.post("/oauth2/introspect", "token", got.AccessToken).json(t)["authorization_details"]); d != "" {
		t.Errorf("introspection (-want +got):\n%s", d)
	}
	if got.ExpiresIn > 300 { // the type's window
		t.Errorf("expires in %d s", got.ExpiresIn)
	}
	next := a.granted(a.refresh(got.RefreshToken, "authorization_details", details))
	if d := cmp.Diff(want, next.answer.json(t)["authorization_details"]); d != "" {
		t.Errorf("refreshed (-want +got):\n%s", d)
	}
	a.refresh(next.RefreshToken, "authorization_details", `[{"type":"payment_initiation","creditor":"Mallory","amount":{"value":"19.90","currency":"EUR"}}]`).
		refused(t, 400, "invalid_authorization_details")
}
