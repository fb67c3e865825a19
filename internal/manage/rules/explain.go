package rules

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
)

// Explain is the command that says what an authorization request leads to.
type Explain struct {
	Request string `arg:"" help:"The link that the application sent the person to, its query, or a client ID for the client's usual request."`
	User    string `placeholder:"ADDRESS" help:"Whose session. Default: nobody is signed in."`
	Session string `placeholder:"SID" help:"Which session of the user. Default: the newest, or else a sign-in of now with their newest passkey."`
	Output  string `enum:"text,json" default:"text" help:"text or json."`
}

// Run explains the request.
func (c Explain) Run(e *manage.Env) error {
	return e.Reading(func(cfg *config.Config, db *store.DB) error {
		eph, err := server.OpenEphemeral(e.Context(), cfg, db, manage.Logger(cfg))
		if err != nil {
			return err
		}
		defer eph.Close()
		s, err := server.Explainer(e.Context(), cfg, db, eph, manage.Logger(cfg))
		if err != nil {
			return err
		}
		form, err := c.form(e, db)
		if err != nil {
			return err
		}
		sess, whose, err := c.session(e, db, session.New(session.Config{Store: eph}))
		if err != nil {
			return err
		}
		a, err := s.Explain(e.Context(), form, sess)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return manage.PrintJSON(a)
		}
		fmt.Print(written(a, whose))
		return nil
	})
}

// form returns the request.
func (c Explain) form(e *manage.Env, db *store.DB) (url.Values, error) {
	form, err := explain.ParseLink(c.Request)
	if err == nil {
		return form, nil
	}
	client, look := db.StoredClient(e.Context(), c.Request)
	if errors.Is(look, idp.ErrNotFound) {
		return nil, fmt.Errorf("%q is neither a client ID nor a link: %w", c.Request, err)
	}
	return explain.UsualRequest(client), look
}

// session returns the session to look at, and whose it is in words.
func (c Explain) session(e *manage.Env, db *store.DB, sessions *session.Sessions) (*idp.Session, string, error) {
	if c.User == "" {
		return nil, "nobody is signed in", nil
	}
	u, err := manage.FindUser(e.Context(), db, c.User)
	if err != nil {
		return nil, "", err
	}
	list, err := sessions.List(e.Context(), u.ID)
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	for i, s := range list {
		if c.Session == "" || s.ID == c.Session {
			return &list[i], fmt.Sprintf("%s in the session %s (%s)", u.Email, s.ID, s.Agent), nil
		}
	}
	if c.Session != "" {
		return nil, "", fmt.Errorf("%s has no session %s", u.Email, c.Session)
	}
	keys, err := db.PasskeysOf(e.Context(), u.ID)
	if err != nil {
		return nil, "", fmt.Errorf("load passkeys: %w", err)
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if k := keys[i]; !k.Suspended() {
			return login.Supposed(k, time.Now()), fmt.Sprintf("%s, as if signed in just now with %q", u.Email, k.Name), nil
		}
	}
	return nil, u.Email + " has no passkey, so is not signed in", nil
}

// written returns an answer for people.
func written(a explain.Answer, whose string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s", whose)
	switch {
	case a.Unusable != "":
		say("the person sees an error page, and the application hears nothing: %s", a.Unusable)
		return b.String()
	case a.Refused != nil:
		say("the client %s gets the error %s: %s", a.ClientID, a.Refused.Error, a.Refused.Description)
		return b.String()
	case a.Error != nil:
		say("the client %s gets the error %s: %s (%s)", a.ClientID, a.Error.Error, a.Error.Description, a.Check)
	default:
		say("%s %s", a.Step, a.Check)
	}
	say("\nchecks")
	for _, v := range a.Verdicts {
		say("  %-12s %s", strings.ReplaceAll(v.Result, "_", " "), v.Check)
	}
	if len(a.Authentications) > 0 {
		say("\nauthentications of the session")
	}
	for _, at := range a.Authentications {
		lacks := "meets the request"
		if at.Lacks != "" {
			lacks = "lacks " + string(at.Lacks)
		}
		say("  %s  %s old, %s, passkey %s: %s", at.ID, config.Short(at.Age.Truncate(time.Second)), strings.Join(at.ACRs, " "),
			at.PasskeyID, lacks)
	}
	if len(a.Missing) > 0 {
		say("\nnot allowed yet: %s", strings.Join(a.Missing, ", "))
	}
	if a.Claims != nil {
		say("\nclaims: acr=%s amr=%q auth_time=%d", a.Claims.ACR, a.Claims.AMR, a.Claims.AuthTime)
	}
	return b.String()
}
