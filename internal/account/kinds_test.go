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
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store/roster"
)

const yubiKey = "a25342c0-3cdc-4414-8e46-f4807fca511c" // named YubiKey 5 Series with NFC

// group stores a group with these members.
func (h *house) group(name string, members ...idp.User) {
	h.t.Helper()
	groups := roster.New(h.db)
	g := directory.Group{ID: idp.NewID(), Name: name, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := groups.CreateGroup(h.t.Context(), g); err != nil {
		h.t.Fatal(err)
	}
	for _, u := range members {
		if err := groups.AddMembers(h.t.Context(), g.ID, []string{u.ID}, time.Now()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// attested makes ceremonies that verify one model's attestation.
func attested(t *testing.T, maker *passkeytest.Attestor) func(*account.Config) {
	return func(c *account.Config) {
		var err error
		c.Ceremonies, err = passkey.New(passkey.Config{
			RPID: "login.example.com", RPName: "Stepward", Origins: []string{issuer}, Store: c.Ephemeral,
			Attestation: passkey.AttestationDirect, Metadata: maker.Metadata(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A door is a page on which a passkey is created, in a browser.
type door struct {
	b *browser
	p page
}

// doors are all doors, for members of finance and for a new user, each in a browser with this authenticator.
func (h *house) doors(name string, equip func(*passkeytest.Authenticator)) map[string]door {
	h.t.Helper()
	member, keys := h.user(name+"@example.com", 1)
	invited, _ := h.user(name+"-invited@example.com", 0)
	locked, _ := h.user(name+"-locked@example.com", 1)
	h.group("finance", member, invited, locked)
	equipped := func() *browser {
		b := h.browser()
		equip(b.authenticator)
		return b
	}
	here, there, late, fresh, lost := equipped(), equipped(), equipped(), equipped(), equipped()
	here.signIn(member, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	return map[string]door{
		"account":      {here, here.get("/account/passkeys/add")},
		"other device": {there, there.post("/add", "token", token)},
		"invitation":   {late, late.post("/enrol", "token", h.invite(invited))},
		"sign-up":      {fresh, fresh.signUp(name + "-new@example.com")},
		"recovery":     {lost, lost.post("/recover/link", "token", h.recoveryLink(locked, time.Hour))},
	}
}

func TestAForbiddenModelIsRefusedAtEveryDoorThatSaysSo(t *testing.T) {
	h := build(t, passkeyRules(t, "everyone forbidden="+yubiKey))
	for where, door := range h.doors("ada", func(a *passkeytest.Authenticator) { a.AAGUID = uuid.MustParse(yubiKey) }) {
		if door.p.status != 200 || !door.p.has("passkey-kind") || !strings.Contains(door.p.body, "YubiKey 5 Series with NFC") {
			t.Errorf("%s does not say which kind is needed: %s", where, door.p.content())
		}
		answer := door.b.create(door.p)
		if answer.status != http.StatusForbidden || answer.member("error") != "model" ||
			!strings.Contains(answer.member("message"), "aren’t accepted: YubiKey 5 Series with NFC") {
			t.Errorf("%s: %d %s", where, answer.status, answer.body)
		}
		door.b.authenticator.AAGUID = [16]byte{7}
		door.b.create(door.p.again(door.b)).member("next")
	}
}

// again begins the ceremony of the page once more, as its script does after a refusal.
func (p page) again(b *browser) page {
	p.t.Helper()
	return b.get(p.url.Path)
}

func TestOnlyTheModelsOfTheirGroupsAreAddedByItsMembers(t *testing.T) {
	maker, err := passkeytest.NewAttestor([16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	model := uuid.UUID(maker.AAGUID).String()
	other := yubiKey
	h := build(t, attested(t, maker), passkeyRules(t, "group:finance allowed="+other+" allowed="+model, "everyone minimum=1"))
	for where, door := range h.doors("claimed", func(a *passkeytest.Authenticator) { a.AAGUID = maker.AAGUID }) {
		if where == "sign-up" { // in no group yet
			if door.p.has("passkey-kind") {
				t.Errorf("%s: %s", where, door.p.content())
			}
			door.b.create(door.p).member("next")
			continue
		}
		if !door.p.has("passkey-kind") || !strings.Contains(door.p.body, "YubiKey 5 Series with NFC") {
			t.Errorf("%s does not say which kind is needed: %s", where, door.p.content())
		}
		if answer := door.b.create(door.p); answer.status != http.StatusForbidden || answer.member("error") != "model" {
			t.Errorf("%s, only claimed: %d %s", where, answer.status, answer.body)
		}
		door.b.authenticator.Attestor = maker
		door.b.create(door.p.again(door.b)).member("next")
	}
}

func TestTwoListsAllowWhatBothName(t *testing.T) {
	maker, err := passkeytest.NewAttestor([16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	model := uuid.UUID(maker.AAGUID).String()
	h := build(t, attested(t, maker),
		passkeyRules(t, "group:finance allowed="+model, "everyone allowed="+yubiKey))
	ada, keys := h.user("ada@example.com", 1)
	h.group("finance", ada)
	b := h.browser()
	b.authenticator.AAGUID, b.authenticator.Attestor = maker.AAGUID, maker
	b.signIn(ada, keys[0].ID, account.ActionClass)
	answer := b.create(b.get("/account/passkeys/add").wants("passkey-kind"))
	if answer.status != http.StatusForbidden || !strings.Contains(answer.member("message"), "no model") {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	b.get("/account/checkup").is("account", 200).wants("checkup-incomplete", "checkup-models")
}
