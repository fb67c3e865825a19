package account_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/recoveries"
)

// A lockedOut user has an account, recovery codes, and a new browser without passkeys.
type lockedOut struct {
	*browser
	user  idp.User
	old   idp.Passkey
	codes []string
	home  *browser // where the user is signed in
}

func (h *house) lockOut(email string) lockedOut {
	h.t.Helper()
	u, keys := h.user(email, 1)
	home := h.browser()
	home.signIn(u, keys[0].ID, "account")
	codes := home.saveCodes()
	return lockedOut{h.browser(), u, keys[0], codes, home}
}

// startRecovery starts a recovery and returns the e-mailed code.
func (b *browser) startRecovery(email string) string {
	b.t.Helper()
	p := b.post("/recover", "email", email, "i", "I1").is("recover", 200)
	p.wants("recover-code", "recover-mailcode", "recover-finish")
	return b.code()
}

// proveOwnership types both codes and returns the page that offers the new passkey.
func (l lockedOut) proveOwnership(code string) page {
	l.t.Helper()
	mailed := l.startRecovery(l.user.Email)
	p := l.post("/recover/code", "token", mailed, "code", code).is("passkey", 200).wants("passkey-create")
	if m := l.email(); m.To != l.user.Email || m.Subject != "Your account is being recovered" {
		l.t.Errorf("e-mail %q", m.Subject)
	}
	return p
}

// recoverAccount recovers the account and returns its new passkey.
func (l lockedOut) recoverAccount(code string) idp.Passkey {
	l.t.Helper()
	l.create(l.proveOwnership(code)).member("next")
	if m := l.email(); m.Subject != "Your account was recovered" {
		l.t.Errorf("e-mail %q", m.Subject)
	}
	keys := l.passkeys(l.user)
	return keys[len(keys)-1]
}

func TestASavedAndAnEmailedCodeLeadToANewPasskey(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	l.get("/recover?i=I1").is("recover", 200).wants("recover-email", "recover-submit")
	p := l.proveOwnership(l.codes[0])
	if keys := h.passkeys(l.user); keys[0].Suspended() {
		t.Error("the old passkey was suspended before there was a new one")
	}
	l.home.get("/account").is("account", 200)
	l.get("/account").is("login", 200) // an enrolment is not a session
	if next := l.create(p).member("next"); next != "/signup/passkey" {
		t.Errorf("next %q", next)
	}
	m := h.email()
	if m.To != l.user.Email || m.Subject != "Your account was recovered" || !strings.Contains(m.Text, "Passkey on macOS") {
		t.Errorf("e-mail %q: %s", m.Subject, m.Text)
	}
	l.home.get("/account").is("login", 200) // signed out
	keys := h.passkeys(l.user)
	if len(keys) != 2 || !keys[0].Suspended() || keys[1].Suspended() ||
		!keys[1].StrongFrom.After(time.Now().Add(23*time.Hour)) {
		t.Errorf("passkeys %+v", keys)
	}
	if p := l.post("/signup/passkey/done").is("login", 200); p.url.RequestURI() != "/login?i=I1" {
		t.Errorf("at %s", p.url)
	}
	l.get("/signup/passkey").is("error", 403)
	want := []idp.EventKind{
		idp.EventCodesMade, idp.EventRecoveryAsked, idp.EventRecoveryOpened, idp.EventPasskeyAdded,
		idp.EventSessionRevoked, idp.EventRecovered,
	}
	if diff := cmp.Diff(want, h.kinds(l.user)); diff != "" {
		t.Error(diff)
	}
	h.noEmail()
	if left, err := recoveries.CodesOf(t.Context(), h.db, l.user.ID); err != nil || len(left) != 3 {
		t.Errorf("%d codes left (%v)", len(left), err)
	}
	for _, secret := range append(l.codes, strings.ReplaceAll(l.codes[0], "-", "")) {
		if strings.Contains(h.log.String(), secret) {
			t.Error("a recovery code is in the log")
		}
	}
}

