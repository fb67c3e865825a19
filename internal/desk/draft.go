package desk

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

const (
	resumePath = Path + "/resume/"
	// draftTTL is how long a form waits for its sender's confirmation.
	draftTTL = idp.InteractionTTL
)

// A draft is a form that was sent without a recent confirmation. It passed the cross-origin check, its ID is a secret,
// it is taken once, and only for the person who sent it: sending it on is what they asked for.
type draft struct {
	UserID string     `json:"user"`
	URL    string     `json:"url"` // path and query
	Form   url.Values `json:"form"`
}

// confirmed reports whether the sender of a form confirmed recently. If not, it keeps the form and answers the request:
// the person confirms and comes back to resume.
func (d *Desk) confirmed(w http.ResponseWriter, r *http.Request, reason, back string) (bool, error) {
	sess, err := d.cfg.Sessions.Current(r.Context(), r)
	switch {
	case errors.Is(err, idp.ErrNotFound): // not signed in: nobody to keep it for
		return true, nil
	case err != nil:
		return false, fmt.Errorf("load session: %w", err)
	}
	if at := actorOf(r, sess).ConfirmedAt; time.Since(at) < admin.ConfirmFor {
		return true, nil
	}
	id := idp.NewSecret()
	if err := d.drafts.Put(r.Context(), id.Hash(), draft{sess.UserID, r.URL.RequestURI(), r.PostForm}); err != nil {
		return false, fmt.Errorf("keep form: %w", err)
	}
	_, ok := d.cfg.Require(w, r, ActionClass, reason, resumePath+id.Reveal())
	return ok, nil
}

// resume sends a kept form on after its sender has confirmed.
func (d *Desk) resume(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := d.visit(w, r, ActionClass, "reason.console", r.URL.Path)
	if !ok || err != nil {
		return err
	}
	kept, err := d.drafts.Take(r.Context(), idp.Secret(r.PathValue("id")).Hash())
	if errors.Is(err, idp.ErrNotFound) || err == nil && kept.UserID != v.User.ID {
		return &web.Problem{Status: http.StatusGone, Words: "console.resumed", NextURL: Path}
	} else if err != nil {
		return fmt.Errorf("take form: %w", err)
	}
	to, err := url.ParseRequestURI(kept.URL)
	if err != nil {
		return fmt.Errorf("address of a kept form: %w", err)
	}
	again := r.Clone(r.Context())
	again.Method, again.URL, again.RequestURI = http.MethodPost, to, kept.URL
	again.PostForm, again.Form = kept.Form, kept.Form
	d.changes.ServeHTTP(w, again)
	return nil
}
