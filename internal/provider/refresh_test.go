package provider

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

func kinds(t *testing.T, h *house, kind idp.EventKind) int {
	t.Helper()
	events, err := h.db.Events(t.Context(), "", 1000)
	check(t, err)
	n := 0
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestASecondUseOfACodeRevokesWhatTheFirstProduced(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	code := h.code(c, u, "scope", "openid offline_access")
	tok := h.exchange(c, code).json(t)
	if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
		t.Fatalf("userinfo: %d", r.StatusCode)
	}
	wantError(t, h.exchange(c, code), 400, "invalid_grant")
	wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
	wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
	if m := h.introspect(c, tok["access_token"]); m["active"] != false {
		t.Errorf("introspection: %v", m)
	}
	if n := kinds(t, h, idp.EventCodeReused); n != 1 {
		t.Errorf("%d events code.reused", n)
	}
	wantError(t, h.exchange(c, code), 400, "invalid_grant")
	if n := kinds(t, h, idp.EventCodeReused); n != 1 {
		t.Errorf("a dead family is revoked again: %d events", n)
	}
}

func TestRefreshingKeepsTheAuthenticationAndRotatesTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		tok := h.tokens(c, u, "scope", "openid email offline_access")
		_, before := claims(t, tok["id_token"])
		time.Sleep(time.Hour)
		r := h.refresh(c, tok["refresh_token"])
		fresh := r.json(t)
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" || fresh["token_type"] != "Bearer" || fresh["scope"] != "openid email offline_access" {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		if fresh["refresh_token"] == tok["refresh_token"] || strings.Split(fresh["refresh_token"].(string), ".")[0] != strings.Split(tok["refresh_token"].(string), ".")[0] {
			t.Error("the refresh token was not rotated within its family")
		}
		_, after := claims(t, fresh["id_token"])
		for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} { // OIDC Core §12.2
			if d := cmp.Diff(before[same], after[same]); d != "" {
				t.Errorf("%s changed: %s", same, d)
			}
		}
		if after["nonce"] != nil || after["iat"] == before["iat"] {
			t.Errorf("ID token after a refresh: %v", after)
		}
		_, access := claims(t, fresh["access_token"])
		if access["auth_time"] != before["auth_time"] {
			t.Error("refreshing renewed auth_time")
		}
		wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token") // expired after ten minutes
		if r := h.userinfo(fresh["access_token"]); r.StatusCode != 200 {
			t.Errorf("userinfo: %d", r.StatusCode)
		}
	})
}

func TestARetriedRefreshGetsTheSameSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone }), h.addUser()
		tok := h.tokens(c, u, "scope", "openid offline_access")
		first := h.refresh(c, tok["refresh_token"]).json(t)
		time.Sleep(web.MaxTime + 29*time.Second)
		again := h.refresh(c, tok["refresh_token"]).json(t)
		if first["refresh_token"] != again["refresh_token"] {
			t.Fatalf("successors differ: %v", again)
		}
		if r := h.refresh(c, again["refresh_token"]); r.StatusCode != 200 {
			t.Errorf("the successor does not work: %s", r.body)
		}
	})
}

func TestAUsedRefreshTokenThatComesLaterEndsTheFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		tok := h.tokens(c, u, "scope", "openid offline_access")
		first := h.refresh(c, tok["refresh_token"]).json(t)
		time.Sleep(web.MaxTime + 30*time.Second)
		wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
		wantError(t, h.refresh(c, first["refresh_token"]), 400, "invalid_grant")
		wantError(t, h.userinfo(first["access_token"]), 401, "invalid_token")
		if n := kinds(t, h, idp.EventRefreshReused); n != 1 {
			t.Errorf("%d events refresh.reused", n)
		}
	})
}

func TestParallelRefreshesAgreeOnOneSuccessor(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid offline_access")
	var wg sync.WaitGroup
	var mu sync.Mutex
	successors := map[any]bool{}
	for range 8 {
		wg.Go(func() {
			m := h.refresh(c, tok["refresh_token"]).json(t)
			mu.Lock()
			defer mu.Unlock()
			successors[m["refresh_token"]] = true
		})
	}
	wg.Wait()
	if len(successors) != 1 || successors[nil] {
		t.Errorf("successors: %v", successors)
	}
}

