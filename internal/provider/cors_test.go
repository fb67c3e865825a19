package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// from sends a request as a script of this origin.
func from(origin string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Origin", origin) }
}

func TestAScriptReadsOnlyTheResponsesOfItsClient(t *testing.T) {
	h := open(t)
	u := h.addUser()
	spa := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	other := h.addClient(func(c *idp.Client) {
		c.AuthMethod, c.RedirectURIs = idp.AuthMethodNone, []string{"https://other.example/cb"}
	})
	native := h.addClient(func(c *idp.Client) { c.AuthMethod, c.Native = idp.AuthMethodNone, true })
	server := h.addClient(nil)
	opaque := h.addClient(func(c *idp.Client) { c.AuthMethod, c.AccessFormat = idp.AuthMethodNone, idp.FormatOpaque })
	const home, elsewhere = "https://app.example", "https://other.example"

	allowed := func(what string, r reply, origin string) {
		t.Helper()
		got, exposed := r.Header.Get("Access-Control-Allow-Origin"), r.Header.Get("Access-Control-Expose-Headers")
		if got != origin || (exposed == "WWW-Authenticate, DPoP-Nonce") != (origin != "") || r.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, origin %q, exposed %q, credentials %q", what, r.StatusCode, got, exposed, r.Header.Get("Access-Control-Allow-Credentials"))
		}
		if r.Header.Get("Vary") != "Origin" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: vary %q, cache %q", what, r.Header.Get("Vary"), r.Header.Get("Cache-Control"))
		}
	}
	allowed("push", h.post(oauth.PathPAR, request(spa), from(home)), home)
	r := h.post(oauth.PathToken, withID(exchangeForm(h.code(spa, u, "scope", "openid offline_access")), spa), from(home))
	allowed("code", r, home)
	tok := r.json(t)
	info := func(token string, origin string) reply {
		return h.post(oauth.PathUserInfo, url.Values{"access_token": {token}}, from(origin))
	}
	access := tok["access_token"].(string)
	allowed("userinfo", info(access, home), home)
	allowed("userinfo, elsewhere", info(access, elsewhere), "")
	allowed("userinfo, opaque", info(h.tokens(opaque, u)["access_token"].(string), home), home)
	allowed("userinfo, a server's token", info(h.tokens(server, u)["access_token"].(string), home), "")
	allowed("userinfo, no token of ours", info("nonsense", home), "")
	allowed("refresh", h.post(oauth.PathToken, withID(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}, spa), from(home)), home)
	allowed("an error after the client is known", h.post(oauth.PathToken, withID(exchangeForm("none"), spa), from(home)), home)
	allowed("revocation", h.post(oauth.PathRevoke, withID(url.Values{"token": {access}}, spa), from(home)), home)
	allowed("userinfo, a revoked token", info(access, home), home) // 401, which the script has to see

	for origin, c := range map[string]idp.Client{
		"https://evil.example": spa, "https://app.example:444": spa, "http://app.example": spa, "https://APP.example": spa, "null": spa,
		"https://app.example/": spa, "https://app.example.evil.example": spa, home: other, elsewhere: spa,
	} {
		allowed(origin, h.post(oauth.PathToken, withID(exchangeForm("none"), c), from(origin)), "")
	}
	allowed("a native application", h.post(oauth.PathToken, withID(exchangeForm("none"), native), from(home)), "")
	allowed("a server", h.post(oauth.PathToken, exchangeForm("none"), basic(server), from(home)), "")
	allowed("nobody", h.post(oauth.PathToken, url.Values{"grant_type": {"authorization_code"}, "client_id": {"nobody"}}, from(home)), "")
	passer := h.addPasser(nil)
	token := h.tokens(h.addClient(func(c *idp.Client) { c.AuthMethod, c.Audience = idp.AuthMethodNone, []string{passer.ID} }), u, "scope", "accounts")["access_token"]
	allowed("a server that sends a script's token", h.post(oauth.PathToken, url.Values{
		"grant_type": {idp.GrantTokenExchange}, "subject_token": {token.(string)}, "subject_token_type": {typeAccessToken},
	}, basic(passer), from(home)), "")
	keyed := h.addClient(func(c *idp.Client) { c.AuthMethod, c.DPoPBound = idp.AuthMethodNone, true })
	allowed("without the DPoP proof that it owes", h.post(oauth.PathToken, withID(exchangeForm(h.code(keyed, u)), keyed), from(home)), home)
	if r := h.post(oauth.PathToken, withID(exchangeForm("none"), spa)); r.Header.Get("Access-Control-Allow-Origin") != "" || r.Header.Get("Vary") != "" {
		t.Errorf("without an origin: %v", r.Header)
	}
	for _, path := range []string{oauth.PathIntrospect, oauth.PathAuthorize, oauth.PathEndSession} {
		if r := h.post(path, withID(url.Values{"token": {access}}, spa), from(home)); r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s answers scripts", path)
		}
	}
}

func TestAPreflightGivesEveryOriginTheSameAnswer(t *testing.T) {
	h := open(t)
	h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	for _, path := range []string{oauth.PathPAR, oauth.PathToken, oauth.PathUserInfo, oauth.PathRevoke} {
		var said []string
		for _, origin := range []string{"https://app.example", "https://evil.example", "null"} {
			r, err := http.NewRequest("OPTIONS", h.url+path, nil)
			check(t, err)
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", "authorization,content-type,dpop")
			got := h.do(r)
			if got.StatusCode != 204 || got.Header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, DPoP" || got.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s, %s: %d %v", path, origin, got.StatusCode, got.Header)
			}
			got.Header.Del("Date")
			got.Header.Del("X-Request-Id")
			var all strings.Builder
			check(t, got.Header.Write(&all))
			said = append(said, all.String())
		}
		if said[0] != said[1] || said[1] != said[2] {
			t.Errorf("%s tells origins apart: %q", path, said)
		}
		r, err := http.NewRequest("OPTIONS", h.url+path, nil)
		check(t, err)
		if got := h.do(r); got.StatusCode != 405 {
			t.Errorf("%s: OPTIONS of no browser: %d", path, got.StatusCode)
		}
	}
}

func TestAScriptSeesThatItsTokenHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		spa := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
		tok := h.tokens(spa, h.addUser())
		time.Sleep(time.Hour)
		r := h.post(oauth.PathUserInfo, url.Values{"access_token": {tok["access_token"].(string)}}, from("https://app.example"))
		wantError(t, r, 401, "invalid_token")
		if r.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
			t.Errorf("%v", r.Header)
		}
	})
}
