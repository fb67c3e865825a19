// These tests are inside the package: a rule that is wrong once in a thousand needs many cases.
package authorize

import (
	"net/url"
	"slices"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

func TestRedirectURIMatching(t *testing.T) {
	native := idp.Client{Native: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:8000/cb?a=1", "http://localhost/cb", "com.example.app:/cb", "https://app.example/cb"}}
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb":          true,
		"http://127.0.0.1:49152/cb":    true,
		"http://[::1]:1/cb?a=1":        true,
		"http://localhost:3000/cb":     true,
		"com.example.app:/cb":          true,
		"http://127.0.0.1:49152/cb?x":  false,
		"http://127.0.0.1:49152/cb#":   false,
		"http://127.0.0.1:49152/other": false,
		"http://127.0.0.1:49152/%63b":  false,
		"http://127.0.0.2:49152/cb":    false,
		"http://u@127.0.0.1:49152/cb":  false,
		"https://127.0.0.1:49152/cb":   false,
		"HTTP://127.0.0.1:49152/cb":    false,
		"http://127.0.0.1.evil.io/cb":  false,
		"http://127.0.0.1:49152/../cb": false,
		"https://app.example:444/cb":   false,
		"com.example.app:/cb/":         false,
	} {
		if got := redirectRegistered(native, uri); got != want {
			t.Errorf("%s: %v, want %v", uri, got, want)
		}
	}
	web := native
	web.Native = false
	if redirectRegistered(web, "http://127.0.0.1:49152/cb") {
		t.Error("any port for a client that is not native")
	}
}

func FuzzRedirectURIMatching(f *testing.F) {
	registered := []string{"http://127.0.0.1/cb", "https://app.example/cb"}
	f.Add("http://127.0.0.1:1/cb")
	f.Add("http://127.0.0.1:1@evil.example/cb")
	f.Add("http://127.0.0.1:/cb")
	f.Fuzz(func(t *testing.T, uri string) {
		if !redirectRegistered(idp.Client{Native: true, RedirectURIs: registered}, uri) || slices.Contains(registered, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Path != "/cb" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			t.Errorf("accepted %q", uri)
		}
	})
}
