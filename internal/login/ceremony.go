package login

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/web"
)

// begun is the response of POST /login/passkey/begin.
type begun struct {
	Ceremony  string          `json:"ceremony"`
	PublicKey json.RawMessage `json:"publicKey"`
}

// begin starts the ceremony that the interaction needs now: a step-up with the passkeys that can satisfy it, a sign-in
// with any passkey, or one with the passkeys of a typed address.
func (l *Login) begin(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		I     string `json:"i"`
		Email string `json:"email"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	email := ""
	if in.Email != "" {
		var ok bool
		if email, ok = directory.NormalizeEmail(in.Email); !ok {
			return &web.Problem{
				Status: http.StatusBadRequest, Code: "invalid_email", Words: "login.email",
			}
		}
	}
	counts := begins(r, email)
	var ops []*ephemeral.Op
	for _, c := range counts {
		ops = append(ops, &c.Op)
	}
	v, err := l.visit(w, r, in.I, ops...)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if c.Over() {
			return tooMany(c.Limit)
		}
	}
	_, step, err := l.decide(r.Context(), v)
	if err != nil {
		return err
	}
	var cer passkey.Ceremony
	var options json.RawMessage
	switch {
	case step.Kind == StepUp && email == "":
		cer, options, err = l.newStepUp(r.Context(), v, step)
	case step.Kind == SignIn && email != "":
		cer, options, err = l.newTypedSignIn(r.Context(), v, email)
	case step.Kind == SignIn:
		cer, options, err = l.newSignIn(r.Context(), v)
	default:
		return outdatedPage(v.interaction.ID)
	}
	if err != nil {
		return err
	}
	var wrapped begun
	if err := json.Unmarshal(options, &wrapped); err != nil { // {"publicKey":{…}}
		return fmt.Errorf("read options: %w", err)
	}
	wrapped.Ceremony = cer.ID
	return web.WriteJSON(w, http.StatusOK, wrapped)
}

func (l *Login) newSignIn(ctx context.Context, v visit) (passkey.Ceremony, json.RawMessage, error) {
	cer, op, err := l.cfg.Ceremonies.NewSignIn(v.interaction.ID, v.interaction.Browser)
	if err == nil {
		err = l.cfg.Ephemeral.Do(ctx, op)
	}
	if err != nil {
		return cer, nil, fmt.Errorf("begin sign-in: %w", err)
	}
	return cer, l.cfg.Ceremonies.SignInOptions(cer.Challenge), nil
}

// newTypedSignIn does the same for an address with an account and for one without: one read, one write, a list of the
// same shape. So the passkeys of an address are public, as wherever names are typed (WebAuthn L3 §14.6.3).
func (l *Login) newTypedSignIn(ctx context.Context, v visit, email string) (passkey.Ceremony, json.RawMessage, error) {
	keys, model, err := l.cfg.DB.PasskeysByEmail(ctx, email, l.cfg.Ceremonies.Pivot(email))
	if err != nil {
		return passkey.Ceremony{}, nil, fmt.Errorf("load passkeys: %w", err)
	}
	// Decoys are created in either case, so that the time reveals nothing.
	if decoys := l.cfg.Ceremonies.Decoys(email, model); len(keys) == 0 {
		keys = decoys
	}
	return l.newAssertion(ctx, v, idp.PurposeSignIn, "", keys, nil)
}

// newStepUp is for all action classes of the requirement at once, because one authentication must satisfy all of it.
func (l *Login) newStepUp(ctx context.Context, v visit, step Step) (passkey.Ceremony, json.RawMessage, error) {
	var classes []string
	for _, class := range v.interaction.Requirement.ActionClasses {
		classes = append(classes, class.Name)
	}
	return l.newAssertion(ctx, v, idp.PurposeStepUp, v.session.UserID, step.Passkeys, classes)
}

func (l *Login) newAssertion(
	ctx context.Context, v visit, p idp.Purpose, userID string, keys []idp.Passkey, classes []string,
) (passkey.Ceremony, json.RawMessage, error) {
	cer, options, op, err := l.cfg.Ceremonies.NewAssertion(
		p, v.interaction.ID, v.interaction.Browser, userID, keys, classes)
	if err == nil {
		err = l.cfg.Ephemeral.Do(ctx, op)
	}
	if err != nil {
		return cer, nil, fmt.Errorf("begin %s: %w", p, err)
	}
	return cer, options, nil
}

// An attempt is one response to a ceremony while finish handles it.
type attempt struct {
	visit
	ceremony passkey.Ceremony
	allow    string // the user who agrees to what the page said by responding
	// passkey and user belong to the presented credential, once it was found, proven or not. They are for the record.
	passkey idp.Passkey
	user    idp.User
}

// finish takes the ceremony, verifies the response, records the authentication, and starts or elevates the session.
func (l *Login) finish(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		I          string          `json:"i"`
		Ceremony   string          `json:"ceremony"`
		Credential json.RawMessage `json:"credential"`
		// Allow is the user whom the step-up page told what they agree to; empty: it told nothing.
		Allow string `json:"allow"`
	}
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Ceremony == "" || len(in.Ceremony) > 64 {
		return stale(errors.New("no ceremony"))
	}
	take := l.cfg.Ceremonies.TakeOp(in.Ceremony)
	v, err := l.visit(w, r, in.I, take)
	if err != nil {
		return err
	}
	a := attempt{visit: v, allow: in.Allow}
	var next string
	if a.ceremony, err = l.cfg.Ceremonies.FromOp(take); errors.Is(err, idp.ErrNotFound) {
		err = stale(err)
	} else if err != nil {
		err = fmt.Errorf("take ceremony: %w", err)
	} else {
		web.Note(r.Context(), slog.String("ceremony", string(a.ceremony.Purpose)))
		if next, err = l.authenticate(w, r, &a, in.Credential); err != nil {
			err = l.refused(r, a, err)
		}
	}
	if err != nil {
		l.useUp(r, a, in.Ceremony, err)
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"next": next})
}

func (l *Login) authenticate(
	w http.ResponseWriter, r *http.Request, a *attempt, response []byte,
) (next string, err error) {
	ctx, now, stepUp := r.Context(), time.Now(), a.ceremony.Purpose == idp.PurposeStepUp
	if a.ceremony.Interaction != a.interaction.ID {
		return "", errForeignCeremony
	}
	if stepUp && (a.session == nil || a.session.UserID != a.ceremony.UserID) {
		return "", errSessionChanged
	}
	proof, err := l.cfg.Ceremonies.FinishAssertion(ctx, a.ceremony, a.interaction.Browser, response, now,
		func(ctx context.Context, id, handle []byte) (idp.Passkey, idp.User, error) {
			var err error
			a.passkey, a.user, err = l.cfg.DB.PasskeyByCredentialID(ctx, id)
			found := err == nil
			if err != nil && !errors.Is(err, idp.ErrNotFound) {
				return idp.Passkey{}, idp.User{}, err
			}
			if len(a.ceremony.Allowed) > 0 || found && bytes.Equal(handle, a.user.Handle) {
				return a.passkey, a.user, err
			}
			// The browser deletes a passkey that is reported unknown. So we only report one that is not stored and whose
			// response has the handle of a user, which nobody else knows. A made-up response gets the same text and the same
			// work for a stored ID and for a decoy of a typed name.
			ours, failed := l.cfg.DB.HasHandle(ctx, handle)
			switch {
			case failed != nil:
				return idp.Passkey{}, idp.User{}, failed
			case found || !ours:
				return idp.Passkey{}, idp.User{}, errWrongHandle
			}
			return idp.Passkey{}, idp.User{}, err
		})
	// A passkey on hold decides nothing.
	if errors.Is(err, passkey.ErrDisabled) && !stepUp && !a.passkey.Suspended() && l.cfg.Leaving != nil {
		next, failed := l.cfg.Leaving(w, r, a.user, a.passkey.ID, a.interaction.ID)
		if failed == nil && next != "" { // if they come back, the page begins a new ceremony
			failed = l.save(ctx, a.visit, forgetCeremony)
		}
		if failed != nil || next != "" {
			return next, failed
		}
	}
	if err != nil {
		return "", err
	}
	if len(proof.Authentication.ActionClasses) > 0 {
		if err := l.setClient(ctx, a.interaction, &proof.Authentication); err != nil {
			return "", err
		}
	}
	if hinted := a.interaction.Request.HintedUser; hinted != "" && hinted != proof.User.ID {
		return "", errOtherThanHinted
	}
	k := proof.Passkey
	k.LastUsedAt, k.LastAgent = now, web.Agent(r.UserAgent())
	kind := idp.EventSignedIn
	if stepUp {
		kind = idp.EventSteppedUp
	}
	event := a.event(r, kind)
	if proof.BecameSynced {
		event.Detail["became_synced"] = "true"
	}
	events := []idp.Event{event}
	if proof.CounterStalled {
		stalled := a.event(r, idp.EventPasskeyRegressed)
		stalled.Detail["accepted"] = "true"
		events = append(events, stalled)
	}
	record := l.cfg.DB.RecordAuthentication
	if !proof.User.RecoveryReadyAt.IsZero() { // a passkey of theirs works, so nobody needs a way back by e-mail
		stopped := a.event(r, idp.EventRecoveryStopped)
		stopped.Detail["way"] = "passkey"
		events, record = append(events, stopped), l.cfg.DB.RecordAuthenticationAndStop
	}
	grant, err := record(ctx, k, proof.Authentication, a.interaction.Request.ClientID, events...)
	if errors.Is(err, idp.ErrConflict) { // another assertion with this count was faster
		return "", &passkey.CounterError{UserID: k.UserID, PasskeyID: k.ID, Stored: k.SignCount, Received: k.SignCount}
	}
	if err != nil {
		return "", fmt.Errorf("record authentication: %w", err)
	}
	if proof.CounterStalled {
		l.notifyRegressed(r, *a, events[1])
	}
	if stepUp {
		err = l.steppedUp(w, r, *a, proof.Authentication)
	} else {
		if l.cfg.SignedIn != nil {
			l.cfg.SignedIn(w, r, proof.User, proof.Passkey)
		}
		next, err = l.signedIn(w, r, *a, proof.Authentication, grant)
	}
	if errors.Is(err, idp.ErrNotFound) {
		return "", errSessionChanged
	}
	return cmp.Or(next, address(a.interaction.ID)), err
}

// setClient records in an authentication which client its windows are for.
func (l *Login) setClient(ctx context.Context, i idp.Interaction, a *idp.Authentication) error {
	if i.Local != nil {
		return nil
	}
	c, err := l.cfg.DB.Client(ctx, i.Request.ClientID)
	if err != nil {
		return fmt.Errorf("load client: %w", err)
	}
	a.ClientID, a.FirstParty = i.Request.Holder(), c.FirstParty && i.Request.Try == ""
	return nil
}

// steppedUp adds an authentication to the session, and what the page said to the grant. The dispatcher goes on: if this
// response is lost, a reload finds the session by its former secret, and the interaction where it was.
func (l *Login) steppedUp(w http.ResponseWriter, r *http.Request, a attempt, proof idp.Authentication) error {
	ctx := r.Context()
	elevated, err := l.cfg.Sessions.Elevate(ctx, w, r, a.session, proof)
	if err != nil || a.allow != a.session.UserID {
		return err
	}
	// Only if nothing but consent is left. The proof counts in any case; whatever it does not allow is asked next.
	v := visit{a.interaction, elevated}
	f, step, err := l.decide(ctx, v)
	if err == nil && step.Kind == Consent {
		err = l.allow(r, v, f)
	}
	if err != nil {
		web.Note(ctx, slog.Any("allow", err))
	}
	return nil
}

// signedIn starts a session with the authentication of a sign-in, and ends the interaction in the same round trip if
// nothing is left to ask. If another tab was faster and the browser already has a session of the same user, it uses
// that one: ending it would sign out the other tab's applications. It returns where the browser goes; "" means to the
// dispatcher.
func (l *Login) signedIn(
	w http.ResponseWriter, r *http.Request, a attempt, proof idp.Authentication, grant *idp.Grant,
) (next string, err error) {
	ctx, before := r.Context(), a.session
	if before != nil && before.UserID == proof.UserID && before.ID != a.interaction.SwitchedFrom {
		if _, err := l.cfg.Sessions.Elevate(ctx, w, r, before, proof); !errors.Is(err, idp.ErrNotFound) {
			return "", err
		}
		before = nil // it has ended
	}
	goTo := nowhere
	_, err = l.cfg.Sessions.Start(ctx, w, r, proof, func(sess *idp.Session) []*ephemeral.Op {
		ops, to, err := l.conclude(r, visit{a.interaction, sess}, grant)
		if err != nil {
			web.Note(ctx, slog.Any("conclude", err)) // the dispatcher says what is wrong
		} else if to != nil {
			goTo = to
		}
		return ops
	})
	if err != nil {
		return "", err
	}
	if before != nil {
		ended := web.Event(r, idp.EventSignedOut, before.UserID) // Start has ended it
		ended.SessionID = before.ID
		if _, err := l.cfg.DB.EndSession(
			context.WithoutCancel(ctx), before.UserID, before.ID, time.Now(), ended); err != nil {
			return "", err
		}
	}
	return goTo()
}

func nowhere() (string, error) { return "", nil }

// event returns an audit event about the attempt.
func (a attempt) event(r *http.Request, kind idp.EventKind) idp.Event {
	e := web.Event(r, kind, a.user.ID)
	e.ClientID, e.PasskeyID, e.Detail = a.interaction.Request.ClientID, a.passkey.ID, map[string]string{
		"purpose": string(a.ceremony.Purpose),
	}
	if classes := a.ceremony.ActionClasses; len(classes) > 0 {
		e.Detail["class"] = strings.Join(classes, " ")
	}
	if a.session != nil && a.ceremony.Purpose == idp.PurposeStepUp {
		e.SessionID = a.session.ID
	}
	return e
}
