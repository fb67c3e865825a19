package login

import (
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// cancel leaves any screen without an answer: it sends the error to the application, or for a page of our own shows a
// page that requires nothing.
func (l *Login) cancel(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	if v.interaction.Local == nil {
		return l.end(w, r, v.interaction, idp.Outcome{Error: errAccessDenied, Description: "the user cancelled"})
	}
	if err := l.interactions.Delete(r.Context(), v.interaction.ID); err != nil {
		return err
	}
	if v.session != nil {
		home := "/account"
		if strings.HasPrefix(v.interaction.Local.ReturnTo, "/admin") {
			home = "/admin"
		}
		http.Redirect(w, r, home, http.StatusSeeOther)
		return nil
	}
	return l.cfg.Shell.Render(w, r, l.pages, "cancelled", web.Page{Name: "login"})
}
