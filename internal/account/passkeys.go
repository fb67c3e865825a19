package account

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// signal has the arguments of PublicKeyCredential.signalAllAcceptedCredentials and signalCurrentUserDetails (WebAuthn
// L3 §5.1.10), so that devices stop offering removed passkeys. The list must be complete: devices hide all others.
type signal struct {
	RPID        string   `json:"rpId"`
	UserID      string   `json:"userId"`
	Credentials []string `json:"allAcceptedCredentialIds"`
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
}

func (a *Account) signal(u idp.User, keys []idp.Passkey) signal {
	s := signal{
		RPID: a.cfg.RPID, UserID: base64.RawURLEncoding.EncodeToString(u.Handle), Credentials: []string{},
		Name: u.Email, DisplayName: cmp.Or(u.Name, u.Email), // as in the registration
	}
	for _, k := range keys {
		s.Credentials = append(s.Credentials, base64.RawURLEncoding.EncodeToString(k.CredentialID))
	}
	return s
}

// A shownPasskey is a passkey on a page.
type shownPasskey struct {
	idp.Passkey
	Provider     string   // if the name does not say it
	BadModel     bool     // its maker reports a fault
	Applications []string // names of those that it was used for recently
	Address      string   // from which it was used last; empty: not lately, or never
}

// Where says where the passkey is kept, as far as its registration tells. It may not be the device that shows the page.
func (k shownPasskey) Where() words.Text {
	onPhone := func(transport string) bool { return transport == "hybrid" || transport == "internal" }
	switch {
	case k.Synced():
		return words.T("passkeys.where.synced")
	case k.Attachment == "cross-platform" && !slices.ContainsFunc(k.Transports, onPhone):
		return words.T("passkeys.where.key")
	}
	return words.T("passkeys.where.device")
}

func shownPasskeys(keys []idp.Passkey) []shownPasskey {
	list := make([]shownPasskey, len(keys))
	for i, k := range keys {
		list[i] = shownPasskey{Passkey: k}
		if name := passkey.Provider(k.AAGUID); name != k.Name {
			list[i].Provider = name
		}
	}
	return list
}

// maxShownApplications is how many applications a passkey is shown with.
const maxShownApplications = 5

// describePasskeys adds what is not in the passkeys themselves: what the metadata says about their models, and what the
// newest events say they were used for.
func (a *Account) describePasskeys(r *http.Request, v visitor, list []shownPasskey) error {
	events, err := a.cfg.DB.EventsOf(r.Context(), v.User.ID, activityLimit)
	if err != nil {
		return fmt.Errorf("load events: %w", err)
	}
	names := map[string]string{}
	for i := range list {
		k := &list[i]
		k.BadModel = a.cfg.Ceremonies.BadModel(k.Passkey, time.Now())
		for _, e := range events {
			used := e.PasskeyID == k.ID && (e.Kind == idp.EventSignedIn || e.Kind == idp.EventSteppedUp)
			if used {
				k.Address = cmp.Or(k.Address, e.Address) // the newest comes first
			}
			if !used || e.ClientID == "" || len(k.Applications) == maxShownApplications {
				continue
			}
			name, known := names[e.ClientID]
			if !known {
				c, err := a.cfg.DB.Client(r.Context(), e.ClientID)
				if err != nil && !errors.Is(err, idp.ErrNotFound) {
					return fmt.Errorf("load client: %w", err)
				}
				name = c.Name // none if it was removed
				names[e.ClientID] = name
			}
			if name != "" && !slices.Contains(k.Applications, name) {
				k.Applications = append(k.Applications, name)
			}
		}
	}
	return nil
}

type passkeysPage struct {
	Passkeys []shownPasskey // usable
	OnHold   []shownPasskey // suspended by a recovery
	Signal   signal
	Notice   words.Text
	Warned   bool       // a counter went backwards
	Codes    *codesPage // nil: the service uses none
	// ClosedUntil is when passkeys can again be removed or taken off hold after a recovery; zero: now.
	ClosedUntil time.Time
}

// One reports whether the account has a single usable passkey.
func (p passkeysPage) One() bool { return len(p.Passkeys) == 1 }

// OneDevice reports whether losing one device would mean losing the account.
func (p passkeysPage) OneDevice() bool { return p.One() && !p.Passkeys[0].Synced() }

