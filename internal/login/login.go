package login

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// Config configures a Login. Everything but the last five funcs is required.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	Ceremonies *passkey.Ceremonies
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Policy     idp.Policy
	Room       *limit.Room // for requests of strangers
	SignUp     bool        // whether people may create accounts
	// Respond ends an interaction of a client: it issues the code or sends the OAuth error. It takes the interaction from
	// the store in the same round trip, so that it is answered once; a second caller gets an error page.
	Respond func(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error
	// Answer is Respond for a script, which goes to an address by itself. It returns the ops that end the interaction, for
	// the caller's next round trip, and then location, which says after it where the browser goes, or "" if another caller
	// was faster. Both are nil if the response is more than a redirect: then only Respond can send it.
	Answer func(r *http.Request, i idp.Interaction, o idp.Outcome) (
		ops []*ephemeral.Op, location func() (string, error), err error)
	// Notify tells a user about an event: kind is an idp.EventKind, data the details for the e-mail. It must return
	// quickly. Nil disables it.
	Notify func(ctx context.Context, u idp.User, kind string, data map[string]string)
	// SignedIn is called after a sign-in with a passkey, Allowed after a user allowed a client something for the first
	// time, and Used before each answer to a first-party client that the user was not asked about. Nil: nobody is told.
	SignedIn func(w http.ResponseWriter, r *http.Request, u idp.User, k idp.Passkey)
	Allowed  func(r *http.Request, userID, client string)
	Used     func(r *http.Request, userID string, c idp.Client)
	// Leaving returns the page for a user who proved that a disabled account is theirs, because they asked that it be
	// deleted and may change their mind (deletion.Service.Offer); "" if there is none. Nil: there never is.
	Leaving func(w http.ResponseWriter, r *http.Request, u idp.User, passkeyID, interaction string) (string, error)
}

// Login serves the screens of interactions.
type Login struct {
	decider
	cfg          Config
	pages        *web.Pages
	signInPage   *web.Stencil[signInKey]
	interactions ephemeral.Bucket[idp.Interaction]
}

// New parses the pages.
func New(c Config) (*Login, error) {
	pages, err := c.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("login pages: %w", err)
	}
	l := &Login{
		cfg: c, pages: pages, signInPage: newSignInPage(c.Shell, pages),
		interactions: ephemeral.NewCompactBucket(c.Ephemeral, idp.InteractionBucket, idp.InteractionTTL, fields),
	}
	l.decider = decider{&l.cfg}
	return l, nil
}

// Mount adds the screens to the browser mux, behind the cross-origin check.
func (l *Login) Mount(mux *http.ServeMux) {
	l.cfg.Shell.Handle(mux, "GET /login", l.show)
	l.cfg.Shell.Handle(mux, "POST /login/passkey/begin", l.begin)
	l.cfg.Shell.Handle(mux, "POST /login/passkey/finish", l.finish)
	l.cfg.Shell.Handle(mux, "POST /login/consent", l.consent)
	l.cfg.Shell.Handle(mux, "POST /login/select", l.selectAccount)
	l.cfg.Shell.Handle(mux, "POST /login/switch", l.switchAccount)
	l.cfg.Shell.Handle(mux, "POST /login/cancel", l.cancel)
}

// Begin stores a new interaction in one round trip, together with the sign-in that its first page will probably offer.
// It binds the interaction to the browser and returns the path of its first page. A request that needs no page is
// answered at once without storing anything: then the path is empty and the response is written.
func (l *Login) Begin(
	ctx context.Context, w http.ResponseWriter, r *http.Request, req idp.Request, need idp.Requirement,
) (string, error) {
	// A POST from another site lacks the cookie because of SameSite=Lax, so the browser may still have one. A new cookie
	// would cut off its other tabs, so GET /login binds the interaction instead.
	i := idp.NewInteraction(req, need, time.Now())
	i.Policy = l.cfg.Policy.Version
	if r.Method == http.MethodGet && (silent(i) || mayFinish(l.cfg.Sessions, r, i)) {
		if answered, err := l.answerAtOnce(ctx, w, r, i); answered || err != nil {
			return "", err
		}
	}
	browser := l.cfg.Sessions.Browser(r)
	if browser == "" && r.Method == http.MethodGet {
		browser = l.cfg.Sessions.EnsureBrowser(w, r)
	}
	return l.create(ctx, r, browser, i)
}

