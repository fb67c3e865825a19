package account_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
)

const otherPath = "/account/passkeys/other"

// offer shows a code for another device, and returns the token of its QR code and the short code.
func (b *browser) offer() (token, code string) {
	b.t.Helper()
	b.get(otherPath+"/new").is("account", 200).wants("other-start")
	p := b.post(otherPath+"/new").is("account", 200).wants("other-code")
	if !strings.Contains(p.body, `<svg class="qr" role="img"`) {
		b.t.Errorf("no QR code: %s", p.content())
	}
	at, _ := url.Parse(issuer)
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == "__Host-stepward-offer" {
			token, _, _ = strings.Cut(c.Value, ".")
		}
	}
	return token, p.shown("other-code")
}

// shown returns the text of the element with this hook.
func (p page) shown(hook string) string {
	p.t.Helper()
	found := regexp.MustCompile(`data-test="` + hook + `"[^>]*>([^<]*)<`).FindStringSubmatch(p.body)
	if found == nil {
		p.t.Fatalf("no %q on the page: %s", hook, p.content())
	}
	return html.UnescapeString(found[1])
}

// passkeyElsewhere opens an offer and creates a passkey for it.
func (b *browser) passkeyElsewhere(token string) page {
	b.t.Helper()
	p := b.post("/add", "token", token).is("add", 200).wants("passkey-create")
	if answer := b.create(p); answer.status != 200 {
		b.t.Fatalf("finish: %d %s", answer.status, answer.body)
	}
	return b.get("/add/passkey").is("add", 200).wants("add-number")
}

