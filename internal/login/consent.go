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
)

// asks is what a page says of what an application asks to be allowed: parts of consent.html and stepup.html.
type asks struct {
	screen
	Stranger  string   // where an application leads that nobody here has checked; empty: it was checked
	Describes string   // the host where such an application describes itself; empty: it registered
	UserID    string   // whom the page was shown to
	Details   []string // in words: what is asked for, and allowed for this once
	New       []string // in words: what is asked for
	Allowed   []string // what was allowed before
}

// asking puts what a step asks for into words; false if there are none for a part of it, which nobody can agree to then.
func asking(v visit, f Facts, step Step) (asks, bool) {
	d := asks{screen: screenOf(v, f), UserID: v.session.UserID}
	if f.Client.Dynamic {
		if u, err := url.Parse(f.Client.ID); err == nil {
			d.Describes = u.Host
		}
		d.Stranger = chip(f.Client, v.interaction.Request).Host
	}
	for _, scope := range f.Policy.GrantEntries(v.interaction.Request) {
		if slices.Contains(step.Scopes, scope) {
			d.New = append(d.New, cmp.Or(f.Policy.DescribeEntry(scope), scope))
		} else {
			d.Allowed = append(d.Allowed, cmp.Or(f.Policy.DescribeEntry(scope), scope))
		}
	}
	for _, detail := range v.interaction.Request.Details {
		t, known := f.Policy.DetailTypes[detail.Type]
		if !known { // configured differently since
			return d, false
		}
		d.Details = append(d.Details, t.Words(detail))
	}
	return d, true
}

func (l *Login) showConsent(w http.ResponseWriter, r *http.Request, v visit, f Facts, step Step) error {
	user, err := l.person(w, r, v)
	if user == nil {
		return err
	}
	d, known := asking(v, f, step)
	if !known {
		return l.end(w, r, v.interaction, idp.Outcome{Error: "invalid_authorization_details", Description: "a type is not known here"})
	}
	p := frame(v, f, "consent", "Allow "+f.Client.Name+"?", d)
	p.User = user
	return l.Shell.Render(w, r, l.pages, "consent", p)
}

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
	if err := l.allow(r, v, f); err != nil {
		return err
	}
	return again(w, r, v.interaction.ID)
}

// allow keeps that the person who is signed in allows all that the interaction asks for.
func (l *Login) allow(r *http.Request, v visit, f Facts) error {
	event := web.Event(r, idp.EventConsentGranted, v.session.UserID)
	event.ClientID, event.SessionID = f.Client.ID, v.session.ID
	grant := idp.Grant{
		UserID: v.session.UserID, ClientID: f.Client.ID, Scopes: l.Policy.GrantEntries(v.interaction.Request), CreatedAt: f.Now, UpdatedAt: f.Now,
	}
	if err := l.DB.PutGrant(r.Context(), grant, event); err != nil {
		return fmt.Errorf("put grant: %w", err)
	}
	return l.answer(r.Context(), v, func(i *idp.Interaction) { i.Consented = true })
}

// consentAfter returns what a page for a step-up asks to be allowed, because consent will be due when it is done; nil if
// none will.
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
	proven.AddAuthentication(idp.Authentication{ // the best that a step-up can bring: whatever else is asked for is not about the proof
		UserID: proven.UserID, At: f.Now, Purpose: idp.PurposeStepUp, Interaction: f.Interaction.ID, ActionClasses: classes,
		ClientID: f.Interaction.Request.ClientID, FirstParty: f.Client.FirstParty,
		UserVerified: true, HardwareBound: true,
	})
	f.Session = &proven
	step := Decide(f)
	if step.Kind != Consent {
		return nil, nil
	}
	if d, known := asking(v, f, step); known {
		return &d, nil
	}
	return nil, nil // the consent page refuses it
}
