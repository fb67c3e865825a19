package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
)

// secretText stands for the text of a library or driver.
const secretText = "pq: relation \"users\" at 10.0.0.7"

// stage is a small shell with one handler of every kind. Its log is JSON.
func stage(t *testing.T, change func(*Config)) (shell *Shell, browser, protocol http.Handler, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	s := newShell(t, func(c *Config) {
		c.Logger = slog.New(slog.NewJSONHandler(log, nil))
		if change != nil {
			change(c)
		}
	})
	mux := http.NewServeMux()
	s.Mount(mux)
	s.Handle(mux, "GET /ok", func(w http.ResponseWriter, r *http.Request) error {
		Note(r.Context(), slog.String("user", "u1"))
		_, err := io.WriteString(w, RequestID(r.Context()))
		return err
	})
	s.Handle(mux, "POST /form", func(w http.ResponseWriter, r *http.Request) error {
		if err := ReadForm(r); err != nil {
			return err
		}
		_, err := io.WriteString(w, r.PostFormValue("x"))
		return err
	})
	s.Handle(mux, "POST /json", func(w http.ResponseWriter, r *http.Request) error {
		var v struct{ X string }
		if err := ReadJSON(r, &v); err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, v)
	})
	s.Handle(mux, "GET /address", func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, ClientAddress(r))
		return err
	})
	s.Handle(mux, "GET /panic", func(http.ResponseWriter, *http.Request) error { panic(secretText) })
	s.Handle(mux, "GET /half", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half an ans")
		panic(secretText)
	})
	s.Handle(mux, "GET /error", func(http.ResponseWriter, *http.Request) error { return errors.New(secretText) })
	s.Handle(mux, "GET /down", func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("load: %w: %s", idp.ErrUnavailable, secretText)
	})
	s.Handle(mux, "GET /slow", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("read: %w", r.Context().Err())
	})
	s.Handle(mux, "GET /problem", func(http.ResponseWriter, *http.Request) error {
		return &Problem{
			Status: http.StatusGone, Code: "gone", Title: "Too late", Text: "That link is used up.", Next: "Ask for another",
			NextURL: "/recover", Fields: map[string]string{"location": "/recover"}, Err: errors.New(secretText),
		}
	})
	endpoints := http.NewServeMux()
	endpoints.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "token") })
	endpoints.HandleFunc("GET /oauth2/panic", func(http.ResponseWriter, *http.Request) { panic(secretText) })
	return s, s.Browser(mux), s.Protocol(endpoints), log
}

func ask(h http.Handler, method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const form = "application/x-www-form-urlencoded"

func TestAPrefetchReachesNoPage(t *testing.T) {
	_, browser, _, _ := stage(t, nil)
	for header, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"} {
		r := ask(browser, "GET", "/error", "", header, value)
		if r.StatusCode != http.StatusForbidden || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", header, r.StatusCode, r.Header)
		}
	}
	if r := ask(browser, "GET", "/error", "", "Sec-Purpose", "else"); r.StatusCode != http.StatusInternalServerError {
		t.Errorf("another purpose: %d", r.StatusCode)
	}
}

func TestOtherSitesCannotMakeABrowserChangeAnything(t *testing.T) {
	_, browser, protocol, _ := stage(t, nil)
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"}, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a sibling host", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://evil.example.com"}, 403},
		{"an old browser at another site", []string{"Origin", "https://evil.example"}, 403},
		{"an old browser that hides where it is", []string{"Origin", "null"}, 403},
		{"an old browser at our page", []string{"Origin", "http://example.com"}, 200},
		{"our own page behind a proxy that rewrites Host", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost"}, 200},
		{"no browser", nil, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(browser, "POST", "http://example.com/form", "x=1", append(c.headers, "Content-Type", form)...)
			if r.StatusCode != c.want {
				t.Errorf("status %d, want %d", r.StatusCode, c.want)
			}
			if body := text(t, r); c.want == 403 && (!strings.Contains(body, `data-page="error"`) || !strings.Contains(body, "another site")) {
				t.Errorf("not our page: %s", body)
			}
			if r := ask(protocol, "POST", "http://example.com/oauth2/token", "x=1", append(c.headers, "Content-Type", form)...); r.StatusCode != 200 {
				t.Errorf("an OAuth endpoint answered %d", r.StatusCode)
			}
		})
	}
}

