// This test is inside the package: one table covers the rule, with a row for each sentence.
package authorize

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
)

func TestRequirementIsTheStrictestCombination(t *testing.T) {
	age := func(d time.Duration) *time.Duration { return &d }
	gold := "urn:example:gold"
	policy := idp.Policy{
		Scopes:        map[string]idp.Scope{"accounts": {Name: "accounts"}, "payments": {Name: "payments", ActionClass: "payments"}},
		ActionClasses: map[string]idp.ActionClass{"payments": {Name: "payments", Description: "make a payment", Window: 5 * time.Minute}},
		Aliases:       map[string]idp.Alias{gold: {ACR: idp.ACRPhishingResistantHardware, MaxAge: 5 * time.Minute}},
		Decay:         idp.DefaultDecay(),
	}
	payments := []idp.ActionClass{policy.ActionClasses["payments"]}
	for _, row := range []struct {
		name   string
		client idp.Client
		demand demand
		want   idp.Requirement
	}{
		{"nothing asked", idp.Client{}, demand{}, idp.Requirement{}},
		{"acr_values are voluntary", idp.Client{}, demand{ACRValues: []string{"phrh", "phr"}}, idp.Requirement{ACRValues: []string{"phrh", "phr"}}},
		{"unknown voluntary values are dropped", idp.Client{}, demand{ACRValues: []string{"1", "phr"}}, idp.Requirement{ACRValues: []string{"phr"}}},
		{"unknown essential values are kept and cannot be satisfied", idp.Client{}, demand{ACR: &access.ClaimRequest{Essential: true, Value: "1"}}, idp.Requirement{ACRValues: []string{"1"}, Essential: true}},
		{"an essential acr claim", idp.Client{}, demand{ACR: &access.ClaimRequest{Essential: true, Values: []any{gold}}}, idp.Requirement{ACRValues: []string{gold}, Essential: true}},
		{"a voluntary acr claim", idp.Client{}, demand{ACR: &access.ClaimRequest{Value: "phrh"}}, idp.Requirement{ACRValues: []string{"phrh"}}},
		{"essential without values requires no particular acr", idp.Client{}, demand{ACRValues: []string{"phrh"}, ACR: &access.ClaimRequest{Essential: true}}, idp.Requirement{ACRValues: []string{"phrh"}}},
		{"both: the common values", idp.Client{}, demand{ACRValues: []string{"phrh", gold}, ACR: &access.ClaimRequest{Essential: true, Values: []any{"phr", "phrh"}}}, idp.Requirement{ACRValues: []string{"phrh"}, Essential: true}},
		{"both, with nothing in common: the claim", idp.Client{}, demand{ACRValues: []string{"phr"}, ACR: &access.ClaimRequest{Essential: true, Value: "phrh"}}, idp.Requirement{ACRValues: []string{"phrh"}, Essential: true}},
		{"the client's default for a request without acr_values", idp.Client{DefaultACRValues: []string{"phrh"}}, demand{}, idp.Requirement{ACRValues: []string{"phrh"}}},
		{"the request overrides the client's default", idp.Client{DefaultACRValues: []string{"phrh"}}, demand{ACRValues: []string{"phr"}}, idp.Requirement{ACRValues: []string{"phr"}}},
		{"but not the client's minimum", idp.Client{MinimumACR: "phrh"}, demand{ACRValues: []string{"phr"}}, idp.Requirement{ACRValues: []string{"phr"}, MinimumACR: "phrh"}},
		{"max_age", idp.Client{}, demand{MaxAge: age(time.Hour)}, idp.Requirement{MaxAge: age(time.Hour)}},
		{"default_max_age", idp.Client{DefaultMaxAge: age(time.Hour)}, demand{}, idp.Requirement{MaxAge: age(time.Hour)}},
		{"a request can lower it", idp.Client{DefaultMaxAge: age(time.Hour)}, demand{MaxAge: age(time.Minute)}, idp.Requirement{MaxAge: age(time.Minute)}},
		{"but not raise it", idp.Client{DefaultMaxAge: age(time.Minute)}, demand{MaxAge: age(time.Hour)}, idp.Requirement{MaxAge: age(time.Minute)}},
		{"max_age=0 requires a new ceremony", idp.Client{}, demand{MaxAge: age(0)}, idp.Requirement{MaxAge: age(0), Fresh: true}},
		{"default_max_age=0 too", idp.Client{DefaultMaxAge: age(0)}, demand{MaxAge: age(time.Hour)}, idp.Requirement{MaxAge: age(0), Fresh: true}},
		{"prompt=login", idp.Client{}, demand{Login: true}, idp.Requirement{Fresh: true}},
		{"a scope's action class", idp.Client{}, demand{Access: idp.Access{Scopes: []string{"openid", "payments"}}}, idp.Requirement{ActionClasses: payments}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := requirement(policy, row.client, row.demand)
			if len(got.ACRValues) == 0 {
				got.ACRValues = nil
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