func TestAPasskeyOfAnotherDeviceCountsOnlyAfterItsOwnerConfirmsIt(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, there := h.browser(), h.browser()
	there.address = "198.51.100.7:99"
	here.signIn(u, keys[0].ID)
	if p := here.get(otherPath+"/new").is("login", 200); p.url.Query().Get("class") != "account" {
		t.Errorf("no step-up: at %s", p.url)
	}
	here.post(otherPath+"/new").is("login", 200)
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	if state := here.get(otherPath + "/state").member("state"); state != "waiting-0" {
		t.Errorf("state %q", state)
	}

	number := there.passkeyElsewhere(token).shown("add-number")
	credential := there.authenticator.Passkeys[0].ID
	if _, _, err := h.db.PasskeyByCredentialID(t.Context(), credential); err == nil || len(h.passkeys(u)) != 1 {
		t.Fatal("the passkey can sign in before it is confirmed")
	}
	p := here.get(otherPath).is("account", 200).wants("other-yes", "other-no")
	if p.shown("other-number") != number || !strings.Contains(p.body, "198.51.100.7") ||
		!strings.Contains(p.body, "Firefox on macOS") {
		t.Errorf("number %s\n%s", number, p.content())
	}
	here.post(otherPath+"/confirm").is("account", 200).wants("passkey")
	if k, _, err := h.db.PasskeyByCredentialID(t.Context(), credential); err != nil || k.UserID != u.ID {
		t.Fatal(k, err)
	}
	there.get("/add/passkey").is("add", 200).wants("add-done")
	here.post(otherPath+"/confirm").is("account", 200)
	there.post("/add", "token", token).is("add", 200).wants("add-done")
	if m := h.email(); !strings.Contains(m.Text, "was added") {
		t.Errorf("e-mail %q", m.Text)
	}
	h.noEmail()
	if diff := cmp.Diff([]idp.EventKind{idp.EventPasskeyOffered, idp.EventOfferOpened, idp.EventPasskeyAdded},
		h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedPasskeyOfAnotherDeviceIsGone(t *testing.T) {
	h := build(t)
	here, u, _ := h.signedIn()
	there := h.browser()
	token, _ := here.offer()
	there.passkeyElsewhere(token)
	here.post(otherPath+"/refuse").is("account", 200).wants("other-refused")
	here.post(otherPath+"/confirm").is("account", 200).wants("other-refused")
	if len(h.passkeys(u)) != 1 {
		t.Error("the refused passkey was stored")
	}
	if state := there.get("/add/state").member("state"); state != "refused" {
		t.Errorf("state %q", state)
	}
	if p := there.get("/add/passkey").is("add", 200); p.attribute("data-unknown") == "" {
		t.Errorf("the device is not told to forget the passkey: %s", p.content())
	}
	h.noEmail()
	if kinds := h.kinds(u); !slices.Contains(kinds, idp.EventOfferRefused) {
		t.Error(kinds)
	}
}

func TestACodeForAnotherDeviceIsTakenByTheFirst(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, there, bystander := h.browser(), h.browser(), h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, code := here.offer()
	here.post("/add", "token", token).is("error", http.StatusConflict) // its own browser, which takes nothing
	if p := there.get("/add").is("add", 200).wants("add-code"); strings.Contains(p.body, u.Email) {
		t.Error("a GET opened the offer")
	}
	p := there.post("/add", "token", token).is("add", 200).wants("passkey-create")
	there.post("/add", "token", token).is("add", 200).wants("passkey-create") // again, by the same device
	bystander.post("/add", "token", token).is("error", http.StatusGone)
	bystander.post("/add", "code", code).is("error", http.StatusGone)
	bystander.get("/add/passkey").is("error", http.StatusGone)
	at, _ := url.Parse(issuer)
	bystander.client.Jar.SetCookies(at, []*http.Cookie{{
		Name: "__Host-stepward-add", Value: idp.Secret(token).Hash() + ".guess", Path: "/", Secure: true,
	}})
	bystander.get("/add/passkey").is("error", http.StatusGone)
	if answer := bystander.create(p); answer.status != http.StatusGone {
		t.Errorf("the bystander finished the ceremony: %d %s", answer.status, answer.body)
	}
	here.get(otherPath).is("account", 200).wants("other-again")
	if state := here.get(otherPath + "/state").member("state"); state != "opened-2" {
		t.Errorf("state %q", state)
	}
	if answer := there.create(there.get("/add/passkey")); answer.status != 200 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	here.get(otherPath).is("account", 200).wants("other-again", "other-yes")
}

func TestTheBystanderWhoIsFirstIsSeenByTheOwner(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, there, bystander := h.browser(), h.browser(), h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	bystander.passkeyElsewhere(token)
	there.post("/add", "token", token).is("error", http.StatusGone)
	here.get(otherPath).is("account", 200).wants("other-again", "other-number", "other-no")
	fresh, _ := here.offer() // in its place
	here.post(otherPath+"/confirm").is("account", 200)
	if len(h.passkeys(u)) != 1 {
		t.Error("a new code confirmed the passkey of the former one")
	}
	bystander.get("/add/passkey").is("error", http.StatusGone)
	there.passkeyElsewhere(fresh)
}

func TestACodeForAnotherDeviceEndsAfterTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		here, u, key := h.signedIn()
		there := h.browser()
		token, code := here.offer()
		time.Sleep(10 * time.Minute)
		there.post("/add", "token", token).is("error", http.StatusGone)
		there.post("/add", "code", code).is("add", http.StatusUnprocessableEntity).wants("error")

		here.signIn(u, key.ID, account.ActionClass)
		token, _ = here.offer()
		time.Sleep(9 * time.Minute)
		there.passkeyElsewhere(token)
		here.post(otherPath+"/confirm").is("login", 200) // the step-up is over
		time.Sleep(time.Minute)
		here.signIn(u, key.ID, account.ActionClass)
		here.post(otherPath+"/confirm").is("account", 200)
		there.get("/add/passkey").is("error", http.StatusGone)
		if len(h.passkeys(u)) != 1 {
			t.Error("an expired passkey was stored")
		}
	})
}

