package account_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
)

func TestAPasskeySaysWhoseItIsAndWhatItWasUsedFor(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	if err := h.db.PutClient(t.Context(), idp.Client{
		ID: "docs", Name: "Docs <b>", GrantTypes: []string{idp.GrantAuthorizationCode},
		RedirectURIs: []string{"https://docs.example/cb"}, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	k := idp.Passkey{
		ID: idp.NewID(), UserID: u.ID, CredentialID: []byte("another"), PublicKey: []byte{1}, Name: "My phone",
		AAGUID: slices.Concat([]byte{0xfb, 0xfc, 0x30, 0x07, 0x15, 0x4e, 0x4e, 0xcc, 0x8c, 0x0b, 0x6e, 0x02},
			[]byte{0x05, 0x57, 0xd7, 0xbd}),
		CreatedAt: time.Now(), CounterRegressedAt: time.Now(), Flags: idp.FlagBackupEligible,
	}
	if err := h.db.AddPasskey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"docs", "docs", "removed-since", ""} {
		ev := idp.NewEvent(idp.EventSignedIn, u.ID, time.Now())
		ev.PasskeyID, ev.ClientID = k.ID, client
		if err := h.db.RecordEvents(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	b := h.browser()
	b.signIn(u, keys[0].ID)
	p := b.get("/account/passkeys").is("account", 200).wants("passkey-provider", "passkey-for", "passkey-regressed")
	if strings.Count(p.body, "Docs &lt;b&gt;") != 1 || !strings.Contains(p.body, "Apple Passwords") ||
		p.has("passkey-badmodel") {
		t.Error(p.content())
	}
}

func TestAPasskeyAgainstTheRulesIsNotAddedAnywhere(t *testing.T) {
	h := build(t, func(c *account.Config) {
		var err error
		c.Ceremonies, err = passkey.New(passkey.Config{
			RPID: "login.example.com", RPName: "Stepward", Origins: []string{issuer}, Store: c.Ephemeral,
			Rules: passkey.Rules{DeviceBound: true},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	u, keys := h.user("ada@example.com", 1)
	here, there, fresh := h.browser(), h.browser(), h.browser()
	for _, b := range []*browser{here, there, fresh} {
		b.authenticator.Flags |= idp.FlagBackupEligible
	}
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	for where, answer := range map[string]page{
		"account":      here.create(here.get("/account/passkeys/add")),
		"other device": there.create(there.post("/add", "token", token)),
		"sign-up":      fresh.create(fresh.signUp("bob@example.com")),
	} {
		if answer.status != 403 || answer.member("error") != "synced" {
			t.Errorf("%s: %d %s", where, answer.status, answer.body)
		}
	}
	if len(h.passkeys(u)) != 1 {
		t.Error("it was added")
	}
}
