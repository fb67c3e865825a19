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
)

// screen is what every page of an interaction knows.
type screen struct {
	I     string // the interaction
	App   string // who asks; empty: a page of our own
	Local *idp.Local
	// Device: the application runs on another device, and nobody goes back to it from here (RFC 8628).
	Device bool
}

func screenOf(v visit, f Facts) screen {
	return screen{I: v.interaction.ID, App: f.Client.Name, Local: v.interaction.Local, Device: v.interaction.Request.Device != ""}
}

// frame is the page around a screen. A form on it may end at the client: that is where cancel and consent lead.
func frame(v visit, f Facts, name, title string, data any) web.Page {
	p := web.Page{Name: name, Title: title, Data: data}
	if v.interaction.Local == nil {
		p.Client, p.FormAction = chip(f.Client, v.interaction.Request), v.interaction.Request.RedirectURI
	}
	return p
}

// chip shows who asks: by name, and by the host that the answer goes to, which is what was verified.
func chip(c idp.Client, r idp.Request) *web.ClientChip {
	chip := &web.ClientChip{Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI, Host: "an app on this device"}
	if chip.Name == "" {
		chip.Name = c.ID
	}
	if r.Device != "" {
		chip.Host = "on another device"
	} else if u, err := url.Parse(r.RedirectURI); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		chip.Host = strings.Trim(strconv.QuoteToASCII(u.Host), `"`) // clients registered before hosts had to be ASCII
	}
	return chip
}

// person loads who is signed in, for a page that shows it. If the account is gone, closed, or was recovered since, the session ends, and
// GET /login starts over; then it has answered.
func (l *Login) person(w http.ResponseWriter, r *http.Request, v visit) (*web.Chip, error) {
	u, err := l.DB.UserByID(r.Context(), v.session.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return nil, fmt.Errorf("load user: %w", err)
	}
	if err != nil || u.Disabled() || v.session.CreatedAt.Before(u.RecoveredAt) {
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
