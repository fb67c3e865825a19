package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
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
	b, _, _ := h.signedIn()
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
}

// addKey stores another passkey of the user.
func (h *house) addKey(u idp.User, change func(*idp.Passkey)) {
	h.t.Helper()
	k := idp.Passkey{
		ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(idp.NewSecret().Reveal()), PublicKey: []byte{1}, CreatedAt: time.Now(),
	}
	change(&k)
	if err := h.db.AddPasskey(h.t.Context(), k); err != nil {
		h.t.Fatal(err)
	}
}

// Each row takes one rule of the page away if it is missing.
func TestTheCheckupCountsOnlyPasskeysThatCount(t *testing.T) {
	forbidden := uuid.MustParse(yubiKey)
	synced := func(k *idp.Passkey) { k.Flags = idp.FlagBackupEligible }
	for name, row := range map[string]struct {
		rule    string
		add     []func(*idp.Passkey)
		count   string
		missing bool
	}{
		"a synced one where it must stay on its device": {
			"everyone minimum=2 kind=device-bound",
			[]func(*idp.Passkey){synced},
			"count: 1. Needed: 2.", true,
		},
		"one that proves nothing": {
			"everyone minimum=2 proven",
			[]func(*idp.Passkey){func(k *idp.Passkey) { k.AttestationVerifiedAt = time.Now() }},
			"count: 1. Needed: 2.", true,
		},
		"a forbidden model": {
			"everyone minimum=2 forbidden=" + yubiKey,
			[]func(*idp.Passkey){func(k *idp.Passkey) { k.AAGUID = forbidden[:] }},
			"count: 1. Needed: 2.", true,
		},
		"another than the allowed model": {
			"everyone allowed=" + yubiKey,
			[]func(*idp.Passkey){func(k *idp.Passkey) { k.AAGUID, k.AttestationVerifiedAt = forbidden[:], time.Now() }},
			"count: 1. Needed: 1.", false,
		},
		"enough": {"everyone minimum=2", []func(*idp.Passkey){synced}, "count: 2. Needed: 2.", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, passkeyRules(t, row.rule))
			u, keys := h.user("ada@example.com", 1)
			for _, add := range row.add {
				h.addKey(u, add)
			}
			b := h.browser()
			b.signIn(u, keys[0].ID)
			p := b.get("/account/checkup").is("account", 200)
			if !strings.Contains(p.content(), row.count) || p.has("checkup-incomplete") != row.missing ||
				p.has("checkup-complete") == row.missing || p.has("passkey-add") != row.missing {
				t.Errorf("want %q, missing %t: %s", row.count, row.missing, p.content())
			}
			if told := b.get("/account").is("account", 200).has("checkup"); told != row.missing {
				t.Errorf("the account says so: %t", told)
			}
		})
	}
}

func TestTheCheckupOffersCodesOnlyWhereTheyHelp(t *testing.T) {
	byAdmins := func(c *account.Config) { c.Recovery = recovery.AdminOnly }
	for name, row := range map[string]struct {
		change      func(*account.Config)
		unconfirmed bool
		card, offer bool
	}{
		"none yet":                     {func(*account.Config) {}, false, true, true},
		"the address is not confirmed": {func(*account.Config) {}, true, true, false},
		"the service has none":         {byAdmins, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, row.change)
			u, keys := h.user("ada@example.com", 1)
			if row.unconfirmed {
				h.change(u, func(u *idp.User) { u.EmailVerified = false })
			}
			b := h.browser()
			b.signIn(u, keys[0].ID)
			p := b.get("/account/checkup").is("account", 200)
			if strings.Contains(p.content(), "Recovery codes") != row.card || p.has("codes-link") != row.offer {
				t.Error(p.content())
			}
			if told := b.get("/account").is("account", 200).has("checkup"); told != row.offer {
				t.Errorf("the account says so: %t", told)
			}
		})
	}
	t.Run("made under a key that is gone", func(t *testing.T) {
		h := build(t)
		l := h.lockOut("ada@example.com")
		if l.home.get("/account").has("checkup") {
			t.Error("codes are offered although there are some")
		}
		other := build(t, func(c *account.Config) {
			c.DB, c.Sessions, c.Ephemeral, c.RecoveryKey = h.db, h.sessions, h.ephemeral, []byte("another key")
		})
		other.sessions = h.sessions
		l.home.house = other
		l.home.get("/account/checkup").is("account", 200).wants("codes-link")
	})
}

func TestTheCheckupDoesNotCountSuspendedPasskeys(t *testing.T) {
	h := build(t, passkeyRules(t, "everyone minimum=2"))
	u, _ := h.user("ada@example.com", 2)
	b := h.browser()
	b.create(b.post("/recover/link", "token", h.recoveryLink(u, time.Hour))).member("next")
	for _, k := range h.passkeys(u) {
		if !k.Suspended() {
			b.signIn(u, k.ID)
		}
	}
	p := b.get("/account/checkup").is("account", 200).wants("checkup-incomplete")
	if !strings.Contains(p.content(), "count: 1. Needed: 2.") {
		t.Error(p.content())
	}
}

// A synced passkey outlives its device. Two passkeys are on two devices, even if one of them does not count.
func TestTheCheckupSaysWhetherOneDeviceIsAll(t *testing.T) {
	synced := func(k *idp.Passkey) { k.Flags = idp.FlagBackupEligible }
	device := func(k *idp.Passkey) { k.Flags = 0 }
	model := uuid.MustParse(yubiKey)
	forbidden := func(k *idp.Passkey) { k.AAGUID = model[:] }
	for name, row := range map[string]struct {
		keys []func(*idp.Passkey)
		want bool
	}{
		"one device":               {[]func(*idp.Passkey){device}, true},
		"one that is synced":       {[]func(*idp.Passkey){synced}, false},
		"two, of which one counts": {[]func(*idp.Passkey){device, forbidden}, false},
		"two devices":              {[]func(*idp.Passkey){device, device}, false},
	} {
		h := build(t, passkeyRules(t, "everyone forbidden="+yubiKey))
		u, _ := h.user("ada@example.com", 0)
		for _, change := range row.keys {
			h.addKey(u, change)
		}
		b := h.browser()
		b.signIn(u, h.passkeys(u)[0].ID)
		p := b.get("/account/checkup").is("account", 200)
		if said := strings.Contains(p.content(), "Your only passkey is on one device"); said != row.want || p.has("passkey-add") != row.want {
			t.Errorf("%s: %s", name, p.content())
		}
		if told := b.get("/account").is("account", 200).has("checkup"); told != row.want {
			t.Errorf("%s: the account says so: %t", name, told)
		}
	}
}
