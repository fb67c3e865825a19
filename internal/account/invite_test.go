package account_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
)

// invite returns the token of a fresh invitation.
func (h *house) invite(u idp.User) string {
	h.t.Helper()
	link, err := enrol.Invite(h.t.Context(), h.db, issuer, u, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	token, ok := strings.CutPrefix(link.Reveal(), issuer+"/enrol#")
	if !ok {
		h.t.Fatalf("link %s", link.Reveal())
	}
	return token
}

func TestAnInvitationLeadsToAFirstPasskey(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	token := h.invite(u)
	b := h.browser()
	b.get("/enrol").is("signup", 200).wants("enrol-submit")
	p := b.post("/enrol", "token", token).is("passkey", 200).wants("passkey-create")
	b.create(p).member("next")
	if p = b.post("/signup/passkey/done").is("login", 200); p.url.Query().Get("back") != "/account" {
		t.Errorf("at %s", p.url)
	}
	if n := len(h.passkeys(u)); n != 1 {
		t.Errorf("%d passkeys, want 1", n)
	}
	if diff := cmp.Diff([]idp.EventKind{idp.EventUserInvited, idp.EventPasskeyAdded}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
	if m := h.email(); m.To != u.Email || m.Subject != "A passkey was added to your account" {
		t.Errorf("e-mail %q", m.Subject)
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestAnInvitedAdminArrivesInTheConsole(t *testing.T) {
	h := build(t)
	for role, want := range map[directory.Role]string{
		directory.RoleUser: "/account", directory.RoleAuditor: "/admin", directory.RoleOwner: "/admin",
	} {
		u, _ := h.user(role.Name()+"@example.com", 0)
		h.change(u, func(u *idp.User) { u.Role = role })
		b := h.browser()
		b.create(b.post("/enrol", "token", h.invite(u)).is("passkey", 200))
		at := b.post("/signup/passkey/done")
		if back := at.url.Query().Get("back"); back != want && at.url.Path != want {
			t.Errorf("%s: at %s, want %s", role.Name(), at.url, want)
		}
	}
}

func TestAnInvitationWorksOnceAndInTheFirstBrowser(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	token := h.invite(u)
	first, second := h.browser(), h.browser()
	first.get("/enrol") // as mail scanners do
	first.post("/enrol", "token", token).is("passkey", 200)
	over := second.post("/enrol", "token", token).is("error", 410)
	if !strings.Contains(over.body, `href="/account" data-test="continue">Sign in</a>`) ||
		!strings.Contains(over.body, "Otherwise ask for a new invitation.") {
		t.Errorf("the button or the text is missing\n%s", over.content())
	}
	second.get("/signup/passkey").is("error", 403)
	first.post("/enrol", "token", token).is("passkey", 200) // opened again in the same browser
	first.create(first.get("/signup/passkey")).member("next")
	first.post("/signup/passkey/done")
	first.post("/enrol", "token", token).is("error", 410)
	h.browser().post("/enrol", "token", "").is("error", 410)
	h.browser().post("/enrol", "token", "nonsense").is("error", 410)
}

func TestAnInvitationExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, _ := h.user("ada@example.com", 0)
		token := h.invite(u)
		time.Sleep(time.Hour)
		h.browser().post("/enrol", "token", token).is("error", 410)
	})
}

func TestAnInvitationCannotOpenAnAccountThatHasAPasskey(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	early, late := h.browser(), h.browser()
	lying := h.invite(u)
	p := early.post("/enrol", "token", h.invite(u)).is("passkey", 200) // not finished
	late.create(late.post("/enrol", "token", h.invite(u))).member("next")
	h.browser().post("/enrol", "token", lying).is("error", 403)
	if answer := early.create(p); answer.status != 403 || answer.member("error") != "already_enrolled" {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	if n := len(h.passkeys(u)); n != 1 {
		t.Errorf("%d passkeys, want 1", n)
	}
}

func TestAnInvitationOfADisabledUserIsRefused(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	token, begun := h.invite(u), h.browser()
	p := begun.post("/enrol", "token", h.invite(u)).is("passkey", 200)
	u.DisabledAt = time.Now()
	if err := h.db.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	h.browser().post("/enrol", "token", token).is("error", 410)
	if answer := begun.create(p); answer.status != 403 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

func TestAnInvitationIsStoredHashed(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	token := h.invite(u)
	if _, err := h.db.PeekLink(t.Context(), token, "enrol", time.Now()); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("stored under the token: %v", err)
	}
	if _, err := h.db.PeekLink(t.Context(), idp.Secret(token).Hash(), "enrol", time.Now()); err != nil {
		t.Errorf("not stored under its hash: %v", err)
	}
}
