package e2e

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// logoutURL is a request to sign out.
func (o *op) logoutURL(params ...string) string {
	return o.issuer + "/oauth2/end_session?" + set(url.Values{}, params).Encode()
}

// bye is where a client wants people sent after they signed out.
const bye = rpOrigin + "bye"

func returning(c *idp.Client) { c.PostLogoutRedirectURIs = []string{bye} }

// isSignedIn asks silently.
func (a *rp) isSignedIn(p *person) bool {
	a.t.Helper()
	back := a.authorize(p, "prompt", "none")
	if errorCode := back.Get("error"); errorCode != "" && errorCode != "login_required" {
		a.t.Errorf("prompt=none: %v", back)
	}
	return back.Has("code")
}

func TestOP33ASignOutGoesBackWithTheStateAlone(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(returning)
	for name, row := range map[string]struct {
		params []string // beside the hint
		query  string
		asks   bool
	}{
		"with state":            {[]string{"state", "s 1&2"}, "state=s+1%262", false},
		"without state":         {nil, "", false},
		"with the client's ID":  {[]string{"client_id", a.ID, "state", "s"}, "state=s", false},
		"by the client's ID":    {[]string{"client_id", a.ID, "state", "s", "id_token_hint", ""}, "state=s", true},
		"with ui_locales, hint": {[]string{"ui_locales", "de en", "logout_hint", "x"}, "", false},
	} {
		p := o.person()
		tok := a.signIn(p)
		at := p.open(o.logoutURL(append([]string{"id_token_hint", tok.IDToken, "post_logout_redirect_uri", bye}, row.params...)...))
		if row.asks {
			if at.name != "logout-confirm" || !a.isSignedIn(p) {
				t.Fatalf("%s: %s", name, at)
			}
			at = p.submit(at, "logout-confirm", nil)
		}
		if got := at.url.String(); strings.TrimSuffix(bye+"?"+row.query, "?") != got {
			t.Errorf("%s: at %s", name, got)
		}
		if a.isSignedIn(p) {
			t.Errorf("%s: still signed in", name)
		}
		if r := o.userInfo(tok.AccessToken); r.status != 401 {
			t.Errorf("%s: the access token answers %d", name, r.status)
		}
	}
}

func TestOP34AQuestionableSignOutLeadsNowhere(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, other := o.client(returning), o.client(func(c *idp.Client) { c.PostLogoutRedirectURIs = []string{rpOrigin + "other"} })
	p := o.person()
	good := a.signIn(p).IDToken
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for name, row := range map[string]struct{ uri, hint string }{
		"an unregistered URI":      {rpOrigin + "elsewhere", good},
		"a URI of another client":  {other.PostLogoutRedirectURIs[0], good},
		"a URI with a query added": {bye + "?x=1", good},
		"alg none":                 {bye, none},
		"a foreign signature":      {bye, parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))},
		"a token of another kind":  {bye, a.signIn(p).AccessToken},
		"no hint":                  {bye, ""},
	} {
		at := p.open(o.logoutURL("post_logout_redirect_uri", row.uri, "id_token_hint", row.hint, "state", "s"))
		if !strings.HasPrefix(at.url.String(), o.issuer) || at.status != 400 && at.name != "logout-confirm" {
			t.Errorf("%s: %s %d", name, at.name, at.status)
		}
		if !a.isSignedIn(p) {
			t.Fatalf("%s: signed out unasked", name)
		}
		if at.name == "logout-confirm" { // who says yes is signed out, and stays
			if at = p.submit(at, "logout-confirm", nil); at.name != "logged-out" || a.isSignedIn(p) {
				t.Errorf("%s: %s", name, at)
			}
			a.signIn(p)
		}
	}
}

func TestOP35ASignOutWithNowhereToGoEndsOnOurPage(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(returning)
	p := o.person()
	for name, params := range map[string]func(hint string) []string{
		"no parameters": func(string) []string { return nil },
		"only state":    func(string) []string { return []string{"state", "s"} },
		"only a hint":   func(hint string) []string { return []string{"id_token_hint", hint, "state", "s"} },
	} {
		at := p.open(o.logoutURL(params(a.signIn(p).IDToken)...))
		if at.name == "logout-confirm" {
			at = p.submit(at, "logout-confirm", nil)
		}
		if at.name != "logged-out" || strings.Contains(at.url.String(), "state") || a.isSignedIn(p) {
			t.Errorf("%s: %s", name, at)
		}
	}
}

// hears serves a client's backchannel_logout_uri and sends what comes.
func hears(t *testing.T) (uri string, heard <-chan url.Values) {
	t.Helper()
	ch := make(chan url.Values, 16)
	return outside(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.RawQuery != "tenant=1" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		ch <- form
	})) + "/backchannel?tenant=1", ch
}

// logout is the one logout token of what was heard, verified with the published keys.
func (o *op) logout(heard <-chan url.Values) map[string]any {
	o.t.Helper()
	select {
	case form := <-heard:
		if len(form) != 1 || len(form["logout_token"]) != 1 {
			o.t.Fatalf("heard %v", form)
		}
		if typ := header(o.t, form.Get("logout_token"))["typ"]; typ != "logout+jwt" {
			o.t.Errorf("typ %v", typ)
		}
		return o.verify(form.Get("logout_token"))
	case <-time.After(30 * time.Second):
		o.t.Fatal("nothing was heard")
		return nil
	}
}