func TestAFamilyEndsAfterItsTimeHoweverOftenItWasRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t, func(c *Config) { c.Lifetimes.Refresh = 30 * time.Hour })
		c, u := h.addClient(nil), h.addUser()
		tok := h.tokens(c, u, "scope", "openid offline_access")
		for range 2 {
			time.Sleep(14 * time.Hour)
			tok = h.refresh(c, tok["refresh_token"]).json(t)
		}
		time.Sleep(2 * time.Hour)
		wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
	})
}

func TestARefreshCanNarrowScopesAndNeverWidenThem(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid email offline_access")
	narrow := h.refresh(c, tok["refresh_token"], "scope", "email").json(t)
	if narrow["scope"] != "email" || narrow["id_token"] != nil {
		t.Errorf("narrowed: %v", narrow)
	}
	wantError(t, h.refresh(c, narrow["refresh_token"], "scope", "openid profile"), 400, "invalid_scope")
	wantError(t, h.refresh(c, narrow["refresh_token"], "scope", "unheard_of"), 400, "invalid_scope")
	full := h.refresh(c, narrow["refresh_token"]).json(t) // RFC 6749 §6: the refresh token keeps its scope
	if full["scope"] != "openid email offline_access" {
		t.Errorf("after narrowing once: %v", full)
	}
}

func TestARefreshDropsScopesTheClientLost(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid email offline_access")
	c.Scopes = []string{"openid", "offline_access"}
	check(t, h.db.PutClient(t.Context(), c))
	if m := h.refresh(c, tok["refresh_token"]).json(t); m["scope"] != "openid offline_access" {
		t.Errorf("scope %v", m["scope"])
	}
}

func TestADisabledUserGetsNothingMore(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid offline_access")
	code := h.code(c, u)
	u.DisabledAt = time.Now()
	check(t, h.db.UpdateUser(t.Context(), u))
	wantError(t, h.exchange(c, code), 400, "invalid_grant")
	wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
	wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
	if m := h.introspect(c, tok["access_token"]); m["active"] != false {
		t.Errorf("introspection: %v", m)
	}
	if n := kinds(t, h, idp.EventRefreshReused); n != 0 {
		t.Error("a closed account was taken for a reused token")
	}
}

func TestAnActionClassEndsWithItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		time.Sleep(time.Second / 2) // auth_time is cut to the second; the window counts from it
		tok := h.tokens(c, u, "scope", "openid payments offline_access")
		_, access := claims(t, tok["access_token"])
		if access["exp"].(float64)-access["auth_time"].(float64) != 300 {
			t.Errorf("the token outlives its window: %v", access)
		}
		time.Sleep(4 * time.Minute)
		fresh := h.refresh(c, tok["refresh_token"]).json(t)
		_, again := claims(t, fresh["access_token"])
		if fresh["scope"] != "openid payments offline_access" || again["exp"] != access["exp"] {
			t.Errorf("within the window: %v, until %v and not %v", fresh["scope"], again["exp"], access["exp"])
		}
		if fresh["expires_in"].(float64) > 60 {
			t.Errorf("expires_in %v", fresh["expires_in"])
		}
		time.Sleep(time.Minute)
		wantError(t, h.userinfo(fresh["access_token"]), 401, "invalid_token")
		base := h.refresh(c, fresh["refresh_token"]).json(t)
		if base["scope"] != "openid offline_access" {
			t.Errorf("after the window: %v", base["scope"])
		}
		wantError(t, h.refresh(c, base["refresh_token"], "scope", "payments"), 400, "invalid_scope")
	})
}

func TestAScopeWithAnActionClassNeedsAStepUpForThatClass(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "scope", "openid payments"))
	o := h.outcome(u)
	o.Assurance.ActionClasses = []string{"other"}
	r, err := h.respond(o)
	check(t, err)
	if m := h.exchange(c, r.query().Get("code")).json(t); m["scope"] != "openid" {
		t.Errorf("scope %v", m["scope"])
	}
	h.authorize(request(c, "scope", "payments"))
	r, err = h.respond(o) // the outcome still says openid, which this request did not ask for
	check(t, err)
	wantError(t, h.exchange(c, r.query().Get("code")), 400, "invalid_grant")
}

