package session

import (
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

const (
	sessionCookie = "stepward"
	browserCookie = "stepward-browser"

	// The __Host- prefix makes browsers refuse the cookie unless it is Secure, for the whole path and for this host alone,
	// so no subdomain can plant one (RFC 6265bis §4.1.3.2).
	hostPrefix = "__Host-"

	sidLength = 36 // idp.NewID: a UUID

	// idp.NewSecret is base32 of at least 128 bits; a later release of Go may make it longer (crypto/rand.Text).
	minSecret, maxSecret = 26, 64
)

// cookies reads and writes the two cookies: the session's, sid "." secret, and the browser's, a secret of its own.
type cookies struct{ insecure bool }

func (c cookies) name(name string) string {
	if c.insecure {
		return name
	}
	return hostPrefix + name
}

// set writes a cookie that goes when the browser is closed. Lax: it must come along when a client sends the person here.
func (c cookies) set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, c.of(name, value, maxAge))
}

func (c cookies) of(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: !c.insecure, SameSite: http.SameSiteLaxMode,
	}
}

func (c cookies) setSession(w http.ResponseWriter, sid string, secret idp.Secret) {
	c.set(w, sessionCookie, sid+"."+secret.Reveal(), 0)
}

func (c cookies) clearSession(w http.ResponseWriter) { c.set(w, sessionCookie, "", -1) }

// session returns what the session cookie holds.
func (c cookies) session(r *http.Request) (sid string, secret idp.Secret, ok bool) {
	value, ok := c.only(r, sessionCookie)
	if !ok {
		return "", "", false
	}
	return parse(value)
}

// only returns the value of a cookie that was sent once. Of two with one name the second may be planted, and nobody can
// tell which: neither counts.
func (c cookies) only(r *http.Request, name string) (string, bool) {
	all := r.CookiesNamed(c.name(name))
	if len(all) != 1 {
		return "", false
	}
	return all[0].Value, true
}

// parse takes a session cookie apart. It lets through only what Start and Elevate write, so what reaches the store is
// bounded and in one spelling.
func parse(value string) (sid string, secret idp.Secret, ok bool) {
	sid, rest, _ := strings.Cut(value, ".")
	if len(sid) != sidLength || strings.Trim(sid, "0123456789abcdef-") != "" || !isSecret(rest) {
		return "", "", false
	}
	return sid, idp.Secret(rest), true
}

// isSecret reports whether s could be an idp.NewSecret.
func isSecret(s string) bool {
	return len(s) >= minSecret && len(s) <= maxSecret && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Browser returns the value that identifies this browser, to bind interactions and ceremonies to by its hash; "" if the
// cookie is missing, sent twice or malformed. It says nothing about who uses the browser.
func (s *Sessions) Browser(r *http.Request) idp.Secret {
	value, ok := s.cookies.only(r, browserCookie)
	if !ok || !isSecret(value) {
		return ""
	}
	return idp.Secret(value)
}

// EnsureBrowser is Browser, and sets the cookie first if it is missing.
func (s *Sessions) EnsureBrowser(w http.ResponseWriter, r *http.Request) idp.Secret {
	browser := s.Browser(r)
	if browser == "" {
		browser = idp.NewSecret()
		s.cookies.set(w, browserCookie, browser.Reveal(), 0)
	}
	return browser
}
