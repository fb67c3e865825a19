package provider

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// signIn starts a session in the house's browser and returns it with tokens issued in it.
func (h *house) signIn(c idp.Client, u idp.User) (*idp.Session, map[string]any) {
	h.t.Helper()
	rec := httptest.NewRecorder()
	a := idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: time.Now(), Purpose: idp.PurposeSignIn, UserVerified: true}
	req := httptest.NewRequest("GET", h.url+"/login", nil)
	sess, err := h.sessions.Start(req.Context(), rec, req, a, nil)
	check(h.t, err)
	site, err := url.Parse(h.url)
	check(h.t, err)
	h.client.Jar.SetCookies(site, rec.Result().Cookies())
	h.authorize(request(c, "scope", "openid"))
	o := h.outcome(u)
	o.SessionID = sess.ID
	r, err := h.respond(o)
	check(h.t, err)
	return sess, h.exchange(c, r.query().Get("code")).json(h.t)
}

func (h *house) endSession(params ...string) reply {
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	return h.get(oauth.PathEndSession + "?" + v.Encode())
}

func (h *house) signedIn(sess *idp.Session) bool {
	h.t.Helper()
	list, err := h.sessions.List(h.t.(*testing.T).Context(), sess.UserID)
	check(h.t, err)
	for _, s := range list {
		if s.ID == sess.ID {
			return true
		}
	}
	return false
}

const bye = "https://app.example/bye"

func TestAClientOfTheSessionSignsOutAtOnce(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	for name, row := range map[string]struct {
		params []string
		want   string
	}{
		"back with state":    {[]string{"post_logout_redirect_uri", bye, "state", "s 1"}, bye + "?state=s+1"},
		"back without state": {[]string{"post_logout_redirect_uri", bye}, bye},
		"with client_id":     {[]string{"post_logout_redirect_uri", bye, "client_id", c.ID}, bye},
		"nowhere to go":      {nil, oauth.PathLoggedOut},
	} {
		t.Run(name, func(t *testing.T) {
			sess, tok := h.signIn(c, u)
			r := h.endSession(append(row.params, "id_token_hint", tok["id_token"].(string))...)
			if r.StatusCode != 303 || r.Header.Get("Location") != row.want {
				t.Errorf("%d to %q, want %q", r.StatusCode, r.Header.Get("Location"), row.want)
			}
			if h.signedIn(sess) {
				t.Error("still signed in")
			}
			wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
		})
	}
	if n := kinds(t, h, idp.EventSignedOut); n != 4 {
		t.Errorf("%d events session.signed_out", n)
	}
	if r := h.get(oauth.PathLoggedOut); r.StatusCode != 200 || !strings.Contains(r.body, `data-page="logged-out"`) {
		t.Errorf("page: %d", r.StatusCode)
	}
}

func TestARefreshTokenOutlivesTheSession(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	sess, tok := h.signIn(c, u)
	h.authorize(request(c, "scope", "openid offline_access"))
	o := h.outcome(u)
	o.SessionID = sess.ID
	r, err := h.respond(o)
	check(t, err)
	offline := h.exchange(c, r.query().Get("code")).json(t)
	h.endSession("id_token_hint", tok["id_token"].(string))
	if r := h.refresh(c, offline["refresh_token"]); r.StatusCode != 200 {
		t.Errorf("offline_access ended with the session: %s", r.body)
	}
}

