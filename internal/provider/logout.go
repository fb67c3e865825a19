package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/web"
)

// logoutTTL is how long a person may think about signing out.
const logoutTTL = 10 * time.Minute

// A logout is a validated request to sign out (OpenID Connect RP-Initiated Logout 1.0). It waits in the ephemeral store
// while the person is asked, and because a cross-site POST arrives without our cookies: only the page it is sent to
// knows whose browser this is.
type logout struct {
	ClientID    string `json:"client,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"` // registered for the client
	State       string `json:"state,omitempty"`
	// SessionID is the session that a verified id_token_hint was issued in; it proves that the request comes from a client
	// of that session.
	SessionID string `json:"sid,omitempty"`
	// Frames are the addresses that the page of a finished logout shows, so that their clients end their sessions too.
	Frames []string `json:"frames,omitempty"`
}

var logoutParams = []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}

// endSession is the end_session endpoint, by GET and POST.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm
	}
	l, err := p.readLogout(r, form)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		sess, err := p.session(r)
		if err != nil {
			return err
		}
		if l.settled(sess) {
			return p.finishLogout(w, r, l, sess)
		}
	}
	id := idp.NewSecret()
	if err := p.logouts.Put(r.Context(), id.Hash(), l); err != nil {
		return fmt.Errorf("put logout: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, pathLogout+"?l="+id.Reveal(), http.StatusSeeOther)
	return nil
}

// readLogout validates the request. A hint that is not ours counts as none, so the person is asked and stays here; a
// redirect URI that is not registered is an error that a person sees, never a redirect (op-requirements 34).
func (p *Provider) readLogout(r *http.Request, form url.Values) (logout, error) {
	problem := func(text string, err error) error {
		return &web.Problem{
			Status: http.StatusBadRequest, Code: "invalid_request", Title: "This sign-out link doesn't work", Text: text,
			Next: "Sign out here", NextURL: pathLogout, Err: err,
		}
	}
	for _, name := range logoutParams {
		if len(form[name]) > 1 {
			return logout{}, problem("The application sent a parameter twice.", errors.New(name+" repeated"))
		}
	}
	l, sid := logout{ClientID: form.Get("client_id")}, ""
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := p.verifyHint(r.Context(), hint)
		switch {
		case errors.Is(err, keys.ErrToken):
			return logout{}, nil // who sent it is anybody's guess: ask, and lead nowhere
		case err != nil:
			return logout{}, err
		case l.ClientID != "" && l.ClientID != c.Audience: // RP-Initiated Logout §2
			return logout{}, problem("The application contradicts itself about who it is.", errors.New("client_id is not the hint's audience"))
		}
		l.ClientID, sid = c.Audience, c.Session
	}
	if l.ClientID == "" {
		return l, nil
	}
	client, err := p.DB.Client(r.Context(), l.ClientID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return logout{}, fmt.Errorf("load client: %w", err)
	}
	l.ClientID = client.ID // empty if there is none
	l.SessionID, _ = p.names.Session(client, sid)
	uri := form.Get("post_logout_redirect_uri")
	switch {
	case uri == "":
		return l, nil
	case !slices.Contains(client.PostLogoutRedirectURIs, uri):
		return logout{}, problem("The application asked us to send you to an address that is not registered for it.", errors.New("post_logout_redirect_uri not registered"))
	case client.Dynamic && form.Get("id_token_hint") == "": // RP-Initiated Logout §3: nobody has confirmed where that leads
		return l, nil
	case len(form.Get("state")) > maxState:
		return logout{}, problem("The application sent more than we can carry.", errors.New("state too long"))
	}
	l.RedirectURI, l.State = uri, form.Get("state")
	return l, nil
}

// settled reports whether there is nothing to ask: nobody is signed in, or a client of this very session says so. An
// unverified request must not sign people out unasked: any page could send it.
func (l logout) settled(sess *idp.Session) bool {
	return sess == nil || l.SessionID != "" && l.SessionID == sess.ID
}

// session is this browser's, or nil.
func (p *Provider) session(r *http.Request) (*idp.Session, error) {
	sess, err := p.Sessions.Current(r.Context(), r)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("current session: %w", err)
	}
	return sess, nil
}

// showLogout asks, or ends what needs no question.
func (p *Provider) showLogout(w http.ResponseWriter, r *http.Request) error {
	id := idp.Secret(r.FormValue("l"))
	l, err := p.logouts.Get(r.Context(), id.Hash())
	if errors.Is(err, idp.ErrNotFound) { // expired, or our own pages sent the person: then there is nowhere to return to
		l, err = logout{}, nil
	}
	if err != nil {
		return fmt.Errorf("get logout: %w", err)
	}
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if l.settled(sess) {
		return p.finishLogout(w, r, l, sess)
	}
	user, err := p.DB.UserByID(r.Context(), sess.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load user: %w", err)
	}
	page := web.Page{Name: "logout-confirm", Title: "Sign out", Data: struct{ ID string }{id.Reveal()}, FormAction: l.RedirectURI}
	if err == nil {
		page.User = &web.Chip{Name: user.Name, Email: user.Email}
	}
	if l.ClientID != "" {
		if c, err := p.DB.Client(r.Context(), l.ClientID); err == nil {
			page.Client = &web.ClientChip{Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI}
		}
	}
	return p.Shell.Render(w, r, p.pages, "logout", page)
}

// confirmLogout ends the session. It stands behind the browser chain, which refuses forms of other origins.
func (p *Provider) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	l, err := p.logouts.Take(r.Context(), idp.Secret(r.PostFormValue("l")).Hash())
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("take logout: %w", err)
	}
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	return p.finishLogout(w, r, l, sess)
}

// finishLogout ends the session and what lives by it, and sends the person back or to the page that says so.
func (p *Provider) finishLogout(w http.ResponseWriter, r *http.Request, l logout, sess *idp.Session) error {
	target := l.target()
	if sess != nil {
		ctx := context.WithoutCancel(r.Context()) // half a sign-out would be none
		ev := web.Event(r, idp.EventSignedOut, sess.UserID)
		ev.SessionID, ev.ClientID = sess.ID, l.ClientID
		// What hangs from it first: should the second step fail, the person is still signed in, sees so, and tries again.
		clients, err := p.DB.EndSession(ctx, sess.ID, time.Now(), ev)
		if err != nil {
			return fmt.Errorf("end what hangs from the session: %w", err)
		}
		if err := p.Sessions.End(ctx, w, r); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		if l.Frames = p.logoutFrames(ctx, clients, sess.ID); len(l.Frames) > 0 {
			id := idp.NewSecret()
			if err := p.logouts.Put(ctx, id.Hash(), l); err != nil {
				web.Note(ctx, slog.Any("frontchannel_error", err)) // the person is signed out, and that is what counts
			} else {
				target = pathLoggedOut + "?l=" + id.Reveal()
			}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// target is where the person goes in the end.
func (l logout) target() string {
	if l.RedirectURI == "" {
		return pathLoggedOut
	}
	params := url.Values{}
	if l.State != "" {
		params.Set("state", l.State)
	}
	return withParams(l.RedirectURI, params)
}