func TestThePolicyOfPagesAllowsNothingInlineAndNoFrames(t *testing.T) {
	directives := map[string]string{}
	for part := range strings.SplitSeq(pagePolicy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "form-action": "'self'",
		"frame-ancestors": "'none'", "base-uri": "'none'",
	} {
		if got := directives[name]; got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
	if strings.Contains(pagePolicy, "unsafe") || strings.Contains(pagePolicy, "*") {
		t.Errorf("policy %s", pagePolicy)
	}
}

func TestEveryPageCarriesItsHeaders(t *testing.T) {
	for _, issuer := range []string{"https://id.example", "http://localhost:8080"} {
		s, browser, protocol, _ := stage(t, func(c *Config) {
			c.Issuer, _ = url.Parse(issuer)
			c.Insecure = strings.HasPrefix(issuer, "http:")
		})
		for _, path := range []string{"/ok", "/nowhere", "/error"} {
			r := ask(browser, "GET", path, "")
			for header, want := range map[string]string{
				"Content-Security-Policy": pagePolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			} {
				if got := r.Header.Get(header); got != want {
					t.Errorf("%s: %s: %q, want %q", path, header, got, want)
				}
			}
			if !strings.Contains(r.Header.Get("Permissions-Policy"), "publickey-credentials-get=(self)") {
				t.Errorf("%s: no permission for passkeys", path)
			}
			if got := r.Header.Get("Strict-Transport-Security") != ""; got == s.config.Insecure {
				t.Errorf("%s on %s: HSTS %v", path, issuer, got)
			}
			if len(r.Header.Get("X-Request-Id")) != 16 {
				t.Errorf("%s: request id %q", path, r.Header.Get("X-Request-Id"))
			}
		}
		r := ask(protocol, "POST", "/oauth2/token", "")
		if r.Header.Get("X-Request-Id") == "" || r.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("OAuth endpoint: %v", r.Header)
		}
	}
}

func TestAFormMayRedirectToItsClientAndOnward(t *testing.T) {
	for target, want := range map[string]string{
		"":                                       "",
		"https://app.example/callback?x=1":       " https:",
		"http://127.0.0.1:4711/callback":         " http://127.0.0.1:4711 http://localhost:* http://127.0.0.1:* https:",
		"http://[::1]:4711/callback":             " http://[::1]:4711 http://localhost:* http://127.0.0.1:* https:",
		"com.example.app:/callback":              " com.example.app:",
		"https://*.example/":                     "",
		"https://a.example;script-src *":         "",
		"https://user:pass@app.example/":         " https:",
		"/relative":                              "",
		"https:opaque":                           "",
		"x y:z":                                  "",
		"https://a.example'unsafe-inline'/":      "",
		"https://a.example%20script-src%20*/abc": "",
	} {
		if got := formSource(target); got != want {
			t.Errorf("formSource(%q) = %q, want %q", target, got, want)
		}
	}
}

