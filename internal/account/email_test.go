package account_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/erasure"
)

// unconfirmed returns a signed-in user whose address is not confirmed.
func (h *house) unconfirmed(email string) (idp.User, *browser) {
	h.t.Helper()
	u, keys := h.user(email, 1)
	u.EmailVerified = false
	if err := h.db.UpdateUser(h.t.Context(), u); err != nil {
		h.t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, keys[0].ID)
	return u, b
}

func (h *house) confirmed(u idp.User) bool {
	h.t.Helper()
	u, err := h.db.UserByID(h.t.Context(), u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return u.EmailVerified
}

func TestAnAddressIsConfirmedByAnEmailedCode(t *testing.T) {
	h := build(t)
	u, b := h.unconfirmed("ada@example.com")
	b.get("/account").is("account", 200).wants("email-confirm")
	b.post("/account/email/confirm").is("account", 200).wants("verify-code", "verify-submit", "verify-resend", "cancel")
	old := h.code()
	b.post("/account/email/confirm", "again", "yes").is("account", 200)
	code := h.code()
	b.post("/account/email/code", "token", old).is("account", 422).wants("error") // replaced by the newer one
	if h.confirmed(u) {
		t.Fatal("the former code confirmed the address")
	}
	if p := b.post("/account/email/code", "token", code[:4]+" "+code[4:]).is("account", 200); p.has("email-confirm") ||
		!h.confirmed(u) {
		t.Errorf("not confirmed: %s", p.content())
	}
	b.post("/account/email/code", "token", code).is("account", 422) // used
	if kinds := h.kinds(u); kinds[len(kinds)-1] != idp.EventEmailVerified {
		t.Errorf("events %v", kinds)
	}
	if p := b.post("/account/email/confirm").is("account", 200); p.url.Path != "/account/email" {
		t.Errorf("at %s", p.url)
	}
	h.noEmail()
}

func TestAConfirmationCodeIsBoundToItsSessionAddressAndTime(t *testing.T) {
	t.Run("another session", func(t *testing.T) {
		h := build(t)
		u, b := h.unconfirmed("ada@example.com")
		b.post("/account/email/confirm")
		code := h.code()
		other := h.browser()
		other.signIn(u, h.passkeys(u)[0].ID)
		other.post("/account/email/code", "token", code).is("account", 200)
		if h.confirmed(u) {
			t.Error("confirmed")
		}
	})
	t.Run("the address changed", func(t *testing.T) {
		h := build(t)
		u, b := h.unconfirmed("ada@example.com")
		b.post("/account/email/confirm")
		code := h.code()
		u.Email = "eve@example.com"
		if err := h.db.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		b.post("/account/email/code", "token", code).is("account", 200)
		if h.confirmed(u) {
			t.Error("confirmed")
		}
	})
	t.Run("too many tries", func(t *testing.T) {
		h := build(t)
		u, b := h.unconfirmed("ada@example.com")
		b.post("/account/email/confirm")
		code := h.code()
		for range enrol.MaxTries {
			b.post("/account/email/code", "token", "00000000").is("account", 422)
		}
		b.post("/account/email/code", "token", code).is("account", 422)
		if h.confirmed(u) {
			t.Error("confirmed after the last try")
		}
	})
	t.Run("expired", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := build(t)
			u, b := h.unconfirmed("ada@example.com")
			b.post("/account/email/confirm")
			code := h.code()
			time.Sleep(enrol.CodeTTL)
			b.post("/account/email/code", "token", code).is("account", 200)
			if h.confirmed(u) {
				t.Error("confirmed")
			}
		})
	})
	t.Run("too many e-mails", func(t *testing.T) {
		h := build(t)
		_, b := h.unconfirmed("ada@example.com")
		for range 6 {
			b.post("/account/email/confirm").is("account", 200)
		}
		b.post("/account/email/confirm").is("error", 429)
	})
}

func TestAnEmailedInvitationConfirmsTheAddress(t *testing.T) {
	for name, emailed := range map[string]bool{"printed": false, "e-mailed": true} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			u, _ := h.user("ada@example.com", 0)
			u.EmailVerified = false
			if err := h.db.UpdateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			invite := enrol.Invite
			if emailed {
				invite = enrol.InviteByMail
			}
			link, err := invite(t.Context(), h.db, issuer, u, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			token := link.Reveal()[len(issuer+"/enrol#"):]
			b := h.browser()
			b.post("/enrol", "token", token).is("passkey", 200)
			if h.confirmed(u) != emailed {
				t.Errorf("confirmed: %v", !emailed)
			}
			h.browser().post("/enrol", "token", token).is("error", 410)
		})
	}
}

func TestChangingTheAddressEndsInvitationsToTheFormerOne(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	token := h.invite(u)
	u.Email = "new@example.com"
	if err := h.db.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	h.browser().post("/enrol", "token", token).is("error", 410)
}

func TestARemovedUserLeavesNothing(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	sess := b.signIn(u, keys[0].ID)
	family := h.family(u, sess.ID, true)
	if err := erasure.New(h.db).Erase(t.Context(), u.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.checkFamily(family, false)
	b.get("/account").is("error", 403)
	if n := len(h.passkeys(u)); n != 0 {
		t.Errorf("%d passkeys", n)
	}
	if err := erasure.New(h.db).Erase(t.Context(), u.ID, time.Now()); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}