var passkeyNotices = map[string]string{
	"added":   "passkeys.added",
	"renamed": "passkeys.renamed",
	"removed": "passkeys.removed",
	"kept":    "passkeys.kept",
}

func (a *Account) showPasskeys(w http.ResponseWriter, r *http.Request, v visitor) error {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("load passkeys: %w", err)
	}
	var onHold []idp.Passkey
	usable := slices.DeleteFunc(slices.Clone(keys), func(k idp.Passkey) bool {
		if k.Suspended() {
			onHold = append(onHold, k)
		}
		return k.Suspended()
	})
	var codes *codesPage
	if a.recovery.ByCodes() {
		counted, err := recoveryCodes{a}.countCodes(r, v)
		if err != nil {
			return err
		}
		codes = &counted
	}
	data := passkeysPage{
		Passkeys: shownPasskeys(usable), OnHold: shownPasskeys(onHold), Codes: codes,
		ClosedUntil: v.User.ClosedUntil(time.Now()),
		Signal:      a.signal(v.User, keys), Notice: words.T(passkeyNotices[r.URL.Query().Get("done")]),
		Warned: slices.ContainsFunc(keys, func(k idp.Passkey) bool { return !k.CounterRegressedAt.IsZero() }),
	}
	if err := a.describePasskeys(r, v, data.Passkeys); err != nil {
		return err
	}
	return a.renderHouse(w, r, v, "passkeys", web.Page{Nav: "Passkeys", Data: data})
}

func (a *Account) renamePasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "name")
	if err != nil {
		return err
	}
	name, ok := directory.NormalizeName(typed[0])
	if !ok {
		return &web.Problem{
			Status: http.StatusUnprocessableEntity, Words: "passkeys.badname", NextURL: "/account/passkeys",
		}
	}
	ev := web.Event(r, idp.EventPasskeyRenamed, v.User.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.Session.ID, r.PathValue("id"), map[string]string{"name": name}
	err = a.cfg.DB.RenamePasskey(r.Context(), v.User.ID, r.PathValue("id"), name, ev)
	if errors.Is(err, idp.ErrNotFound) {
		return noPasskey()
	} else if err != nil {
		return fmt.Errorf("rename passkey: %w", err)
	}
	return house.SeeOther(w, r, "/account/passkeys?done=renamed")
}

func noPasskey() error {
	return &web.Problem{
		Status: http.StatusNotFound, Words: "passkeys.gone", NextURL: "/account/passkeys",
	}
}

type addPage struct {
	Ceremony, Options string
	Kind              []words.Text // that the account needs; empty: any
}

// binding ties a registration to this session: another session cannot finish it.
func binding(v visitor) string { return "session:" + v.Session.ID }

func (a *Account) newRegistration(r *http.Request, v visitor) (ceremony string, options json.RawMessage, err error) {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.User.ID)
	if err != nil {
		return "", nil, fmt.Errorf("load passkeys: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(k idp.Passkey) bool { return k.Suspended() }) // their devices may create a new one
	cer, options, err := a.cfg.Ceremonies.NewRegistration(r.Context(), v.User, keys, binding(v))
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
	kind, err := a.enrol.Kind(r.Context(), v.User)
	if err != nil {
		return err
	}
	return a.renderHouse(w, r, v, "passkey-add", web.Page{
		Nav: "Passkeys", Data: addPage{ceremony, string(options), kind},
	})
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
	k, err := a.enrol.Register(r, in, binding(v), v.User)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventPasskeyAdded, v.User.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.Session.ID, k.ID, map[string]string{"name": k.Name}
	if err := enrol.PasskeyProblem(a.cfg.DB.AddPasskeyTo(r.Context(), v.User, k, ev)); err != nil {
		return err
	}
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.User).PasskeyAdded(v.User.Email, a.enrol.NewNotice(r, k)))
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
	if until := v.User.ClosedUntil(time.Now()); !until.IsZero() {
		return recentlyRecovered(until)
	}
	return a.renderHouse(w, r, v, "passkey-remove", web.Page{
		Nav: "Passkeys", Data: removePage{shownPasskey{Passkey: k}, last},
	})
}

// ownPasskey returns the visitor's passkey named in the path. last reports whether they have no other usable one.
func (a *Account) ownPasskey(r *http.Request, v visitor) (k idp.Passkey, last bool, err error) {
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.User.ID)
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

