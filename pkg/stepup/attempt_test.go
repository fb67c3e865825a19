package stepup_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/pkg/stepup"
)

var payout = stepup.Challenge{Scheme: "Bearer", Error: stepup.InsufficientUserAuthentication, Requirement: stepup.Requirement{
	ACRValues: []string{"phrh", "phr"}, MaxAge: stepup.Within(5 * time.Minute), Scopes: []string{"payouts", "openid"},
}}

func TestAttemptRequestsWhatTheChallengeRequiresAndKeepsTheRest(t *testing.T) {
	ordinary := url.Values{"client_id": {"bank"}, "state": {"s"}, "scope": {"openid email"}, "max_age": {"86400"}, "resource": {"a", "b"}}
	before := ordinary.Encode()
	got := stepup.Attempt{Challenge: payout}.Authorize(ordinary, "id.token")
	want := url.Values{
		"client_id": {"bank"}, "state": {"s"}, "scope": {"openid email payouts"}, "max_age": {"300"}, "resource": {"a", "b"},
		"acr_values": {"phrh phr"}, "id_token_hint": {"id.token"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got["resource"][0] = "changed"
	if ordinary.Encode() != before {
		t.Error("the caller's parameters were changed:", ordinary)
	}
}

func TestAttemptAddsNothingElse(t *testing.T) {
	ordinary := url.Values{"scope": {"openid"}}
	if diff := cmp.Diff(ordinary, stepup.Attempt{Challenge: stepup.Challenge{Error: stepup.InvalidToken}}.Authorize(ordinary, "")); diff != "" {
		t.Error(diff)
	}
}

func TestAttemptRequestsMaxAgeZero(t *testing.T) {
	got := stepup.Attempt{Challenge: stepup.Challenge{Requirement: stepup.Requirement{MaxAge: stepup.Within(0)}}}.Authorize(nil, "")
	if diff := cmp.Diff(url.Values{"max_age": {"0"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyChecksTheResult(t *testing.T) {
	asked := noon.Add(500 * time.Millisecond)
	met := stepup.Claims{Subject: "ada", ACR: "phr", AuthTime: noon.Add(20 * time.Second), Scopes: []string{"openid", "payouts"}}
	with := func(change func(*stepup.Claims)) stepup.Claims { c := met; change(&c); return c }
	zero := payout
	zero.MaxAge = stepup.Within(0)
	for name, test := range map[string]struct {
		challenge stepup.Challenge
		claims    stepup.Claims
		met       bool
	}{
		"everything met":                      {payout, met, true},
		"another user":                        {payout, with(func(c *stepup.Claims) { c.Subject = "eve" }), false},
		"a weaker acr":                        {payout, with(func(c *stepup.Claims) { c.ACR = "pwd" }), false},
		"no acr":                              {payout, with(func(c *stepup.Claims) { c.ACR = "" }), false},
		"an old authentication":               {payout, with(func(c *stepup.Claims) { c.AuthTime = noon.Add(-5 * time.Minute) }), false},
		"no auth_time":                        {payout, with(func(c *stepup.Claims) { c.AuthTime = time.Time{} }), false},
		"the user denied the scope":           {payout, with(func(c *stepup.Claims) { c.Scopes = []string{"openid"} }), false},
		"age zero and a new one":              {zero, met, true},
		"age zero and one in the same second": {zero, with(func(c *stepup.Claims) { c.AuthTime = noon }), true},
		"age zero and an earlier one":         {zero, with(func(c *stepup.Claims) { c.AuthTime = noon.Add(-time.Second) }), false},
		"age zero and a future one":           {zero, with(func(c *stepup.Claims) { c.AuthTime = noon.Add(time.Hour) }), false},
		"age zero and none":                   {zero, with(func(c *stepup.Claims) { c.AuthTime = time.Time{} }), false},
		"age zero does not waive the acr":     {zero, with(func(c *stepup.Claims) { c.ACR = "" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			// Applications store attempts between requests, so the test passes them through JSON.
			stored, err := json.Marshal(stepup.Attempt{Challenge: test.challenge, Subject: "ada", At: asked})
			if err != nil {
				t.Fatal(err)
			}
			var a stepup.Attempt
			if err := json.Unmarshal(stored, &a); err != nil {
				t.Fatal(err)
			}
			err = a.Verify(test.claims, noon.Add(30*time.Second))
			if test.met != (err == nil) || err != nil && !errors.Is(err, stepup.ErrNotMet) {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}
