package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// A person is a browser without script and a software authenticator, over real HTTP: quicker than Chromium, and able to
// misbehave.
type person struct {
	t      testing.TB
	http   *http.Client
	key    *passkeytest.Authenticator
	issuer string
	stopAt string // redirects to URLs with this prefix are not followed: the application's end
}

// page is what the person sees.
type page struct {
	url    *url.URL
	status int
	name   string // data-page
	body   string
}

func newPerson(t testing.TB, issuer, stopAt string) *person {
	jar, _ := cookiejar.New(nil)
	p := &person{t: t, key: passkeytest.New(issuer), issuer: issuer, stopAt: stopAt}
	p.http = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if p.stopAt != "" && strings.HasPrefix(r.URL.String(), p.stopAt) { // it may be set later
			return http.ErrUseLastResponse
		}
		if len(via) > 10 {
			return errors.New("too many redirects")
		}
		return nil
	}}
	return p
}

// The foundation's suite learns only later where its application ends, and a page of its own that is opened twice fails
// its module.
func TestABrowserStopsAtTheApplication(t *testing.T) {
	opened := 0
	mux := http.NewServeMux()
	mux.Handle("/start", http.RedirectHandler("/application/end", http.StatusSeeOther))
	mux.HandleFunc("/application/end", func(http.ResponseWriter, *http.Request) { opened++ })
	server := httptest.NewServer(mux)
	defer server.Close()
	p := newPerson(t, server.URL, "")
	p.stopAt = server.URL + "/application/"
	if at := p.open("/start"); at.url.Path != "/application/end" || opened != 0 {
		t.Errorf("at %s, which was opened %d times", at.url, opened)
	}
}

var dataPage = regexp.MustCompile(`<body[^>]* data-page="([a-z-]+)"`)

func (p *person) read(resp *http.Response, err error) page {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	out := page{url: resp.Request.URL, status: resp.StatusCode, body: string(body)}
	if location := resp.Header.Get("Location"); location != "" {
		if out.url, err = resp.Request.URL.Parse(location); err != nil {
			p.t.Fatal(err)
		}
	}
	if m := dataPage.FindStringSubmatch(out.body); m != nil {
		out.name = m[1]
	}
	return out
}

func (p *person) open(target string) page {
	p.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = p.issuer + target
	}
	return p.read(p.http.Get(target))
}

var (
	formTag   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`<(?:input|button)\b[^>]*>`)
	ceremonyT = regexp.MustCompile(`<div\b[^>]*\bdata-passkey="[^>]*>`)
)

