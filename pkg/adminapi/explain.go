package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// An Explanation says what an authorization request leads to, check by check.
type Explanation struct {
	Unusable        string             `json:"unusable,omitempty" doc:"Why the client or its redirect URI is not known; nothing else happens then."`
	ClientID        string             `json:"client_id,omitempty"`
	AsIf            string             `json:"as_if,omitempty" doc:"The usual request of a client is read as the client must send it: pushed or signed; missing: as it is."`
	Refused         *OAuthError        `json:"refused,omitempty" doc:"What the client gets before anybody is asked anything."`
	Scopes          []string           `json:"scopes,omitempty"`
	Step            string             `json:"step,omitempty" doc:"What happens next: finish, sign-in, step-up, consent, …"`
	Check           string             `json:"check,omitempty" doc:"The check that decided; missing: all are satisfied."`
	Error           *OAuthError        `json:"error,omitempty" doc:"What the client gets as the step."`
	Checks          []Verdict          `json:"checks,omitempty"`
	Authentications []Authentication   `json:"authentications,omitempty" doc:"Those of the session, oldest first."`
	NotAllowedYet   []string           `json:"not_allowed_yet,omitempty" doc:"Scopes and resources that need consent."`
	Claims          *ExplanationClaims `json:"claims,omitempty" doc:"What an ID token would say, if nothing is left to do."`
	Session         *ExplainedSession  `json:"session,omitempty" doc:"Missing: nobody is signed in."`
}

// An ExplainedSession is the session that a request was explained in.
type ExplainedSession struct {
	UserID    string `json:"user_id"`
	Email     string `json:"email"`
	SessionID string `json:"session_id,omitempty" doc:"Missing: the user has none."`
	Agent     string `json:"agent,omitempty"`
	Passkey   string `json:"passkey,omitempty" doc:"Without a session: the name of the passkey with which a sign-in of now was supposed. Missing too: they have none, so are not signed in."`
}

// An OAuthError is an error of OAuth.
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// A Verdict is what a check says.
type Verdict struct {
	Check  string `json:"check"`
	Step   string `json:"step" doc:"What it leads to if it is not satisfied."`
	Result string `json:"result"`
}

// An Authentication is one of a session, as it was weighed.
type Authentication struct {
	ID            string    `json:"id"`
	PasskeyID     string    `json:"passkey_id"`
	At            time.Time `json:"at"`
	Age           int64     `json:"age_seconds"`
	ACR           []string  `json:"acr"`
	AMR           []string  `json:"amr"`
	ActionClasses []string  `json:"action_classes,omitempty"`
	Lacks         string    `json:"lacks,omitempty" doc:"The first check that it does not meet."`
}

// ExplanationClaims are the claims of an ID token about the sign-in.
type ExplanationClaims struct {
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time" doc:"In seconds since 1970."`
}

// A Question is what [API.Explain] explains. Of Link and ClientID one is needed.
type Question struct {
	Link     string // to the authorization endpoint
	ClientID string // instead: this client's usual request
	User     string // ID or e-mail address; empty: nobody is signed in
	Session  string // one of the user's; empty: the newest, or else a sign-in of now with their newest passkey
}

// Explain says what a request leads to.
func (a *API) Explain(ctx context.Context, q Question) (e Explanation, err error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"link": q.Link, "client_id": q.ClientID, "user": q.User, "session": q.Session,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	_, err = a.do(ctx, call{method: http.MethodGet, path: "/explain", query: query, out: &e})
	return e, err
}
