package web

import "testing"

func TestFramesAreAllowedByOrigin(t *testing.T) {
	for want, frames := range map[string][]string{
		"": nil,
		" https://a.example https://b.example:8443 https://a.exampl": {
			"https://a.example/out?x=1", "https://b.example:8443/", "https://a.example/again", "https://a.exampl/",
		},
		" http://localhost:8090": {"http://localhost:8090/out"},
		" https://good.example": {
			"javascript:alert(1)", "data:text/html,x", "/out", "https:///out", "https://a.example;script-src/", "https://*/", "https://good.example/", "%",
		},
	} {
		if got := frameSources(frames); got != want {
			t.Errorf("%q: %q, want %q", frames, got, want)
		}
	}
}
