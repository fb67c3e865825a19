package provider

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

const paying = `[{"type":"payment","amount":1.50},{"account":"7","type":"account"}]`

func (h *house) addDetailClient(f func(*idp.Client)) idp.Client {
	return h.addClient(func(c *idp.Client) {
		c.DetailTypes = []string{"payment", "account"}
		if f != nil {
			f(c)
		}
	})
}

func TestDetailsAreInEveryTokenAndInIntrospection(t *testing.T) {
	h := open(t)
	u := h.addUser()
	want := []any{map[string]any{"type": "payment", "amount": 1.5}, map[string]any{"type": "account", "account": "7"}}
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addDetailClient(func(c *idp.Client) { c.AccessFormat = format })
		tok := h.tokens(c, u, "scope", "openid offline_access", "authorization_details", paying)
		said := []any{tok["authorization_details"], h.introspect(c, tok["access_token"])["authorization_details"]}
		next := h.refresh(c, tok["refresh_token"]).json(t)
		said = append(said, next["authorization_details"])
		if format == idp.FormatJWT {
			_, access := claims(t, tok["access_token"])
			said = append(said, access["authorization_details"])
		}
		for i, got := range said {
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s %d (-want +got):\n%s", format, i, d)
			}
		}
		if !strings.Contains(h.exchange(c, h.code(c, u, "authorization_details", paying)).body, "1.50") {
			t.Error("a number is not given back as it was written")
		}
	}
}

func TestDetailsNeedNoScope(t *testing.T) {
	h := open(t)
	c := h.addDetailClient(nil)
	tok := h.tokens(c, h.addUser(), "scope", "", "authorization_details", `[{"type":"account"}]`)
	if tok["authorization_details"] == nil || tok["scope"] != "" || tok["id_token"] != nil {
		t.Errorf("%v", tok)
	}
}

