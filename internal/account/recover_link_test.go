package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
)

// orderLink makes a recovery link and returns its token and PIN.
func (h *house) orderLink(o recovery.Order) (token, pin string) {
	h.t.Helper()
	o.TTL = time.Hour
	made, err := recovery.NewLink(h.t.Context(), h.db, issuer, o, idp.NewEvent(idp.EventRecoveryLinkMade, o.User.ID, time.Now()))
	if err != nil {
		h.t.Fatal(err)
	}
	_, token, _ = strings.Cut(made.Link.Reveal(), "#")
	return token, made.PIN.Reveal()
}

// admin stores a user with this role, signed in and stepped up in a browser.
func (h *house) admin(email string, role directory.Role) (idp.User, *browser) {
	h.t.Helper()
	u, keys := h.user(email, 1)
	h.change(u, func(u *idp.User) { u.Role = role })
	u.Role = role
	b := h.browser()
	b.signIn(u, keys[0].ID, "admin")
	return u, b
}

func TestARecoveryLinkWithAPINNeedsIt(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	token, pin := h.orderLink(recovery.Order{User: u, PIN: true})
	if len(pin) != 8 {
		t.Fatalf("PIN %q", pin)
	}
	wrong := "00000000"
	if pin == wrong {
		wrong = "00000001"
	}
	b := h.browser()
	b.post("/recover/link", "token", token).is("recover", 200).wants("recover-pin", "recover-continue")
	b.post("/recover/link", "token", token, "pin", "12").is("recover", 422).wants("error") // no try
	for range directory.MaxPINTries - 1 {
		b.post("/recover/link", "token", token, "pin", wrong).is("recover", 422).wants("error")
	}
	b.get("/signup/passkey").is("error", 403)
	b.post("/recover/link", "token", token, "pin", pin[:4]+" "+pin[4:]).is("passkey", 200)

	token, pin = h.orderLink(recovery.Order{User: u, PIN: true})
	for range directory.MaxPINTries {
		h.browser().post("/recover/link", "token", token, "pin", wrong).is("recover", 422)
	}
	h.browser().post("/recover/link", "token", token, "pin", pin).is("error", 410)
	if log := h.log.String(); strings.Contains(log, pin) || strings.Contains(log, token) {
		t.Error("the PIN or the token is in the log")
	}
}

func TestALinkWaitsForAnotherAdmin(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	maker, makers := h.admin("maker@example.com", directory.RoleAdmin)
	second, seconds := h.admin("second@example.com", directory.RoleSupport)
	_, auditors := h.admin("auditor@example.com", directory.RoleAuditor)
	token, _ := h.orderLink(recovery.Order{User: u, Second: true, By: &maker})
	path := recovery.ApprovePath(u.ID)
	b := h.browser()
	b.post("/recover/link", "token", token).is("error", 403)
	b.get(path).is("login", 200)
	unconfirmed := h.browser()
	unconfirmed.signIn(second, h.passkeys(second)[0].ID)
	unconfirmed.post(path).is("login", 200) // signed in, but not stepped up
	for _, refused := range []*browser{makers, auditors} {
		refused.get(path).is("error", 404)
		refused.post(path).is("error", 404)
	}
	b.post("/recover/link", "token", token).is("error", 403)
	seconds.get(path).is("recover", 200).wants("recover-approve")
	seconds.post(path).is("recover", 200)
	seconds.post(path).is("error", 404)
	b.post("/recover/link", "token", token).is("passkey", 200)
	want := []idp.EventKind{idp.EventRecoveryLinkMade, idp.EventRecoveryApproved, idp.EventRecoveryOpened}
	if diff := cmp.Diff(want, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestTheMakerOfALinkCannotUseIt(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	maker, makers := h.admin("maker@example.com", directory.RoleAdmin)
	token, _ := h.orderLink(recovery.Order{User: u, By: &maker})
	makers.post("/recover/link", "token", token).is("error", 403)
	h.browser().post("/recover/link", "token", token).is("passkey", 200) // it was not used up
}

func TestNobodyRecoversAHigherRole(t *testing.T) {
	h := build(t)
	roles := map[directory.Role]idp.User{}
	for _, role := range directory.Roles {
		roles[role], _ = h.admin(role.Name()+"@example.com", role)
	}
	may := map[directory.Role][]directory.Role{
		directory.RoleSupport: {directory.RoleUser},
		directory.RoleAdmin:   {directory.RoleUser, directory.RoleAuditor, directory.RoleSupport},
		directory.RoleOwner:   directory.Roles,
	}
	for _, by := range directory.Roles {
		var got []directory.Role
		for _, of := range directory.Roles {
			maker, u := roles[by], roles[of]
			if by == of {
				u, _ = h.admin("other-"+of.Name()+"@example.com", of)
			}
			_, err := recovery.NewLink(t.Context(), h.db, issuer, recovery.Order{User: u, TTL: time.Hour, By: &maker}, idp.NewEvent(idp.EventRecoveryLinkMade, u.ID, time.Now()))
			switch {
			case err == nil:
				got = append(got, of)
			case !errors.Is(err, recovery.ErrRole):
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(may[by], got); diff != "" {
			t.Errorf("%s: %s", by.Name(), diff)
		}
	}
	owner := roles[directory.RoleOwner]
	if _, err := recovery.NewLink(t.Context(), h.db, issuer, recovery.Order{User: owner, TTL: time.Hour, By: &owner}, idp.Event{}); !errors.Is(err, recovery.ErrRole) {
		t.Errorf("an owner makes a link for themselves: %v", err)
	}
}

func TestARecoveredAdminRecoversNobodyForADay(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	second, _ := h.user("second@example.com", 1)
	h.change(second, func(u *idp.User) { u.Role = directory.RoleAdmin })
	h.orderLink(recovery.Order{User: u, Second: true})
	opened := time.Now()
	k := idp.Passkey{ID: idp.NewID(), UserID: second.ID, CredentialID: []byte{1}, CreatedAt: opened}
	if err := h.db.Recover(t.Context(), k, opened, opened); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(second, k.ID, "admin")
	b.post(recovery.ApprovePath(u.ID)).is("error", 404)
	second, err := h.db.UserByID(t.Context(), second.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = recovery.NewLink(t.Context(), h.db, issuer, recovery.Order{User: u, TTL: time.Hour, By: &second}, idp.Event{})
	if !errors.Is(err, idp.ErrClosed) {
		t.Errorf("and makes a link: %v", err)
	}
}