func TestOnlyTheSessionThatShowedTheCodeConfirms(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, there, other := h.browser(), h.browser(), h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	there.passkeyElsewhere(token)
	other.signIn(u, keys[0].ID, account.ActionClass)
	at, _ := url.Parse(issuer)
	other.client.Jar.SetCookies(at, []*http.Cookie{
		{Name: "__Host-stepward-offer", Value: token + ".", Path: "/", Secure: true},
	})
	other.get(otherPath).is("account", 200).wants("other-over")
	other.post(otherPath+"/confirm").is("account", 200)
	other.post(otherPath+"/refuse").is("account", 200)
	if len(h.passkeys(u)) != 1 {
		t.Error("another session confirmed")
	}
	here.get(otherPath).is("account", 200).wants("other-yes")
}

func TestOfSeveralConfirmationsOneStoresThePasskey(t *testing.T) {
	h := build(t)
	here, u, _ := h.signedIn()
	there := h.browser()
	token, _ := here.offer()
	there.passkeyElsewhere(token)
	done := make(chan int)
	for range 4 {
		go func() { done <- here.post(otherPath + "/confirm").status }()
	}
	for range 4 {
		if status := <-done; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	if n := len(h.passkeys(u)); n != 2 {
		t.Errorf("%d passkeys", n)
	}
}

func TestAShortCodeIsTypedInAnySpellingAndNotGuessed(t *testing.T) {
	h := build(t)
	here, _, _ := h.signedIn()
	there := h.browser()
	_, code := here.offer()
	there.address = "198.51.100.7:1"
	there.post("/add", "code", " "+strings.ToLower(strings.ReplaceAll(code, "-", " "))).is("add", 200).
		wants("passkey-create")

	_, code = here.offer()
	guesser := h.browser()
	guesser.address = "203.0.113.9:1"
	for range limit.OfferGuesses.Most {
		guesser.post("/add", "code", "AAAA-AAAA").is("add", http.StatusUnprocessableEntity)
	}
	guesser.post("/add", "code", "AAAA-AAAA").is("error", http.StatusTooManyRequests)
	guesser.post("/add", "code", code).is("error", http.StatusTooManyRequests)
	for _, odd := range []string{"", "x", strings.Repeat("A", 9000), "ÄÄÄÄÄÄÄÄ", code + code} {
		there.post("/add", "code", odd).is("add", http.StatusUnprocessableEntity).wants("error")
	}
	there.post("/add", "code", code).is("add", 200).wants("passkey-create")
}

func TestCodesForAnotherDeviceAreHashedAtRest(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here := h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	token, code := here.offer()
	plain := strings.ReplaceAll(code, "-", "")
	get := func(key string) *ephemeral.Op {
		op := &ephemeral.Op{Verb: ephemeral.Get, Key: key}
		if err := h.ephemeral.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		return op
	}
	for _, key := range []string{
		"other-device:" + token, "other-device-code:" + plain, "other-device-code:" + idp.Secret(plain).Hash(),
	} {
		if get(key).Found {
			t.Errorf("stored under %q", key)
		}
	}
	kept := get("other-device:" + idp.Secret(token).Hash())
	if !kept.Found || strings.Contains(string(kept.Result), token) || strings.Contains(string(kept.Result), plain) {
		t.Errorf("stored as %s", kept.Result)
	}
	var any map[string]any
	if err := json.Unmarshal(kept.Result, &any); err != nil {
		t.Error(err)
	}
}

func TestADisabledAccountGetsNoPasskeyFromAnotherDevice(t *testing.T) {
	h := build(t)
	here, u, _ := h.signedIn()
	there := h.browser()
	token, _ := here.offer()
	p := there.post("/add", "token", token).is("add", 200)
	if err := h.db.DisableUser(t.Context(), u.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if answer := there.create(p); answer.status != http.StatusGone {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	there.get("/add/passkey").is("error", http.StatusGone)
}

func TestCodesForAnotherDeviceAreLimited(t *testing.T) {
	h := build(t)
	here, _, _ := h.signedIn()
	for range limit.Offers.Most {
		here.post(otherPath+"/new").is("account", 200)
	}
	here.post(otherPath+"/new").is("error", http.StatusTooManyRequests)
}
