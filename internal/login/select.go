package login

import (
	"net/http"

	"github.com/stepward/stepward/internal/idp"
)

// A selection is the data of select.html. A browser is signed in to one account at a time, so the choice is between
// that account and another one.
type selection struct {
	screen
	UserID, Name, Email string
}

func (l *Login) showSelect(w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	user, err := l.loadPerson(w, r, v)
	if user == nil {
		return err
	}
	d := selection{screen: screenOf(v, f), UserID: v.session.UserID, Name: user.Name, Email: user.Email}
	return l.cfg.Shell.Render(w, r, l.pages, "select", newPage(v, f, "login", d))
}

// selectAccount saves that the person wants to continue with the signed-in account.
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

// switchAccount saves that the current session must not be used here, and that no new account is wanted. The session
// lasts until somebody signs in, so a change of mind costs nothing.
func (l *Login) switchAccount(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	err = l.save(r.Context(), v, func(i *idp.Interaction) {
		i.Switched = true
		forgetCeremony(i) // a sign-in as somebody else may have used it
		if v.session != nil {
			i.SwitchedFrom = v.session.ID
		}
	})
	if err != nil {
		return err
	}
	return again(w, r, v.interaction.ID)
}
