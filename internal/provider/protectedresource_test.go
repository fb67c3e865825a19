package provider

import (
	"strings"
	"testing"
)

func TestOurAPIsSayWhoIssuesTheirTokens(t *testing.T) {
	h := open(t)
	for path, resource := range map[string]string{"": h.url, PathUserInfo: h.url + PathUserInfo} { // RFC 9728 §3.3: the two belong together
		r := h.get(PathResource + path)
		m := r.json(t)
		if r.StatusCode != 200 || m["resource"] != resource || m["authorization_servers"].([]any)[0] != h.url || r.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, r.StatusCode, m)
		}
	}
	want := `resource_metadata="` + h.url + PathResource + PathUserInfo + `"`
	for name, r := range map[string]reply{"no token": h.get(PathUserInfo), "a wrong one": h.userinfo("x")} {
		if got := r.Header.Values("WWW-Authenticate"); len(got) == 0 || !strings.Contains(got[0], want) {
			t.Errorf("%s: challenge %q", name, got)
		}
	}
	if r := h.get(PathIntrospect); strings.Contains(r.Header.Get("WWW-Authenticate"), "resource_metadata") {
		t.Error("another endpoint says so too")
	}
}
