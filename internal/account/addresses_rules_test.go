package account_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/store/addresses"
)

func TestChangesOfAddressesNeedAStepUp(t *testing.T) {
	h := build(t)
	b, u, key := h.signedIn()
	b.addAddress(u, "ada@work.example")
	all, err := addresses.New(h.db).Of(t.Context(), u.ID)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	idle := h.browser() // signed in, no step-up
	idle.signIn(u, key.ID)
	for _, path := range []string{"/add", "/" + all[0].ID + "/primary", "/" + all[0].ID + "/remove"} {
		if p := idle.get("/account/email" + path); p.url.Query().Get("class") != "account" {
			t.Errorf("%s is shown without a step-up: %s", path, p.url)
		}
		if p := idle.post("/account/email"+path, "email", "thief@example.net"); p.url.Query().Get("class") != "account" {
			t.Errorf("%s works without a step-up: %s", path, p.url)
		}
	}
	if now := h.addresses(u); len(now) != 2 || now[0] != u.Email {
		t.Errorf("addresses %v", now)
	}
	h.noEmail()
}

func TestAddressesOfOthersCannotBeChanged(t *testing.T) {
	h := build(t)
	b, u, _ := h.signedIn()
	b.addAddress(u, "ada@work.example")
	all, err := addresses.New(h.db).Of(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	eve, theirs := h.user("eve@example.com", 1)
	thief := h.browser()
	thief.signIn(eve, theirs[0].ID, "account")
	for _, what := range []string{"primary", "remove"} {
		thief.get("/account/email/"+all[0].ID+"/"+what).is("error", 404)
		thief.post("/account/email/"+all[0].ID+"/"+what).is("error", 404)
	}
	if mine, hers := h.addresses(eve), h.addresses(u); len(mine) != 1 || len(hers) != 2 || hers[0] != u.Email {
		t.Errorf("addresses %v and %v", mine, hers)
	}
}

// An undone change takes all addresses with it that came with it: each could recover the account.
func TestAnUndoneChangeRemovesTheOtherAddressesOfTheThief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, key := h.signedIn()
		b.addAddress(u, "ada@work.example")
		token := b.replacePrimary(u, key, "before@thief.example")
		b.addAddress(u, "after@thief.example")
		h.browser().post("/account/email/undo", "token", token).is("recover", 200)
		if all := h.addresses(u); len(all) != 2 || all[0] != u.Email || all[1] != "ada@work.example" {
			t.Errorf("addresses %v", all)
		}
	})
}

// A wrong try stores the entry again. That must not give the code more time.
func TestAWrongTryDoesNotExtendACodeForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, _ := h.signedIn()
		b.post("/account/email/add", "email", "ada@work.example").is("account", 200)
		code := h.code()
		time.Sleep(enrol.CodeTTL - time.Minute)
		b.post("/account/email/code", "token", "00000000").is("account", 422)
		time.Sleep(2 * time.Minute)
		b.post("/account/email/code", "token", code)
		if all := h.addresses(u); len(all) != 1 {
			t.Errorf("addresses %v", all)
		}
	})
}