// mayFinish reports whether a session could be all that a request needs, so that looking it up is worth a round trip.
func mayFinish(sessions *session.Sessions, r *http.Request, i idp.Interaction) bool {
	need := i.Requirement
	return len(i.Request.Prompt) == 0 && len(i.Request.Details) == 0 && !need.Fresh && len(need.ActionClasses) == 0 &&
		sessions.CurrentOp(r) != nil
}

// answerAtOnce answers a request that needs no page, and reports whether it did. A silent request is always answered
// (prompt=none).
func (l *Login) answerAtOnce(
	ctx context.Context, w http.ResponseWriter, r *http.Request, i idp.Interaction,
) (answered bool, err error) {
	v := visit{interaction: i}
	sess, err := l.cfg.Sessions.Current(ctx, r)
	switch {
	case err == nil:
		v.session = sess
	case !errors.Is(err, idp.ErrNotFound):
		return false, fmt.Errorf("load session: %w", err)
	case !silent(i):
		return false, nil
	}
	f, err := l.facts(ctx, v)
	if err != nil {
		return false, err
	}
	step := Decide(f)
	if silent(i) || step.For == Consent || step.For == Deny { // otherwise a look-up is for the page, which makes it
		if f, step, err = l.lookUp(ctx, f); err != nil {
			return false, err
		}
	}
	i.ID = "" // nothing is stored under it
	switch {
	case step.Kind == Finish:
		noteStep(ctx, f, step)
		return true, l.end(w, r, i, l.finished(r, v, f, step))
	case step.Kind == Refuse:
		noteStep(ctx, f, step)
		return true, l.end(w, r, i, idp.Outcome{Error: step.Error, Description: step.Description})
	case silent(i): // Decide's table test ensures that no page is needed
		return false, fmt.Errorf("a silent request needs %s", step.Kind)
	}
	return false, nil
}

// finished returns the outcome of a visit that has everything it needs.
func (d decider) finished(r *http.Request, v visit, f Facts, step Step) idp.Outcome {
	i := v.interaction
	if d.cfg.Used != nil && f.Client.FirstParty && !i.Consented && i.Request.Try == "" {
		d.cfg.Used(r, v.session.UserID, f.Client)
	}
	agreed := !f.Client.FirstParty || i.Consented && i.AnsweredBy == v.session.UserID
	return idp.Outcome{
		UserID: v.session.UserID, SessionID: v.session.ID, Assurance: step.Assurance, Scopes: i.Request.Scopes,
		Granted: agreed && len(f.Policy.GrantEntries(i.Request)) > 0, // an empty grant does not count
	}
}

func (l *Login) create(ctx context.Context, r *http.Request, browser idp.Secret, i idp.Interaction) (string, error) {
	var ops []*ephemeral.Op
	if browser != "" && !silent(i) {
		i.Browser = browser.Hash()
		cer, op, err := l.cfg.Ceremonies.NewSignIn(i.ID, i.Browser)
		if err != nil {
			return "", fmt.Errorf("begin sign-in: %w", err)
		}
		i.Ceremony, i.Challenge = cer.ID, cer.Challenge
		ops = append(ops, op)
	}
	op, err := l.interactions.PutOp(i.ID, i, 0)
	if err != nil {
		return "", err
	}
	room := l.cfg.Room
	if room.Short() {
		switch _, err := l.cfg.Sessions.Current(ctx, r); {
		case err == nil:
			room = nil
		case !errors.Is(err, idp.ErrNotFound):
			return "", fmt.Errorf("load session: %w", err)
		}
	}
	count := limit.WaitingOf(room, web.ClientNetwork(r), len(op.Value))
	if kept, err := count.Keep(ctx, l.cfg.Ephemeral, append(ops, op)...); err != nil {
		return "", fmt.Errorf("store interaction: %w", err)
	} else if !kept {
		return "", crowded(count.Limit)
	}
	return address(i.ID), nil
}

