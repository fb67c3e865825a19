// Package logout ends sessions and notifies applications.
//
//	application ──▶ /oauth2/end_session ──▶ /logout asks ──▶ session and families end ──▶ back, or /logged-out
//	                                                               │
//	application ◀── logout token ◀── Deliver ◀── outbox ◀── anything that ends a session, in its transaction
package logout

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// logoutTTL is how long the user may take to confirm.
const logoutTTL = 10 * time.Minute

//go:embed pages
var files embed.FS

// Config configures a Service.
type Config struct {
	Issuer    string
	DB        *store.DB
	Ephemeral ephemeral.Store
	Shell     *web.Shell
	Sessions  *session.Sessions
	Keys      *keys.Ring // sign logout tokens
	Names     *subject.Names
	Tokens    *token.Service
	Outbound  *outbound.Client // notifies clients
	Logger    *slog.Logger     // logs deliveries
}

// Service ends sessions and notifies clients. It is safe for concurrent use.
type Service struct {
	cfg     Config
	logouts ephemeral.Bucket[logout]
	pages   *web.Pages
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	return &Service{cfg: cfg, logouts: ephemeral.NewBucket[logout](cfg.Ephemeral, "logout", logoutTTL), pages: pages}, nil
}

// Mount adds the endpoint for applications and the pages.
func (s *Service) Mount(protocol, browser *http.ServeMux) {
	s.cfg.Shell.Handle(protocol, "GET "+oauth.PathEndSession, s.endSession)
	s.cfg.Shell.Handle(protocol, "POST "+oauth.PathEndSession, s.endSession)
	protocol.HandleFunc("GET "+oauth.PathLoggedOutJS, s.loggedOutScript)
	s.cfg.Shell.Handle(browser, "GET "+oauth.PathLogout, s.showLogout)
	s.cfg.Shell.Handle(browser, "POST "+oauth.PathLogout, s.confirmLogout)
	s.cfg.Shell.Handle(browser, "GET "+oauth.PathLoggedOut, s.showLoggedOut)
}

// A logout is a validated request to sign out (OpenID Connect RP-Initiated Logout 1.0). It is kept in the ephemeral
// store while the user is asked. It is needed also because a cross-site POST arrives without our cookies: the browser's
// session is known only on the page that follows.
type logout struct {
	ClientID    string `json:"client,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"` // registered for the client
	State       string `json:"state,omitempty"`
	// SessionID is the session of a verified id_token_hint. It proves that the request comes from a client of that
	// session.
	SessionID string `json:"sid,omitempty"`
	// UILocales are the languages that the client asks for.
	UILocales []string `json:"ui_locales,omitempty"`
	// Frames are URLs that the page shown after the logout loads, so that clients end their sessions too.
	Frames []string `json:"frames,omitempty"`
}

var Params = []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}

// endSession is the end_session endpoint, for GET and POST.
func (s *Service) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm
	}
	locales := oauth.Words(form.Get("ui_locales"))
	web.AskLanguages(r.Context(), locales)
	l, err := s.readLogout(r, form)
	if err != nil {
		return err
	}
	l.UILocales = locales
	if r.Method == http.MethodGet {
		sess, err := s.session(r)
		if err != nil {
			return err
		}
		if l.needsNoQuestion(sess) {
			return s.finishLogout(w, r, l, sess)
		}
	}
	id := idp.NewSecret()
	if err := s.logouts.Put(r.Context(), id.Hash(), l); err != nil {
		return fmt.Errorf("put logout: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, oauth.PathLogout+"?l="+id.Reveal(), http.StatusSeeOther)
	return nil
}

// readLogout validates the request. A hint that is not ours is ignored, so the user is asked and stays here. An
// unregistered redirect URI is an error page, never a redirect (op-requirements 34).
func (s *Service) readLogout(r *http.Request, form url.Values) (logout, error) {
	problem := func(what string, err error) error {
		return &web.Problem{
			Status: http.StatusBadRequest, Code: "invalid_request", Words: "logout.link", Args: []any{"what", words.T(what)},
			NextURL: oauth.PathLogout, Err: err,
		}
	}
	for _, name := range Params {
		if len(form[name]) > 1 {
			return logout{}, problem("app.twice", errors.New(name+" repeated"))
		}
	}
	l, sid := logout{ClientID: form.Get("client_id")}, ""
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := s.cfg.Tokens.VerifyHint(r.Context(), hint)
		switch {
		case errors.Is(err, keys.ErrToken):
			return logout{}, nil // the client is unknown: ask, and do not redirect
		case err != nil:
			return logout{}, err
		case l.ClientID != "" && l.ClientID != c.Audience: // RP-Initiated Logout §2
			return logout{}, problem(
				"app.twoids", errors.New("client_id differs from the hint's audience"),
			)
		}
		l.ClientID, sid = c.Audience, c.Session
	}
	if l.ClientID == "" {
		return l, nil
	}
	client, err := s.cfg.DB.Client(r.Context(), l.ClientID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return logout{}, fmt.Errorf("load client: %w", err)
	}
	l.ClientID = client.ID // empty without a client
	l.SessionID, _ = s.cfg.Names.Session(client, sid)
	uri := form.Get("post_logout_redirect_uri")
	switch {
	case uri == "":
		return l, nil
	case !slices.Contains(client.PostLogoutRedirectURIs, uri):
		web.Note(r.Context(), slog.String("client", client.ID), oauth.SentURI("post_logout_redirect_uri_sent", uri))
		return logout{}, problem(
			"app.elsewhere",
			errors.New("post_logout_redirect_uri not registered"),
		)
	case client.Dynamic && form.Get("id_token_hint") == "": // RP-Initiated Logout §3: nobody has vetted the redirect URI
		return l, nil
	case len(form.Get("state")) > oauth.MaxState:
		return logout{}, problem("app.much", errors.New("state too long"))
	}
	l.RedirectURI, l.State = uri, form.Get("state")
	return l, nil
}

