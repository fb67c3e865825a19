package account_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/ephemeral"
)

// Each change of the entry renews its time in the store; the offer ends all the same.
func TestAnOfferEndsAfterTenMinutesWhateverIsDoneWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		here, u, key := h.signedIn()
		there := h.browser()
		token, _ := here.offer()
		time.Sleep(9 * time.Minute)
		p := there.post("/add", "token", token).is("add", 200).wants("passkey-create")
		time.Sleep(2 * time.Minute)
		there.get("/add/passkey").is("error", http.StatusGone)
		if answer := there.create(p); answer.status != http.StatusGone {
			t.Errorf("a passkey after the end: %d %s", answer.status, answer.body)
		}

		here.signIn(u, key.ID, account.ActionClass)
		token, _ = here.offer()
		time.Sleep(9 * time.Minute)
		there.authenticator.Passkeys = nil
		there.passkeyElsewhere(token)
		time.Sleep(2 * time.Minute)
		here.post(otherPath + "/confirm")
		if n := len(h.passkeys(u)); n != 1 {
			t.Errorf("%d passkeys: confirmed after the end", n)
		}
	})
}

func TestAnOfferTakesOnePasskey(t *testing.T) {
	h := build(t)
	here, _, _ := h.signedIn()
	there := h.browser()
	token, _ := here.offer()
	first := there.post("/add", "token", token).is("add", 200)
	second := there.get("/add/passkey").is("add", 200).wants("passkey-create")
	if answer := there.create(first); answer.status != 200 {
		t.Fatalf("%d %s", answer.status, answer.body)
	}
	shown := there.authenticator.Passkeys[0].ID
	there.authenticator.Passkeys = nil
	if answer := there.create(second); answer.status != http.StatusGone {
		t.Errorf("another passkey in the place of the one that is shown: %d %s", answer.status, answer.body)
	}
	here.post(otherPath + "/confirm")
	if _, _, err := h.db.PasskeyByCredentialID(t.Context(), shown); err != nil {
		t.Errorf("the passkey that was shown is not the one that was added: %v", err)
	}
}

func TestARegistrationEndsOnTheDeviceThatBeganIt(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, again := h.browser(), h.browser()
	one, two := h.browser(), h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	again.signIn(u, keys[0].ID, account.ActionClass)
	token, _ := here.offer()
	other, _ := again.offer()
	p := one.post("/add", "token", token).is("add", 200)
	two.post("/add", "token", other).is("add", 200)
	if answer := two.create(p); answer.status < 400 {
		t.Errorf("a ceremony of another device was finished: %d %s", answer.status, answer.body)
	}
}

// Short codes have 40 bits: who has the store alone must not be able to find them by trying.
func TestShortCodesAreStoredUnderAKeyedHash(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here := h.browser()
	here.signIn(u, keys[0].ID, account.ActionClass)
	_, code := here.offer()
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte("other device: " + strings.ReplaceAll(code, "-", "")))
	op := &ephemeral.Op{Verb: ephemeral.Get, Key: "other-device-code:" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
	if err := h.ephemeral.Do(t.Context(), op); err != nil || op.Found {
		t.Errorf("stored under a hash without a key: %v %v", op.Found, err)
	}
}

func TestABrowserIsKnownByOneCookieOfOurs(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	k := keys[0]
	k.CreatedAt = time.Now().Add(-time.Hour)
	known := h.browser()
	known.signedIn(u, k)
	h.email()
	r := httptest.NewRequestWithContext(t.Context(), "GET", issuer+"/", nil)
	ours := known.client.Jar.Cookies(must(http.NewRequestWithContext(t.Context(), "GET", issuer, nil)).URL)
	if len(ours) != 1 {
		t.Fatalf("cookies %v", ours)
	}
	r.AddCookie(ours[0])
	r.AddCookie(&http.Cookie{Name: ours[0].Name, Value: "planted"})
	h.account.Notices().SignedIn(httptest.NewRecorder(), r, u, k)
	h.email()

	mac := hmac.New(sha256.New, nil) // anybody can make a mark without a key
	mac.Write([]byte("stepward/known-browser\x00" + u.ID))
	r = httptest.NewRequestWithContext(t.Context(), "GET", issuer+"/", nil)
	r.AddCookie(&http.Cookie{Name: ours[0].Name, Value: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])})
	h.account.Notices().SignedIn(httptest.NewRecorder(), r, u, k)
	h.email()
}
