package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOnlyATrustedProxyNamesARequest(t *testing.T) {
	_, browser, _, log := stage(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, c := range []struct {
		name, peer, sent string
		taken            bool
	}{
		{"a UUID of the proxy", "10.1.2.3:1", "0192f0c4-7a0e-7d3b-9c1e-3f8d1a2b4c5d", true},
		{"nginx", "10.1.2.3:1", "b9a1f0d2c3e4456677889900aabbccdd", true},
		{"of a stranger", "203.0.113.9:1", "b9a1f0d2c3e4456677889900aabbccdd", false},
		{"too short", "10.1.2.3:1", "1234567", false},
		{"too long", "10.1.2.3:1", strings.Repeat("x", 65), false},
		{"a line break", "10.1.2.3:1", "12345678\nlevel=ERROR", false},
		{"markup", "10.1.2.3:1", "<b>12345678</b>", false},
		{"an e-mail address", "10.1.2.3:1", "ada@example.com", false},
	} {
		log.Reset()
		r := httptest.NewRequest("GET", "/ok", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Request-Id", c.sent)
		w := httptest.NewRecorder()
		browser.ServeHTTP(w, r)
		id := w.Header().Get("X-Request-Id")
		if (id == c.sent) != c.taken || w.Body.String() != id || !strings.Contains(log.String(), `"request_id":"`+id+`"`) {
			t.Errorf("%s: %q in the header, %q in the handler, log %s", c.name, id, w.Body, log)
		}
	}
}

func TestWhatObservesARequestLearnsNoPath(t *testing.T) {
	type key struct{}
	var answers []Answer
	var proxied []bool
	_, browser, protocol, log := stage(t, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		c.Trace = func(r *http.Request, behind bool) (context.Context, string) {
			proxied = append(proxied, behind)
			return context.WithValue(r.Context(), key{}, "t"), "4bf92f3577b34da6a3ce929d0e0e4736"
		}
		c.Answered = func(ctx context.Context, a Answer) {
			if ctx.Value(key{}) != "t" {
				t.Error("another context than that of the trace")
			}
			answers = append(answers, a)
		}
	})
	r := httptest.NewRequest("GET", "/ok", nil)
	r.RemoteAddr = "10.1.2.3:1"
	browser.ServeHTTP(httptest.NewRecorder(), r)
	ask(browser, "GET", "/nowhere/SECRET", "")
	ask(browser, "GET", "/panic", "")
	ask(protocol, "POST", "/oauth2/token?SECRET", "code=SECRET", "Content-Type", form)
	if len(answers) != 4 || len(proxied) != 4 || !proxied[0] || proxied[1] {
		t.Fatalf("%d answers, behind a proxy: %v", len(answers), proxied)
	}
	for i, want := range []struct {
		route  string
		status int
	}{{"GET /ok", 200}, {"", 404}, {"GET /panic", 500}, {"POST /oauth2/token", 200}} {
		if a := answers[i]; a.Route != want.route || a.Status != want.status || a.RequestID == "" || a.Took < 0 {
			t.Errorf("answer %d: %+v", i, a)
		}
	}
	if n := strings.Count(log.String(), `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"`); n != 4 {
		t.Errorf("%d records name the trace:\n%s", n, log)
	}
	if a := answers[0].Attrs; len(a) != 1 || a[0].Key != "user" {
		t.Errorf("attributes: %v", a)
	}
}
