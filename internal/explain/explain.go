// Package explain says what an authorization request would lead to for a person and a session, check by check, from the
// code that decides: authorize reads the request, login decides. It changes nothing.
package explain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/authorize"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// MaxLink bounds a pasted link, in bytes.
const MaxLink = 16 << 10

// ErrLink says that a text is no authorization request.
var ErrLink = errors.New("this is no link to " + oauth.PathAuthorize)

// Service explains. All fields but SignUp are needed.
type Service struct {
	DB     *store.DB
	Policy idp.Policy
	SignUp bool
	// Understand is provider.Provider.Understand.
	Understand func(r *http.Request, form url.Values, own bool) (authorize.Reading, error)
}

// An Answer is what happens to a request.
type Answer struct {
	// Unusable is what the person would see, and nothing else happens: the client or its redirect URI is not known. It is
	// the reason, in English, as in the log.
	Unusable string `json:"unusable,omitempty"`

	// AsIf says that the request was read as if the client had sent it as it must: authorize.AsPushed or AsSigned.
	AsIf string `json:"as_if,omitempty"`

	ClientID string     `json:"client_id,omitempty"`
	Client   idp.Client `json:"-"`
	// Refused is the error that the client gets before anybody is asked anything.
	Refused *Refusal `json:"refused,omitempty"`

	Scopes []string        `json:"scopes,omitempty"`
	Needs  idp.Requirement `json:"needs,omitzero"`

	Step     login.Kind      `json:"step,omitempty"`
	Check    string          `json:"check,omitempty"` // that decided; empty: all are satisfied
	Error    *Refusal        `json:"error,omitempty"` // that the client gets as the step
	Verdicts []login.Verdict `json:"checks,omitempty"`
	// Authentications are those of the session, oldest first.
	Authentications []Authentication `json:"authentications,omitempty"`
	Missing         []string         `json:"not_allowed_yet,omitempty"` // scopes and resources
	// Claims are what an ID token would say of the sign-in; only if nothing is left to do.
	Claims *Claims `json:"claims,omitempty"`
}

// A Refusal is an OAuth error.
type Refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// An Authentication is one of the session, as it was weighed.
type Authentication struct {
	ID        string        `json:"id"`
	PasskeyID string        `json:"passkey_id"`
	At        time.Time     `json:"at"`
	Age       time.Duration `json:"-"`
	Seconds   int64         `json:"age_seconds"`
	ACRs      []string      `json:"acr"`
	AMR       []string      `json:"amr"`
	Classes   []string      `json:"action_classes,omitempty"`
	Lacks     idp.Check     `json:"lacks,omitempty"` // the first check that it does not meet
}

// Claims are the claims of a token about the sign-in.
type Claims struct {
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
}

// ParseLink returns the parameters of a pasted authorization request: a link, its query, or a form.
func ParseLink(text string) (url.Values, error) {
	text = strings.TrimSpace(text)
	if len(text) > MaxLink {
		return nil, ErrLink
	}
	query := text
	if u, err := url.Parse(text); err == nil && (u.IsAbs() || strings.HasPrefix(text, "/")) {
		if !strings.HasSuffix(u.Path, oauth.PathAuthorize) {
			return nil, ErrLink
		}
		query = u.RawQuery
	}
	form, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil || form.Get("client_id") == "" {
		return nil, ErrLink
	}
	return form, nil
}

// UsualRequest returns the plainest request of a client.
func UsualRequest(c idp.Client) url.Values {
	form := url.Values{
		"client_id": {c.ID}, "response_type": {"code"}, "scope": {strings.Join(c.Scopes, " ")}, "state": {"state"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	if len(c.RedirectURIs) > 0 {
		form.Set("redirect_uri", c.RedirectURIs[0])
	}
	return form
}

// A Question is a request that somebody asks about.
type Question struct {
	Form url.Values
	// Own reads it as if the client itself had sent it, pushed or signed as it must be. A link is read as it is.
	Own bool
}

// Usual asks about the usual request of a client.
func Usual(c idp.Client) Question { return Question{UsualRequest(c), true} }

// Explain says what a request leads to in a session; nil: nobody is signed in.
func (s Service) Explain(ctx context.Context, q Question, sess *idp.Session) (Answer, error) {
	a, read, err := s.Read(ctx, q.Form, q.Own)
	if err != nil || a.Ended() {
		return a, err
	}
	return s.Begun(ctx, a, idp.NewInteraction(read.Request, read.Need, time.Now()), sess)
}

// Ended reports whether a request ends before anybody is asked anything.
func (a Answer) Ended() bool { return a.Unusable != "" || a.Refused != nil }

// Read begins an answer with what the authorization endpoint makes of a request. own is described at
// authorize.Service.Understand.
func (s Service) Read(ctx context.Context, form url.Values, own bool) (a Answer, read authorize.Reading, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, oauth.PathAuthorize, nil)
	if err != nil {
		return a, read, err
	}
	read, err = s.Understand(r, form, own)
	if problem, ok := errors.AsType[*web.Problem](err); ok && problem.Status < http.StatusInternalServerError {
		if a.Unusable = problem.Words; problem.Err != nil {
			a.Unusable = problem.Err.Error()
		}
		return a, read, nil
	}
	if err != nil {
		return a, read, fmt.Errorf("read request: %w", err)
	}
	a.Client, a.ClientID, a.Scopes, a.Needs = read.Client, read.Client.ID, read.Request.Scopes, read.Need
	a.AsIf = read.AsIf
	if read.Refused != nil {
		a.Refused = &Refusal{read.Refused.Code, read.Refused.Description}
	}
	return a, read, nil
}

// Begun adds to an answer what an interaction leads to now.
func (s Service) Begun(ctx context.Context, a Answer, i idp.Interaction, sess *idp.Session) (Answer, error) {
	e, err := login.Explain(ctx, s.DB, s.Policy, s.SignUp, i, sess)
	if err != nil {
		return a, err
	}
	a.Step, a.Check, a.Verdicts, a.Missing, a.Needs = e.Step.Kind, e.Step.Check, e.Verdicts, e.Missing, e.Needs
	if e.Step.Error != "" {
		a.Error = &Refusal{e.Step.Error, e.Step.Description}
	}
	for _, w := range e.Weighed {
		age := e.Facts.Now.Sub(w.AuthTime())
		a.Authentications = append(a.Authentications, Authentication{
			ID: w.ID, PasskeyID: w.PasskeyID, At: w.At, Age: age, Seconds: int64(age.Seconds()), ACRs: w.ACRs(), AMR: w.AMR(),
			Classes: w.OpenClasses(), Lacks: w.Lacks,
		})
	}
	if e.Step.Kind == login.Finish {
		got := e.Step.Assurance
		a.Claims = &Claims{got.ACR, got.AMR, got.AuthTime.Unix()}
	}
	return a, nil
}
