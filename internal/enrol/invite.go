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

// Invite returns a link with which the user, who must be stored and have no passkey, can create the first one at this
// issuer. It works once, for ttl. The token stands behind the #, so that it reaches no log; the page posts it. Sending it
// is the caller's.
func Invite(ctx context.Context, db *store.DB, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event) (idp.Secret, error) {
	return invite(ctx, db, linkKind, issuer, u, ttl, ev...)
}

// InviteByMail is Invite for a link that only an e-mail to the user contains: opening it proves the address.
func InviteByMail(ctx context.Context, db *store.DB, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event) (idp.Secret, error) {
	return invite(ctx, db, mailedKind, issuer, u, ttl, ev...)
}

func invite(ctx context.Context, db *store.DB, kind, issuer string, u idp.User, ttl time.Duration, ev ...idp.Event) (idp.Secret, error) {
	token, now := idp.NewSecret(), time.Now()
	err := db.PutLink(ctx, idp.Link{
		Hash: token.Hash(), Kind: kind, UserID: u.ID, CreatedAt: now, ExpiresAt: now.Add(ttl),
	}, append(ev, idp.NewEvent(idp.EventUserInvited, u.ID, now))...)
	if err != nil {
		return "", fmt.Errorf("store invitation: %w", err)
	}
	return InvitationLink(issuer, token), nil
}

// InvitationLink returns the link of an invitation with this token.
func InvitationLink(issuer string, token idp.Secret) idp.Secret {
	return idp.Secret(strings.TrimSuffix(issuer, "/") + "/enrol#" + token.Reveal())
}

// InvitationExpiry returns until when the invitation with this token can be opened; idp.ErrNotFound if it cannot any more.
func InvitationExpiry(ctx context.Context, db *store.DB, token idp.Secret) (time.Time, error) {
	link, err := db.PeekLink(ctx, token.Hash(), linkKind, time.Now())
	return link.ExpiresAt, err
}

func (en *Service) showInvitation(w http.ResponseWriter, r *http.Request) error {
	return en.Threshold(w, r, "signup", "invitation", "Your invitation", "", http.StatusOK, nil)
}

// acceptInvitation takes the link: the first browser that posts it enrols. Mail scanners follow links with GET and
// run no script, so they do not use it up. Opening it again in the same browser goes on where one was.
func (en *Service) acceptInvitation(w http.ResponseWriter, r *http.Request) error {
	typed, err := ReadForm(r, "token")
	if err != nil {
		return err
	}
	hash := idp.Secret(typed[0]).Hash()
	if e, _, err := en.enrolment(r); err == nil && e.Link == hash {
		http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
		return nil
	}
	over := &web.Problem{
		Status: http.StatusGone, Code: "invitation_over", Title: "This invitation doesn’t work any more",
		Text: "It was used, is too old, or wasn’t copied completely. If you have a passkey already, sign in with it. Otherwise ask for a new invitation.",
		Next: "Sign in", NextURL: "/account",
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
		if err != nil && !errors.Is(err, idp.ErrNotFound) { // not found: another address since
			return fmt.Errorf("confirm address: %w", err)
		}
		u.EmailVerified = err == nil
	}
	if err := en.begin(w, r, enrolment{User: u, Link: hash}); err != nil { // what follows looks whether there is a passkey already
		return err
	}
	http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
	return nil
}
