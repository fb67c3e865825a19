package admin_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/outbox"
)

// mailing is open with a mail server.
func mailing(t *testing.T) *house {
	t.Helper()
	h := open(t)
	mailer, err := mail.New(mail.Config{DB: h.db, Transport: &mail.Mailbox{}, From: "Stepward <no-reply@example.com>"})
	h.must(err)
	h.Operations = admin.New(admin.Config{DB: h.db, Ephemeral: h.ephemeral, Issuer: "https://id.example.com", Mailer: mailer})
	return h
}

// mails takes all e-mails out of the outbox, by recipient.
func (h *house) mails() map[string]outbox.Mail {
	h.Helper()
	all := map[string]outbox.Mail{}
	for {
		m, err := outbox.ClaimMail(h.ctx, h.db, time.Now(), time.Minute)
		if errors.Is(err, idp.ErrNotFound) {
			return all
		}
		h.must(err)
		h.must(outbox.FinishMail(h.ctx, h.db, m.ID, "", time.Time{}))
		all[m.To] = m
	}
}

func TestAnAddressThatAnAdminReplacesIsTold(t *testing.T) {
	h := mailing(t)
	u := h.user("ada@example.org", directory.RoleUser)
	yes, email := true, "new@example.org"
	// An address that nobody confirmed is not told.
	_, err := h.Users.Change(h.ctx, admin.Operator(), u.ID, admin.UserChange{Email: &email, EmailVerified: &yes})
	h.must(err)
	if sent := h.mails(); len(sent) != 1 || sent["new@example.org"].Subject != "The primary address of your account has changed" {
		t.Errorf("sent %v", sent)
	}
	email = "newer@example.org"
	_, err = h.Users.Change(h.ctx, h.as(directory.RoleAdmin), u.ID, admin.UserChange{Email: &email})
	h.must(err)
	sent := h.mails()
	link := regexp.MustCompile(`https://id\.example\.com/account/email/undo#(\S+)`).FindStringSubmatch(sent["new@example.org"].Text)
	if len(sent) != 2 || link == nil {
		t.Fatalf("sent %v", sent)
	}
	_, former, err := addresses.New(h.db).Undoable(h.ctx, idp.Secret(link[1]).Hash(), time.Now())
	h.must(err)
	if former != "new@example.org" {
		t.Errorf("brings back %s", former)
	}
}

func TestAnAddressThatTheUserConfirmedStaysConfirmed(t *testing.T) {
	h := mailing(t)
	u := h.user("ada@example.org", directory.RoleUser)
	a := addresses.Address{ID: idp.NewID(), UserID: u.ID, Email: "second@example.org", AddedAt: time.Now()}
	h.must(addresses.New(h.db).Add(h.ctx, a))
	changed, err := h.Users.Change(h.ctx, admin.Operator(), u.ID, admin.UserChange{Email: &a.Email})
	h.must(err)
	if !changed.EmailVerified {
		t.Error("not confirmed")
	}
	if found, err := h.Users.Find(h.ctx, admin.Operator(), a.Email); err != nil || found.ID != u.ID || !found.EmailVerified {
		t.Errorf("found %+v (%v)", found, err)
	}
}

func TestUsersAreToldOfTheirRoleAndOfTheEndOfTheirAccount(t *testing.T) {
	h := mailing(t)
	u := h.user("ada@example.org", directory.RoleUser)
	role := directory.RoleSupport
	_, err := h.Users.Change(h.ctx, h.as(directory.RoleOwner), u.ID, admin.UserChange{Role: &role})
	h.must(err)
	if m := h.mails()[u.Email]; m.Subject != "Your role at Stepward has changed" {
		t.Errorf("e-mail %q", m.Subject)
	}
	_, err = h.Users.Remove(h.ctx, admin.Operator(), u.ID)
	h.must(err)
	if m := h.mails()[u.Email]; m.Subject != "Your account was deleted" {
		t.Errorf("e-mail %q", m.Subject)
	}
	if left, err := h.db.EventsOf(h.ctx, u.ID, 10); err != nil || len(left) != 0 {
		t.Errorf("%d events still name the user (%v)", len(left), err)
	}
}
