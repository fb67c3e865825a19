package stepup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

// An API that pays out money only within five minutes of a phishing-resistant authentication. The verifier stands in for
// one that uses a JWT library, or for [stepup.Introspection].
func ExampleRequire() {
	verify := func(_ context.Context, token string) (stepup.Claims, error) {
		if token != "from-the-sign-in" {
			return stepup.Claims{}, errors.New("unknown token")
		}
		return stepup.Claims{Subject: "ada", ACR: "phr", AuthTime: time.Now().Add(-12 * time.Minute), Scopes: []string{"openid"}}, nil
	}
	payouts := stepup.Require(stepup.Requirement{
		ACRValues: []string{"phr"},
		MaxAge:    stepup.Within(5 * time.Minute),
		Scopes:    []string{"payouts"},
	}, verify)
	mux := http.NewServeMux()
	mux.Handle("POST /payouts", payouts(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := stepup.FromContext(r.Context())
		fmt.Fprintln(w, "paid by", claims.Subject)
	})))

	r := httptest.NewRequest("POST", "/payouts", nil)
	r.Header.Set("Authorization", "Bearer from-the-sign-in")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)
	fmt.Println(strings.ReplaceAll(w.Header().Get("WWW-Authenticate"), ", ", ",\n  "))
	// Output:
	// 401
	// Bearer error="insufficient_user_authentication",
	//   error_description="A more recent authentication is required.",
	//   acr_values="phr",
	//   max_age="300",
	//   scope="payouts"
}

// How an application handles a response of the API: it turns the challenge into an authorization request, and checks
// the result before it repeats the call.
func ExampleAttempt() {
	response := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {
		`Bearer error="insufficient_user_authentication", acr_values="phr", max_age="300", scope="payouts"`,
	}}}
	challenge, ok := stepup.FromResponse(response)
	if !ok {
		return // an ordinary response
	}
	attempt := stepup.Attempt{Challenge: challenge, Subject: "ada", At: time.Now()} // stored with the state

	// The parameters of any authorization request of this application. With golang.org/x/oauth2 they are the query of
	// the URL that AuthCodeURL returns.
	ordinary := url.Values{"response_type": {"code"}, "client_id": {"bank"}, "scope": {"openid email"}, "state": {"af0ifjsldkj"}}
	fmt.Println(attempt.Authorize(ordinary, "eyJ0...").Encode())

	// The user has returned. Claims of the new ID token, scopes of the token response:
	claims := stepup.Claims{Subject: "ada", ACR: "phr", AuthTime: time.Now().Add(-time.Hour), Scopes: []string{"openid", "payouts"}}
	err := attempt.Verify(claims, time.Now())
	fmt.Println(err, errors.Is(err, stepup.ErrNotMet))
	// Output:
	// acr_values=phr&client_id=bank&id_token_hint=eyJ0...&max_age=300&response_type=code&scope=openid+email+payouts&state=af0ifjsldkj
	// challenge not met: A more recent authentication is required true
}

// The check alone, for your own middleware.
func ExampleRequirement_Satisfied() {
	need := stepup.Requirement{ACRValues: []string{"phr"}, MaxAge: stepup.Within(5 * time.Minute)}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	token := stepup.Claims{ACR: "phrh", AuthTime: at}

	fmt.Println(need.Satisfied(token, at.Add(5*time.Minute+time.Second)))
	ok, _ := need.Satisfied(token, at.Add(5*time.Minute))
	fmt.Println(ok)
	// Output:
	// false A more recent authentication is required.
	// true
}

// The claims of a verified token, read from its payload.
func ExampleClaims() {
	payload := `{"sub":"ada","acr":"phr","amr":["pop","swk","user","mfa"],"auth_time":1772366400,"scope":"openid payouts"}`
	var claims stepup.Claims
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		fmt.Println(err)
	}
	fmt.Println(claims.ACR, claims.AuthTime.UTC(), claims.Scopes)
	// Output: phr 2026-03-01 12:00:00 +0000 UTC [openid payouts]
}

// A challenge made by hand where Require does not fit: here it depends on the amount.
func ExampleChallenge() {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		stepup.Challenge{
			Error:       stepup.InsufficientUserAuthentication,
			Description: "Amounts above 1000 need a hardware-bound passkey.",
			Requirement: stepup.Requirement{ACRValues: []string{"phrh"}},
		}.Write(w)
	}
	w := httptest.NewRecorder()
	handler(w, nil)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer error="insufficient_user_authentication", error_description="Amounts above 1000 need a hardware-bound passkey.", acr_values="phrh"
}

// All challenges of a response, in any scheme and order.
func ExampleParseChallenges() {
	h := http.Header{"Www-Authenticate": {`Basic realm="old clients", DPoP algs="ES256", Bearer scope="read"`, `Bearer max_age=60`}}
	for _, c := range stepup.ParseChallenges(h) {
		fmt.Println(c)
	}
	// Output:
	// DPoP realm=""
	// Bearer scope="read"
	// Bearer max_age="60"
}

// An API that asks the provider about each token, because its tokens are opaque.
func ExampleIntrospection() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"active":true,"sub":"ada","aud":"https://api.example","scope":"read"}`)
	}))
	defer provider.Close()
	tokens := &stepup.Introspection{URL: provider.URL, ClientID: "the-api", ClientSecret: "secret", Audience: "https://api.example"}
	reading := stepup.Require(stepup.Requirement{Scopes: []string{"read"}}, tokens.Verify)
	handler := reading(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := stepup.FromContext(r.Context())
		fmt.Fprint(w, "hello ", claims.Subject)
	}))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer 2YotnFZFEjr1zCsicMWpAA")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 hello ada
}
