package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/roster"
)

func passkeyRules(t *testing.T, rules ...string) func(*account.Config) {
	t.Helper()
	var policy directory.PasskeyPolicy
	for _, rule := range rules {
		r, err := directory.ParsePasskeyRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		policy = append(policy, r)
	}
	return func(c *account.Config) { c.Passkeys = policy }
}

func TestAnAccountSaysWhatItLacksUntilItIsComplete(t *testing.T) {
	h := build(t, passkeyRules(t, "everyone minimum=2"))
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID, account.ActionClass)
	b.get("/account").is("account", 200).wants("checkup", "checkup-link")
	b.get("/account/checkup").is("account", 200).wants("checkup-incomplete", "passkey-add", "passkey-other", "codes-link")
	b.create(b.get("/account/passkeys/add")).member("next")
	h.email()
	if b.get("/account").is("account", 200).has("checkup") {
		t.Error("the account is complete, and its page says otherwise")
	}
	p := b.get("/account/checkup").is("account", 200).wants("checkup-complete", "codes-link")
	if p.has("passkey-add") {
		t.Errorf("it asks for more: %s", p.content())
	}
}

// One device-bound passkey and no codes: the account is complete, and still one lost device away from its end.
func TestRecoveryCodesAreOfferedAgainWhileThereIsOneDevice(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID, account.ActionClass)
	b.get("/account").is("account", 200).wants("checkup-link")
	b.get("/account/checkup").is("account", 200).wants("checkup-complete", "codes-link")
	b.saveCodes()
	if b.get("/account").is("account", 200).has("checkup") {
		t.Error("codes are offered although there are some")
	}
	for name, flags := range map[string]byte{"synced": idp.FlagBackupEligible, "two devices": 0} {
		u, keys := h.user(strings.ReplaceAll(name, " ", "-")+"@example.com", 1)
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(name), PublicKey: []byte{1}, Flags: flags, CreatedAt: time.Now(),
		}
		if err := h.db.AddPasskey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		b := h.browser()
		b.signIn(u, keys[0].ID)
		if b.get("/account").is("account", 200).has("checkup") {
			t.Errorf("%s: codes are pressed on them", name)
		}
	}
}

func TestARuleOfAGroupOrRoleSaysWhichPasskeysItsMembersAdd(t *testing.T) {
	h := build(t, passkeyRules(t, "group:finance kind=device-bound minimum=2", "role:admin proven"))
	groups := roster.New(h.db)
	parent := directory.Group{ID: idp.NewID(), Name: "finance", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	child := directory.Group{ID: idp.NewID(), Name: "accounting", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	for _, g := range []directory.Group{parent, child} {
		if err := groups.CreateGroup(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	if err := groups.Nest(t.Context(), child.ID, parent.ID); err != nil {
		t.Fatal(err)
	}
	ada, keys := h.user("ada@example.com", 1) // in a group within the group
	if err := groups.AddMembers(t.Context(), child.ID, []string{ada.ID}, time.Now()); err != nil {
		t.Fatal(err)
	}
	bob, bobs := h.user("bob@example.com", 1)
	eve, eves := h.user("eve@example.com", 1)
	h.change(eve, func(u *idp.User) { u.Role = directory.RoleOwner })
	synced := func(u idp.User, k idp.Passkey) *browser {
		b := h.browser()
		b.authenticator.Flags |= idp.FlagBackupEligible
		b.signIn(u, k.ID, account.ActionClass)
		return b
	}
	adas, ofBob, ofEve := synced(ada, keys[0]), synced(bob, bobs[0]), synced(eve, eves[0])
	there := h.browser()
	there.authenticator.Flags |= idp.FlagBackupEligible
	token, _ := adas.offer()
	l := lockedOut{browser: h.browser(), user: ada}
	l.authenticator.Flags |= idp.FlagBackupEligible
	for where, row := range map[string]struct {
		answer page
		fault  string
	}{
		"a member":            {adas.create(adas.get("/account/passkeys/add")), "synced"},
		"on another device":   {there.create(there.post("/add", "token", token)), "synced"},
		"in a recovery":       {l.create(l.post("/recover/link", "token", h.recoveryLink(ada, time.Hour))), "synced"},
		"an owner, by a role": {ofEve.create(ofEve.get("/account/passkeys/add")), "model"},
	} {
		if row.answer.status != http.StatusForbidden || row.answer.member("error") != row.fault {
			t.Errorf("%s: %d %s", where, row.answer.status, row.answer.body)
		}
	}
	if n := len(h.passkeys(ada)); n != 1 {
		t.Errorf("%d passkeys", n)
	}
	ofBob.create(ofBob.get("/account/passkeys/add")).member("next") // no rule is about him
	adas.get("/account/checkup").is("account", 200).wants("checkup-incomplete")
	adas.authenticator.Flags &^= idp.FlagBackupEligible
	adas.create(adas.get("/account/passkeys/add")).member("next")
	adas.get("/account/checkup").is("account", 200).wants("checkup-complete")
	fresh := h.browser() // a sign-up has no groups yet
	fresh.authenticator.Flags |= idp.FlagBackupEligible
	for range 3 {
		_, _ = h.db.ClaimMail(t.Context(), time.Now(), time.Minute)
	}
}
