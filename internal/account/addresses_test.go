package account_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/outbox"
)

// addresses returns the user's addresses, the primary one first.
func (h *house) addresses(u idp.User) (all []string) {
	h.t.Helper()
	u, err := h.db.UserByID(h.t.Context(), u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	others, err := addresses.New(h.db).Of(h.t.Context(), u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	all = []string{u.Email}
	for _, a := range others {
		all = append(all, a.Email)
	}
	return all
}

// addAddress adds an address with its code. The e-mails about it are taken out of the outbox.
func (b *browser) addAddress(u idp.User, email string) {
	b.t.Helper()
	b.get("/account/email/add").is("account", 200).wants("address-email", "address-submit", "cancel")
	if p := b.post("/account/email/add", "email", email).is("account", 200); p.url.Path != "/account/email/code" {
		b.t.Fatalf("at %s", p.url)
	}
	told := len(b.addresses(u))
	if p := b.post("/account/email/code", "token", b.code()).is("account", 200); p.url.RawQuery != "done=added" {
		b.t.Fatalf("at %s: %s", p.url, p.content())
	}
	for range told {
		if m := b.email(); m.Subject != "An e-mail address was added to your account" || m.To == email {
			b.t.Errorf("e-mail %q to %s", m.Subject, m.To)
		}
	}
}

// change opens the page of an address and confirms what it asks.
func (b *browser) change(email, what string) page {
	b.t.Helper()
	list := b.get("/account/email").is("account", 200)
	row := regexp.MustCompile(`(?s)<li class="row" data-test="address" data-id="([^"]*)">\s*<div class="row-main">\s*<strong><bdi>` +
		regexp.QuoteMeta(email) + `<`).FindStringSubmatch(list.body)
	if row == nil {
		b.t.Fatalf("no %s in %s", email, list.content())
	}
	path := "/account/email/" + row[1] + "/" + what
	b.get(path).is("account", 200).wants("confirm", "cancel")
	return b.post(path)
}

func undoToken(t *testing.T, m outbox.Mail) string {
	t.Helper()
	found := regexp.MustCompile(`/account/email/undo#(\S+)`).FindStringSubmatch(m.Text)
	if found == nil {
		t.Fatalf("no link in %q: %s", m.Subject, m.Text)
	}
	return found[1]
}

func TestUsersAddAnAddressWithTheCodeMailedToIt(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	eve, _ := h.user("eve@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID)
	for _, path := range []string{"/account/email/add", "/account/email/x/primary", "/account/email/x/remove"} {
		if p := b.get(path); p.url.Query().Get("class") != "account" {
			t.Errorf("%s needs no step-up: %s", path, p.url)
		}
	}
	b.signIn(u, keys[0].ID, "account")
	for _, typed := range []string{"nonsense", "ADA@example.com"} {
		b.post("/account/email/add", "email", typed).is("account", 422).wants("error")
	}
	// An address of another account gets the same page, and an e-mail without a code.
	b.post("/account/email/add", "email", eve.Email).is("account", 200).wants("verify-code")
	if m := h.email(); m.To != eve.Email || eightDigits.MatchString(m.Text) {
		t.Errorf("e-mail to %s: %s", m.To, m.Text)
	}
	b.post("/account/email/code", "token", "00000000").is("account", 422)

	b.addAddress(u, "ada@elsewhere.example")
	if all := h.addresses(u); !cmp.Equal(all, []string{"ada@example.com", "ada@elsewhere.example"}) {
		t.Errorf("addresses %v", all)
	}
	if kinds := h.kinds(u); kinds[len(kinds)-1] != idp.EventEmailAdded {
		t.Errorf("events %v", kinds)
	}
	b.post("/account/email/add", "email", "ada@elsewhere.example").is("account", 422).wants("error")
	for i := range directory.MaxAddresses - 2 {
		b.addAddress(u, fmt.Sprintf("ada@%d.example", i))
	}
	if b.get("/account/email").is("account", 200).has("address-add") {
		t.Error("offers a sixth address")
	}
	b.post("/account/email/add", "email", "ada@six.example").is("account", 422).wants("error")
	h.noEmail()
}

func TestTheFormerPrimaryAddressUndoesAChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, keys := h.user("ada@example.com", 1)
		time.Sleep(2 * directory.AddressUndo)
		b := h.browser()
		sess := b.signIn(u, keys[0].ID, "account")
		family := h.family(u, sess.ID, true)
		b.addAddress(u, "thief@example.net")
		b.change("thief@example.net", "primary").is("account", 200)
		if all := h.addresses(u); !cmp.Equal(all, []string{"thief@example.net", "ada@example.com"}) {
			t.Errorf("addresses %v", all)
		}
		h.email() // to the new one
		left := h.email()
		if left.To != u.Email || left.Subject != "Another address is now the primary one of your account" {
			t.Errorf("e-mail %q to %s", left.Subject, left.To)
		}
		token := undoToken(t, left)
		b.change("ada@example.com", "remove").is("account", 200)
		for range 2 {
			h.email()
		}

		time.Sleep(directory.AddressUndo - time.Hour)
		owner := h.browser() // not signed in
		owner.get("/account/email/undo").is("recover", 200).wants("address-undo")
		owner.post("/account/email/undo", "token", "wrong").is("error", 410)
		owner.post("/account/email/undo").is("error", 410)
		b.signIn(u, keys[0].ID)
		if p := owner.post("/account/email/undo", "token", token).is("recover", 200); p.url.Path != "/account/email/undone" {
			t.Errorf("at %s", p.url)
		}
		owner.post("/account/email/undo", "token", token).is("error", 410)
		if all := h.addresses(u); !cmp.Equal(all, []string{"ada@example.com"}) {
			t.Errorf("addresses %v", all)
		}
		h.checkFamily(family, false)
		if p := b.get("/account"); p.url.Path != "/login" {
			t.Errorf("the thief is still signed in, at %s", p.url)
		}
		told := map[string]bool{}
		for range 2 {
			told[h.email().To] = true
		}
		if !told["ada@example.com"] || !told["thief@example.net"] {
			t.Errorf("told %v", told)
		}
		h.noEmail()
		// For a day nothing can be changed.
		b.signIn(u, keys[0].ID, "account")
		b.post("/account/email/add", "email", "thief@example.org").is("error", 403)
		h.noEmail()
		if kinds := h.kinds(u); kinds[len(kinds)-1] != idp.EventSignedOut && !strings.Contains(fmt.Sprint(kinds), "email.change_undone") {
			t.Errorf("events %v", kinds)
		}
	})
}

