// This test is inside the package: it compares the kept page with the one that is rendered.
package login

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

func TestTheKeptSignInPageShowsEachPersonTheirOwn(t *testing.T) {
	h := newHouse(t)
	client, err := h.cfg.DB.Client(t.Context(), "app")
	h.must(err)
	other := client
	other.Name, other.LogoURI, other.PolicyURI = "Other", "", ""
	show := func(i idp.Interaction, c idp.Client) string {
		t.Helper()
		r, w := httptest.NewRequest(http.MethodGet, "/login?i="+i.ID, nil), httptest.NewRecorder()
		h.must(h.showSignIn(w, r, visit{interaction: i}, Facts{Client: c, Now: time.Now()}))
		return w.Body.String()
	}
	var before []string
	for _, c := range []idp.Client{client, other} {
		for _, hint := range []string{"ada@example.com", "o'neil+x&y@example.com", "not an address", ""} {
			for _, request := range []idp.Request{
				{ClientID: "app", RedirectURI: "https://app.example.com/cb"},
				{ClientID: "app", RedirectURI: "https://other.example.com/cb", HintedUser: "someone"},
				{ClientID: "app", Device: "hash"},
			} {
				for _, local := range []*idp.Local{nil, {Reason: "reason.account", ReturnTo: "/account"}} {
					request.LoginHint = hint
					i := idp.NewInteraction(request, idp.Requirement{}, time.Now())
					i.Local, i.Ceremony, i.Challenge = local, string(idp.NewSecret()), []byte(idp.NewSecret())
					page := show(i, c)
					for _, theirs := range before {
						if theirs != "" && strings.Contains(page, theirs) {
							t.Fatalf("%q of somebody else:\n%s", theirs, page)
						}
					}
					for _, own := range []string{i.ID, i.Ceremony} {
						if !strings.Contains(page, own) {
							t.Errorf("no %q:\n%s", own, page)
						}
					}
					if shown := strings.Contains(page, "/signup?i="+i.ID); shown != (request.HintedUser == "") {
						t.Errorf("sign-up offered: %v, with the hint of %q", shown, request.HintedUser)
					}
					if shown := strings.Contains(page, "Acme Bank"); local == nil && shown != (c.Name == "Acme Bank") {
						t.Errorf("%s:\n%s", c.Name, page)
					}
					before = append(before, i.ID, i.Ceremony)
				}
			}
		}
	}
}
