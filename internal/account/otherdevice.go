package account

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/otherdevice"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// otherDevice has the pages on which a signed-in user adds a passkey that another device creates (package otherdevice).
type otherDevice struct {
	*Account
	offers *otherdevice.Service
}

type otherDevicePage struct {
	otherdevice.View
	Passkey shownPasskey
	QR      template.HTML
	Address string // where to type the short code, for people
}

const otherDevicePath = "/account/passkeys/other"

func (a otherDevice) show(w http.ResponseWriter, r *http.Request, v visitor) error {
	view, err := a.offers.View(r, v.Session)
	if err != nil {
		return err
	}
	if view.State == otherdevice.Confirmed {
		return house.SeeOther(w, r, "/account/passkeys?done=added")
	}
	p := otherDevicePage{View: view, Passkey: shownPasskeys([]idp.Passkey{view.Passkey})[0]}
	if view.Link != "" {
		at, err := url.Parse(view.Link)
		if err != nil {
			return err
		}
		p.Address = at.Host + at.Path
		label := a.cfg.Shell.Language(r).Text(words.T("other.qr", "host", p.Address))
		if p.QR, err = otherdevice.QR(view.Link, label); err != nil {
			return err
		}
	}
	return a.renderHouse(w, r, v, "passkey-other", web.Page{Nav: "Passkeys", Data: p})
}

// explain shows the page before a code, to which the step-up returns.
func (a otherDevice) explain(w http.ResponseWriter, r *http.Request, v visitor) error {
	return a.renderHouse(w, r, v, "passkey-other-new", web.Page{Nav: "Passkeys"})
}

func (a otherDevice) start(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.offers.Start(w, r, v.Session); err != nil {
		return err
	}
	return house.SeeOther(w, r, otherDevicePath)
}

// state tells the page when to load itself again.
func (a otherDevice) state(w http.ResponseWriter, r *http.Request, v visitor) error {
	view, err := a.offers.View(r, v.Session)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"state": view.Tag()})
}

func (a otherDevice) confirm(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, err := a.offers.Confirm(r, v.Session, v.User)
	if errors.Is(err, idp.ErrNotFound) { // expired, or another tab was first
		return house.SeeOther(w, r, otherDevicePath)
	} else if err != nil {
		return err
	}
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.User).PasskeyAdded(v.User.Email, a.enrol.NewNotice(r, k)))
	return house.SeeOther(w, r, "/account/passkeys?done=added")
}

func (a otherDevice) refuse(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.offers.Refuse(r, v.Session); err != nil {
		return err
	}
	return house.SeeOther(w, r, otherDevicePath)
}