func TestADynamicClientsLogoutRedirectNeedsAnIDToken(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.Dynamic = true }), h.addUser()
	_, tok := h.signIn(c, u)
	hint := []string{"post_logout_redirect_uri", bye, "id_token_hint", tok["id_token"].(string)}
	if r := h.endSession(hint...); r.Header.Get("Location") != bye {
		t.Errorf("with an ID token: to %q", r.Header.Get("Location"))
	}
	// No user is signed in now, so no user is asked.
	if r := h.endSession("post_logout_redirect_uri", bye, "client_id", c.ID); r.StatusCode != 303 || r.Header.Get("Location") != oauth.PathLoggedOut {
		t.Errorf("without: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
}

// confirm follows the redirect to the question and answers it.
func (h *house) confirm(r reply) reply {
	h.t.Helper()
	if r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), oauth.PathLogout+"?l=") {
		h.t.Fatalf("no question: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	page := h.get(r.Header.Get("Location"))
	if page.StatusCode != 200 || !strings.Contains(page.body, `data-page="logout-confirm"`) || !strings.Contains(page.body, `data-test="logout-confirm"`) {
		h.t.Fatalf("page: %d %s", page.StatusCode, page.body)
	}
	id := r.query().Get("l")
	return h.post(oauth.PathLogout, url.Values{"l": {id}}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") })
}

func TestAnUnverifiedLogoutRequestAsksThePerson(t *testing.T) {
	h := open(t)
	c, other, u := h.addClient(nil), h.addClient(nil), h.addUser()
	_, old := h.signIn(c, u)
	h.endSession("id_token_hint", old["id_token"].(string))
	_, foreign := h.signIn(other, h.addUser())
	h.endSession("id_token_hint", foreign["id_token"].(string))
	parts := strings.Split(old["id_token"].(string), ".")
	none := "eyJhbGciOiJub25lIn0." + parts[1] + "."
	for name, row := range map[string]struct {
		params []string
		back   bool
	}{
		"no parameters":                          {nil, false},
		"only state":                             {[]string{"state", "s"}, false},
		"a redirect without a client that asks":  {[]string{"post_logout_redirect_uri", bye}, false},
		"a redirect and a client_id":             {[]string{"post_logout_redirect_uri", bye, "client_id", c.ID}, true},
		"a hint of an earlier session":           {[]string{"post_logout_redirect_uri", bye, "id_token_hint", old["id_token"].(string)}, true},
		"a hint of another user":                 {[]string{"post_logout_redirect_uri", bye, "id_token_hint", foreign["id_token"].(string)}, true},
		"a hint without signature":               {[]string{"post_logout_redirect_uri", bye, "id_token_hint", none}, false},
		"a hint with a foreign signature":        {[]string{"post_logout_redirect_uri", bye, "id_token_hint", parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86)}, false},
		"a broken hint, however good the client": {[]string{"post_logout_redirect_uri", bye, "client_id", c.ID, "id_token_hint", "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			sess, tok := h.signIn(c, u)
			asked := h.endSession(row.params...)
			if !h.signedIn(sess) {
				t.Fatal("signed out without being asked")
			}
			r := h.confirm(asked)
			want := oauth.PathLoggedOut
			if row.back {
				want = bye
			}
			if r.StatusCode != 303 || r.Header.Get("Location") != want {
				t.Errorf("%d to %q, want %q", r.StatusCode, r.Header.Get("Location"), want)
			}
			if h.signedIn(sess) {
				t.Error("still signed in")
			}
			wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
		})
	}
}

func TestAPostedSignOutFindsTheBrowserAgain(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	sess, tok := h.signIn(c, u)
	jar := h.client.Jar
	h.client.Jar = nil // a form of another site: Lax cookies stay at home
	r := h.post(oauth.PathEndSession, url.Values{"id_token_hint": {tok["id_token"].(string)}, "post_logout_redirect_uri": {bye}, "state": {"s"}})
	h.client.Jar = jar
	if r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), oauth.PathLogout+"?l=") || !h.signedIn(sess) {
		t.Fatalf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r := h.get(r.Header.Get("Location")); r.Header.Get("Location") != bye+"?state=s" || h.signedIn(sess) {
		t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestAnUnregisteredLogoutRedirectIsAnErrorPage(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	sess, tok := h.signIn(c, u)
	hint := tok["id_token"].(string)
	for name, params := range map[string][]string{
		"unregistered":       {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"},
		"a query added":      {"id_token_hint", hint, "post_logout_redirect_uri", bye + "?x=1"},
		"by client_id":       {"client_id", c.ID, "post_logout_redirect_uri", "https://evil.example/"},
		"an unknown client":  {"client_id", "nobody", "post_logout_redirect_uri", bye},
		"another client":     {"id_token_hint", hint, "client_id", "other", "post_logout_redirect_uri", bye},
		"a state too long":   {"id_token_hint", hint, "post_logout_redirect_uri", bye, "state", strings.Repeat("s", 8<<10+1)},
		"a redirect_uri too": {"id_token_hint", hint, "post_logout_redirect_uri", "https://app.example/cb"},
	} {
		if r := h.endSession(params...); r.StatusCode != 400 || r.Header.Get("Location") != "" || !strings.Contains(r.body, `data-page="error"`) {
			t.Errorf("%s: %d to %q", name, r.StatusCode, r.Header.Get("Location"))
		}
	}
	if !h.signedIn(sess) {
		t.Error("signed out by a request that was refused")
	}
}

func TestOnlyOurOwnPageConfirmsASignOut(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	sess, _ := h.signIn(c, u)
	r := h.endSession()
	for name, edit := range map[string]func(*http.Request){
		"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"origin":     func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		if r := h.post(oauth.PathLogout, url.Values{"l": {r.query().Get("l")}}, edit); r.StatusCode != 403 || !h.signedIn(sess) {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
}

func TestSigningOutWithoutASessionJustRedirects(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	if r := h.endSession(); r.Header.Get("Location") != oauth.PathLoggedOut {
		t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r := h.endSession("client_id", c.ID, "post_logout_redirect_uri", bye); r.Header.Get("Location") != bye {
		t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestThePageMayRedirectToTheApplication(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.signIn(c, u)
	r := h.get(h.endSession("client_id", c.ID, "post_logout_redirect_uri", bye).Header.Get("Location"))
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") {
		t.Errorf("Chromium stops a form whose answer leads where the CSP does not allow: %q", csp)
	}
	if !strings.Contains(r.body, "App") || !strings.Contains(r.body, u.Name) {
		t.Error("the page says neither who asks nor who is signed in")
	}
}
