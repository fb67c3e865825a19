package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// The OpenID Foundation's conformance suite, run by docs/conformance.md. STEPWARD_TEST_SUITE is where it listens for
// http, STEPWARD_TEST_SUITE_PLAN the plan and its variants, as
// "oidcc-basic-certification-test-plan[server_metadata=discovery][client_registration=dynamic_client]".
// The suite must have been started with the base URL https://localhost:8443: this test serves that.
const suiteBase = "https://localhost:8443/"

type suite struct {
	t    *testing.T
	op   *op
	home *person
}

func TestTheFoundationsSuite(t *testing.T) {
	address, plan := os.Getenv("STEPWARD_TEST_SUITE"), os.Getenv("STEPWARD_TEST_SUITE_PLAN")
	if address == "" {
		t.Skip("docs/conformance.md says how to run this")
	}
	s := &suite{t: t, op: newOP(t,
		"STEPWARD_REGISTRATION=open", "STEPWARD_REGISTRATION_POLICY=compatible", "STEPWARD_REGISTRATION_LIMIT=1000",
		"STEPWARD_REGISTRATION_SCOPES=openid profile email address phone offline_access")}
	s.serve(address)
	s.home = s.op.person()
	s.fillProfile()

	name, variants := plan, map[string]string{}
	for _, m := range regexp.MustCompile(`\[(\w+)=([^\]]+)\]`).FindAllStringSubmatch(plan, -1) {
		variants[m[1]] = m[2]
	}
	name, _, _ = strings.Cut(name, "[")
	made := s.call("POST", "api/plan?planName="+name+"&variant="+query(variants), map[string]any{
		"alias": "stepward", "description": "Stepward",
		"server":  map[string]any{"discoveryUrl": s.op.issuer + "/.well-known/openid-configuration", "login_hint": "nobody@example.com"},
		"client":  map[string]any{"client_name": "The suite"},
		"client2": map[string]any{"client_name": "The suite, again"},
	})
	modules, _ := made["modules"].([]any)
	only, counts := os.Getenv("STEPWARD_TEST_SUITE_MODULE"), map[string]int{}
	for _, m := range modules {
		module := m.(map[string]any)
		test := module["testModule"].(string)
		if only != "" && test != only {
			continue
		}
		result := s.run(made["id"].(string), test, module["variant"])
		t.Logf("%-8s %s", result, test)
		counts[result]++
	}
	t.Logf("%s: %d modules, %v", name, len(modules), counts)
	for result, n := range counts {
		if !slices.Contains([]string{"PASSED", "REVIEW", "WARNING", "SKIPPED"}, result) {
			t.Errorf("%d modules ended as %s", n, result)
		}
	}
}

// serve is the proxy in front of the suite that its documentation asks for.
func (s *suite) serve(address string) {
	s.t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:8443")
	if err != nil {
		s.t.Fatal(err)
	}
	front := &http.Server{
		ReadHeaderTimeout: time.Minute,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{opCA.issue(func(*x509.Certificate) {})}},
		Handler: &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = "localhost:8443"
			p.Out.Header.Set("X-Forwarded-Proto", "https")
			p.Out.Header.Set("X-Forwarded-Port", "8443")
			p.Out.Header.Set("X-Ssl-Protocol", strings.ReplaceAll(tls.VersionName(p.In.TLS.Version), " ", "v"))
			p.Out.Header.Set("X-Ssl-Cipher", tls.CipherSuiteName(p.In.TLS.CipherSuite))
		}},
	}
	go func() { _ = front.ServeTLS(listener, "", "") }()
	s.t.Cleanup(func() { _ = front.Close() })
}

// fillProfile gives the person a value for each claim.
func (s *suite) fillProfile() {
	s.t.Helper()
	users, err := s.op.DB.Users(s.t.Context(), "", 1)
	if err != nil {
		s.t.Fatal(err)
	}
	u := users[0]
	u.Profile = idp.Profile{
		GivenName: "Ada", FamilyName: "Lovelace", MiddleName: "King", Nickname: "Countess", PreferredUsername: "ada",
		URL: "https://example.com/ada", Picture: "https://example.com/ada.png", Website: "https://ada.example",
		Gender: "female", Birthdate: "1985-12-10", Zoneinfo: "Europe/London", Locale: "en-GB",
		PhoneNumber: "+441234567890", PhoneVerified: true,
		Address: idp.Address{Formatted: "12 St James's Square", Locality: "London", Country: "GB"},
	}
	u.EmailVerified = true
	if err := s.op.DB.UpdateUser(s.t.Context(), u); err != nil {
		s.t.Fatal(err)
	}
}

func query(v any) string {
	text, _ := json.Marshal(v)
	return url.QueryEscape(string(text))
}

// call is a request to the suite's API; its answer must be a JSON object.
func (s *suite) call(method, path string, body any) (got map[string]any) {
	s.t.Helper()
	if err := json.Unmarshal(s.raw(method, path, "application/json", body), &got); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return got
}