// attr is an attribute of a tag, unescaped; "" if it is not there.
func attr(tag, name string) string {
	m := regexp.MustCompile(`\b` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// submit presses the button with this hook; values go to the inputs by their hooks.
func (p *person) submit(at page, button string, values map[string]string) page {
	p.t.Helper()
	for _, form := range formTag.FindAllStringSubmatch(at.body, -1) {
		if !strings.Contains(form[2], `data-test="`+button+`"`) {
			continue
		}
		data := url.Values{}
		for _, tag := range inputTag.FindAllString(form[2], -1) {
			name, test := attr(tag, "name"), attr(tag, "data-test")
			value, filled := values[test]
			switch {
			case name == "":
			case filled:
				data.Set(name, value)
			case strings.HasPrefix(tag, "<button") && test != button:
			default:
				data.Add(name, attr(tag, "value"))
			}
		}
		target, err := at.url.Parse(attr(form[1], "action"))
		if err != nil {
			p.t.Fatal(err)
		}
		if !strings.EqualFold(attr(form[1], "method"), "post") {
			target.RawQuery = data.Encode()
			return p.read(p.http.Get(target.String()))
		}
		return p.read(p.http.PostForm(target.String(), data))
	}
	p.t.Fatalf("no form with %s on %s (%s):\n%.3000s", button, at.name, at.url, at.body)
	return page{}
}

// ceremony runs the ceremony of a page and goes where it leads.
func (p *person) ceremony(at page) page {
	p.t.Helper()
	next, answer := p.tryCeremony(at)
	if answer["error"] == "ceremony_gone" { // an earlier try used it up: the page asks for another, the person tries again
		tag := ceremonyT.FindString(at.body)
		ceremony, options := p.begin(attr(tag, "data-begin"), attr(tag, "data-interaction"))
		next, answer = p.finish(attr(tag, "data-finish"), attr(tag, "data-passkey"), attr(tag, "data-interaction"), ceremony, options)
	}
	if next == "" {
		p.t.Fatalf("the ceremony on %s was refused: %v", at.name, answer)
	}
	return p.goTo(next)
}

// goTo follows the address that a script was given. The application's end is not opened.
func (p *person) goTo(next string) page {
	p.t.Helper()
	if p.stopAt == "" || !strings.HasPrefix(next, p.stopAt) {
		return p.open(next)
	}
	target, err := url.Parse(next)
	if err != nil {
		p.t.Fatal(err)
	}
	return page{url: target}
}

// tryCeremony runs the ceremony of a page; next is empty if it was refused, and answer says how.
func (p *person) tryCeremony(at page) (next string, answer map[string]any) {
	p.t.Helper()
	tag := ceremonyT.FindString(at.body)
	if tag == "" {
		p.t.Fatalf("no ceremony on %s (%s):\n%.3000s", at.name, at.url, at.body)
	}
	interaction, ceremony, options := attr(tag, "data-interaction"), attr(tag, "data-ceremony"), []byte(attr(tag, "data-options"))
	if len(options) == 0 {
		ceremony, options = p.begin(attr(tag, "data-begin"), interaction)
	}
	return p.finish(attr(tag, "data-finish"), attr(tag, "data-passkey"), interaction, ceremony, options)
}

// begin asks for a new challenge, as the page does after every failure.
func (p *person) begin(path, interaction string) (ceremony string, options []byte) {
	p.t.Helper()
	begun := p.postJSON(path, map[string]any{"i": interaction})
	ceremony, _ = begun["ceremony"].(string)
	options, err := json.Marshal(map[string]any{"publicKey": begun["publicKey"]})
	if err != nil || ceremony == "" {
		p.t.Fatalf("begin at %s: %v %v", path, begun, err)
	}
	return ceremony, options
}

func (p *person) finish(path, kind, interaction, ceremony string, options []byte) (next string, answer map[string]any) {
	p.t.Helper()
	sign := p.key.Get
	if kind == "create" {
		sign = p.key.Create
	}
	credential, err := sign(options)
	if err != nil {
		p.t.Fatalf("authenticator: %v for %s", err, options)
	}
	answer = p.postJSON(path, map[string]any{"i": interaction, "ceremony": ceremony, "credential": json.RawMessage(credential)})
	next, _ = answer["next"].(string)
	return next, answer
}

func (p *person) postJSON(path string, body any) map[string]any {
	p.t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.http.Post(p.issuer+path, "application/json", bytes.NewReader(content))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{"status": resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.t.Fatalf("%s answered %s without JSON: %v", path, resp.Status, err)
	}
	return answer
}

// signUp makes an account, from the sign-in page of an interaction to the one after it.
func (p *person) signUp(at page, email string) page {
	p.t.Helper()
	at = p.ceremony(p.enrol(at, email))
	return p.submit(at, "passkey-skip", nil)
}

// enrol is signUp until the page of the first passkey.
func (p *person) enrol(at page, email string) page {
	p.t.Helper()
	link := regexp.MustCompile(`<a\b[^>]*data-test="signup-link"[^>]*>`).FindString(at.body)
	if link == "" {
		p.t.Fatalf("no signup-link on %s:\n%.2000s", at.name, at.body)
	}
	at = p.open(attr(link, "href"))
	at = p.submit(at, "signup-submit", map[string]string{"signup-name": "Ada Lovelace", "signup-email": email})
	return p.submit(at, "verify-submit", map[string]string{"verify-code": newestCode(p.t, p.issuer, email)})
}

// through goes through whatever the dispatcher asks until the browser is sent back to the application.
func (p *person) through(at page) url.Values {
	p.t.Helper()
	for range 8 {
		switch {
		case p.stopAt != "" && strings.HasPrefix(at.url.String(), p.stopAt):
			return at.url.Query()
		case at.name == "login" || at.name == "stepup":
			at = p.ceremony(at)
		case at.name == "consent":
			at = p.submit(at, "consent-allow", nil)
		default:
			p.t.Fatalf("stuck on %s (%s, %d):\n%.3000s", at.name, at.url, at.status, at.body)
		}
	}
	p.t.Fatal("went round in circles")
	return nil
}

func (p page) String() string { return fmt.Sprintf("%s %s %d", p.name, p.url, p.status) }
