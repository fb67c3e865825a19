package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// asks is what a page shows of the access that an application requests: parts of consent.html and stepup.html.
type asks struct {
	screen
	Stranger  any          // where an unvetted application redirects to, a host or a text; nil: vetted
	Describes string       // the host of its metadata document; empty: it registered
	UserID    string       // whom the page was shown to
	Details   []string     // descriptions of what is allowed only once
	New       []words.Text // descriptions of what is requested
	Allowed   []words.Text // what was allowed before
}

// describeAccess describes the requested access of a step. ok is false if a part of it has no description, because then
// nobody can agree to it.
func describeAccess(v visit, f Facts, step Step) (asks, bool) {
	d := asks{screen: screenOf(v, f), UserID: v.session.UserID}
	if f.Client.Dynamic {
		if u, err := url.Parse(f.Client.ID); err == nil {
			d.Describes = u.Host
		}
		c := chip(f.Client, v.interaction.Request)
		if d.Stranger = c.Place; c.Host != "" {
			d.Stranger = c.Host
		}
	}
	for _, scope := range f.Policy.GrantEntries(v.interaction.Request) {
		if slices.Contains(step.Scopes, scope) {
			d.New = append(d.New, web.EntryWords(f.Policy, scope))
		} else {
			d.Allowed = append(d.Allowed, web.EntryWords(f.Policy, scope))
		}
	}
	for _, detail := range v.interaction.Request.Details {
		t, known := f.Policy.DetailTypes[detail.Type]
		if !known { // the configuration has changed since
			return d, false
		}
		d.Details = append(d.Details, t.Words(detail))
	}
	return d, true
}

func (l *Login) showConsent(w http.ResponseWriter, r *http.Request, v visit, f Facts, step Step) error {
	user, err := l.loadPerson(w, r, v)
	if user == nil {
		return err
	}
	d, known := describeAccess(v, f, step)
	if !known {
		return l.end(w, r, v.interaction, idp.Outcome{Error: "invalid_authorization_details", Description: "unknown type"})
	}
	p := newPage(v, f, "consent", d)
	p.User = user
	return l.cfg.Shell.Render(w, r, l.pages, "consent", p)
}

// consent saves the user's answer. Allowed access is stored as a grant, so that it is not requested again. A refusal
// goes to the application at once.
func (l *Login) consent(w http.ResponseWriter, r *http.Request) error {
	v, err := l.posted(w, r)
	if err != nil {
		return err
	}
	f, step, err := l.decide(r.Context(), v)
	if err != nil {
		return err
	}
	// If another tab has signed in somebody else, or the sign-in is too old by now, this answer does not count.
	if step.Kind != Consent || r.PostFormValue("user") != v.session.UserID {
		return again(w, r, v.interaction.ID)
	}
	switch r.PostFormValue("answer") {
	case "deny":
		return l.end(w, r, v.interaction, idp.Outcome{Error: errAccessDenied, Description: "the user denied the request"})
	case "allow":
	default:
		return &web.Problem{
			Status: http.StatusBadRequest, Words: "consent.unclear", NextURL: address(v.interaction.ID),
		}
	}
	if err := l.allow(r, v, f); err != nil {
		return err
	}
	return again(w, r, v.interaction.ID)
}

// allow records that the signed-in user allows everything that the interaction requests. A try only needs the answer.
func (l *Login) allow(r *http.Request, v visit, f Facts) error {
	consented := func(i *idp.Interaction) { i.Consented = true }
	if v.interaction.Request.Try != "" {
		return l.answer(r.Context(), v, consented)
	}
	event := web.Event(r, idp.EventConsentGranted, v.session.UserID)
	event.ClientID, event.SessionID = f.Client.ID, v.session.ID
	grant := idp.Grant{
		UserID: v.session.UserID, ClientID: f.Client.ID, Scopes: l.cfg.Policy.GrantEntries(v.interaction.Request),
		CreatedAt: f.Now, UpdatedAt: f.Now,
	}
	if err := l.cfg.DB.PutGrant(r.Context(), grant, event); err != nil {
		return fmt.Errorf("put grant: %w", err)
	}
	if f.Grant == nil && l.cfg.Allowed != nil {
		l.cfg.Allowed(r, v.session.UserID, cmp.Or(f.Client.Name, f.Client.ID))
	}
	return l.answer(r.Context(), v, consented)
}

// consentAfter returns the access to show on a step-up page, because consent will be needed after it; nil if it will
// not.
func consentAfter(ctx context.Context, db *store.DB, v visit, f Facts) (*asks, error) {
	if f.Interaction.Local != nil {
		return nil, nil
	}
	grant, err := db.Grant(ctx, v.session.UserID, f.Client.ID)
	if err == nil {
		f.Grant = &grant
	} else if !errors.Is(err, idp.ErrNotFound) {
		return nil, fmt.Errorf("load grant: %w", err)
	}
	var classes []string
	for _, class := range f.Interaction.Requirement.ActionClasses {
		classes = append(classes, class.Name)
	}
	proven := *f.Session
	proven.Authentications = slices.Clone(proven.Authentications)
	proven.AddAuthentication(idp.Authentication{ // the strongest result of a step-up: what is left is not about the proof
		UserID: proven.UserID, At: f.Now, Purpose: idp.PurposeStepUp, Interaction: f.Interaction.ID, ActionClasses: classes,
		ClientID: f.Interaction.Request.Holder(), FirstParty: f.Client.FirstParty && f.Interaction.Request.Try == "",
		UserVerified: true, HardwareBound: true,
	})
	f.Session = &proven
	step := Decide(f)
	if step.Kind != Consent {
		return nil, nil
	}
	if d, known := describeAccess(v, f, step); known {
		return &d, nil
	}
	return nil, nil // the consent page rejects it
}
