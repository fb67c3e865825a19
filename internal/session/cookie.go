package session

import (
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

const (
	sessionCookie = "stepward"
	browserCookie = "stepward-browser"

	// With the __Host- prefix, browsers reject the cookie unless it is Secure, for the whole path and only for this host,
	// so no subdomain can plant one (RFC 6265bis §4.1.3.2).
	hostPrefix = "__Host-"

	sidLength = 36 // idp.NewID: a UUID

	// idp.NewSecret is base32 of at least 128 bits; a later Go release may make it longer (crypto/rand.Text).
	minSecret, maxSecret = 26, 64
)

// cookies reads and writes the two cookies: the session's, sid "." secret, and the browser's, a separate secret.
type cookies struct{ insecure bool }

func (c cookies) name(name string) string {
	if c.insecure {
		return name
	}
	return hostPrefix + name
}

// set writes a cookie that ends with the browser session. It is Lax so that it is sent when a client redirects here.
func (c cookies) set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, c.of(name, value, maxAge))
}

func (c cookies) of(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: !c.insecure,
		SameSite: http.SameSiteLaxMode,
	}
}

func (c cookies) setSession(w http.ResponseWriter, sid string, secret idp.Secret) {
	c.set(w, sessionCookie, sid+"."+secret.Reveal(), 0)
}

func (c cookies) clearSession(w http.ResponseWriter) { c.set(w, sessionCookie, "", -1) }

// session parses the session cookie.
func (c cookies) session(r *http.Request) (sid string, secret idp.Secret, ok bool) {
	value, ok := c.only(r, sessionCookie)
	if !ok {
		return "", "", false
	}
	return parse(value)
}

// only returns the value of a cookie that was sent once. If there are two with one name, one may be planted, so neither
// counts.
func (c cookies) only(r *http.Request, name string) (string, bool) {
	all := r.CookiesNamed(c.name(name))
	if len(all) != 1 {
		return "", false
	}
	return all[0].Value, true
}

// parse splits a session cookie. It accepts only what Start and Elevate write, so input for the store is bounded and
// has one spelling.
func parse(value string) (sid string, secret idp.Secret, ok bool) {
	sid, rest, _ := strings.Cut(value, ".")
	if len(sid) != sidLength || strings.Trim(sid, "0123456789abcdef-") != "" || !isSecret(rest) {
		return "", "", false
	}
	return sid, idp.Secret(rest), true
}

// isSecret reports whether s may come from idp.NewSecret.
func isSecret(s string) bool {
	return len(s) >= minSecret && len(s) <= maxSecret && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Browser returns the secret that identifies this browser; its hash binds interactions and ceremonies to the browser.
// It returns "" if the cookie is missing, duplicated or malformed. It does not identify the user.
func (s *Sessions) Browser(r *http.Request) idp.Secret {
	value, ok := s.cookies.only(r, browserCookie)
	if !ok || !isSecret(value) {
		return ""
	}
	return idp.Secret(value)
}

// EnsureBrowser is Browser, but first sets a missing cookie.
func (s *Sessions) EnsureBrowser(w http.ResponseWriter, r *http.Request) idp.Secret {
	browser := s.Browser(r)
	if browser == "" {
		browser = idp.NewSecret()
		s.cookies.set(w, browserCookie, browser.Reveal(), 0)
	}
	return browser
}
