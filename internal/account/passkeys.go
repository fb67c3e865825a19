package account

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// signal is what PublicKeyCredential.signalAllAcceptedCredentials and signalCurrentUserDetails take (WebAuthn L3 §5.1.10),
// so that no device offers a passkey that was removed. The list must be complete: what is not in it gets hidden.
type signal struct {
	RPID        string   `json:"rpId"`
	UserID      string   `json:"userId"`
	Credentials []string `json:"allAcceptedCredentialIds"`
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
}

func (a *Account) signal(u idp.User, keys []idp.Passkey) signal {
	s := signal{RPID: a.cfg.RPID, UserID: base64.RawURLEncoding.EncodeToString(u.Handle), Credentials: []string{}, Name: u.Email, DisplayName: u.Name}
	if s.DisplayName == "" {
		s.DisplayName = u.Email // as the registration said it
	}
	for _, k := range keys {
		s.Credentials = append(s.Credentials, base64.RawURLEncoding.EncodeToString(k.CredentialID))
	}
	return s
}

// A shownPasskey is a passkey as people look at it.
type shownPasskey struct{ idp.Passkey }

// Where says where the passkey is, as far as its registration told: it need not be the device that shows the page.
func (k shownPasskey) Where() string {
	elsewhere := func(transport string) bool { return transport == "hybrid" || transport == "internal" } // a phone
	switch {
	case k.Synced():
		return "synced"
	case k.Attachment == "cross-platform" && !slices.ContainsFunc(k.Transports, elsewhere):
		return "on the security key"
	}
	return "on one device"
}

func shown(keys []idp.Passkey) []shownPasskey {
	list := make([]shownPasskey, len(keys))
	for i, k := range keys {
		list[i] = shownPasskey{k}
	}
	return list
}

type passkeysPage struct {
	Passkeys []shownPasskey // those that open the account
	OnHold   []shownPasskey // those that a recovery suspended
	Signal   signal
	Notice   string
	Warned   bool       // a counter went backwards
	Codes    *codesPage // nil: there are no recovery codes here
	Closed   time.Time  // until when passkeys can be neither removed nor taken off hold; zero: they can
}

// One says that the account hangs from a single passkey.
func (p passkeysPage) One() bool { return len(p.Passkeys) == 1 }

// OneDevice says that losing one device would lose the account.
func (p passkeysPage) OneDevice() bool { return p.One() && !p.Passkeys[0].Synced() }

var passkeyNotices = map[string]string{
	"added":   "Your new passkey is ready. Use it wherever you see it offered.",
	"renamed": "The passkey has its new name.",
	"removed": "The passkey is removed. It no longer opens your account.",
	"kept":    "The passkey opens your account again.",
}

func (a *Account) showPasskeys(w http.ResponseWriter, r *http.Request, v visitor) error {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.user.ID)
	if err != nil {
		return fmt.Errorf("load passkeys: %w", err)
	}
	var onHold []idp.Passkey
	open := slices.DeleteFunc(slices.Clone(keys), func(k idp.Passkey) bool {
		if k.Suspended() {
			onHold = append(onHold, k)
		}
		return k.Suspended()
	})
	var codes *codesPage
	if a.recovery.ByCodes() {
		of, err := recoveryCodes{a}.codesOf(r, v)
		if err != nil {
			return err
		}
		codes = &of
	}
	return a.house(w, r, v, http.StatusOK, "passkeys", "Passkeys", "Your passkeys", passkeysPage{
		Passkeys: shown(open), OnHold: shown(onHold), Codes: codes, Closed: v.user.ClosedUntil(time.Now()),
		Signal: a.signal(v.user, keys), Notice: passkeyNotices[r.URL.Query().Get("done")],
		Warned: slices.ContainsFunc(keys, func(k idp.Passkey) bool { return !k.CounterRegressedAt.IsZero() }),
	})
}

