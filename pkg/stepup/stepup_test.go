package stepup_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/pkg/stepup"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSatisfiedGivesAReason(t *testing.T) {
	fiveMinutes := stepup.Requirement{ACRValues: []string{"phr"}, MaxAge: stepup.Within(5 * time.Minute), Scopes: []string{"payouts"}}
	paid := stepup.Claims{ACR: "phr", AuthTime: noon, Scopes: []string{"openid", "payouts"}}
	with := func(change func(*stepup.Claims)) stepup.Claims { c := paid; change(&c); return c }
	for name, test := range map[string]struct {
		need   stepup.Requirement
		claims stepup.Claims
		now    time.Time
		reason string
	}{
		"everything is present":                  {fiveMinutes, paid, noon, ""},
		"no requirement accepts an empty token":  {stepup.Requirement{}, stepup.Claims{}, noon, ""},
		"exactly max_age old is recent enough":   {fiveMinutes, paid, noon.Add(5 * time.Minute), ""},
		"a nanosecond more is too old":           {fiveMinutes, paid, noon.Add(5*time.Minute + 1), "A more recent authentication is required."},
		"the future is refused":                  {fiveMinutes, paid, noon.Add(-1), "The authentication is in the future."},
		"no auth_time is never recent":           {fiveMinutes, with(func(c *stepup.Claims) { c.AuthTime = time.Time{} }), noon, "The token does not say when the user authenticated."},
		"any of several values is enough":        {stepup.Requirement{ACRValues: []string{"gold", "phr"}}, paid, noon, ""},
		"hardware is phishing-resistant too":     {fiveMinutes, with(func(c *stepup.Claims) { c.ACR = "phrh" }), noon, ""},
		"phishing-resistant is not yet hardware": {stepup.Requirement{ACRValues: []string{"phrh"}}, paid, noon, "A different authentication level is required."},
		"values are case-sensitive":              {stepup.Requirement{ACRValues: []string{"PHR"}}, paid, noon, "A different authentication level is required."},
		"no acr is not an empty acr":             {stepup.Requirement{ACRValues: []string{""}}, stepup.Claims{}, noon, "A different authentication level is required."},
		"the scope is missing":                   {fiveMinutes, with(func(c *stepup.Claims) { c.Scopes = []string{"payouts.read"} }), noon, "The token lacks the scope payouts."},
		"without max_age any age is enough":      {stepup.Requirement{ACRValues: []string{"phr"}}, paid, noon.Add(1e6 * time.Hour), ""},
	} {
		t.Run(name, func(t *testing.T) {
			ok, reason := test.need.Satisfied(test.claims, test.now)
			if ok != (test.reason == "") || reason != test.reason {
				t.Errorf("Satisfied = %v, %q; want %q", ok, reason, test.reason)
			}
		})
	}
}

func TestClaimsAreReadFromTokensAndIntrospection(t *testing.T) {
	var got stepup.Claims
	payload := `{"iss":"https://id.example","sub":"ada","client_id":"bank","aud":["https://api.example","x"],"exp":1772366700.5,
		"scope":"openid  payouts openid","acr":"phr","amr":["pop","user"],"auth_time":1772366400,"cnf":{"jkt":"abc"}}`
	if err := json.Unmarshal([]byte(payload), &got); err != nil {
		t.Fatal(err)
	}
	want := stepup.Claims{
		Issuer: "https://id.example", Subject: "ada", ClientID: "bank", Audience: []string{"https://api.example", "x"},
		Scopes: []string{"openid", "payouts"}, Expiry: noon.Add(5*time.Minute + 500*time.Millisecond), ACR: "phr", AMR: []string{"pop", "user"},
		AuthTime: noon, Bound: true, Raw: json.RawMessage(payload),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneAudienceMayBeAString(t *testing.T) {
	var got stepup.Claims
	if err := json.Unmarshal([]byte(`{"aud":"https://api.example","cnf":null,"auth_time":0}`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://api.example"}, got.Audience); diff != "" || got.Bound || !got.AuthTime.IsZero() {
		t.Errorf("%+v %s", got, diff)
	}
}

func TestClaimsOfTheWrongTypeAreRefused(t *testing.T) {
	for _, payload := range []string{
		`[]`, `"x"`, `{"acr":1}`, `{"acr":["phr"]}`, `{"auth_time":"1772366400"}`, `{"auth_time":-1}`, `{"auth_time":1772366400000}`,
		`{"auth_time":1e300}`, `{"exp":{}}`, `{"aud":1}`, `{"scope":["payouts"]}`, `{"amr":"pop"}`,
	} {
		var c stepup.Claims
		if err := json.Unmarshal([]byte(payload), &c); err == nil {
			t.Errorf("%s was accepted: %+v", payload, c)
		}
	}
}

func TestClaimNamesAreCaseSensitive(t *testing.T) {
	var c stepup.Claims
	if err := json.Unmarshal([]byte(`{"acr":"low","ACR":"phr","Scope":"payouts","Auth_Time":1772366400}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.ACR != "low" || c.Scopes != nil || !c.AuthTime.IsZero() {
		t.Errorf("a claim with another case was used: %+v", c)
	}
}
