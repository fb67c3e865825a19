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

// Errors of our own, besides those of package passkey.
var (
	errForeignCeremony = errors.New("ceremony of another interaction")
	errSessionChanged  = errors.New("session changed during the step-up")
	errWrongHandle     = errors.New("user handle of another user")
	errOtherThanHinted = errors.New("the user is not the user of id_token_hint")
)

// refused records why an attempt failed and returns the error for the person. It tells them only what they need; the
// exact check is in the record.
func (l *Login) refused(r *http.Request, a attempt, err error) error {
	ctx := r.Context()
	problem := &web.Problem{
		Status: http.StatusBadRequest, Code: "passkey_refused", Words: "refused.passkey", Err: err,
	}
	kind := idp.EventPasskeyRefused
	counter, regressed := errors.AsType[*passkey.CounterError](err)
	unknown, notKnown := errors.AsType[*passkey.UnknownCredentialError](err)
	switch {
	case regressed:
		kind = idp.EventPasskeyRegressed
		problem.Words = "refused.copied"
	case notKnown && len(a.ceremony.Allowed) == 0:
		problem.Code, problem.Words = "unknown_credential", "refused.unknown"
		problem.Fields = map[string]string{"rp_id": unknown.RPID, "credential_id": unknown.EncodedID()}
	case notKnown: // as for any wrong passkey, so that names cannot be tried out
	case errors.Is(err, passkey.ErrNotVerified):
		problem.Words = "refused.unverified"
	case errors.Is(err, passkey.ErrWrongUser):
		problem.Code, problem.Words = "other_account", "refused.other"
	case errors.Is(err, errOtherThanHinted):
		problem.Code, problem.Words = "other_account", "refused.hinted"
	case errors.Is(err, passkey.ErrDisabled):
		problem.Code, problem.Words = "account_closed", "refused.closed"
	case errors.Is(err, passkey.ErrSuspended):
		problem.Code, problem.Words = "passkey_suspended", "refused.suspended"
	case errors.Is(err, errSessionChanged):
		return outdatedPage(a.interaction.ID)
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, errForeignCeremony), errors.Is(err, errWrongHandle):
	default:
		return err // a fault of ours, not of the passkey
	}
	if !regressed { // a regressed counter needs a genuine signature, and is always recorded
		closed, failed := l.closed(ctx, r, a)
		if failed != nil {
			return fmt.Errorf("look up limits: %w", failed)
		}
		if closed {
			return tooMany(limit.CeremonyFailed)
		}
	}
	event := a.event(r, kind)
	event.Detail["reason"] = reason(err)
	web.Note(ctx, slog.String("outcome", event.Detail["reason"]))
	if regressed {
		err = l.cfg.DB.RegressPasskey(ctx, counter.PasskeyID, time.Now(), event)
	} else {
		err = l.cfg.DB.RecordEvents(ctx, event)
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
	if l.cfg.Notify != nil {
		l.cfg.Notify(context.WithoutCancel(r.Context()), a.user, string(e.Kind), map[string]string{
			"passkey": a.passkey.Name, "agent": e.Agent, "address": e.Address, "accepted": e.Detail["accepted"],
		})
	}
}

// useUp cleans up after a failed finish. It counts the failure unless the fault is ours, and removes the page's
// ceremony, so that a reload begins a new one. Errors here are only recorded: the response stays the same.
func (l *Login) useUp(r *http.Request, a attempt, ceremony string, fault error) {
	// the request may have failed because of its deadline
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second)
	defer cancel()
	if p, theirs := errors.AsType[*web.Problem](fault); theirs && p.Status != http.StatusTooManyRequests {
		if err := limit.Fail(ctx, l.cfg.Ephemeral, sources(r, a)...); err != nil {
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

// reason returns one of a few fixed words: audit events contain no text from a request.
func reason(err error) string {
	reasons := []error{
		passkey.ErrCounter, passkey.ErrUnknownCredential, passkey.ErrNotVerified, passkey.ErrWrongUser,
		passkey.ErrDisabled, passkey.ErrSuspended,
		errOtherThanHinted, errForeignCeremony,
	}
	if i := slices.IndexFunc(reasons, func(known error) bool { return errors.Is(err, known) }); i >= 0 {
		return reasons[i].Error()
	}
	return passkey.ErrRefused.Error()
}

// stale returns the error for a used or expired ceremony. The page begins a new one by itself.
func stale(err error) *web.Problem {
	return &web.Problem{
		Status: http.StatusBadRequest, Code: "ceremony_gone", Words: "login.stale", Err: err,
	}
}

// outdatedPage sends an outdated page back to the dispatcher.
func outdatedPage(id string) *web.Problem {
	return &web.Problem{
		Status: http.StatusConflict, Code: "moved_on", Words: "login.outdated", NextURL: address(id),
		Fields: map[string]string{"location": address(id)},
	}
}