func TestOP36EveryClientOfTheSessionHearsOfItsEnd(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	for _, alg := range []string{"ES256", "RS256"} {
		uri, heard := hears(t)
		a := o.client(func(c *idp.Client) { c.BackchannelLogoutURI, c.IDTokenAlg = uri, alg })
		otherURI, otherHeard := hears(t)
		other := o.client(func(c *idp.Client) { c.BackchannelLogoutURI, c.SubjectType = otherURI, idp.SubjectPairwise })
		p := o.person()
		first, second := a.signIn(p), other.signIn(p)
		p.open(o.logoutURL("id_token_hint", first.IDToken))
		for _, row := range []struct {
			client *rp
			tok    tokens
			heard  <-chan url.Values
		}{{a, first, heard}, {other, second, otherHeard}} {
			got := o.logout(row.heard)
			if got["iss"] != o.issuer || got["aud"] != row.client.ID || got["sub"] != row.tok.claims["sub"] || got["sid"] != row.tok.claims["sid"] || got["sid"] == nil {
				t.Errorf("%v, the ID token said %v", got, row.tok.claims)
			}
			events, _ := got["events"].(map[string]any)
			if e, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); !ok || len(e) != 0 || len(events) != 1 {
				t.Errorf("events %v", got["events"])
			}
			if _, there := got["nonce"]; there || got["jti"] == "" || got["iat"] == nil || got["exp"] == nil {
				t.Errorf("%v", got)
			}
		}
	}
}

func TestOP36ASessionEndedOnTheAccountPageIsHeardOf(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	uri, heard := hears(t)
	a := o.client(func(c *idp.Client) { c.BackchannelLogoutURI = uri })
	p := o.person()
	tok := a.signIn(p)
	sid := tok.claims["sid"].(string)
	if at := p.read(p.http.PostForm(o.issuer+"/account/signout", nil)); at.name != "logged-out" {
		t.Fatal(at)
	}
	if got := o.logout(heard); got["sid"] != sid {
		t.Errorf("sid %v, want %s", got["sid"], sid)
	}
}

func TestOP36TheSignedOutPageTellsClientsInFrames(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(func(c *idp.Client) {
		returning(c)
		c.FrontchannelLogoutURI = rpOrigin + "frontchannel?tenant=1"
	})
	p := o.person()
	tok := a.signIn(p)
	at := p.open(o.logoutURL("id_token_hint", tok.IDToken, "post_logout_redirect_uri", bye, "state", "s"))
	frame := must(url.Parse(attr(regexp.MustCompile(`<iframe [^>]*>`).FindString(at.body), "src")))
	q := frame.Query()
	if at.name != "logged-out" || !strings.HasPrefix(frame.String(), rpOrigin+"frontchannel?") ||
		q.Get("iss") != o.issuer || q.Get("sid") != tok.claims["sid"] || q.Get("tenant") != "1" {
		t.Errorf("%s with a frame of %s", at, frame)
	}
	if next := attr(regexp.MustCompile(`<a [^>]*data-next[^>]*>`).FindString(at.body), "href"); next != bye+"?state=s" {
		t.Errorf("then to %q", next)
	}
}

func TestDisablingAUserEndsEverythingAndIsHeardOf(t *testing.T) {
	o := newOP(t)
	uri, heard := hears(t)
	a := o.client(func(c *idp.Client) { c.BackchannelLogoutURI = uri })
	p := o.person()
	tok := a.signIn(p, "scope", "openid offline_access")
	sub := tok.claims["sub"].(string)
	dir := o.Config.DataDir
	if out, err := operate(t, dir, "user", "disable", sub); err != nil || !strings.Contains(out, "1 sessions ended") {
		t.Fatalf("%s %v", out, err)
	}
	if got := o.logout(heard); got["sid"] != tok.claims["sid"] {
		t.Errorf("%v", got)
	}
	a.refresh(tok.RefreshToken).refused(t, 400, "invalid_grant")
	if a.isSignedIn(p) {
		t.Error("still signed in")
	}
	if out, err := operate(t, dir, "user", "list"); err != nil || !strings.Contains(out, "disabled") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := operate(t, dir, "user", "disable", sub); err != nil || !strings.Contains(out, "0 sessions") {
		t.Errorf("again: %s %v", out, err)
	}
	if _, err := operate(t, dir, "user", "enable", sub); err != nil {
		t.Error(err)
	}
	if _, err := operate(t, dir, "user", "enable", sub); err == nil {
		t.Error("enabled twice")
	}
	if a.isSignedIn(p) {
		t.Error("enabling brought the session back")
	}
	a.signIn(p)
	if _, err := operate(t, dir, "user", "disable", "nobody@example.com"); err == nil {
		t.Error("no user was disabled")
	}
}

func TestOP32ARotatedKeyAppearsAndTheOldOneStays(t *testing.T) {
	o := newOP(t)
	p := o.person()
	for _, alg := range []string{"ES256", "RS256"} {
		a := o.client(func(c *idp.Client) { c.IDTokenAlg = alg })
		before := a.signIn(p)
		oldKid := header(t, before.IDToken)["kid"].(string)
		if err := o.Server.Keys.RotateNow(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		after := a.signIn(p)
		newKid := header(t, after.IDToken)["kid"].(string)
		keys := o.publishedKeys()
		if oldKid == newKid || len(keys.Key(oldKid)) != 1 || len(keys.Key(newKid)) != 1 {
			t.Errorf("%s: %s signs after %s; published %d and %d", alg, newKid, oldKid, len(keys.Key(newKid)), len(keys.Key(oldKid)))
		}
		o.verify(before.IDToken) // what the old key signed is still good
		if r := o.userInfo(before.AccessToken); r.status != 200 {
			t.Errorf("%s: the old access token answers %d", alg, r.status)
		}
	}
}
