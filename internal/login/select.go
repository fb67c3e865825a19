package login

import (
	"net/http"

	"github.com/stepward/stepward/internal/idp"
)

// A selection is the data of select.html: a browser is signed in to one account at a time, so the choice is between it
// and another one.
type selection struct {
	screen
	UserID, Name, Email string
}

func (l *Login) showSelect(w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	user, err := l.person(w, r, v)
	if user == nil {
		return err
	}
	d := selection{screen: screenOf(v, f), UserID: v.session.UserID, Name: user.Name, Email: user.Email}
	return l.Shell.Render(w, r, l.pages, "select", frame(v, f, "login", "Choose an account", d))
}

// selectAccount keeps that the person wants to go on as who is signed in.
func (l *Login) selectAccount(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	if v.session != nil && r.PostFormValue("user") == v.session.UserID {
		if err := l.answer(r.Context(), v, func(i *idp.Interaction) { i.Selected = true }); err != nil {
			return err
		}
	}
	return again(w, r, v.interaction.ID)
}

// switchAccount keeps that the present session is not to be used here, nor a new account made. The session itself goes on
// until somebody signs in: who changes their mind has lost nothing.
func (l *Login) switchAccount(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	err = l.save(r.Context(), v, func(i *idp.Interaction) {
		i.Switched = true
		forgetCeremony(i) // who signs in as somebody else here has used it
		if v.session != nil {
			i.SwitchedFrom = v.session.ID
		}
	})
	if err != nil {
		return err
	}
	return again(w, r, v.interaction.ID)
}