func TestNeitherCodeAloneRecoversAnAccount(t *testing.T) {
	h := build(t)
	l, other := h.lockOut("ada@example.com"), h.lockOut("bob@example.com")
	mailed := l.startRecovery(l.user.Email)
	wrong := "00000000"
	if mailed == wrong {
		wrong = "00000001"
	}
	one := l.post("/recover/code", "token", mailed, "code", other.codes[0]).is("recover", 422).wants("error")
	two := l.post("/recover/code", "token", wrong, "code", l.codes[0]).is("recover", 422).wants("error")
	if one.content() != two.content() {
		t.Errorf("the pages differ by which code was wrong:\n%s\n%s", one.content(), two.content())
	}
	if keys := h.passkeys(l.user); len(keys) != 1 {
		t.Error("a passkey was added")
	}
	l.get("/signup/passkey").is("error", 403)
	l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("passkey", 200) // neither code was used up
}

func TestSavedAndEmailedCodesWorkOnce(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	mailed := l.startRecovery(l.user.Email)
	l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("passkey", 200)
	h.email()
	l.post("/recover/code", "token", mailed, "code", l.codes[1]).is("error", 404)
	again := h.browser()
	mailed = again.startRecovery(l.user.Email)
	again.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 422)
	again.post("/recover/code", "token", mailed, "code", l.codes[1]).is("passkey", 200)
}

func TestAnEmailedRecoveryCodeWorksInItsBrowserForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		l := h.lockOut("ada@example.com")
		mailed, thief := l.startRecovery(l.user.Email), h.browser()
		thief.post("/recover/code", "token", mailed, "code", l.codes[0]).is("error", 404)
		thief.startRecovery(l.user.Email)
		thief.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 422)
		time.Sleep(10*time.Minute - time.Second)
		l.post("/recover/code", "token", "1", "code", l.codes[0]).is("recover", 422) // a wrong try does not extend it
		time.Sleep(time.Second)
		l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("error", 404)
	})
}

func TestFiveWrongTriesEndAnEmailedRecoveryCode(t *testing.T) {
	h := build(t)
	l, other := h.lockOut("ada@example.com"), h.lockOut("bob@example.com")
	mailed := l.startRecovery(l.user.Email)
	for range 5 {
		l.post("/recover/code", "token", mailed, "code", "typing error").is("recover", 422) // a typing error is no try
	}
	for n := range 5 {
		l.address = fmt.Sprintf("192.0.2.%d:1", n) // another network each time: otherwise the delay comes first
		l.post("/recover/code", "token", mailed, "code", other.codes[0]).is("recover", 422)
	}
	l.address = "192.0.2.99:1"
	l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 429)
	l.post("/recover/code", "token", l.startRecovery(l.user.Email), "code", l.codes[0]).is("passkey", 200)
}

func TestEachFailedRecoveryDelaysTheNextLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		l, other := h.lockOut("ada@example.com"), h.lockOut("bob@example.com")
		mailed := l.startRecovery(l.user.Email)
		for range 5 {
			l.post("/recover/code", "token", mailed, "code", other.codes[0]).is("recover", 422)
		}
		mailed = l.startRecovery(l.user.Email)
		for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			time.Sleep(wait - time.Second)
			l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("error", 429)
			time.Sleep(time.Second)
			if wait < 4*time.Minute {
				l.post("/recover/code", "token", mailed, "code", other.codes[0]).is("recover", 422)
			}
		}
		l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("passkey", 200)
	})
}

var requestID = regexp.MustCompile(`(data-copy|<code data-test)="[^<]*`)