func TestErrorsBecomeAPlainPage(t *testing.T) {
	_, browser, protocol, log := stage(t, nil)
	for _, c := range []struct {
		path     string
		status   int
		contains string
	}{
		{"/panic", 500, "Something went wrong"},
		{"/error", 500, "Something went wrong"},
		{"/down", 503, "try again in a moment"},
		{"/problem", 410, "That link is used up."},
		{"/nowhere", 404, "no page here"},
		{"/form", 405, "can’t be done here"},
	} {
		t.Run(c.path, func(t *testing.T) {
			log.Reset()
			r := ask(browser, "GET", c.path, "", "Accept", "text/html,*/*;q=0.8")
			body := text(t, r)
			id := r.Header.Get("X-Request-Id")
			for _, want := range []string{`data-page="error"`, `data-test="error"`, c.contains, `<code data-test="request-id">` + id + `</code>`, `data-copy="` + id + `"`} {
				if !strings.Contains(body, want) {
					t.Errorf("page lacks %q:\n%s", want, body)
				}
			}
			if r.StatusCode != c.status || strings.Contains(body, "pq:") || strings.Contains(body, "goroutine") {
				t.Errorf("status %d, page:\n%s", r.StatusCode, body)
			}
			if c.status == 500 && !strings.Contains(log.String(), "10.0.0.7") {
				t.Errorf("the record lacks the reason: %s", log)
			}

			r = ask(browser, "GET", c.path, "", "Accept", "application/json")
			var answer map[string]string
			if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			if answer["error"] == "" || answer["message"] == "" || answer["request_id"] != r.Header.Get("X-Request-Id") || strings.Contains(fmt.Sprint(answer), "pq:") {
				t.Errorf("JSON: %v", answer)
			}
			if c.path == "/problem" && (answer["location"] != "/recover" || answer["error"] != "gone") {
				t.Errorf("JSON lacks members: %v", answer)
			}
		})
	}
	if r := ask(browser, "GET", "/form", ""); r.Header.Get("Allow") != "POST" {
		t.Errorf("405 with Allow %q", r.Header.Get("Allow"))
	}
	if r := ask(browser, "GET", "/down", ""); r.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if r := ask(protocol, "GET", "/oauth2/panic", "", "Accept", "*/*"); r.StatusCode != 500 || !strings.Contains(text(t, r), `"error":"server_error"`) {
		t.Errorf("panic at an endpoint: %d", r.StatusCode)
	}
	if r := ask(protocol, "GET", "/oauth2/panic", "", "Accept", "text/html"); !strings.Contains(text(t, r), `data-page="error"`) {
		t.Error("a person at an endpoint got no page")
	}
}

func TestAnIncompleteResponseIsAborted(t *testing.T) {
	_, browser, _, log := stage(t, nil)
	server := httptest.NewServer(browser)
	defer server.Close()
	r, err := http.Get(server.URL + "/half")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if err == nil {
		t.Error("half an answer passed for a whole one")
	}
	server.Close() // waits until the record is written
	if !strings.Contains(log.String(), "10.0.0.7") {
		t.Errorf("the record lacks the reason: %s", log)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	_, browser, protocol, _ := stage(t, nil)
	big := "x=" + strings.Repeat("y", maxBody)
	if r := ask(browser, "POST", "/form", big, "Content-Type", form); r.StatusCode != 413 || !strings.Contains(text(t, r), `data-page="error"`) {
		t.Errorf("announced: %d", r.StatusCode)
	}
	if r := ask(protocol, "POST", "/oauth2/token", big, "Content-Type", form); r.StatusCode != 413 {
		t.Errorf("announced to an endpoint: %d", r.StatusCode)
	}
	for path, body := range map[string]string{"/form": big, "/json": `{"X":"` + big + `"}`} {
		r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(body))) // of unknown length
		r.Header.Set("Content-Type", map[string]string{"/form": form, "/json": "application/json"}[path])
		w := httptest.NewRecorder()
		browser.ServeHTTP(w, r)
		if w.Code != 413 {
			t.Errorf("%s, chunked: %d", path, w.Code)
		}
	}
	if r := ask(browser, "POST", "/form", "x=fits", "Content-Type", form); text(t, r) != "fits" {
		t.Error("a small body was refused")
	}
}

