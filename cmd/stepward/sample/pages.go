package sample

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

var (
	//go:embed static
	files embed.FS
	//go:embed pages
	pageFiles embed.FS
)

// pages are parsed for the first request: every other command of the program would pay for them at its start.
var pages = sync.OnceValue(func() map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, name := range []string{"home", "me", "payout", "problem"} {
		sources := []string{"pages/layout.html", "pages/parts.html", "pages/" + name + ".html"}
		all[name] = template.Must(template.ParseFS(pageFiles, sources...))
	}
	return all
})

// A page is the data of every template.
type page struct {
	Name, Title                  string
	Issuer, PasskeysURL, MailURL string
	User                         *person // nil: not signed in
	Problem                      problem
	Result                       string
	Left                         bool // just signed out
	// Open is the time until which a payout needs no step-up; empty: it needs one.
	Open string
}

// A person is the signed-in user as shown on the pages.
type person struct {
	Subject, Name, Email           string
	ACR, ACRInWords, AMR, AuthTime string
	Ago                            string
	IDToken, AccessToken           string // claims, as formatted JSON
	UserInfo                       string
	Trace                          trace
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	a.render(w, r, http.StatusOK, page{Name: "home", Title: "Welcome", Left: r.URL.Query().Get("state") == leaving})
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	a.members(w, r, page{Name: "me", Title: "You"})
}

func (a *app) payoutPage(w http.ResponseWriter, r *http.Request) {
	a.members(w, r, page{Name: "payout", Title: "Pay out", Result: pretty(a.sessions.current(r).result)})
}

// members renders a page for signed-in users, and redirects others to the home page.
func (a *app) members(w http.ResponseWriter, r *http.Request, p page) {
	if a.sessions.current(r).user == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	a.render(w, r, http.StatusOK, p)
}

func (a *app) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	issuer := strings.TrimSuffix(a.Issuer, "/")
	p.Issuer, p.PasskeysURL, p.MailURL = issuer, issuer+"/account/passkeys", a.MailURL
	if u := a.sessions.current(r).user; u != nil {
		p.User = describe(u)
		p.Open = open(u, time.Now())
	}
	var b bytes.Buffer
	if err := pages()[p.Name].ExecuteTemplate(&b, "layout", p); err != nil {
		a.Logger.ErrorContext(r.Context(), "render", "page", p.Name, "error", err)
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

func describe(u *user) *person {
	var c stepup.Claims
	_ = json.Unmarshal(u.idClaims, &c) // verified earlier
	p := &person{
		Subject: c.Subject, ACR: c.ACR, ACRInWords: acrInWords(c.ACR), AMR: strings.Join(c.AMR, " "),
		AuthTime: clock(c.AuthTime),
		Ago:      ago(c.AuthTime, time.Now()), IDToken: pretty(u.idClaims), UserInfo: pretty(u.userInfo), Trace: u.trace,
	}
	for _, source := range []json.RawMessage{u.idClaims, u.userInfo} {
		var profile struct{ Name, Email string }
		_ = json.Unmarshal(source, &profile)
		p.Name, p.Email = cmp.Or(profile.Name, p.Name), cmp.Or(profile.Email, p.Email)
	}
	// Applications should leave access tokens to the API and not look inside. This page does, for learning.
	if p.AccessToken = pretty(payload(u.accessToken)); p.AccessToken == "" {
		p.AccessToken = `{"opaque": true}`
	}
	return p
}

// open returns the time until which the API should pay without a step-up. This is a guess; the API decides.
func open(u *user, now time.Time) string {
	var c stepup.Claims
	need := stepup.Requirement{MaxAge: stepup.Within(PayoutWindow), Scopes: []string{ScopePayouts}}
	if json.Unmarshal(payload(u.accessToken), &c) != nil || !now.Before(c.Expiry) {
		return ""
	}
	if ok, _ := need.Satisfied(c, now); !ok {
		return ""
	}
	return clock(c.Expiry)
}

// payload returns the claims of a JWT without checking anything; nil if it is not a JWT.
func payload(token string) []byte {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	return data
}

func pretty(data []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, data, "", "  ") != nil {
		return ""
	}
	return b.String()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05 MST")
}

func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d seconds ago", max(0, int(d.Seconds())))
	case d < 2*time.Minute:
		return "a minute ago"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 2*time.Hour:
		return "an hour ago"
	default:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
}

func acrInWords(acr string) string {
	switch acr {
	case "phr":
		return "phishing-resistant: with a passkey"
	case "phrh":
		return "phishing-resistant, and bound to hardware"
	case "":
		return "the provider says nothing"
	default:
		return "a level defined by the provider"
	}
}
