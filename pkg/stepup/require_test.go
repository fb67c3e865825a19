package stepup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequireAnswersAsSpecified(t *testing.T) {
	stepUp := Requirement{ACRValues: []string{"phr"}, MaxAge: Within(5 * time.Minute), Scopes: []string{"payouts"}}
	whole := `acr_values="phr", max_age="300", scope="payouts"`
	verify := func(_ context.Context, token string) (Claims, error) {
		good := Claims{Subject: "ada", ACR: "phr", AuthTime: time.Now().Add(-time.Minute), Scopes: []string{"payouts"}}
		switch token {
		case "good":
		case "weak":
			good.ACR = "pwd"
		case "old":
			good.AuthTime = time.Now().Add(-5*time.Minute - time.Second)
		case "no-scope":
			good.Scopes = nil
		case "bound":
			good.Bound = true
		case "outage":
			return good, fmt.Errorf("fetch keys: %w", ErrUnavailable)
		default:
			return good, errors.New("signature: secret detail")
		}
		return good, nil
	}
	for name, test := range map[string]struct {
		need      Requirement
		headers   []string
		status    int
		challenge string
	}{
		"a good token passes":                   {stepUp, []string{"Bearer good"}, 200, ""},
		"the scheme is case-insensitive":        {stepUp, []string{"bearer good"}, 200, ""},
		"no token":                              {stepUp, nil, 401, `Bearer ` + whole},
		"another scheme is no token":            {stepUp, []string{"Basic Z29vZA=="}, 401, `Bearer ` + whole},
		"DPoP is not spoken here":               {stepUp, []string{"DPoP good"}, 401, `Bearer ` + whole},
		"two headers":                           {stepUp, []string{"Bearer good", "Bearer good"}, 400, `Bearer error="invalid_request", error_description="More than one Authorization header.", ` + whole},
		"an empty token":                        {stepUp, []string{"Bearer "}, 401, `Bearer error="invalid_token", error_description="The access token is malformed.", ` + whole},
		"a token with odd characters":           {stepUp, []string{"Bearer go od"}, 401, `Bearer error="invalid_token", error_description="The access token is malformed.", ` + whole},
		"a token that is too long":              {stepUp, []string{"Bearer " + strings.Repeat("a", maxToken+1)}, 401, `Bearer error="invalid_token", error_description="The access token is malformed.", ` + whole},
		"a refused token":                       {stepUp, []string{"Bearer forged"}, 401, `Bearer error="invalid_token", error_description="The access token is expired, revoked or not meant for this resource.", ` + whole},
		"a token bound to a key":                {stepUp, []string{"Bearer bound"}, 401, `Bearer error="invalid_token", error_description="The access token is bound to a key.", ` + whole},
		"a weak authentication":                 {stepUp, []string{"Bearer weak"}, 401, `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required.", ` + whole},
		"an old authentication":                 {stepUp, []string{"Bearer old"}, 401, `Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required.", ` + whole},
		"a scope only a step-up yields":         {stepUp, []string{"Bearer no-scope"}, 401, `Bearer error="insufficient_user_authentication", error_description="The token lacks the scope payouts.", ` + whole},
		"an ordinary scope":                     {Requirement{Scopes: []string{"payouts"}}, []string{"Bearer no-scope"}, 403, `Bearer error="insufficient_scope", error_description="The token lacks the scope payouts.", scope="payouts"`},
		"the verifier is down":                  {stepUp, []string{"Bearer outage"}, 503, ""},
		"any valid token is enough":             {Requirement{}, []string{"Bearer weak"}, 200, ""},
		"any valid token is enough, none given": {Requirement{}, nil, 401, `Bearer realm=""`},
	} {
		t.Run(name, func(t *testing.T) {
			reached := false
			h := Require(test.need, verify)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c, ok := FromContext(r.Context())
				reached = ok && c.Subject == "ada"
			}))
			r := httptest.NewRequest("POST", "/payouts", nil)
			r.Header["Authorization"] = test.headers
			w := httptest.NewRecorder()
			synctest.Test(t, func(*testing.T) { h.ServeHTTP(w, r) })
			if w.Code != test.status || reached != (test.status == 200) {
				t.Errorf("status %d, reached %v; want %d", w.Code, reached, test.status)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("got  %s\nwant %s", got, test.challenge)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Error("the verifier's error reached the caller:", w.Body)
			}
		})
	}
}

func TestRequirePanicsIfTheRequirementCannotBeMet(t *testing.T) {
	for _, need := range []Requirement{
		{ACRValues: []string{""}},
		{ACRValues: []string{"a b"}},
		{Scopes: []string{`a"`}},
		{Scopes: []string{"é"}},
		{MaxAge: Within(0)},
		{MaxAge: Within(-time.Hour)},
		{MaxAge: Within(time.Millisecond)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was accepted", need)
				}
			}()
			Require(need, nil)
		}()
	}
}

func TestFromContextFindsNothingWithoutRequire(t *testing.T) {
	if c, ok := FromContext(t.Context()); ok {
		t.Error(c)
	}
}
