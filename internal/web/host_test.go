package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestRequestsForAnotherHostAreRejected(t *testing.T) {
	shell, browser, _, _ := stage(t, nil)
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	h := shell.OnlyFor(browser, parse("https://login.example.com"), parse("http://localhost:8443"), nil)
	for host, want := range map[string]int{
		"login.example.com": 200, "LOGIN.example.com": 200, "login.example.com:443": 200, "localhost:8443": 200,
		"": 421, "login.example.com:80": 421, "localhost": 421, "evil.example": 421, "login.example.com.evil.example": 421, "login.example.com@evil.example": 421, "127.0.0.1": 421,
	} {
		r := httptest.NewRequest("GET", "/ok", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
		if want == http.StatusMisdirectedRequest && w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%q: no record of it", host)
		}
	}
}