// keepPasskey takes a passkey off hold that its owner has reviewed.
func (a *Account) keepPasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, _, err := a.ownPasskey(r, v)
	if err != nil {
		return err
	}
	if until := v.User.ClosedUntil(time.Now()); !until.IsZero() {
		return recentlyRecovered(until)
	}
	ev := web.Event(r, idp.EventPasskeyKept, v.User.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.Session.ID, k.ID, map[string]string{"name": k.Name}
	err = a.cfg.DB.KeepPasskey(r.Context(), v.User.ID, k.ID, time.Now(), ev)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return noPasskey()
	case errors.Is(err, idp.ErrClosed): // recovered since the user was loaded
		return recentlyRecovered(time.Now().Add(idp.RecoveryClosed))
	case errors.Is(err, store.ErrTooManyPasskeys):
		return enrol.PasskeyProblem(err)
	case err != nil:
		return fmt.Errorf("keep passkey: %w", err)
	}
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.User).PasskeyKept(v.User.Email, a.enrol.NewNotice(r, k)))
	return house.SeeOther(w, r, "/account/passkeys?done=kept")
}

// removePasskey removes a passkey and ends the sessions and tokens it led to, which users who lost a device expect.
// They can opt out for a synced passkey, since those are often removed just to tidy up. This session continues if
// another passkey authenticated in it too.
func (a *Account) removePasskey(w http.ResponseWriter, r *http.Request, v visitor) error {
	k, _, err := a.ownPasskey(r, v) // the store checks whether it can be removed
	if err != nil {
		return err
	}
	typed, err := enrol.ReadForm(r, "end")
	if err != nil {
		return err
	}
	end := !k.Synced() || typed[0] != ""
	ev := web.Event(r, idp.EventPasskeyRemoved, v.User.ID)
	ev.SessionID, ev.PasskeyID, ev.Detail = v.Session.ID, k.ID, map[string]string{"name": k.Name}
	err = a.cfg.DB.RemovePasskey(r.Context(), v.User.ID, k.ID, end, ev)
	switch {
	case errors.Is(err, idp.ErrClosed):
		until := v.User.ClosedUntil(time.Now())
		if until.IsZero() { // recovered since the user was loaded
			until = time.Now().Add(idp.RecoveryClosed)
		}
		return recentlyRecovered(until)
	case errors.Is(err, idp.ErrLastPasskey):
		return &web.Problem{
			Status: http.StatusConflict, Code: "last_passkey", Words: "passkeys.only", NextURL: "/account/passkeys/add",
		}
	case errors.Is(err, idp.ErrNotFound):
		return noPasskey()
	case err != nil:
		return fmt.Errorf("remove passkey: %w", err)
	}
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.User).PasskeyRemoved(v.User.Email, a.enrol.NewNotice(r, k)))
	if !end {
		return house.SeeOther(w, r, "/account/passkeys?done=removed")
	}
	stays, err := a.endSessionsOpenedBy(r, v, k.ID)
	if err != nil {
		return err
	}
	if !stays {
		a.cfg.Sessions.ClearCookie(w)
		return house.SeeOther(w, r, "/account/signed-out")
	}
	return house.SeeOther(w, r, "/account/passkeys?done=removed")
}

// endSessionsOpenedBy ends the other sessions in which the passkey was used, and forgets it in this one. stays is false
// if that ended this session too.
func (a *Account) endSessionsOpenedBy(r *http.Request, v visitor, passkeyID string) (stays bool, err error) {
	sessions, err := a.cfg.Sessions.List(r.Context(), v.User.ID)
	if err != nil {
		return false, fmt.Errorf("list sessions: %w", err)
	}
	for _, s := range sessions {
		used := slices.ContainsFunc(s.Authentications, func(h idp.HeldAuthentication) bool {
			return h.PasskeyID == passkeyID
		})
		if !used || s.ID == v.Session.ID {
			continue
		}
		if err := a.revoke(r, v, s.ID); err != nil && !errors.Is(err, idp.ErrNotFound) {
			return false, err
		}
	}
	stays, err = a.cfg.Sessions.Forget(r.Context(), v.User.ID, v.Session.ID, passkeyID)
	if err == nil && !stays {
		err = a.house.EndTokens(r, idp.EventSignedOut, v.User.ID, v.Session.ID)
	}
	return stays, err
}
