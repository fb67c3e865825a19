package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Explain is the command that says what an authorization request leads to.
type Explain struct {
	Request string `arg:"" help:"The link that the application sent the person to, its query, or a client ID for the client's usual request."`
	User    string `placeholder:"ADDRESS" help:"Whose session. Default: nobody is signed in."`
	Session string `placeholder:"SID" help:"Which session of the user. Default: the newest, or else a sign-in of now with their newest passkey."`
	manage.Flags
}

// Run explains the request.
func (c Explain) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Explains, "explain", func(api *manage.API) error {
		q := adminapi.Question{User: c.User, Session: c.Session, Link: c.Request}
		_, notLink := explain.ParseLink(c.Request)
		if notLink != nil {
			q.Link, q.ClientID = "", c.Request
			if _, _, err := api.Clients.Get(api.Context, c.Request); manage.Refused(err, "not_found") {
				return fmt.Errorf("%q is neither a client ID nor a link: %w", c.Request, notLink)
			}
		}
		if c.User != "" {
			if _, err := manage.FindUser(api, c.User); err != nil {
				return err
			}
		}
		a, err := api.Explain(api.Context, q)
		if err != nil {
			return err
		}
		return c.Print(a, func(t manage.Text) { written(t.Line, a) })
	})
}

// whose says in words whose session it is.
func whose(s *adminapi.ExplainedSession) string {
	switch {
	case s == nil:
		return "nobody is signed in"
	case s.SessionID != "":
		return fmt.Sprintf("%s in the session %s (%s)", s.Email, s.SessionID, s.Agent)
	case s.Passkey != "":
		return fmt.Sprintf("%s, as if signed in just now with %q", s.Email, s.Passkey)
	}
	return s.Email + " has no passkey, so is not signed in"
}

// written says an explanation for people.
func written(say func(format string, args ...any), a adminapi.Explanation) {
	say("%s", whose(a.Session))
	if a.AsIf != "" {
		say("the client's requests must be %s; this is explained as if this one were", a.AsIf)
	}
	switch {
	case a.Unusable != "":
		say("the person sees an error page, and the application hears nothing: %s", a.Unusable)
		return
	case a.Refused != nil:
		say("the client %s gets the error %s: %s", a.ClientID, a.Refused.Error, a.Refused.Description)
		return
	case a.Error != nil:
		say("the client %s gets the error %s: %s (%s)", a.ClientID, a.Error.Error, a.Error.Description, a.Check)
	default:
		say("%s %s", a.Step, a.Check)
	}
	say("\nchecks")
	for _, v := range a.Checks {
		say("  %-12s %s", strings.ReplaceAll(v.Result, "_", " "), v.Check)
	}
	if len(a.Authentications) > 0 {
		say("\nauthentications of the session")
	}
	for _, at := range a.Authentications {
		lacks := "meets the request"
		if at.Lacks != "" {
			lacks = "lacks " + at.Lacks
		}
		say("  %s  %s old, %s, passkey %s: %s", at.ID, duration.Short(time.Duration(at.Age)*time.Second),
			strings.Join(at.ACR, " "), at.PasskeyID, lacks)
	}
	if len(a.NotAllowedYet) > 0 {
		say("\nnot allowed yet: %s", strings.Join(a.NotAllowedYet, ", "))
	}
	if a.Claims != nil {
		say("\nclaims: acr=%s amr=%q auth_time=%d", a.Claims.ACR, a.Claims.AMR, a.Claims.AuthTime)
	}
}