func TestRecoveryDoesNotRevealWhetherAnAccountExists(t *testing.T) {
	h := build(t)
	known, other := h.lockOut("known-user@example.com"), h.lockOut("bob@example.com")
	disabled := h.lockOut("shutt-user@example.com")
	disabled.user.DisabledAt = time.Now()
	if err := h.db.UpdateUser(t.Context(), disabled.user); err != nil {
		t.Fatal(err)
	}
	h.user("nokey-user@example.com", 0)
	type seen struct {
		Pages []string
		Trips []int64
	}
	watch := func(n int, email string) (s seen) {
		b := h.browser()
		b.address = fmt.Sprintf("198.51.100.%d:1", n)
		see := func(f func() page) {
			before := h.db.RoundTrips()
			p := f()
			s.Trips = append(s.Trips, h.db.RoundTrips()-before)
			body := requestID.ReplaceAllString(strings.ReplaceAll(p.body, email, "name-of-user@example.com"), "")
			s.Pages = append(s.Pages, fmt.Sprint(p.status, p.url.Path, p.url.RawQuery), body)
		}
		see(func() page { return b.post("/recover", "email", email) })
		h.email()
		for range 6 {
			see(func() page { return b.post("/recover/code", "token", "12345678", "code", other.codes[0]) })
		}
		return s
	}
	want := watch(1, known.user.Email)
	for n, email := range []string{"never-seen@example.com", disabled.user.Email, "nokey-user@example.com"} {
		if diff := cmp.Diff(want, watch(n+2, email)); diff != "" {
			t.Errorf("%s can be told apart from an account that can be recovered:\n%s", email, diff)
		}
	}
}

func TestOnlyTheMailboxLearnsThatAnAccountCannotBeRecovered(t *testing.T) {
	h := build(t)
	noCodes, _ := h.user("nocodes@example.com", 1)
	unconfirmed := h.lockOut("unconfirmed@example.com")
	unconfirmed.user.EmailVerified = false
	worn := h.lockOut("worn@example.com")
	for range directory.MaxRecoveryFailures {
		if err := recoveries.Fail(t.Context(), h.db, worn.user.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.db.UpdateUser(t.Context(), unconfirmed.user); err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"nobody@example.com", noCodes.Email, unconfirmed.user.Email, worn.user.Email} {
		h.browser().post("/recover", "email", email).is("recover", 200)
		if m := h.email(); m.To != email || !strings.Contains(m.Text, "not possible with codes") ||
			eightDigits.MatchString(m.Text) {
			t.Errorf("e-mail to %s: %s", m.To, m.Text)
		}
	}
}

func TestARecoveredAccountIsRestrictedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		l := h.lockOut("ada@example.com")
		k := l.recoverAccount(l.codes[0])
		l.post("/signup/passkey/done")
		l.signIn(l.user, k.ID, "account")
		checkRestricted := func() {
			t.Helper()
			p := l.get("/account/passkeys").is("account", 200).wants("passkeys-on-hold", "passkey-suspended", "passkeys-closed")
			if p.has("passkey-keep") || p.has("passkey-remove") {
				t.Error("the page offers what is not allowed yet")
			}
			for _, path := range []string{
				"/account/passkeys/" + l.old.ID + "/keep", "/account/passkeys/" + l.old.ID + "/remove",
				"/account/codes/new",
			} {
				l.post(path).is("error", 403)
			}
			l.get("/account/passkeys/"+l.old.ID+"/remove").is("error", 403)
		}
		checkRestricted()
		time.Sleep(24*time.Hour - time.Minute)
		l.signIn(l.user, k.ID, "account")
		checkRestricted()
		time.Sleep(time.Minute)
		l.get("/account/passkeys").is("account", 200).wants("passkey-keep", "passkey-remove")
		p := l.post("/account/passkeys/"+l.old.ID+"/keep").is("account", 200)
		if p.url.RequestURI() != "/account/passkeys?done=kept" || p.has("passkeys-on-hold") {
			t.Errorf("at %s\n%s", p.url, p.content())
		}
		if m := h.email(); m.Subject != "A passkey can sign in to your account again" {
			t.Errorf("e-mail %q", m.Subject)
		}
		if h.passkeys(l.user)[0].Suspended() {
			t.Error("the passkey is still suspended")
		}
		l.saveCodes()
	})
}

