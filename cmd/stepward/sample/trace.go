package sample

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/pkg/stepup"
)

// A trace describes the last authorization for the pages, parameter by parameter, without usable secrets.
type trace struct {
	Challenge string // challenge of the API, if there was one
	Endpoint  string
	Sent      []fact
	Received  []fact
	scope     string // as requested
}

type fact struct{ Name, Value, Meaning string }

var meanings = []fact{
	{Name: "scope", Meaning: "what the tokens allow"},
	{Name: "acr_values", Meaning: "how the user must prove who they are"},
	{Name: "max_age", Meaning: "how old the proof may be, in seconds"},
	{Name: "authorization_details", Meaning: "what exactly the user is to confirm"},
	{Name: "id_token_hint", Value: "(the last ID token)", Meaning: "the user who is expected"},
	{Name: "redirect_uri", Meaning: "where to return to"},
	{Name: "state", Value: "(random)", Meaning: "ties the response to this browser"},
	{Name: "nonce", Value: "(random)", Meaning: "ties the ID token to this request"},
	{Name: "code_challenge", Value: "(hash of a random value)", Meaning: "ties the code to this application"},
}

func sent(endpoint string, params url.Values, challenge string) trace {
	t := trace{Challenge: challenge, Endpoint: endpoint, scope: params.Get("scope")}
	for _, f := range meanings {
		if !params.Has(f.Name) {
			continue
		}
		if f.Value == "" {
			f.Value = params.Get(f.Name)
		}
		t.Sent = append(t.Sent, f)
	}
	return t
}

// receive records the response.
func (t *trace) receive(q url.Values, c stepup.Claims, u *user) {
	t.Received = []fact{{"code", "(random, used once)", "exchanged for the tokens"}}
	if q.Has("iss") {
		t.Received = append(t.Received, fact{"iss", q.Get("iss"), "the issuer of the response"})
	}
	var access stepup.Claims
	if json.Unmarshal(payload(u.accessToken), &access) == nil && !access.Expiry.IsZero() {
		t.Received = append(t.Received, fact{"exp", clock(access.Expiry), "when the access token expires"})
	}
	scopes := slices.Clone(c.Scopes)
	slices.Sort(scopes)
	t.Received = append(t.Received,
		fact{"scope", strings.Join(scopes, " "), "what the access token allows"},
		fact{"acr", c.ACR, acrInWords(c.ACR)},
		fact{"amr", strings.Join(c.AMR, " "), "the methods used"},
		fact{"auth_time", clock(c.AuthTime), "when the user proved who they are"},
	)
}
