package provider

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// closes closes the payments window that outcome opened.
func (h *house) closes(u idp.User) {
	h.t.Helper()
	check(h.t, h.db.CloseWindow(h.t.(*testing.T).Context(), u.ID, "auth-1", "payments", time.Now()))
}

// replica is a second provider on the same stores.
func (h *house) replica() *house {
	h.t.Helper()
	other := *h
	other.rebuild()
	return &other
}

func TestAClosedWindowKillsItsTokensEverywhereAtOnce(t *testing.T) {
	h := open(t)
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addClient(func(c *idp.Client) { c.AccessFormat = format })
		u := h.addUser()
		risky := h.tokens(c, u, "scope", "openid accounts payments offline_access")
		plain := h.tokens(c, u, "scope", "openid accounts")
		replica := h.replica()
		alive := func(token any) bool {
			t.Helper()
			elsewhere := replica.introspect(c, token)["active"] == true
			active := h.introspect(c, token)["active"] == true
			info := h.userinfo(token).StatusCode == 200
			if active != info || active != elsewhere {
				t.Errorf("introspection %v, userinfo %v, replica %v", active, info, elsewhere)
			}
			return active
		}
		if !alive(risky["access_token"]) {
			t.Fatal("dead before")
		}
		sql, eph := h.db.RoundTrips(), h.eph.RoundTrips()
		h.closes(u)
		if sql, eph = h.db.RoundTrips()-sql, h.eph.RoundTrips()-eph; sql != 1 || eph != 0 {
			t.Errorf("%d and %d round trips", sql, eph)
		}
		if alive(risky["access_token"]) || !alive(plain["access_token"]) {
			t.Errorf("%s: the token of the window lives, or another does not", format)
		}
		next := h.refresh(c, risky["refresh_token"]).json(t)
		if next["scope"] != "openid accounts offline_access" || next["expires_in"] != 600.0 || !alive(next["access_token"]) {
			t.Errorf("%s: refreshed: %v", format, next)
		}
		wantError(t, h.refresh(c, next["refresh_token"], "scope", "payments"), 400, "invalid_scope")

		// A step-up after that is another authentication.
		h.authorize(request(c, "scope", "openid payments"))
		o := h.outcome(u)
		o.Assurance.AuthenticationID = "auth-2"
		done, err := h.respond(o)
		check(t, err)
		if again := h.exchange(c, done.query().Get("code")).json(t); again["scope"] != "openid payments" || !alive(again["access_token"]) {
			t.Errorf("%s: opened again: %v", format, again)
		}
	}
}

func TestACodeOnItsWayDoesNotOutliveItsWindow(t *testing.T) {
	h := open(t)
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c, u := h.addClient(func(c *idp.Client) { c.AccessFormat = format }), h.addUser()
		code := h.code(c, u, "scope", "openid payments offline_access")
		h.closes(u)
		wantError(t, h.exchange(c, code), 400, "invalid_grant")
	}
}

func TestClosingAWindowEndsItsResourcesAndDetails(t *testing.T) {
	h := open(t)
	c, u := h.addDetailClient(nil), h.addUser()
	v := targeted(c, "openid accounts offline_access", apiSafe, apiPay)
	v.Set("authorization_details", paying)
	tok := h.exchangeFor(c, u, v).json(t)
	h.closes(u)
	if m := h.introspect(c, tok["access_token"]); m["active"] != false {
		t.Errorf("closed: %v", m)
	}
	next := h.refresh(c, tok["refresh_token"]).json(t)
	_, access := claims(t, next["access_token"])
	if d := cmp.Diff([]any{apiPay, []any{map[string]any{"type": "account", "account": "7"}}}, []any{access["aud"], access["authorization_details"]}); d != "" {
		t.Errorf("refreshed (-want +got):\n%s", d)
	}
}

func TestTwoWindowsInOneTokenEndItWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t, func(c *Config) {
			c.Policy.ActionClasses["limits"] = idp.ActionClass{Name: "limits", Description: "change limits", Window: time.Minute}
			c.Policy.Scopes["limits"] = idp.Scope{Name: "limits", ActionClass: "limits"}
		})
		c, u := h.addClient(func(c *idp.Client) { c.Scopes = append(c.Scopes, "limits") }), h.addUser()
		h.authorize(request(c, "scope", "openid payments limits offline_access"))
		var names []string
		for _, class := range h.last.Requirement.ActionClasses {
			names = append(names, class.Name)
		}
		if d := cmp.Diff([]string{"payments", "limits"}, names); d != "" {
			t.Errorf("required (-want +got): %s", d)
		}
		o := h.outcome(u)
		o.Assurance.ActionClasses = names
		done, err := h.respond(o)
		check(t, err)
		tok := h.post(oauth.PathToken, exchangeForm(done.query().Get("code")), basic(c)).json(t)
		if tok["scope"] != "openid payments limits offline_access" || tok["expires_in"] != 60.0 {
			t.Errorf("%v", tok)
		}
		time.Sleep(time.Minute)
		for _, want := range []struct {
			scope string
			left  float64
		}{{"openid payments offline_access", 240}, {"openid offline_access", 600}} {
			if tok = h.refresh(c, tok["refresh_token"]).json(t); tok["scope"] != want.scope || tok["expires_in"] != want.left {
				t.Errorf("want %v, got %v for %v s", want, tok["scope"], tok["expires_in"])
			}
			time.Sleep(4 * time.Minute)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}, "scope": {"payments limits"}}
		wantError(t, h.post(oauth.PathToken, form, basic(c)), 400, "invalid_scope")
	})
}

// The application is removed after the person's answer and before the device fetches it, which may take ten minutes.
// Tokens issued then would depend on no grant, and the user could not revoke them on the account pages.
func TestAGrantRevokedBeforeTheExchangeIssuesNoTokens(t *testing.T) {
	h := open(t)
	for name, kept := range map[string]bool{"taken back": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			u, app, tele := h.addUser(), h.addClient(nil), h.addDevice(nil)
			granted := func() idp.Outcome {
				c := h.last.Request.ClientID
				check(t, h.db.PutGrant(t.Context(), idp.Grant{UserID: u.ID, ClientID: c, Scopes: h.last.Request.Scopes}))
				o := h.outcome(u)
				o.Granted = true
				return o
			}
			h.authorize(request(app, "scope", "openid offline_access"))
			r, err := h.respond(granted())
			check(t, err)
			code := r.query().Get("code")
			deviceCode, shown := h.asked(tele, "scope", "openid offline_access")
			h.goOn(shown)
			_, err = h.respond(granted())
			check(t, err)
			if !kept {
				check(t, h.db.RemoveGrant(t.Context(), u.ID, app.ID))
				check(t, h.db.RemoveGrant(t.Context(), u.ID, tele.ID))
			}
			for name, r := range map[string]reply{"code": h.exchange(app, code), "device": h.poll(tele, deviceCode)} {
				if kept {
					if r.StatusCode != 200 {
						t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
					}
					continue
				}
				wantError(t, r, 400, "invalid_grant")
			}
		})
	}
}
