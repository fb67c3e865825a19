package login

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A consent is the data of consent.html.
type consent struct {
	screen
	Stranger  string   // where an application leads that nobody here has checked; empty: it was checked
	Describes string   // the host where such an application describes itself; empty: it registered
	UserID    string   // whom the page was shown to
	Details   []string // in words: what is asked for, and allowed for this once
	New       []string // in words: what is asked for
	Allowed   []string // what was allowed before
}

func (l *Login) showConsent(w http.ResponseWriter, r *http.Request, v visit, f Facts, step Step) error {
	user, err := l.person(w, r, v)
	if user == nil {
		return err
	}
	d := consent{screen: screenOf(v, f), UserID: v.session.UserID}
	if f.Client.Dynamic {
		if u, err := url.Parse(f.Client.ID); err == nil {
			d.Describes = u.Host
		}
		d.Stranger = chip(f.Client, v.interaction.Request).Host
	}
	for _, scope := range l.Policy.Asks(v.interaction.Request) {
		if slices.Contains(step.Scopes, scope) {
			d.New = append(d.New, l.scope(scope))
		} else {
			d.Allowed = append(d.Allowed, l.scope(scope))
		}
	}
	for _, detail := range v.interaction.Request.Details {
		if t, known := l.Policy.DetailTypes[detail.Type]; known {
			d.Details = append(d.Details, t.Words(detail))
		} else { // configured differently since: what has no words cannot be agreed to
			return l.end(w, r, v.interaction, idp.Outcome{Error: "invalid_authorization_details", Description: "a type is not known here"})
		}
	}
	p := l.page(v, f, "consent", "Allow "+f.Client.Name+"?", d)
	p.User = user
	return l.Shell.Render(w, r, l.pages, "consent", p)
}

// scope is a scope or a resource in words.
func (l *Login) scope(name string) string { return cmp.Or(l.Policy.Say(name), name) }

// consent keeps the person's answer: what was allowed as a grant, so that it is not asked again; a refusal goes to the
// application at once.
func (l *Login) consent(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	f, step, err := l.decide(r.Context(), v)
	if err != nil {
		return err
	}
	// Another tab may have signed somebody else in, or the sign-in may be too old by now: then this is no answer.
	if step.Kind != Consent || r.PostFormValue("user") != v.session.UserID {
		return again(w, r, v.interaction.ID)
	}
	switch r.PostFormValue("answer") {
	case "deny":
		return l.end(w, r, v.interaction, idp.Outcome{Error: errAccessDenied, Description: "the user did not allow it"})
	case "allow":
	default:
		return &web.Problem{
			Status: http.StatusBadRequest, Title: "That didn’t work", Text: "We couldn’t tell whether you allowed it.",
			Next: "Go back and choose", NextURL: address(v.interaction.ID),
		}
	}
	event := web.Event(r, idp.EventConsentGranted, v.session.UserID)
	event.ClientID, event.SessionID = f.Client.ID, v.session.ID
	grant := idp.Grant{
		UserID: v.session.UserID, ClientID: f.Client.ID, Scopes: l.Policy.Asks(v.interaction.Request), CreatedAt: f.Now, UpdatedAt: f.Now,
	}
	if err := l.DB.PutGrant(r.Context(), grant, event); err != nil {
		return fmt.Errorf("put grant: %w", err)
	}
	if err := l.answer(r.Context(), v, func(i *idp.Interaction) { i.Consented = true }); err != nil {
		return err
	}
	return again(w, r, v.interaction.ID)
}
