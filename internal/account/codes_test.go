package account_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/recoveries"
)

var savedCode = regexp.MustCompile(`<code translate="no">([0-9A-Z-]{29})</code>`)

// makeCodes has new recovery codes shown and returns them. They are not valid yet.
func (b *browser) makeCodes() []string {
	b.t.Helper()
	b.get("/account/codes/new").is("account", 200).wants("codes-show")
	p := b.post("/account/codes/new").is("codes", 200).wants("codes-list", "codes-check", "codes-done", "codes-download")
	var codes []string
	for _, m := range savedCode.FindAllStringSubmatch(p.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != 4 {
		b.t.Fatalf("%d codes\n%s", len(codes), p.content())
	}
	return codes
}

// saveCodes makes new recovery codes valid and returns them.
func (b *browser) saveCodes() []string {
	b.t.Helper()
	codes := b.makeCodes()
	b.post("/account/codes/check", "code", codes[2]).is("account", 200)
	if m := b.email(); m.Subject != "New recovery codes for your account" {
		b.t.Errorf("e-mail %q", m.Subject)
	}
	return codes
}

func TestRecoveryCodesAreShownOnceAndWorkOnceOneIsTypedBack(t *testing.T) {
	h := build(t)
	b, u, _ := h.signedIn()
	if p := b.get("/account/passkeys").wants("codes-link"); !strings.Contains(p.body, "Set up recovery codes") {
		t.Error("recovery codes are not offered")
	}
	codes := b.makeCodes()
	if stored, err := recoveries.CodesOf(t.Context(), h.db, u.ID); err != nil || len(stored) != 0 {
		t.Fatalf("%d codes are valid before one was typed back (%v)", len(stored), err)
	}
	b.post("/account/codes/check", "code", "00000-00000-00000-00000-00000").is("codes", 422).wants("error", "codes-check")
	p := b.post("/account/codes/check", "code", strings.ToLower(codes[3])).is("account", 200)
	if p.url.RequestURI() != "/account/codes?done=made" || !strings.Contains(p.body, "4 of 4 codes are") {
		t.Errorf("at %s\n%s", p.url, p.content())
	}
	stored, err := recoveries.CodesOf(t.Context(), h.db, u.ID)
	if err != nil || len(stored) != 4 {
		t.Fatalf("%d codes stored (%v)", len(stored), err)
	}
	for _, code := range codes {
		for _, page := range []page{p, b.get("/account/codes"), b.get("/account/passkeys")} {
			if strings.Contains(page.body, code) {
				t.Errorf("%s shows a code again", page.url)
			}
		}
		if strings.Contains(h.log.String(), code) {
			t.Error("a code is in the log")
		}
	}
	if m := h.email(); m.To != u.Email || m.Subject != "New recovery codes for your account" {
		t.Errorf("e-mail %q", m.Subject)
	}
	if diff := cmp.Diff([]idp.EventKind{idp.EventCodesMade}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
	b.post("/account/codes/check", "code", codes[3]).is("error", 410) // used
}

func TestTheDownloadHasTheCodesAndSaysWhereToUseThem(t *testing.T) {
	h := build(t)
	b, u, _ := h.signedIn()
	p := b.post("/account/codes/new").is("codes", 200)
	found := regexp.MustCompile(`href="(data:text/plain[^"]*)"`).FindStringSubmatch(p.body)
	if found == nil {
		t.Fatalf("no file\n%s", p.content())
	}
	file, err := url.PathUnescape(html.UnescapeString(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append([]string{issuer + "/recover", u.Email}, savedCode.FindStringSubmatch(p.body)[1]) {
		if !strings.Contains(file, want) {
			t.Errorf("%q is not in the file %q", want, file)
		}
	}
}

func TestNewRecoveryCodesNeedAStepUpAndBelongToTheirSession(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	plain, stepped := h.browser(), h.browser()
	plain.signIn(u, keys[0].ID)
	plain.get("/account/codes/new").is("login", 200)
	plain.post("/account/codes/new").is("login", 200)
	stepped.signIn(u, keys[0].ID, "account")
	codes := stepped.makeCodes()
	plain.post("/account/codes/check", "code", codes[0]).is("error", 410)
	if stored, err := recoveries.CodesOf(t.Context(), h.db, u.ID); err != nil || len(stored) != 0 {
		t.Errorf("%d codes are valid (%v)", len(stored), err)
	}
}

func TestCodesNotTypedBackInTimeAreDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, _, _ := h.signedIn()
		codes := b.makeCodes()
		time.Sleep(30 * time.Minute)
		b.post("/account/codes/check", "code", codes[0]).is("error", 410)
	})
}

func TestThereAreNoCodesIfOnlyTheOperatorRecoversAccounts(t *testing.T) {
	noMail, err := mail.New(mail.Config{From: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*account.Config){
		"setting":   func(c *account.Config) { c.Recovery = recovery.AdminOnly },
		"no e-mail": func(c *account.Config) { c.Mailer = noMail },
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, change)
			b, u, _ := h.signedIn()
			if b.get("/account/passkeys").has("codes-link") {
				t.Error("codes are offered")
			}
			b.get("/account/codes").is("error", 404)
			b.get("/account/codes/new").is("error", 404)
			b.post("/account/codes/new").is("error", 404)
			if p := b.get("/recover").is("recover", 200); p.has("recover-email") {
				t.Error("the page offers recovery by codes")
			}
			if p := b.post("/recover", "email", u.Email).is("recover", 200); p.has("recover-code") {
				t.Error("the page asks for a code")
			}
		})
	}
}