// silent reports whether no page will be shown. Then no browser needs to be bound: the code or error goes to the
// client's redirect URI, as for anybody who follows the client's own link. This is how frames without cookies get
// login_required.
func silent(i idp.Interaction) bool { return i.Request.Prompts("none") }

func address(id string) string { return "/login?i=" + url.QueryEscape(id) }

// show is the dispatcher: every screen returns here.
func (l *Login) show(w http.ResponseWriter, r *http.Request) error {
	v, err := l.visit(w, r, r.URL.Query().Get("i"))
	if err != nil {
		return err
	}
	f, step, err := l.decide(r.Context(), v)
	if err != nil {
		return err
	}
	noteStep(r.Context(), f, step)
	switch step.Kind {
	case Finish:
		return l.end(w, r, v.interaction, l.finished(r, v, f, step))
	case Refuse:
		return l.end(w, r, v.interaction, idp.Outcome{Error: step.Error, Description: step.Description})
	case StepUp:
		return l.showStepUp(w, r, v, f, step)
	case Consent:
		return l.showConsent(w, r, v, f, step)
	case SelectAccount:
		return l.showSelect(w, r, v, f)
	case Deny:
		return showDenied(l, w, r, v, f)
	case CreateAccount:
		if err := l.save(r.Context(), v, func(i *idp.Interaction) { i.SignUpOffered = true }); err != nil {
			return err
		}
		http.Redirect(w, r, "/signup?i="+url.QueryEscape(v.interaction.ID), http.StatusSeeOther)
		return nil
	default:
		return l.showSignIn(w, r, v, f)
	}
}

// end answers an interaction once, however many tabs and reloads request it.
func (l *Login) end(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	if i.Local == nil {
		return l.cfg.Respond(w, r, i, o)
	}
	if _, err := l.interactions.Take(r.Context(), i.ID); errors.Is(err, idp.ErrNotFound) {
		return gone(err)
	} else if err != nil {
		return fmt.Errorf("end interaction: %w", err)
	}
	switch {
	case o.Error == errUnmet:
		return &web.Problem{
			Status: http.StatusForbidden, Code: o.Error, Words: "login.unmet", NextURL: "/account/passkeys",
		}
	case o.Error != "":
		return &web.Problem{
			Status: http.StatusForbidden, Code: o.Error, Words: "login.impossible", NextURL: "/account",
		}
	}
	http.Redirect(w, r, i.Local.ReturnTo, http.StatusSeeOther)
	return nil
}

// SignedUp records that the account of this interaction was just created in this browser.
func (l *Login) SignedUp(ctx context.Context, r *http.Request, id string) error {
	v, err := l.visit(nil, r.WithContext(ctx), id)
	if err != nil {
		return err
	}
	return l.save(ctx, v, func(i *idp.Interaction) { i.SignedUp = true })
}

// Asking returns the client of this browser's interaction. It returns nil for a page of our own, an ended interaction,
// or another browser's.
func (l *Login) Asking(r *http.Request, id string) *web.ClientChip {
	v, err := l.visit(nil, r, id)
	if err != nil || v.interaction.Local != nil {
		return nil
	}
	client, err := l.cfg.DB.Client(r.Context(), v.interaction.Request.ClientID)
	if err != nil {
		return nil
	}
	return chip(client, v.interaction.Request)
}

// localPath reports whether every browser resolves s to a page of our own.
func localPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.ContainsAny(s, "\\\r\n\t")
}
