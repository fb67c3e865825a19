package login

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// defaultWindow is the window of our own action classes that the policy does not define.
const defaultWindow = 5 * time.Minute

// Require reports whether this browser's session may see a page of our own: with a class, after a step-up for it within
// its window; without, any live session. If not, the response is written: a page is redirected through a local
// interaction and back to returnTo (303), a script gets 403 {"error":"step_up_required","location":…}. The reason
// is the key of the two sentences "Sign in to …" (reason.signin) and "Confirm it's you to …" (reason.stepup).
func (l *Login) Require(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool) {
	need := idp.Requirement{}
	if class != "" {
		c, known := l.cfg.Policy.ActionClasses[class]
		if !known {
			c = idp.ActionClass{Name: class, Window: defaultWindow}
		}
		need.ActionClasses = []idp.ActionClass{c}
	}
	sess, err := l.cfg.Sessions.Current(r.Context(), r)
	if err == nil {
		if _, open := l.cfg.Policy.Choose(sess, "", need, false, time.Now()); open == "" {
			return sess, true
		}
	}
	if err == nil || errors.Is(err, idp.ErrNotFound) {
		err = l.ask(w, r, need, reason, returnTo)
	} else {
		err = fmt.Errorf("load session: %w", err)
	}
	if err != nil {
		l.cfg.Shell.Fail(w, r, err)
	}
	return nil, false
}

// ask begins a local interaction and redirects to it.
func (l *Login) ask(w http.ResponseWriter, r *http.Request, need idp.Requirement, reason, returnTo string) error {
	if !localPath(returnTo) {
		return fmt.Errorf("return to %q: not a local page", returnTo)
	}
	i := idp.NewInteraction(idp.Request{}, need, time.Now())
	i.Local, i.Policy = &idp.Local{ReturnTo: returnTo, Reason: reason}, l.cfg.Policy.Version
	// Even for a POST: it passed the cross-origin check, so the cookie really does not exist.
	location, err := l.create(r.Context(), r, l.cfg.Sessions.EnsureBrowser(w, r), i)
	if err != nil {
		return err
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && t == "application/json" {
		return &web.Problem{
			Status: http.StatusForbidden, Code: "step_up_required", Words: "login.confirm", NextURL: location,
			Fields: map[string]string{"location": location},
		}
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
	return nil
}
