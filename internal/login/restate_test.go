package login

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

// The policy changes while a person is on the page. Nothing that the interaction remembers of the old one counts.
func TestASignInThatBeginsUnderOnePolicyEndsUnderTheNext(t *testing.T) {
	h := newHouse(t)
	first := h.cfg.Policy
	first.Scopes = maps.Clone(first.Scopes)
	first.Scopes["payouts"] = idp.Scope{Name: "payouts", Description: "Pay out money", ActionClass: "payments"}
	first.Scopes["reports"] = idp.Scope{Name: "reports", Description: "Read reports"}
	h.cfg.Policy, first.Version = first, 1
	second := first
	second.Version, second.Scopes = 2, maps.Clone(first.Scopes)
	second.Scopes["payouts"] = idp.Scope{Name: "payouts", Description: "Pay out money"}
	second.Scopes["email"] = idp.Scope{Name: "email", Description: "See your e-mail address", ActionClass: "limits"}
	delete(second.Scopes, "reports")

	b := h.browser()
	b.enrol("ada@example.org")
	h.request.Scopes = []string{"openid", "email", "payouts", "reports"}
	h.need.ActionClasses = []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}
	i := b.begin()
	d := b.show(i).dialog()
	h.cfg.Policy = second
	if a := b.confirm(d); a.status != http.StatusOK {
		t.Fatalf("sign-in: %d %s", a.status, a.body)
	}
	stepUp := b.show(i)
	if !stepUp.says("change your limits") || stepUp.says("make a payment") {
		t.Fatalf("the page asks for what the first policy wanted: %s", stepUp.body)
	}
	if a := b.confirm(stepUp.dialog()); a.status != http.StatusOK {
		t.Fatalf("step-up: %d %s", a.status, a.body)
	}
	if a := b.show(i); a.status == http.StatusOK { // unless the step-up page has asked for consent already
		if strings.Contains(a.body, "Read reports") {
			t.Errorf("a scope that is gone is offered: %s", a.body)
		}
		b.form("/login/consent", "i", i, "answer", "allow", "user", h.userOf(b))
		b.show(i)
	}
	got := h.last()
	if diff := cmp.Diff([]string{"limits"}, got.Assurance.ActionClasses); diff != "" || got.Error != "" {
		t.Errorf("outcome %+v: %s", got, diff)
	}
	for _, scope := range got.Scopes {
		if scope == "reports" {
			t.Errorf("a scope that is gone was granted: %v", got.Scopes)
		}
	}
}

func (h *house) userOf(*browser) string {
	h.Helper()
	u, err := h.cfg.DB.UserByEmail(h.Context(), "ada@example.org")
	h.must(err)
	return u.ID
}

func TestAnInteractionIsRestatedByTheNewPolicy(t *testing.T) {
	class := func(window time.Duration) idp.ActionClass {
		return idp.ActionClass{Name: "account", ACR: "phr", Window: window}
	}
	p := idp.Policy{
		Version: 2, Aliases: map[string]idp.Alias{"silver": {ACR: "phr"}},
		ActionClasses: map[string]idp.ActionClass{"account": class(time.Minute), "pay": {Name: "pay", ACR: "phrh"}},
		Scopes:        map[string]idp.Scope{"payouts": {Name: "payouts", ActionClass: "pay"}},
		DetailTypes:   map[string]idp.DetailType{},
	}
	local := idp.Interaction{Policy: 1, Local: &idp.Local{}, Requirement: idp.Requirement{ActionClasses: []idp.ActionClass{class(time.Hour)}}}
	if got := restate(p, local).Requirement.ActionClasses; got[0].Window != time.Minute {
		t.Errorf("a page of our own: %+v", got)
	}
	if got := local.Requirement.ActionClasses[0].Window; got != time.Hour {
		t.Errorf("the interaction itself was changed: %v", got)
	}
	i := idp.Interaction{
		Policy: 1, Request: idp.Request{Scopes: []string{"openid", "payouts", "gone"}, ClaimScopes: []string{"email", "gone"}},
		Requirement: idp.Requirement{ACRValues: []string{"gold", "silver", "phrh"}, ActionClasses: []idp.ActionClass{class(time.Hour)}},
	}
	got := restate(p, i)
	if diff := cmp.Diff([]string{"openid", "payouts"}, got.Request.Scopes) + cmp.Diff([]string{"email"}, got.Request.ClaimScopes) +
		cmp.Diff([]string{"silver", "phrh"}, got.Requirement.ACRValues) +
		cmp.Diff([]idp.ActionClass{{Name: "pay", ACR: "phrh"}}, got.Requirement.ActionClasses); diff != "" || got.Policy != 2 {
		t.Error(diff)
	}
	i.Requirement.Essential = true // then the request fails, because no authentication can ever reach it
	if got := restate(p, i).Requirement.ACRValues; len(got) != 3 {
		t.Errorf("essential values: %v", got)
	}
	i.Policy = 2
	if diff := cmp.Diff(i, restate(p, i)); diff != "" {
		t.Errorf("the same version: %s", diff)
	}
}
