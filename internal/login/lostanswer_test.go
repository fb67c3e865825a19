package login

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

func TestAReloadContinuesAfterALostStepUpResponse(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("ada@example.com")
	before := b.signIn()
	h.need = idp.Requirement{ActionClasses: []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}}
	i := b.begin()
	page := b.show(i)
	site, err := url.Parse(origin)
	h.must(err)
	cookies := b.jar.Cookies(site)
	b.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	b.jar, err = cookiejar.New(nil) // the answer never came
	h.must(err)
	b.jar.SetCookies(site, cookies)

	reload := b.show(i)
	if reload.status != http.StatusSeeOther || reload.location != "/login?i="+i || len(reload.header.Values("Set-Cookie")) != 1 {
		t.Fatalf("the reload: %d %q %v", reload.status, reload.location, reload.header)
	}
	b.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	if o := h.last(); o.UserID != before.UserID || o.SessionID != before.SessionID {
		t.Errorf("the outcome is %+v, before the step-up it was %+v", o, before)
	}
}