func TestRevocationEndsTheFamilyAndOnlyForItsClient(t *testing.T) {
	h := open(t)
	c, other, u := h.addClient(nil), h.addClient(nil), h.addUser()
	for _, which := range []string{"refresh_token", "access_token"} {
		tok := h.tokens(c, u, "scope", "openid offline_access")
		if r := h.post(oauth.PathRevoke, url.Values{"token": {tok[which].(string)}}, basic(other)); r.StatusCode != 200 {
			t.Errorf("%s by another client: %d", which, r.StatusCode)
		}
		if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
			t.Errorf("%s: another client revoked it", which)
		}
		r := h.post(oauth.PathRevoke, url.Values{"token": {tok[which].(string)}, "token_type_hint": {"nonsense"}}, basic(c))
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", which, r.StatusCode)
		}
		wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
		wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
	}
	for _, token := range []string{"unknown", "a.b", "a.b.c", "a.b.c.d", strings.Repeat("x", 9000)} { // RFC 7009 §2.2
		if r := h.post(oauth.PathRevoke, url.Values{"token": {token}}, basic(c)); r.StatusCode != 200 {
			t.Errorf("%.20s: %d", token, r.StatusCode)
		}
	}
	public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	tok := h.tokens(public, u, "scope", "openid offline_access")
	h.post(oauth.PathRevoke, url.Values{"token": {tok["refresh_token"].(string)}, "client_id": {public.ID}})
	wantError(t, h.refresh(public, tok["refresh_token"]), 400, "invalid_grant")
}

func TestARequestForTooMuchDoesNotUseTheTokenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		tok := h.tokens(c, u, "scope", "openid offline_access")
		wantError(t, h.refresh(c, tok["refresh_token"], "scope", "unheard_of"), 400, "invalid_scope")
		time.Sleep(time.Minute)
		if r := h.refresh(c, tok["refresh_token"]); r.StatusCode != 200 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	})
}

// After a rejection, a client only has the token it sent: no successor was issued.
func TestARejectedRefreshLeavesTheTokenUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		for _, row := range []struct {
			name   string
			params []string
			code   string
		}{
			{"an action class whose window is over", []string{"scope", "payments"}, "invalid_scope"},
			{"a scope that was not granted", []string{"scope", "accounts"}, "invalid_scope"},
			{"a resource that was not granted", []string{"resource", apiPay}, "invalid_target"},
		} {
			for _, method := range []string{idp.AuthMethodNone, idp.AuthMethodBasic} {
				c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = method }), h.addUser()
				tok := h.tokens(c, u, "scope", "openid payments offline_access")
				time.Sleep(6 * time.Minute)
				for range 2 {
					wantError(t, h.refresh(c, tok["refresh_token"], row.params...), 400, row.code)
					time.Sleep(web.MaxTime + 90*time.Second)
				}
				first := h.refresh(c, tok["refresh_token"])
				if first.StatusCode != 200 {
					t.Errorf("%s: the token is lost: %d %s", row.name, first.StatusCode, first.body)
					continue
				}
				// With its successor in use it is a used token like any other.
				if r := h.refresh(c, first.json(t)["refresh_token"]); r.StatusCode != 200 {
					t.Errorf("%s: the successor: %d %s", row.name, r.StatusCode, r.body)
				}
				wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
				wantError(t, h.userinfo(first.json(t)["access_token"]), 401, "invalid_token")
			}
		}
		if n := kinds(t, h, idp.EventRefreshReused); n != 6 {
			t.Errorf("%d events refresh.reused, want the 6 at the end of each", n)
		}
	})
}

// A thief who has the current token sends it with a request that is rejected, to extend its grace, and then uses it.
// The owner's next use must reveal that there are two of them (RFC 9700 §4.14.2).
func TestARejectedRequestDoesNotDisableReuseDetection(t *testing.T) {
	for name, wish := range map[string][]string{
		"scope":                 {"scope", "openid email"},
		"resource":              {"resource", apiPay},
		"authorization_details": {"authorization_details", `[{"type":"payment","amount":1}]`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openInBubble(t)
				c, u := h.addClient(func(c *idp.Client) { c.DetailTypes = []string{"payment"} }), h.addUser()
				stolen := h.tokens(c, u, "scope", "openid offline_access")["refresh_token"]
				for range 3 {
					if r := h.refresh(c, stolen, wish...); r.StatusCode != 400 {
						t.Fatalf("%d %s", r.StatusCode, r.body)
					}
					time.Sleep(10 * time.Second)
				}
				thief := h.refresh(c, stolen)
				if thief.StatusCode != 200 {
					t.Fatalf("the token was used up by refusals: %s", thief.body)
				}
				time.Sleep(time.Minute)
				h.refresh(c, stolen, wish...) // or after it
				wantError(t, h.refresh(c, stolen), 400, "invalid_grant")
				wantError(t, h.refresh(c, thief.json(t)["refresh_token"]), 400, "invalid_grant")
			})
		})
	}
}