func TestOfTwoRecoveriesTheOneThatFinishesFirstWins(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	first, second := l, l
	second.browser = h.browser()
	slow := second.proveOwnership(l.codes[1])
	first.recoverAccount(l.codes[0])
	second.create(slow).is("", http.StatusForbidden)
	second.get("/signup/passkey").is("error", 403)
	if keys := h.passkeys(l.user); len(keys) != 2 {
		t.Errorf("%d passkeys", len(keys))
	}
	// With another code, the second browser starts again, which suspends the first one's passkey.
	second.browser = h.browser()
	second.recoverAccount(l.codes[2])
	keys := h.passkeys(l.user)
	if len(keys) != 3 || !keys[1].Suspended() || keys[2].Suspended() {
		t.Errorf("passkeys %+v", keys)
	}
	first.browser.get("/signup/passkey").is("error", 403)
}

func TestARecoveryWorksOnADeviceThatHasAnOldPasskey(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	p := l.proveOwnership(l.codes[0])
	if strings.Contains(p.attribute("data-options"), "excludeCredentials\":[{") {
		t.Errorf("the options exclude passkeys: %s", p.attribute("data-options"))
	}
}

func TestAnAccountDisabledMeanwhileIsNotRecovered(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	mailed := l.startRecovery(l.user.Email)
	disable := func(at time.Time) {
		l.user.DisabledAt = at
		if err := h.db.UpdateUser(t.Context(), l.user); err != nil {
			t.Fatal(err)
		}
	}
	disable(time.Now())
	l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 422)
	disable(time.Time{})
	p := l.proveOwnership(l.codes[0])
	disable(time.Now())
	if a := l.create(p); a.status != http.StatusForbidden {
		t.Errorf("status %d", a.status)
	}
	if keys := h.passkeys(l.user); len(keys) != 1 || keys[0].Suspended() {
		t.Errorf("passkeys %+v", keys)
	}
}

// recoveryLink returns the token of a new recovery link made by the operator.
func (h *house) recoveryLink(u idp.User, ttl time.Duration) string {
	h.t.Helper()
	made, err := recovery.NewLink(h.t.Context(), h.db, issuer, recovery.Order{User: u, TTL: ttl},
		idp.NewEvent(idp.EventRecoveryLinkMade, u.ID, time.Now()))
	if err != nil {
		h.t.Fatal(err)
	}
	token, ok := strings.CutPrefix(made.Link.Reveal(), issuer+"/recover/link#")
	if !ok {
		h.t.Fatalf("link %s", made.Link.Reveal())
	}
	return token
}

func TestARecoveryLinkWorksOnceAndInTheFirstBrowser(t *testing.T) {
	h := build(t)
	u, old := h.user("ada@example.com", 1)
	former := h.recoveryLink(u, time.Hour)
	token := h.recoveryLink(u, time.Hour)
	first, second := h.browser(), h.browser()
	first.get("/recover/link").is("recover", 200).wants("recover-continue")
	first.post("/recover/link", "token", former).is("error", 410) // replaced by the newer one
	first.post("/recover/link", "token", token).is("passkey", 200)
	second.post("/recover/link", "token", token).is("error", 410)
	second.get("/signup/passkey").is("error", 403)
	first.create(first.post("/recover/link", "token", token).is("passkey", 200)) // opened again in the same browser
	keys := h.passkeys(u)
	if len(keys) != 2 || keys[0].ID != old[0].ID || !keys[0].Suspended() {
		t.Errorf("passkeys %+v", keys)
	}
	for _, want := range []string{"Your account is being recovered", "Your account was recovered"} {
		if m := h.email(); m.Subject != want {
			t.Errorf("e-mail %q, want %q", m.Subject, want)
		}
	}
	for _, bad := range []string{"", "nonsense", former, token} {
		h.browser().post("/recover/link", "token", bad).is("error", 410)
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the token is in the log")
	}
	want := []idp.EventKind{
		idp.EventRecoveryLinkMade, idp.EventRecoveryLinkMade, idp.EventRecoveryOpened,
		idp.EventPasskeyAdded, idp.EventRecovered,
	}
	if diff := cmp.Diff(want, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestARecoveryLinkExpiresAndItsLifetimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, _ := h.user("ada@example.com", 1)
		token := h.recoveryLink(u, 5*time.Minute)
		time.Sleep(5 * time.Minute)
		h.browser().post("/recover/link", "token", token).is("error", 410)
		for _, ttl := range []time.Duration{0, 5*time.Minute - 1, 24*time.Hour + 1} {
			order := recovery.Order{User: u, TTL: ttl}
			if _, err := recovery.NewLink(t.Context(), h.db, issuer, order, idp.Event{}); err == nil {
				t.Errorf("a link for %v was made", ttl)
			}
		}
		token = h.recoveryLink(u, time.Hour)
		u.DisabledAt = time.Now()
		if err := h.db.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		h.browser().post("/recover/link", "token", token).is("error", 410)
	})
}

