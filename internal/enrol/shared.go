package enrol

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/web"
)

// Threshold renders a page of the way in.
func (en *Service) Threshold(w http.ResponseWriter, r *http.Request, page, name, title, interaction string, status int, data any) error {
	p := web.Page{Name: page, Title: title, Layout: web.LayoutThreshold, Status: status, Data: data}
	if en.cfg.Client != nil && interaction != "" {
		p.Client = en.cfg.Client(r, interaction)
	}
	return en.cfg.Shell.Render(w, r, en.pages, name, p)
}

// InteractionID reads the interaction a page was opened in; anything that cannot be one counts as none.
func InteractionID(r *http.Request) string {
	id := r.FormValue("i")
	if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_'
	}) {
		return ""
	}
	return id
}

// onward is where a user goes to sign in: back to the interaction, or to the account.
func onward(interaction string) string {
	if interaction == "" {
		return "/account"
	}
	return "/login?i=" + url.QueryEscape(interaction)
}

// ReadForm reads fields of a posted form, without the blanks around them; missing ones are empty.
func ReadForm(r *http.Request, names ...string) ([]string, error) {
	if err := web.ReadForm(r); err != nil {
		return nil, err
	}
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = strings.TrimSpace(r.PostFormValue(name))
	}
	return values, nil
}

// Notify sends a mail about a change that has happened. The change stands whether or not the mail can be queued, so a
// failure is a matter for the record only.
func (en *Service) Notify(r *http.Request, m mail.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if err := en.cfg.Mailer.Send(ctx, m); err != nil {
		web.Note(r.Context(), slog.Any("notice", err))
	}
}