// needsNoQuestion reports whether the user need not be asked: nobody is signed in, or a client of this session sent the
// request. An unverified request must not sign people out without a question, because any page could send it.
func (l logout) needsNoQuestion(sess *idp.Session) bool {
	return sess == nil || l.SessionID != "" && l.SessionID == sess.ID
}

// session returns this browser's session, or nil.
func (s *Service) session(r *http.Request) (*idp.Session, error) {
	sess, err := s.cfg.Sessions.Current(r.Context(), r)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("current session: %w", err)
	}
	return sess, nil
}

// showLogout asks the user, or ends the session if no question is needed.
func (s *Service) showLogout(w http.ResponseWriter, r *http.Request) error {
	id := idp.Secret(r.FormValue("l"))
	l, err := s.logouts.Get(r.Context(), id.Hash())
	if errors.Is(err, idp.ErrNotFound) { // expired, or the user came from our own pages: there is no redirect URI
		l, err = logout{}, nil
	}
	if err != nil {
		return fmt.Errorf("get logout: %w", err)
	}
	web.AskLanguages(r.Context(), l.UILocales)
	sess, err := s.session(r)
	if err != nil {
		return err
	}
	if l.needsNoQuestion(sess) {
		return s.finishLogout(w, r, l, sess)
	}
	user, err := s.cfg.DB.UserByID(r.Context(), sess.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load user: %w", err)
	}
	page := web.Page{
		Name: "logout-confirm", Data: struct{ ID string }{id.Reveal()}, FormAction: l.RedirectURI,
	}
	if err == nil {
		web.SavedLanguage(r.Context(), user.Profile.Locale)
		page.User = &web.Chip{Name: user.Name, Email: user.Email}
	}
	if l.ClientID != "" {
		if c, err := s.cfg.DB.Client(r.Context(), l.ClientID); err == nil {
			page.Client = &web.ClientChip{Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI}
		}
	}
	return s.cfg.Shell.Render(w, r, s.pages, "logout", page)
}

// confirmLogout ends the session. The browser chain has rejected forms of other origins.
func (s *Service) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	l, err := s.logouts.Take(r.Context(), idp.Secret(r.PostFormValue("l")).Hash())
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("take logout: %w", err)
	}
	sess, err := s.session(r)
	if err != nil {
		return err
	}
	return s.finishLogout(w, r, l, sess)
}

// finishLogout ends the session and everything that depends on it. Then it redirects to the client or to the page that
// confirms it.
func (s *Service) finishLogout(w http.ResponseWriter, r *http.Request, l logout, sess *idp.Session) error {
	target := l.target()
	if sess != nil {
		ctx := context.WithoutCancel(r.Context()) // finish even if the browser leaves
		ev := web.Event(r, idp.EventSignedOut, sess.UserID)
		ev.SessionID, ev.ClientID = sess.ID, l.ClientID
		// End the dependent grants first: if the second step fails, the user is still signed in, sees it, and tries again.
		clients, err := s.cfg.DB.EndSession(ctx, sess.UserID, sess.ID, time.Now(), ev)
		if err != nil {
			return fmt.Errorf("end grants of the session: %w", err)
		}
		if err := s.cfg.Sessions.End(ctx, w, r); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		if l.Frames = s.logoutFrames(ctx, clients, sess.ID); len(l.Frames) > 0 {
			id := idp.NewSecret()
			if err := s.logouts.Put(ctx, id.Hash(), l); err != nil {
				web.Note(ctx, slog.Any("frontchannel_error", err)) // the user is signed out, which matters most
			} else {
				target = oauth.PathLoggedOut + "?l=" + id.Reveal()
			}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// target returns where the user goes in the end.
func (l logout) target() string {
	params := url.Values{}
	if l.RedirectURI == "" {
		if len(l.UILocales) > 0 { // nothing else is left to say the language
			params.Set("ui_locales", strings.Join(l.UILocales, " "))
		}
		return oauth.WithParams(oauth.PathLoggedOut, params)
	}
	if l.State != "" {
		params.Set("state", l.State)
	}
	return oauth.WithParams(l.RedirectURI, params)
}