func TestAPostToRecoverFromAnotherSiteIsRefused(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	mailed := l.startRecovery(l.user.Email)
	l.site = "cross-site"
	for _, path := range []string{"/recover", "/recover/code", "/recover/link"} {
		l.post(path, "email", l.user.Email, "token", mailed, "code", l.codes[0]).is("error", 403)
	}
	h.noEmail()

	// Stopping and approving change the account of another person.
	held := build(t, byEmail)
	l = held.lockOut("ada@example.com")
	token := l.holdRecovery()
	for _, b := range []*browser{l.home, held.browser()} {
		b.site = "cross-site"
		b.post("/recover/stop", "token", token).is("error", 403)
	}
	if u, err := held.db.UserByID(t.Context(), l.user.ID); err != nil || u.RecoveryReadyAt.IsZero() {
		t.Errorf("another site stopped the recovery: %v", err)
	}
	held.noEmail()
	maker, _ := held.admin("maker@example.com", directory.RoleAdmin)
	_, seconds := held.admin("second@example.com", directory.RoleAdmin)
	link, _ := held.orderLink(recovery.Order{User: l.user, Second: true, By: &maker})
	seconds.site = "cross-site"
	seconds.post(recovery.ApprovePath(l.user.ID)).is("error", 403)
	held.browser().post("/recover/link", "token", link).is("error", 403) // still not approved
	seconds.site = "same-origin"
	seconds.post(recovery.ApprovePath(l.user.ID)).is("recover", 200)
}

// A heldOpen request body calls before when it is first read.
type heldOpen struct {
	io.Reader
	before func()
}

func (b *heldOpen) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
		b.before = nil
	}
	return b.Reader.Read(p)
}

func TestARequestHeldOpenAddsNoPasskeyAfterARecovery(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	thief := l.home // has the old phone, signed in and stepped up
	thief.signIn(l.user, l.old.ID, "account")
	p := thief.get("/account/passkeys/add").is("account", 200)
	credential, err := thief.authenticator.Create([]byte(p.attribute("data-options")))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"ceremony": p.attribute("data-ceremony"), "credential": json.RawMessage(credential),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", issuer+"/account/passkeys/finish",
		&heldOpen{bytes.NewReader(body), func() { l.recoverAccount(l.codes[0]) }})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := thief.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", response.StatusCode)
	}
	for _, k := range h.passkeys(l.user) {
		if k.Suspended() != (k.ID == l.old.ID) {
			t.Errorf("passkey %+v", k)
		}
	}
	if n := len(h.passkeys(l.user)); n != 2 {
		t.Errorf("%d passkeys, want the old and the recovered one", n)
	}
}

func TestASessionThatStartedDuringARecoveryIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, _ := h.signedIn()
		time.Sleep(time.Second)
		now := time.Now()
		if err := h.db.Recover(t.Context(), idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{1}, CreatedAt: now,
		}, now, now); err != nil {
			t.Fatal(err)
		}
		if p := b.get("/account/passkeys"); p.url.Path != "/account/signed-out" {
			t.Errorf("at %s", p.url)
		}
		b.get("/account").is("login", 200)
	})
}
