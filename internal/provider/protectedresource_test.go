package provider

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/oauth"
)

func TestOurAPIsSayWhoIssuesTheirTokens(t *testing.T) {
	h := open(t)
	for path, resource := range map[string]string{"": h.url, oauth.PathUserInfo: h.url + oauth.PathUserInfo} { // RFC 9728 §3.3: the two belong together
		r := h.get(oauth.PathResource + path)
		m := r.json(t)
		if r.StatusCode != 200 || m["resource"] != resource || m["authorization_servers"].([]any)[0] != h.url || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, r.StatusCode, m)
		}
	}
	want := `resource_metadata="` + h.url + oauth.PathResource + oauth.PathUserInfo + `"`
	for name, r := range map[string]reply{"no token": h.get(oauth.PathUserInfo), "a wrong one": h.userinfo("x")} {
		if got := r.Header.Values("WWW-Authenticate"); len(got) == 0 || !strings.Contains(got[0], want) {
			t.Errorf("%s: challenge %q", name, got)
		}
	}
	if r := h.get(oauth.PathIntrospect); strings.Contains(r.Header.Get("WWW-Authenticate"), "resource_metadata") {
		t.Error("another endpoint says so too")
	}
}
