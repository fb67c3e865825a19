package idp

import (
	"net/url"
	"slices"
	"strings"
)

// OwnsOrigin reports whether scripts from this origin belong to the client: it is a browser application without a
// secret, and origin (in the form browsers send, RFC 6454 §6.2) is that of one of its redirect URIs. A script that can
// receive the client's codes may as well exchange them.
func (c Client) OwnsOrigin(origin string) bool {
	if origin == "" || !c.Public() || c.Native {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return originOf(uri) == origin })
}

// originOf returns the origin of a redirect URI, or "". The origin "null" of browsers never matches.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || !webURL(u) {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}