func TestJSONIsReadStrictly(t *testing.T) {
	_, browser, _, _ := stage(t, nil)
	for _, c := range []struct {
		contentType, body string
		want              int
	}{
		{"application/json", `{"X":"1"}`, 200},
		{"application/json; charset=utf-8", ` {"X":"1"} `, 200},
		{"text/plain", `{"X":"1"}`, 415},
		{"", `{"X":"1"}`, 415},
		{form, `{"X":"1"}`, 415},
		{"application/json", `{"X":"1","Y":"2"}`, 400},
		{"application/json", `{"X":"1"} {}`, 400},
		{"application/json", `{"X":"1"} x`, 400},
		{"application/json", `{"X":`, 400},
		{"application/json", ``, 400},
		{"application/json", `{"X":1}`, 400},
	} {
		if r := ask(browser, "POST", "/json", c.body, "Content-Type", c.contentType); r.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.contentType, c.body, r.StatusCode, c.want)
		}
	}
}

func TestARequestLeavesOneRecordWithoutSecrets(t *testing.T) {
	_, browser, protocol, log := stage(t, nil)
	ask(browser, "GET", "/ok?code=SECRET1&state=SECRET2", "", "Cookie", "__Host-stepward=SECRET3", "Authorization", "Bearer SECRET4", "Referer", "http://x/?SECRET5")
	ask(browser, "POST", "/form?SECRET6", "x=SECRET7", "Content-Type", form)
	ask(protocol, "POST", "/oauth2/token?SECRET8", "code=SECRET9", "Content-Type", form)
	ask(browser, "GET", "/nowhere?SECRET10", "")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d records, want 4:\n%s", len(lines), log)
	}
	if strings.Contains(log.String(), "SECRET") {
		t.Errorf("secrets in the log:\n%s", log)
	}
	for i, route := range []string{"GET /ok", "POST /form", "POST /oauth2/token", ""} {
		var rec struct {
			Route, User, Address string
			ID                   string `json:"request_id"`
			Status               int
		}
		if err := json.Unmarshal([]byte(lines[i]), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Route != route || len(rec.ID) != 16 || rec.Status == 0 || rec.Address != "192.0.2.1" || (i == 0) != (rec.User == "u1") {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
}

func TestOnlyTrustedProxiesReportTheClientsAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/64")}
	for _, c := range []struct {
		name, peer, forwarded, want string
		trusted                     []netip.Prefix
	}{
		{"no proxy is trusted", "203.0.113.9:1234", "198.51.100.1", "203.0.113.9", nil},
		{"the proxy tells", "10.1.2.3:1234", "198.51.100.1", "198.51.100.1", trusted},
		{"an IPv6 proxy tells", "[fd00::7]:1234", "2001:db8::1", "2001:db8::1", trusted},
		{"the client writes a first hop", "10.1.2.3:1234", "6.6.6.6, 198.51.100.1", "198.51.100.1", trusted},
		{"a stranger pretends to be a proxy", "203.0.113.9:1234", "198.51.100.1", "203.0.113.9", trusted},
		{"the client pretends to be a proxy", "10.1.2.3:1234", "6.6.6.6, 10.9.9.9", "6.6.6.6", trusted},
		{"garbage", "10.1.2.3:1234", "<script>", "10.1.2.3", trusted},
		{"the proxy itself", "10.1.2.3:1234", "", "10.1.2.3", trusted},
		{"with a port", "10.1.2.3:1234", "6.6.6.6:1, 198.51.100.1:4711", "198.51.100.1", trusted},
		{"IPv6 with a port", "10.1.2.3:1234", "[2001:db8::1]:4711, 10.9.9.9:80", "2001:db8::1", trusted},
		{"IPv6 in brackets", "10.1.2.3:1234", "[2001:db8::1]", "2001:db8::1", trusted},
		{"two headers: the client's, then the proxy's", "10.1.2.3:1234", "6.6.6.6\n198.51.100.1", "198.51.100.1", trusted},
		{"two headers: the last one is a proxy's", "10.1.2.3:1234", "6.6.6.6\n198.51.100.1, 10.9.9.9:80", "198.51.100.1", trusted},
		{"two headers: two proxies", "10.1.2.3:1234", "198.51.100.1\n10.9.9.9", "198.51.100.1", trusted},
		{"two headers of a stranger", "203.0.113.9:1234", "198.51.100.1\n10.9.9.9", "203.0.113.9", trusted},
		{"a mapped address", "[::ffff:203.0.113.9]:1234", "", "203.0.113.9", nil},
		{"a socket", "@", "198.51.100.1", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, browser, _, _ := stage(t, func(config *Config) { config.TrustedProxies = c.trusted })
			r := httptest.NewRequest("GET", "/address", nil)
			r.RemoteAddr = c.peer
			for header := range strings.SplitSeq(c.forwarded, "\n") {
				if header != "" {
					r.Header.Add("X-Forwarded-For", header)
				}
			}
			r.Header.Set("X-Real-IP", "6.6.6.6")
			r.Header.Set("Forwarded", "for=6.6.6.6")
			w := httptest.NewRecorder()
			browser.ServeHTTP(w, r)
			if w.Body.String() != c.want {
				t.Errorf("client is %q, want %q", w.Body, c.want)
			}
		})
	}
}

