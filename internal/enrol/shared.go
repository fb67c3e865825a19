package enrol

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// renderThreshold renders a page in the threshold layout, naming the client that started the interaction, if any.
func (en *Service) renderThreshold(
	w http.ResponseWriter, r *http.Request, template, interaction string, p web.Page,
) error {
	p.Layout = web.LayoutThreshold
	if en.cfg.Client != nil && interaction != "" {
		p.Client = en.cfg.Client(r, interaction)
	}
	return en.cfg.Shell.Render(w, r, en.pages, template, p)
}

// InteractionID returns the ID of the interaction that the page belongs to, or "" if there is none or it is malformed.
func InteractionID(r *http.Request) string {
	id := r.FormValue("i")
	if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_'
	}) {
		return ""
	}
	return id
}

// signInPath returns the page on which a user signs in: that of the interaction, or else the account.
func signInPath(interaction string) string {
	if interaction == "" {
		return "/account"
	}
	return "/login?i=" + url.QueryEscape(interaction)
}

// ReadForm returns the named fields of a posted form, with surrounding blanks removed. Missing fields are empty.
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

// MailsTo returns the writer of e-mails to a user: in the language of their profile, or else that of the request.
func (en *Service) MailsTo(r *http.Request, u idp.User) mail.Writer {
	return en.cfg.Mailer.For(u.Profile.Locale, en.cfg.Shell.Language(r))
}

// nameIn returns the name of a new passkey in the language of the request. Names of products stay as they are.
func (en *Service) nameIn(r *http.Request, name string) string {
	key := words.Text{}
	system, on := strings.CutPrefix(name, "Passkey on ")
	switch {
	case name == "Security key":
		key = words.T("passkey.name.key")
	case name == "Passkey":
		key = words.T("passkey.name.any")
	case on:
		key = words.T("passkey.name.on", "system", system)
	default:
		return name
	}
	// The marks around text of the other direction are for sentences.
	return strings.NewReplacer("\u2068", "", "\u2069", "").Replace(en.cfg.Shell.Language(r).Text(key))
}

// NotifyAll queues an e-mail about a change that is already stored to every address of the user: the primary one, the
// other confirmed ones, and those that they left lately, so that a thief who changed the address first gains nothing.
// An empty message is not sent.
func (en *Service) NotifyAll(r *http.Request, u idp.User, write func(w mail.Writer, to string) mail.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	to := []string{u.Email}
	others, err := addresses.New(en.cfg.DB).Told(ctx, u.ID, time.Now())
	if err != nil {
		web.Note(r.Context(), slog.Any("notice", err))
	}
	for _, address := range append(to, others...) {
		if m := write(en.MailsTo(r, u), address); m.To != "" {
			en.Notify(r, m)
		}
	}
}

// Notify queues an e-mail about a change that is already stored, so it logs a failure and does not return it.
func (en *Service) Notify(r *http.Request, m mail.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if err := en.cfg.Mailer.Send(ctx, m); err != nil {
		web.Note(r.Context(), slog.Any("notice", err))
	}
}