// replacePrimary makes a new address the primary one, long after the last change, and returns the token with which the
// former one undoes that.
func (b *browser) replacePrimary(u idp.User, k idp.Passkey, email string) (token string) {
	b.t.Helper()
	time.Sleep(2 * directory.AddressUndo)
	b.signIn(u, k.ID, "account")
	b.addAddress(u, email)
	b.change(email, "primary").is("account", 200)
	for range 3 {
		if m := b.email(); m.To == u.Email {
			token = undoToken(b.t, m)
		}
	}
	return token
}

func TestThePagesOfferNoChangeAfterOneWasUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, key := h.signedIn()
		b.addAddress(u, "ada@work.example")
		token := b.replacePrimary(u, key, "thief@example.net")
		h.browser().post("/account/email/undo", "token", token).is("recover", 200)
		for range 3 {
			h.email()
		}
		b.signIn(u, key.ID, "account")
		offers := []string{"address-add", "address-make-primary", "address-remove"}
		list := b.get("/account/email").is("account", 200).wants("addresses-closed")
		for _, offer := range offers {
			if list.has(offer) {
				t.Errorf("the page offers %s", offer)
			}
		}
		if !strings.Contains(list.body, "A change of your primary address was undone a short time ago") {
			t.Errorf("the page says %s", list.content())
		}
		all, err := addresses.New(h.db).Of(t.Context(), u.ID)
		if err != nil || len(all) != 1 {
			t.Fatalf("%v %v", all, err)
		}
		for _, path := range []string{"/account/email/add", "/account/email/" + all[0].ID + "/primary", "/account/email/" + all[0].ID + "/remove"} {
			b.get(path).is("error", 403)
			b.post(path, "email", "thief@example.org").is("error", 403)
		}
		h.noEmail()

		time.Sleep(idp.RecoveryClosed)
		b.signIn(u, key.ID, "account")
		b.get("/account/email").is("account", 200).wants(offers...)
		b.get("/account/email/add").is("account", 200)
	})
}

func TestAChangeOfTheAddressCannotBeUndoneAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, _ := h.signedIn()
		b.addAddress(u, "new@example.com")
		b.change("new@example.com", "primary").is("account", 200)
		h.email()
		token := undoToken(t, h.email())
		time.Sleep(directory.AddressUndo)
		h.browser().post("/account/email/undo", "token", token).is("error", 410)
		if all := h.addresses(u); all[0] != "new@example.com" {
			t.Errorf("addresses %v", all)
		}
	})
}

func TestAddressesStayAsTheyAreForADayAfterARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, _ := h.signedIn()
		b.addAddress(u, "new@example.com")
		time.Sleep(time.Minute)
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte("new"), PublicKey: []byte{1}, Name: "New", CreatedAt: time.Now(),
		}
		if err := h.db.Recover(t.Context(), k, time.Now().Add(-time.Second), time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		b.signIn(u, k.ID, "account")
		if p := b.get("/account/email").is("account", 200).wants("addresses-closed"); p.has("address-remove") || p.has("address-add") {
			t.Errorf("offers changes: %s", p.content())
		}
		others, err := addresses.New(h.db).Of(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"primary", "remove"} {
			b.post("/account/email/"+others[0].ID+"/"+what).is("error", 403)
		}
	})
}

func TestAnyConfirmedAddressRecoversTheAccount(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	owner := h.browser()
	owner.signIn(l.user, h.passkeys(l.user)[0].ID, "account")
	owner.addAddress(l.user, "second@example.org")
	l.post("/recover", "email", "second@example.org").is("recover", 200)
	m := h.email()
	if m.To != "second@example.org" {
		t.Fatalf("e-mail to %s", m.To)
	}
	mailed := eightDigits.FindStringSubmatch(m.Text)[1]
	l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("passkey", 200)
	told := []string{h.email().To, h.email().To}
	if !cmp.Equal(told, []string{"ada@example.com", "second@example.org"}) {
		t.Errorf("told %v", told)
	}
}

func TestWithoutAMailServerNoAddressIsAdded(t *testing.T) {
	noMail, err := mail.New(mail.Config{From: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	h := build(t, func(c *account.Config) { c.Mailer = noMail })
	b, _, _ := h.signedIn()
	if p := b.get("/account/email").is("account", 200); p.has("address-add") {
		t.Error("offers one")
	}
	b.get("/account/email/add").is("error", 404)
	b.post("/account/email/add", "email", "new@example.com").is("error", 404)
}