func (a *Account) renamePasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "name")
	if err != nil {
		return err
	}
	name, ok := directory.NormalizeName(typed[0])
	if !ok {
		return &web.Problem{
			Status: http.StatusUnprocessableEntity, Title: "That name doesn’t work",
			Text: "A passkey’s name has between 1 and 80 characters.", Next: "Back to your passkeys", NextURL: "/account/passkeys",
		}
	}
	ev := web.Event(r, idp.EventPasskeyRenamed, v.user.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.session.ID, r.PathValue("id"), map[string]string{"name": name}
	err = a.cfg.DB.RenamePasskey(r.Context(), v.user.ID, r.PathValue("id"), name, ev)
	if errors.Is(err, idp.ErrNotFound) {
		return noPasskey()
	} else if err != nil {
		return fmt.Errorf("rename passkey: %w", err)
	}
	return seeOther(w, r, "/account/passkeys?done=renamed")
}

func noPasskey() error {
	return &web.Problem{
		Status: http.StatusNotFound, Title: "There’s no such passkey",
		Text: "It may have been removed already.", Next: "Back to your passkeys", NextURL: "/account/passkeys",
	}
}

type addPage struct{ Ceremony, Options string }

// binding ties a registration to this session: its answer counts in no other.
func (v visitor) binding() string { return "session:" + v.session.ID }

func (a *Account) newRegistration(r *http.Request, v visitor) (ceremony string, options json.RawMessage, err error) {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.user.ID)
	if err != nil {
		return "", nil, fmt.Errorf("load passkeys: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(k idp.Passkey) bool { return k.Suspended() }) // their devices may make a new one
	cer, options, err := a.cfg.Ceremonies.NewRegistration(r.Context(), v.user, keys, v.binding())
	if err != nil {
		return "", nil, fmt.Errorf("new registration: %w", err)
	}
	return cer.ID, options, nil
}

func (a *Account) showAdd(w http.ResponseWriter, r *http.Request, v visitor) error {
	ceremony, options, err := a.newRegistration(r, v)
	if err != nil {
		return err
	}
	return a.house(w, r, v, http.StatusOK, "passkey-add", "Passkeys", "Add a passkey", addPage{ceremony, string(options)})
}

func (a *Account) beginAdd(w http.ResponseWriter, r *http.Request, v visitor) error {
	var in enrol.BeginRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	ceremony, options, err := a.newRegistration(r, v)
	if err != nil {
		return err
	}
	return enrol.WriteCeremony(w, ceremony, options)
}

func (a *Account) finishAdd(w http.ResponseWriter, r *http.Request, v visitor) error {
	var in enrol.FinishRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	k, err := a.enrol.Register(r, in, v.binding(), v.user)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventPasskeyAdded, v.user.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.session.ID, k.ID, map[string]string{"name": k.Name}
	if err := enrol.PasskeyProblem(a.cfg.DB.AddPasskeyTo(r.Context(), v.user, k, ev)); err != nil {
		return err
	}
	a.enrol.Notify(r, a.cfg.Mailer.PasskeyAdded(v.user.Email, a.enrol.NewNotice(r, k)))
	return web.WriteJSON(w, http.StatusOK, enrol.FinishAnswer{Next: "/account/passkeys?done=added"})
}

type removePage struct {
	Passkey shownPasskey
	Last    bool
}

func (a *Account) confirmRemove(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, last, err := a.ownPasskey(r, v)
	if err != nil {
		return err
	}
	if until := v.user.ClosedUntil(time.Now()); !until.IsZero() {
		return stillClosed(until)
	}
	return a.house(w, r, v, http.StatusOK, "passkey-remove", "Passkeys", "Remove a passkey", removePage{shownPasskey{k}, last})
}

// ownPasskey returns the visitor's passkey of the request's path, and whether it is the only one.
func (a *Account) ownPasskey(r *http.Request, v visitor) (k idp.Passkey, last bool, err error) {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.user.ID)
	if err != nil {
		return k, false, fmt.Errorf("load passkeys: %w", err)
	}
	i := slices.IndexFunc(keys, func(k idp.Passkey) bool { return k.ID == r.PathValue("id") })
	if i < 0 {
		return k, false, noPasskey()
	}
	last = !slices.ContainsFunc(keys, func(k idp.Passkey) bool { return k.ID != keys[i].ID && !k.Suspended() })
	return keys[i], last, nil
}

