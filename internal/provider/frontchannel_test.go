package provider

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

var frameTag = regexp.MustCompile(`<iframe src="([^"]*)"`)

// frames are the addresses that a page shows.
func frames(page reply) (all []string) {
	for _, m := range frameTag.FindAllStringSubmatch(page.body, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

func TestTheSignedOutPageShowsTheClientsFramesAndRedirects(t *testing.T) {
	h := open(t)
	u := h.addUser()
	c := h.addClient(func(c *idp.Client) { c.FrontchannelLogoutURI = "https://app.example/out?tenant=1" })
	veiled := h.addClient(func(c *idp.Client) {
		c.FrontchannelLogoutURI, c.SubjectType = "https://veiled.example:8443/out", idp.SubjectPairwise
	})
	absent := h.addClient(func(c *idp.Client) { c.FrontchannelLogoutURI = "https://absent.example/out" })
	h.tokens(absent, u) // in a session of another browser
	sess, tok := h.signIn(c, u)
	h.authorize(request(veiled))
	o := h.outcome(u)
	o.SessionID = sess.ID
	r, err := h.respond(o)
	check(t, err)
	_, other := claims(t, h.exchange(veiled, r.query().Get("code")).json(t)["id_token"])

	r = h.endSession("id_token_hint", tok["id_token"].(string), "post_logout_redirect_uri", bye, "state", "s 1")
	if r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), oauth.PathLoggedOut+"?l=") || h.signedIn(sess) {
		t.Fatalf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	for range 2 { // it may be loaded again
		page := h.get(r.Header.Get("Location"))
		want := map[string]bool{
			"https://app.example/out?" + url.Values{"iss": {h.url}, "sid": {sess.ID}, "tenant": {"1"}}.Encode():      true,
			"https://veiled.example:8443/out?" + url.Values{"iss": {h.url}, "sid": {other["sid"].(string)}}.Encode(): true,
		}
		got := map[string]bool{}
		for _, f := range frames(page) {
			u, err := url.Parse(f)
			check(t, err)
			u.RawQuery = u.Query().Encode() // in any order
			got[u.String()] = true
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("frames (-want +got):\n%s", d)
		}
		if !strings.Contains(page.body, `href="`+bye+`?state=s&#43;1" data-next`) || !strings.Contains(page.body, `src="`+oauth.PathLoggedOutJS+`"`) {
			t.Errorf("the page leads nowhere: %s", page.body)
		}
		_, policy, _ := strings.Cut(page.Header.Get("Content-Security-Policy"), "frame-src ")
		sources := map[string]bool{}
		for _, source := range strings.Fields(policy) {
			sources[source] = true
		}
		if d := cmp.Diff(map[string]bool{"https://app.example": true, "https://veiled.example:8443": true}, sources); d != "" {
			t.Errorf("frame-src (-want +got):\n%s", d)
		}
	}
	if r := h.get(oauth.PathLoggedOutJS); r.StatusCode != 200 || !strings.Contains(r.Header.Get("Content-Type"), "javascript") {
		t.Errorf("script: %d", r.StatusCode)
	}
}

func TestWithoutFramesTheSignedOutPageShowsNone(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	sess, tok := h.signIn(c, h.addUser())
	_ = sess
	if r := h.endSession("id_token_hint", tok["id_token"].(string), "post_logout_redirect_uri", bye); r.Header.Get("Location") != bye {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	for _, at := range []string{oauth.PathLoggedOut, oauth.PathLoggedOut + "?l=made-up"} {
		page := h.get(at)
		if len(frames(page)) != 0 || strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-src") || strings.Contains(page.body, "<script src=\""+oauth.PathLoggedOutJS) {
			t.Errorf("%s shows frames", at)
		}
	}
	// A request to sign out that still waits is no finished one: its page shows nothing of it.
	asked := h.endSession("client_id", c.ID, "post_logout_redirect_uri", bye)
	if page := h.get(oauth.PathLoggedOut + "?" + asked.query().Encode()); strings.Contains(page.body, bye) {
		t.Error("a waiting request is shown as finished")
	}
}
