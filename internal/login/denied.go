package login

import (
	"log/slog"
	"net/http"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A denial is the data of denied.html.
type denial struct {
	screen
	Contact string // whom to ask for access; empty: the people who run the service
}

// showDenied tells a person that they are in none of the client's groups. They may use another account, or return to
// the application, which gets access_denied (cancel.go).
func showDenied(l *Login, w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	user, err := l.loadPerson(w, r, v)
	if user == nil {
		return err
	}
	event := web.Event(r, idp.EventClientRefused, v.session.UserID)
	event.ClientID, event.SessionID = f.Client.ID, v.session.ID
	if v.interaction.Request.Try == "" { // a try has its own event
		if err := l.cfg.DB.RecordEvents(r.Context(), event); err != nil { // the page matters more
			web.Note(r.Context(), slog.Any("record_error", err))
		}
	}
	d := denial{screen: screenOf(v, f)}
	if !f.Client.Dynamic && len(f.Client.Contacts) > 0 {
		d.Contact = f.Client.Contacts[0]
	}
	p := newPage(v, f, "denied", d)
	p.User = user
	return l.cfg.Shell.Render(w, r, l.pages, "denied", p)
}
