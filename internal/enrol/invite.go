package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// Invite returns a link that lets a stored user without passkeys create the first one. It works once, for ttl. The
// token is in the fragment, which browsers do not send, so that it reaches no access log; the page posts it. The caller
// sends the link. ev records it; without one, an event without an actor does.
func Invite(
	ctx context.Context, db *store.DB, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event,
) (idp.Secret, error) {
	return invite(ctx, db, linkKind, issuer, u, ttl, ev...)
}

// InviteByMail is Invite for a link that the caller only e-mails to the user: opening it confirms the address.
func InviteByMail(
	ctx context.Context, db *store.DB, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event,
) (idp.Secret, error) {
	return invite(ctx, db, mailedKind, issuer, u, ttl, ev...)
}

func invite(
	ctx context.Context, db *store.DB, kind, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event,
) (idp.Secret, error) {
	if len(ev) == 0 {
		ev = append(ev, idp.NewEvent(idp.EventUserInvited, u.ID, time.Now()))
	}
	link, row := NewInvitation(issuer, u, ttl, kind == mailedKind)
	if err := db.PutLink(ctx, row, ev...); err != nil {
		return "", fmt.Errorf("store invitation: %w", err)
	}
	return link, nil
}

// NewInvitation returns the link of Invite, or of InviteByMail if it will only be mailed, and what to store of it.
func NewInvitation(issuer string, u idp.User, ttl time.Duration, mailed bool) (idp.Secret, idp.Link) {
	token, now, kind := idp.NewSecret(), time.Now(), linkKind
	if mailed {
		kind = mailedKind
	}
	row := idp.Link{Hash: token.Hash(), Kind: kind, UserID: u.ID, CreatedAt: now, ExpiresAt: now.Add(ttl)}
	return InvitationLink(issuer, token), row
}

// InvitationLink returns the link for an invitation's token.
func InvitationLink(issuer string, token idp.Secret) idp.Secret {
	return idp.Secret(strings.TrimSuffix(issuer, "/") + "/enrol#" + token.Reveal())
}

// InvitationExpiry returns when the invitation with this token expires. idp.ErrNotFound if it expired, was used or
// never existed. It does not find invitations of InviteByMail.
func InvitationExpiry(ctx context.Context, db *store.DB, token idp.Secret) (time.Time, error) {
	link, err := db.PeekLink(ctx, token.Hash(), linkKind, time.Now())
	return link.ExpiresAt, err
}

func (en *Service) showInvitation(w http.ResponseWriter, r *http.Request) error {
	return en.renderThreshold(w, r, "invitation", "", web.Page{Name: "signup"})
}

// acceptInvitation uses up the link and starts the enrolment. Mail scanners do not use it up: they follow links with
// GET and run no script. Opening the link again in the same browser continues its enrolment.
func (en *Service) acceptInvitation(w http.ResponseWriter, r *http.Request) error {
	typed, err := ReadForm(r, "token")
	if err != nil {
		return err
	}
	hash := idp.Secret(typed[0]).Hash()
	if e, _, err := en.loadEnrolment(r); err == nil && e.Link == hash {
		http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
		return nil
	}
	over := &web.Problem{
		Status: http.StatusGone, Code: "invitation_over", Words: "invitation.over", NextURL: "/account",
	}
	link, err := en.cfg.DB.TakeLink(r.Context(), hash, linkKind, time.Now())
	if errors.Is(err, idp.ErrNotFound) {
		link, err = en.cfg.DB.TakeLink(r.Context(), hash, mailedKind, time.Now())
	}
	if errors.Is(err, idp.ErrNotFound) {
		return over
	} else if err != nil {
		return fmt.Errorf("take invitation: %w", err)
	}
	u, err := en.cfg.DB.UserByID(r.Context(), link.UserID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && u.Disabled() {
		return over
	} else if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	if link.Kind == mailedKind && !u.EmailVerified {
		err := en.cfg.DB.VerifyEmail(r.Context(), u.ID, u.Email, time.Now(), web.Event(r, idp.EventEmailVerified, u.ID))
		if err != nil && !errors.Is(err, idp.ErrNotFound) { // not found: the address changed meanwhile
			return fmt.Errorf("confirm address: %w", err)
		}
		u.EmailVerified = err == nil
	}
	// The next page refuses users who already have a passkey.
	if err := en.startEnrolment(w, r, enrolment{User: u, Link: hash}); err != nil {
		return err
	}
	http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
	return nil
}
