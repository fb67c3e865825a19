package authorize

import (
	"net"
	"net/url"
	"slices"

	"github.com/stepward/stepward/internal/idp"
)

// redirectRegistered reports whether uri is registered for the client, as the same string (RFC 9700 §2.1). Only the
// port of a loopback URI may differ, because a native application may choose it each time it starts (RFC 8252 §7.3).
func redirectRegistered(c idp.Client, uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	return c.Native &&
		slices.ContainsFunc(c.RedirectURIs, func(registered string) bool { return sameButPort(registered, uri) })
}

func sameButPort(registered, uri string) bool {
	a, okA := loopback(registered)
	b, okB := loopback(uri)
	return okA && okB && a == b
}

// loopback returns an http URI on a loopback host without its port. ok is false for other URIs and for unusual
// spellings.
func loopback(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.String() != uri || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return "", false
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", false
	}
	return "http://" + host + u.EscapedPath() + "?" + u.RawQuery, true
}