func (s *suite) raw(method, path, kind string, body any) []byte {
	s.t.Helper()
	var payload []byte
	if body != nil {
		payload, _ = json.Marshal(body)
	}
	if text, ok := body.(string); ok {
		payload = []byte(text)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, suiteBase+path, bytes.NewReader(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		s.t.Fatalf("%s %s: %s %.500s %v", method, path, resp.Status, text, err)
	}
	return text
}

// run runs a module of a plan in a browser of its own, and returns its result.
func (s *suite) run(plan, test string, variant any) string {
	s.t.Helper()
	id := s.call("POST", "api/runner?test="+test+"&plan="+plan+"&variant="+query(variant), nil)["id"].(string)
	browser, _ := s.op.browser()
	browser.key, browser.stopAt = s.home.key, suiteBase
	uploaded := map[string]bool{}
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		info := s.call("GET", "api/info/"+id, nil)
		switch info["status"] {
		case "FINISHED", "INTERRUPTED":
			result, _ := info["result"].(string)
			if result == "FAILED" || info["status"] == "INTERRUPTED" || os.Getenv("STEPWARD_TEST_SUITE_MODULE") != "" {
				s.explain(id)
			}
			if info["status"] == "INTERRUPTED" {
				return "INTERRUPTED"
			}
			return result
		case "CONFIGURED":
			if test == "oidcc-server-rotate-keys" { // it waits for the operator to do this
				before := len(s.op.publishedKeys().Keys)
				if err := s.op.Keys.RotateNow(s.t.Context(), time.Now()); err != nil {
					s.t.Fatal(err)
				}
				for len(s.op.publishedKeys().Keys) == before && time.Now().Before(deadline) {
					time.Sleep(200 * time.Millisecond)
				}
			}
			s.call("POST", "api/runner/"+id, nil)
		case "WAITING":
			if !s.visit(id, browser) {
				s.upload(id, uploaded)
			}
		}
	}
	s.explain(id)
	return "TIMEOUT"
}

// visit opens what the suite wants a person to open, and goes through the pages. It reports if there was something.
func (s *suite) visit(id string, browser *person) bool {
	s.t.Helper()
	wanted := s.call("GET", "api/runner/browser/"+id, nil)
	urls, _ := wanted["urls"].([]any)
	if len(urls) == 0 {
		return false
	}
	for _, u := range urls {
		target, method := "", "GET"
		switch u := u.(type) {
		case string:
			target = u
		case map[string]any:
			target, _ = u["url"].(string)
			method, _ = u["method"].(string)
		}
		s.raw("POST", "api/runner/browser/"+id+"/visit?url="+url.QueryEscape(target), "application/json", nil)
		var at page
		if method == "POST" {
			address, params, _ := strings.Cut(target, "?")
			values, _ := url.ParseQuery(params)
			at = browser.read(browser.http.PostForm(address, values))
		} else {
			at = browser.open(target)
		}
		at, _ = browser.arrive(at)
		at = leave(browser, at)
		if strings.HasPrefix(at.url.String(), suiteBase) {
			s.comeBack(at)
		}
	}
	return true
}

// leave does what the script of the signed-out page does: it loads the frames of the applications, then goes on.
func leave(browser *person, at page) page {
	browser.t.Helper()
	frames := regexp.MustCompile(`<iframe [^>]*>`).FindAllString(at.body, -1)
	for _, frame := range frames {
		browser.open(attr(frame, "src"))
	}
	if next := attr(regexp.MustCompile(`<a [^>]*\bdata-next\b[^>]*>`).FindString(at.body), "href"); next != "" {
		return browser.goTo(next)
	}
	return at
}

var submitURL = regexp.MustCompile(`xhr\.open\('POST', "([^"]+)"`)

// comeBack is what the page of the suite's redirect URI does by script.
func (s *suite) comeBack(at page) {
	s.t.Helper()
	text := []byte(at.body) // its page, if a form was posted to it
	if !submitURL.Match(text) {
		text = s.raw("GET", strings.TrimPrefix(at.url.String(), suiteBase), "text/plain", "")
	}
	if m := submitURL.FindSubmatch(text); m != nil {
		address := strings.ReplaceAll(string(m[1]), `\/`, "/")
		s.raw("POST", strings.TrimPrefix(address, suiteBase), "text/plain", "")
	}
}

const onePixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// upload gives the suite the pictures it waits for: our error pages, which a person would look at. The tests of ours look
// at them.
func (s *suite) upload(id string, done map[string]bool) {
	s.t.Helper()
	for _, entry := range s.log(id) {
		if place, _ := entry["upload"].(string); place != "" && !done[place] {
			done[place] = true
			s.raw("POST", "api/log/"+id+"/images/"+place, "text/plain", onePixel)
		}
	}
}

func (s *suite) log(id string) (entries []map[string]any) {
	s.t.Helper()
	if err := json.Unmarshal(s.raw("GET", "api/log/"+id, "application/json", nil), &entries); err != nil {
		s.t.Fatal(err)
	}
	return entries
}

// explain prints what a module says against us.
func (s *suite) explain(id string) {
	s.t.Helper()
	for _, entry := range s.log(id) {
		if r, _ := entry["result"].(string); r == "FAILURE" || r == "WARNING" || r == "INTERRUPTED" {
			s.t.Logf("  %s %v: %.800s", r, entry["src"], fmt.Sprint(entry["msg"], entry["requirements"], detail(entry)))
		}
	}
}

func detail(entry map[string]any) string {
	rest := maps.Clone(entry)
	for _, known := range []string{"_id", "testId", "testOwner", "src", "time", "result", "msg", "requirements", "blockId", "upload"} {
		delete(rest, known)
	}
	text, _ := json.Marshal(rest)
	return string(text)
}
