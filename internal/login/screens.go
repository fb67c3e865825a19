package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/web"
)

// pageCeremonyAge is how old the interaction's own sign-in may be for a page to offer it still. An older page begins anew.
const pageCeremonyAge = passkey.CeremonyTTL / 2

// screen is what every page of an interaction knows.
type screen struct {
	I     string // the interaction
	App   string // who asks; empty: a page of our own
	Local *idp.Local
}

func screenOf(v visit, f Facts) screen {
	return screen{I: v.interaction.ID, App: f.Client.Name, Local: v.interaction.Local}
}

// page is the frame of a screen. A form on it may end at the client: that is where cancel and consent lead.
func (l *Login) page(v visit, f Facts, name, title string, data any) web.Page {
	p := web.Page{Name: name, Title: title, Data: data}
	if v.interaction.Local == nil {
		p.Client, p.FormAction = chip(f.Client, v.interaction.Request.RedirectURI), v.interaction.Request.RedirectURI
	}
	return p
}

// chip shows who asks: by name, and by the host that the answer goes to, which is what was verified.
func chip(c idp.Client, redirectURI string) *web.ClientChip {
	chip := &web.ClientChip{Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI, Host: "an app on this device"}
	if chip.Name == "" {
		chip.Name = c.ID
	}
	if u, err := url.Parse(redirectURI); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		chip.Host = u.Host
	}
	return chip
}

// person loads who is signed in, for a page that shows it. If the account is gone or closed the session ends, and
// GET /login starts over; then it has answered.
func (l *Login) person(w http.ResponseWriter, r *http.Request, v visit) (*web.Chip, error) {
	u, err := l.DB.UserByID(r.Context(), v.session.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return nil, fmt.Errorf("load user: %w", err)
	}
	if err != nil || u.Disabled() {
		if err := l.Sessions.End(r.Context(), w, r); err != nil {
			return nil, err
		}
		http.Redirect(w, r, address(v.interaction.ID), http.StatusSeeOther)
		return nil, nil
	}
	chip := &web.Chip{Name: u.Name, Email: u.Email}
	if v.interaction.Request.HintedUser == "" { // else nobody but this one will do
		chip.SwitchURL, chip.Interaction = "/login/switch", v.interaction.ID
	}
	return chip, nil
}

// A signIn is the data of signin.html.
type signIn struct {
	screen
	Ceremony, Options string // empty: the page begins its own
	Email             string // login_hint
	SignUpURL         string // empty: not offered
}

// showSignIn costs no read: challenge and hint live in the interaction.
func (l *Login) showSignIn(w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	i := v.interaction
	d := signIn{screen: screenOf(v, f)}
	if i.Ceremony != "" && f.Now.Sub(i.CreatedAt) < pageCeremonyAge {
		d.Ceremony, d.Options = i.Ceremony, string(l.Ceremonies.SignInOptions(i.Challenge))
	}
	if email, ok := idp.NormalizeEmail(i.Request.LoginHint); ok {
		d.Email = email
	}
	if l.SignUp && i.Request.HintedUser == "" {
		d.SignUpURL = "/signup?i=" + url.QueryEscape(i.ID)
	}
	return l.Shell.Render(w, r, l.pages, "signin", l.page(v, f, "login", "Sign in", d))
}

// A stepUp is the data of stepup.html.
type stepUp struct {
	screen
	Ceremony, Options string
	Why               string        // one sentence
	Last              string        // "12 minutes"; empty: not worth saying
	Window            time.Duration // of the action class; zero: none
	Left              float64       // the window as a part of an hour
}

func (l *Login) showStepUp(w http.ResponseWriter, r *http.Request, v visit, f Facts, step Step) error {
	user, err := l.person(w, r, v)
	if user == nil {
		return err
	}
	cer, options, err := l.newStepUp(r.Context(), v, step)
	if err != nil {
		return err
	}
	d := stepUp{screen: screenOf(v, f), Ceremony: cer.ID, Options: string(options), Why: why(f, step)}
	if last, ok := v.session.Latest(); ok {
		d.Last = inWords(f.Now.Sub(last.At))
	}
	for _, class := range v.interaction.Requirement.ActionClasses {
		if d.Window == 0 || class.Window < d.Window {
			d.Window = class.Window
		}
	}
	d.Left = d.Window.Hours()
	p := l.page(v, f, "stepup", "Confirm it’s you", d)
	p.User = user
	return l.Shell.Render(w, r, l.pages, "stepup", p)
}

// why says in one sentence what the ceremony is for.
func why(f Facts, step Step) string {
	if local := f.Interaction.Local; local != nil {
		return "Confirm it’s you to " + local.Reason + "."
	}
	asks := f.Client.Name + " asks you to confirm it’s you"
	for _, class := range f.Interaction.Requirement.ActionClasses {
		if class.Description != "" {
			return asks + " before you " + class.Description + "."
		}
	}
	switch idp.Check(step.Check) {
	case idp.CheckLive, idp.CheckMaxAge:
		return asks + ", because your last sign-in was a while ago."
	case idp.CheckMinimumACR, idp.CheckACR:
		return asks + " with a passkey that offers more protection."
	}
	return asks + " again."
}

// inWords rounds down, so that nothing is said to be older than it is; under a minute is not worth saying.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.size); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return ""
}

// WindowInWords is for the page.
func (s stepUp) WindowInWords() string {
	if s.Window < time.Minute {
		return fmt.Sprintf("%d seconds", int(s.Window/time.Second))
	}
	return inWords(s.Window)
}

// again sends the browser back to the dispatcher.
func again(w http.ResponseWriter, r *http.Request, id string) error {
	http.Redirect(w, r, address(id), http.StatusSeeOther)
	return nil
}

// posted reads the form of a screen and visits its interaction.
func (l *Login) posted(w http.ResponseWriter, r *http.Request) (visit, error) {
	if err := web.ReadForm(r); err != nil {
		return visit{}, err
	}
	return l.visit(w, r, r.PostFormValue("i"))
}

// answer saves what the person who is signed in said.
func (l *Login) answer(ctx context.Context, v visit, change func(*idp.Interaction)) error {
	return l.save(ctx, v, func(i *idp.Interaction) {
		if i.AnsweredBy != v.session.UserID { // what somebody else said does not count for this one
			i.Consented, i.Selected = false, false
		}
		i.AnsweredBy = v.session.UserID
		change(i)
	})
}