// keepPasskey takes a passkey off hold: its owner has looked at it.
func (a *Account) keepPasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, _, err := a.ownPasskey(r, v)
	if err != nil {
		return err
	}
	if until := v.user.ClosedUntil(time.Now()); !until.IsZero() {
		return stillClosed(until)
	}
	ev := web.Event(r, idp.EventPasskeyKept, v.user.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.session.ID, k.ID, map[string]string{"name": k.Name}
	err = a.cfg.DB.KeepPasskey(r.Context(), v.user.ID, k.ID, time.Now(), ev)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return noPasskey()
	case errors.Is(err, idp.ErrClosed): // recovered this moment
		return stillClosed(time.Now().Add(idp.RecoveryClosed))
	case errors.Is(err, store.ErrTooManyPasskeys):
		return enrol.PasskeyProblem(err)
	case err != nil:
		return fmt.Errorf("keep passkey: %w", err)
	}
	a.enrol.Notify(r, a.cfg.Mailer.PasskeyKept(v.user.Email, a.enrol.NewNotice(r, k)))
	return seeOther(w, r, "/account/passkeys?done=kept")
}

// removePasskey removes it and ends what it opened: people who remove a passkey because a device was lost mean that, too. A
// synced passkey is often removed for tidiness, so there they may say otherwise. This session goes on if other passkeys
// proved something in it.
func (a *Account) removePasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, _, err := a.ownPasskey(r, v) // its name, for the e-mail; the store decides whether it may go
	if err != nil {
		return err
	}
	typed, err := enrol.ReadForm(r, "end")
	if err != nil {
		return err
	}
	end := !k.Synced() || typed[0] != ""
	ev := web.Event(r, idp.EventPasskeyRemoved, v.user.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.session.ID, k.ID, map[string]string{"name": k.Name}
	err = a.cfg.DB.RemovePasskey(r.Context(), v.user.ID, k.ID, end, ev)
	switch {
	case errors.Is(err, idp.ErrClosed):
		until := v.user.ClosedUntil(time.Now())
		if until.IsZero() { // recovered this moment
			until = time.Now().Add(idp.RecoveryClosed)
		}
		return stillClosed(until)
	case errors.Is(err, idp.ErrLastPasskey):
		return &web.Problem{
			Status: http.StatusConflict, Code: "last_passkey", Title: "This is your only passkey",
			Text: "Without it you could never sign in again. Add another one first, then remove this.", Next: "Add a passkey", NextURL: "/account/passkeys/add",
		}
	case errors.Is(err, idp.ErrNotFound):
		return noPasskey()
	case err != nil:
		return fmt.Errorf("remove passkey: %w", err)
	}
	a.enrol.Notify(r, a.cfg.Mailer.PasskeyRemoved(v.user.Email, a.enrol.NewNotice(r, k)))
	if !end {
		return seeOther(w, r, "/account/passkeys?done=removed")
	}
	here, err := a.endOpenedBy(r, v, k.ID)
	if err != nil {
		return err
	}
	if !here {
		a.cfg.Sessions.ClearCookie(w)
		return seeOther(w, r, "/account/signed-out")
	}
	return seeOther(w, r, "/account/passkeys?done=removed")
}

// endOpenedBy ends the other sessions that a passkey opened or stepped up, and takes it out of this one. here says whether
// this one goes on.
func (a *Account) endOpenedBy(r *http.Request, v visitor, passkeyID string) (here bool, err error) {
	sessions, err := a.cfg.Sessions.List(r.Context(), v.user.ID)
	if err != nil {
		return false, fmt.Errorf("list sessions: %w", err)
	}
	for _, s := range sessions {
		used := slices.ContainsFunc(s.Authentications, func(h idp.HeldAuthentication) bool { return h.PasskeyID == passkeyID })
		if !used || s.ID == v.session.ID {
			continue
		}
		if err := a.revoke(r, v, s.ID); err != nil && !errors.Is(err, idp.ErrNotFound) {
			return false, err
		}
	}
	here, err = a.cfg.Sessions.Forget(r.Context(), v.user.ID, v.session.ID, passkeyID)
	if err == nil && !here {
		err = a.endSession(r, idp.EventSignedOut, v.user.ID, v.session.ID)
	}
	return here, err
}

func seeOther(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
