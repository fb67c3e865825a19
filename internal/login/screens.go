package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// screen is the common data of all pages of an interaction.
type screen struct {
	I      string // the interaction
	App    string // the application; empty: a page of our own
	Local  *idp.Local
	Reason words.Text // of a page of our own: what the sign-in is for, in a sentence
	// Device: the application runs on another device, so no page can return to it (RFC 8628).
	Device bool
}

func screenOf(v visit, f Facts) screen {
	s := screen{
		I: v.interaction.ID, App: f.Client.Name, Local: v.interaction.Local, Device: v.interaction.Request.Device != "",
	}
	if s.Local != nil {
		s.Reason = reasonFor(s.Local, "signin")
	}
	return s
}

// reasonFor returns the sentence about a page of our own: "Sign in to …" or "Confirm it's you to …". The reason is the
// key of two sentences in the catalogue, or English words that complete both.
func reasonFor(local *idp.Local, screen string) words.Text {
	if key := local.Reason + "." + screen; words.Has(key) {
		return words.T(key)
	}
	if screen == "signin" {
		return words.T("signin.local", "reason", words.T(local.Reason))
	}
	return words.T("stepup.local", "reason", words.T(local.Reason))
}

// newPage returns the page around a screen. Its forms may end at the client, because cancel and consent redirect there.
func newPage(v visit, f Facts, name string, data any) web.Page {
	p := web.Page{Name: name, Data: data}
	if v.interaction.Local == nil {
		p.Client, p.FormAction = chip(f.Client, v.interaction.Request), v.interaction.Request.RedirectURI
	}
	return p
}

// chip shows the client: its name, and the host that gets the response, which was verified.
func chip(c idp.Client, r idp.Request) *web.ClientChip {
	chip := &web.ClientChip{
		Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI,
		Place: words.T("place.here"),
	}
	if chip.Name == "" {
		chip.Name = c.ID
	}
	if r.Device != "" {
		chip.Place = words.T("place.device")
	} else if u, err := url.Parse(r.RedirectURI); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		chip.Host = strings.Trim(strconv.QuoteToASCII(u.Host), `"`) // clients registered before hosts had to be ASCII
	}
	return chip
}

// loadPerson returns the signed-in user for display. If the account is gone or disabled, or was recovered since, it
// ends the session and redirects to GET /login; then the response is written.
func (l *Login) loadPerson(w http.ResponseWriter, r *http.Request, v visit) (*web.Chip, error) {
	u, err := l.cfg.DB.UserByID(r.Context(), v.session.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return nil, fmt.Errorf("load user: %w", err)
	}
	if err != nil || u.Disabled() || v.session.CreatedAt.Before(u.RecoveredAt) {
		if err := l.cfg.Sessions.End(r.Context(), w, r); err != nil {
			return nil, err
		}
		http.Redirect(w, r, address(v.interaction.ID), http.StatusSeeOther)
		return nil, nil
	}
	web.SavedLanguage(r.Context(), u.Profile.Locale)
	chip := &web.Chip{Name: u.Name, Email: u.Email, RecoveryFrom: u.RecoveryReadyAt}
	if v.interaction.Request.HintedUser == "" { // otherwise only this user will do
		chip.SwitchURL, chip.Interaction = "/login/switch", v.interaction.ID
	}
	return chip, nil
}

// again sends the browser back to the dispatcher.
func again(w http.ResponseWriter, r *http.Request, id string) error {
	http.Redirect(w, r, address(id), http.StatusSeeOther)
	return nil
}

// posted parses the form of a screen and loads its interaction.
func (l *Login) posted(w http.ResponseWriter, r *http.Request) (visit, error) {
	if err := web.ReadForm(r); err != nil {
		return visit{}, err
	}
	return l.visit(w, r, r.PostFormValue("i"))
}

// answer saves an answer of the signed-in user.
func (l *Login) answer(ctx context.Context, v visit, change func(*idp.Interaction)) error {
	return l.save(ctx, v, func(i *idp.Interaction) {
		if i.AnsweredBy != v.session.UserID { // another user's answers do not count
			i.Consented, i.Selected = false, false
		}
		i.AnsweredBy = v.session.UserID
		change(i)
	})
}