func TestAnUntrustedProxyIsAWarningOnceAnHour(t *testing.T) {
	_, browser, _, log := stage(t, func(config *Config) { config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	synctest.Test(t, func(t *testing.T) {
		warnings := func(peer string) int {
			log.Reset()
			for range 3 {
				r := httptest.NewRequest("GET", "/address", nil)
				r.RemoteAddr = peer
				r.Header.Set("X-Forwarded-For", "198.51.100.1")
				browser.ServeHTTP(httptest.NewRecorder(), r)
			}
			return strings.Count(log.String(), "trusted-proxies")
		}
		if n := warnings("10.1.2.3:1"); n != 0 {
			t.Errorf("%d warnings of a trusted proxy", n)
		}
		if n := warnings("172.16.0.9:1"); n != 1 {
			t.Errorf("%d warnings, want one", n)
		}
		if n := warnings("172.16.0.9:1"); n != 0 {
			t.Errorf("%d warnings in the same hour", n)
		}
		time.Sleep(time.Hour)
		if n := warnings("172.16.0.9:1"); n != 1 {
			t.Errorf("%d warnings an hour later", n)
		}
	})
}

func TestARequestEndsWithItsTime(t *testing.T) {
	_, browser, _, _ := stage(t, nil)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := ask(browser, "GET", "/slow", "")
		if took := time.Since(begin); r.StatusCode != 503 || took != MaxTime {
			t.Errorf("status %d after %v", r.StatusCode, took)
		}
	})
}

func TestTheServerRefusesGreedyHeaders(t *testing.T) {
	s, browser, _, _ := stage(t, nil)
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.Server(browser)
	server.Start()
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL+"/ok", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Much", strings.Repeat("x", 64<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestAnEventKnowsItsRequest(t *testing.T) {
	s := newShell(t, func(c *Config) { c.Logger = slog.New(slog.DiscardHandler) })
	mux := http.NewServeMux()
	var e idp.Event
	s.Handle(mux, "GET /", func(_ http.ResponseWriter, r *http.Request) error {
		e = Event(r, idp.EventSignedIn, "u1")
		return nil
	})
	r := ask(s.Browser(mux), "GET", "/", "", "User-Agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0")
	if e.Kind != idp.EventSignedIn || e.UserID != "u1" || e.Address != "192.0.2.1" || e.Agent != "Firefox on macOS" || e.RequestID != r.Header.Get("X-Request-Id") {
		t.Errorf("%+v", e)
	}
}

