package idp

import "testing"

func TestOriginsComeFromTheRedirectURIs(t *testing.T) {
	spa := Client{AuthMethod: AuthMethodNone, RedirectURIs: []string{"https://App.example:443/cb?x=1", "http://localhost:8090/cb", "http://127.0.0.1:80/", "https://app.example:8443/cb"}}
	for origin, want := range map[string]bool{
		"https://app.example": true, "http://localhost:8090": true, "http://127.0.0.1": true, "https://app.example:8443": true,
		"https://app.example:443": false, "http://app.example": false, "https://app.example:8444": false, "http://localhost": false,
		"https://sub.app.example": false, "https://app.example/": false, "null": false, "": false,
	} {
		if spa.OwnsOrigin(origin) != want {
			t.Errorf("%q: %v", origin, !want)
		}
	}
	native, confidential := spa, spa
	native.Native, confidential.AuthMethod = true, AuthMethodBasic
	if native.OwnsOrigin("https://app.example") || confidential.OwnsOrigin("https://app.example") {
		t.Error("native and confidential clients have no scripts")
	}
	odd := Client{AuthMethod: AuthMethodNone, RedirectURIs: []string{"com.example.app:/cb", "::"}}
	for _, origin := range []string{"", "null", "com.example.app://", "://"} {
		if odd.OwnsOrigin(origin) {
			t.Errorf("%q", origin)
		}
	}
}
