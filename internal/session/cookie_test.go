// These tests are inside the package: a fuzz target needs the parser of cookies, without a session.
package session

import (
	"net/http/httptest"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

func FuzzCookie(f *testing.F) {
	f.Add(idp.NewID() + "." + idp.NewSecret().Reveal())
	f.Add("")
	f.Add(".")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, value string) {
		sid, secret, ok := parse(value)
		if !ok {
			if sid != "" || secret != "" {
				t.Errorf("%q is refused and yields %q", value, sid)
			}
			return
		}
		if sid+"."+secret.Reveal() != value {
			t.Errorf("%q is taken apart into %q and %q", value, sid, secret.Reveal())
		}
		if len(sid) != sidLength || len(secret) < minSecret || len(secret) > maxSecret {
			t.Errorf("%q is let through", value)
		}
	})
}

func TestTheBrowserCookieIsSetOnceAndInvalidOnesAreReplaced(t *testing.T) {
	s := New(Config{})
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	if got := s.Browser(r); got != "" {
		t.Errorf("a new browser is %q", got.Reveal())
	}
	browser := s.EnsureBrowser(w, r)
	set := w.Result().Cookies()
	if len(set) != 1 || set[0].Value != browser.Reveal() || browser == "" {
		t.Fatalf("%q is told by cookies %v", browser.Reveal(), set)
	}
	r.AddCookie(set[0])
	w = httptest.NewRecorder()
	if again := s.EnsureBrowser(w, r); again != browser || len(w.Result().Cookies()) != 0 {
		t.Errorf("the same browser is now %q, cookies %v", again.Reveal(), w.Result().Cookies())
	}
	r.AddCookie(set[0])
	if got := s.Browser(r); got != "" {
		t.Error("a cookie sent twice counts")
	}
	w, r = httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-stepward-browser=x")
	if again := s.EnsureBrowser(w, r); again == "x" || again == "" || len(w.Result().Cookies()) != 1 {
		t.Errorf("a malformed cookie makes the browser %q", again.Reveal())
	}
}