func TestDetailsAreNarrowedByElement(t *testing.T) {
	h := open(t)
	c, u := h.addDetailClient(nil), h.addUser()
	account := `[{ "type" : "account", "account" : "7" }]`
	form := exchangeForm(h.code(c, u, "scope", "openid offline_access", "authorization_details", paying))
	form.Set("authorization_details", account)
	tok := h.post(oauth.PathToken, form, basic(c)).json(t)
	want := []any{map[string]any{"type": "account", "account": "7"}}
	if d := cmp.Diff(want, tok["authorization_details"]); d != "" {
		t.Errorf("code (-want +got):\n%s", d)
	}
	next := h.refresh(c, tok["refresh_token"]).json(t) // the grant is whole
	if list, _ := next["authorization_details"].([]any); len(list) != 2 {
		t.Errorf("refresh: %v", next)
	}
	next = h.refresh(c, next["refresh_token"], "authorization_details", account).json(t)
	if d := cmp.Diff(want, next["authorization_details"]); d != "" {
		t.Errorf("refresh (-want +got):\n%s", d)
	}
	for name, more := range map[string]string{
		"another amount": `[{"type":"payment","amount":2}]`,
		"one more":       `[{"type":"payment","amount":1.50},{"type":"account","account":"8"}]`,
		"a member less":  `[{"type":"account"}]`,
	} {
		wantError(t, h.refresh(c, next["refresh_token"], "authorization_details", more), 400, "invalid_authorization_details")
		form := exchangeForm(h.code(c, u, "authorization_details", paying))
		form.Set("authorization_details", more)
		if r := h.post(oauth.PathToken, form, basic(c)); r.json(t)["error"] != "invalid_authorization_details" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	t.Run("a type that the client lost is lost", func(t *testing.T) {
		c.DetailTypes = []string{"account"}
		check(t, h.db.PutClient(t.Context(), c))
		r := h.refresh(c, next["refresh_token"]).json(t)
		if d := cmp.Diff(want, r["authorization_details"]); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestEveryBadDetailIsRefused(t *testing.T) {
	h := open(t)
	c, plain, machine := h.addDetailClient(nil), h.addClient(nil), h.addMachine(func(c *idp.Client) { c.DetailTypes = []string{"account", "payment"} })
	tok := h.tokens(c, h.addUser(), "scope", "openid offline_access", "authorization_details", paying)
	refused := func(name string, c idp.Client, details string) {
		t.Helper()
		v := request(c, "authorization_details", details)
		if q := h.authorize(v).query(); q.Get("error") != "invalid_authorization_details" || q.Get("state") != "st" {
			t.Errorf("%s, authorize: %v", name, q)
		}
		wantError(t, h.push(c, v), 400, "invalid_authorization_details")
	}
	refused("a client without types", plain, `[{"type":"account"}]`)
	for name, details := range badDetails() {
		refused(name, c, details)
		wantError(t, h.refresh(c, tok["refresh_token"], "authorization_details", details), 400, "invalid_authorization_details")
		form := url.Values{"grant_type": {"client_credentials"}, "authorization_details": {details}}
		wantError(t, h.post(oauth.PathToken, form, basic(machine)), 400, "invalid_authorization_details")
	}
	if r := h.refresh(c, tok["refresh_token"]); r.StatusCode != 200 {
		t.Errorf("what was wrong used the refresh token up: %s", r.body)
	}
	v := request(c)
	v["authorization_details"] = []string{`[{"type":"account"}]`, `[{"type":"account"}]`}
	if q := h.authorize(v).query(); q.Get("error") != "invalid_request" {
		t.Errorf("twice: %v", q)
	}
	wantError(t, h.push(c, v), 400, "invalid_request")
}

func badDetails() map[string]string {
	elements := make([]string, 10+1)
	for i := range elements {
		elements[i] = `{"type":"account","account":"` + strings.Repeat("x", i) + `"}`
	}
	return map[string]string{
		"no JSON":           `type`,
		"an object":         `{"type":"account"}`,
		"null":              `null`,
		"a string":          `"account"`,
		"empty":             `[]`,
		"no objects":        `["account"]`,
		"null in it":        `[null]`,
		"no type":           `[{"account":"7"}]`,
		"an empty type":     `[{"type":""}]`,
		"a type of numbers": `[{"type":1}]`,
		"unknown":           `[{"type":"transfer"}]`,
		"one of two":        `[{"type":"account"},{"type":"transfer"}]`,
		"not by the schema": `[{"type":"payment","amount":"1"}]`,
		"a member twice":    `[{"type":"account","type":"payment","amount":1}]`,
		"twice, deeper":     `[{"type":"account","a":{"b":1,"b":2}}]`,
		"an element twice":  `[{"type":"account","a":1},{"a":1,"type":"account"}]`,
		"something after":   `[{"type":"account"}] x`,
		"unfinished":        `[{"type":"account"}`,
		"too long":          `[{"type":"account","a":"` + strings.Repeat("x", (4<<10)) + `"}]`,
		"too deep":          `[{"type":"account","a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}]`,
		"too many":          `[` + strings.Join(elements, ",") + `]`,
		"a huge number":     `[{"type":"payment","amount":1e99999}]`,
		"a tiny number":     `[{"type":"payment","amount":1e-300}]`,
		"a long number":     `[{"type":"payment","amount":0.` + strings.Repeat("1", 32) + `}]`,
	}
}

func TestADetailOfARiskyTypeNeedsItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addDetailClient(nil), h.addUser()
		tok := h.tokens(c, u, "scope", "openid offline_access", "authorization_details", paying)
		if len(h.last.Requirement.ActionClasses) != 1 || tok["expires_in"] != 300.0 {
			t.Errorf("required %v for %v s", h.last.Requirement.ActionClasses, tok["expires_in"])
		}
		only := h.tokens(c, u, "scope", "offline_access", "authorization_details", `[{"type":"payment","amount":1}]`)
		time.Sleep(5 * time.Minute)
		next := h.refresh(c, tok["refresh_token"]).json(t)
		if d := cmp.Diff([]any{map[string]any{"type": "account", "account": "7"}}, next["authorization_details"]); d != "" || next["scope"] != "openid offline_access" {
			t.Errorf("after the window (-want +got): %s %v", d, next["scope"])
		}
		if left := h.refresh(c, only["refresh_token"]).json(t); left["authorization_details"] != nil {
			t.Errorf("after the window: %v", left)
		}
		machine := h.addMachine(func(c *idp.Client) { c.DetailTypes = []string{"payment", "account"} })
		form := url.Values{"grant_type": {"client_credentials"}, "authorization_details": {paying}}
		got := h.post(oauth.PathToken, form, basic(machine)).json(t)
		if list, _ := got["authorization_details"].([]any); len(list) != 1 {
			t.Errorf("a machine, for which no user confirms anything: %v", got)
		}
	})
}
