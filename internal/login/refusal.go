package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/web"
)

// Refusals of our own, beside those of package passkey.
var (
	errForeignCeremony = errors.New("ceremony of another interaction")
	errSessionChanged  = errors.New("session changed during the step-up")
	errWrongHandle     = errors.New("user handle of another user")
	errOtherThanHinted = errors.New("another user than the one of id_token_hint")
)

// refused records why an attempt failed and returns the sentence for the person. It says no more than they need: which of
// the many checks refused is for the record.
func (l *Login) refused(r *http.Request, a attempt, err error) error {
	ctx := r.Context()
	problem := &web.Problem{
		Status: http.StatusBadRequest, Code: "passkey_refused", Title: "That didn't work",
		Text: "That passkey couldn't be used here. Try again, or use another one.", Err: err,
	}
	kind := idp.EventPasskeyRefused
	counter, regressed := errors.AsType[*passkey.CounterError](err)
	unknown, notKnown := errors.AsType[*passkey.UnknownCredentialError](err)
	switch {
	case regressed:
		kind = idp.EventPasskeyRegressed
		problem.Text = "This passkey gave an answer it should not give, as a copy of it would. To be safe we didn't accept it. Use another passkey."
	case notKnown && len(a.ceremony.Allowed) == 0:
		problem.Code, problem.Text = "unknown_credential", "This passkey isn't known here any more. Use another one; you can delete this one from your device."
		problem.Fields = map[string]string{"rp_id": unknown.RPID, "credential_id": unknown.EncodedID()}
	case notKnown: // as for any other wrong passkey: typed names must not be tried out here
	case errors.Is(err, passkey.ErrNotVerified):
		problem.Text = "Your device didn't check that it's you. Set up a screen lock or a PIN for this passkey, or use another one."
	case errors.Is(err, passkey.ErrWrongUser):
		problem.Code, problem.Text = "other_account", "That passkey belongs to another account. Use one of the account shown above, or choose “Not you?”."
	case errors.Is(err, errOtherThanHinted):
		problem.Code, problem.Text = "other_account", "The application asked for another account than that passkey's. Use a passkey of that account, or go back."
	case errors.Is(err, passkey.ErrDisabled):
		problem.Code, problem.Text = "account_closed", "This account is closed. If you think this is a mistake, ask whoever runs this service."
	case errors.Is(err, passkey.ErrSuspended):
		problem.Code = "passkey_suspended"
		problem.Text = "This passkey is on hold, because this account was recovered with another one. Sign in with that, then look at “Your passkeys”. If it wasn’t you who recovered it, choose “Can’t sign in?”."
	case errors.Is(err, errSessionChanged):
		return movedOn(a.interaction.ID)
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, errForeignCeremony), errors.Is(err, errWrongHandle):
	default:
		return err // ours to mend: nothing about the passkey
	}
	if !regressed { // that one needs a genuine signature, and is always recorded
		closed, failed := l.closed(ctx, r, a)
		if failed != nil {
			return fmt.Errorf("look for limits: %w", failed)
		}
		if closed {
			return tooMany(limit.CeremonyFailed)
		}
	}
	event := l.event(r, a, kind)
	event.Detail["reason"] = reason(err)
	if regressed {
		err = l.DB.RegressPasskey(ctx, counter.PasskeyID, time.Now(), event)
	} else {
		err = l.DB.RecordEvents(ctx, event)
	}
	if err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	if regressed {
		l.notifyRegressed(r, a, event)
	}
	return problem
}

// notifyRegressed tells the owner of a passkey that its counter did not grow.
func (l *Login) notifyRegressed(r *http.Request, a attempt, e idp.Event) {
	if l.Notify != nil {
		l.Notify(context.WithoutCancel(r.Context()), a.user, string(e.Kind), map[string]string{
			"passkey": a.passkey.Name, "agent": e.Agent, "address": e.Address, "accepted": e.Detail["accepted"],
		})
	}
}

// spent cleans up after a finish that failed, for whatever reason: it counts as a failure unless the fault is ours,
// and the page's own ceremony is used up. Should the person reload, the page begins a new one instead of offering that.
// What cannot be done now is for the record only: the answer stays what it is.
func (l *Login) spent(r *http.Request, a attempt, ceremony string, fault error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second) // the deadline may be what failed
	defer cancel()
	if p, theirs := errors.AsType[*web.Problem](fault); theirs && p.Status != http.StatusTooManyRequests {
		if err := limit.Fail(ctx, l.Ephemeral, sources(r, a)...); err != nil {
			web.Note(ctx, slog.Any("count_failure", err))
		}
	}
	if ceremony == a.interaction.Ceremony {
		if err := l.save(ctx, a.visit, forgetCeremony); err != nil {
			web.Note(ctx, slog.Any("forget_ceremony", err))
		}
	}
}

func forgetCeremony(i *idp.Interaction) { i.Ceremony, i.Challenge = "", nil }

// reason is one of a few words: an audit record is no place for text that came with a request.
func reason(err error) string {
	reasons := []error{
		passkey.ErrCounter, passkey.ErrUnknownCredential, passkey.ErrNotVerified, passkey.ErrWrongUser, passkey.ErrDisabled, passkey.ErrSuspended, errOtherThanHinted, errForeignCeremony,
	}
	if i := slices.IndexFunc(reasons, func(known error) bool { return errors.Is(err, known) }); i >= 0 {
		return reasons[i].Error()
	}
	return passkey.ErrRefused.Error()
}

// stale says that the ceremony was used or has expired; the page begins a new one by itself.
func stale(err error) *web.Problem {
	return &web.Problem{
		Status: http.StatusBadRequest, Code: "ceremony_gone", Title: "That took too long",
		Text: "That took too long, or was sent twice. Please try again.", Err: err,
	}
}

// movedOn sends a page that is no longer up to date back to the dispatcher.
func movedOn(id string) *web.Problem {
	return &web.Problem{
		Status: http.StatusConflict, Code: "moved_on", Title: "This page is out of date",
		Text: "Something changed in another tab. Reload the page to go on.", Next: "Continue", NextURL: address(id),
		Fields: map[string]string{"location": address(id)},
	}
}