func TestPasswordManagersFindTheAccountPages(t *testing.T) {
	_, browser, _, _ := stage(t, func(c *Config) { c.Issuer, _ = url.Parse("https://id.example") })
	r := ask(browser, "GET", "/.well-known/passkey-endpoints", "")
	if got, want := text(t, r), `{"enroll":"https://id.example/account","manage":"https://id.example/account"}`; got != want || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s", got)
	}
	if r := ask(browser, "GET", "/", ""); r.StatusCode != 303 || r.Header.Get("Location") != "/account" {
		t.Errorf("front door: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestARequestCancelledByItsClientIsNotAnError(t *testing.T) {
	for name, cut := range map[string]bool{"cut by its client": true, "our own trouble": false} {
		var log bytes.Buffer
		s := newShell(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			h := s.Protocol(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if cut {
					cancel()
				}
				s.Fail(w, r, errors.New("load client: canceled"))
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/oauth2/token", nil).WithContext(ctx))
			cancel()
		}
		errs := strings.Count(log.String(), "level=ERROR")
		t.Logf("counted: %d errors in the log for 20 requests, %s", errs, name)
		if want := map[bool]int{true: 0, false: 20}[cut]; errs != want {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}

func TestTooManyRequestsSayByWhichLimitAndWhenToComeBack(t *testing.T) {
	s := newShell(t, nil)
	rec := httptest.NewRecorder()
	s.Fail(rec, httptest.NewRequest("GET", "/signup", nil), &Problem{
		Status: http.StatusTooManyRequests, Title: "Too many tries", Limit: limit.MailsTo,
	})
	for name, want := range map[string]string{
		"Retry-After": "3600", "RateLimit-Policy": `"mails-to";q=30;w=3600`, "RateLimit": `"mails-to";r=0;t=3600`,
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
}

func TestOneNetworkCannotTakeAllRequests(t *testing.T) {
	_, browser, protocol, _ := stage(t, func(c *Config) { c.Rate = limit.NewRate[netip.Addr]("network", 2) })
	ask := func(h http.Handler, from string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/ok", nil)
		r.RemoteAddr = from
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	for i := range 10 { // both chains count together, and all addresses of a /64
		h := []http.Handler{browser, protocol}[i%2]
		if rec := ask(h, fmt.Sprintf("[2001:db8::%d]:1", i)); rec.Code == http.StatusTooManyRequests {
			t.Errorf("request %d: %d", i, rec.Code)
		}
	}
	for name, h := range map[string]http.Handler{"browser": browser, "protocol": protocol} {
		rec := ask(h, "[2001:db8::ffff]:1")
		if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "5" ||
			rec.Header().Get("RateLimit-Policy") != `"network";q=10;w=5` {
			t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
		}
		if rec := ask(h, "[2001:db8:0:1::1]:1"); rec.Code == http.StatusTooManyRequests {
			t.Errorf("%s: another network pays for it", name)
		}
	}
}

// A script or a library that gets a 429 must know when to try again, whatever wrote it.
func TestNoWriterOfA429CanForgetWhenToComeBack(t *testing.T) {
	s := newShell(t, nil)
	for name, write := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"plain": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, "60"},
		"text":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "later", http.StatusTooManyRequests) }, "60"},
		"JSON":  {func(w http.ResponseWriter, _ *http.Request) { _ = WriteJSON(w, http.StatusTooManyRequests, "later") }, "60"},
		"controlled": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "3600"},
		"a page again": {func(w http.ResponseWriter, r *http.Request) {
			p := Page{Name: "error", Layout: LayoutThreshold, Status: http.StatusTooManyRequests, Data: errorPage{spoken: spoken{Title: "Later"}}}
			_ = s.Render(w, r, s.errors, "error", p)
		}, "60"},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /", write.h)
		for chain, h := range map[string]http.Handler{"browser": s.Browser(mux), "protocol": s.Protocol(write.h)} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/limited", nil))
			if got := rec.Header().Get("Retry-After"); rec.Code != http.StatusTooManyRequests || got != write.want {
				t.Errorf("%s, %s: %d with Retry-After %q, want %q", name, chain, rec.Code, got, write.want)
			}
		}
	}
}
