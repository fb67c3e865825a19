package idp

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/stepward/stepward/internal/directory"
)

// LooksLike reports whether people would take two descriptions of a client for the same: its name, its logo, and the
// hosts that it sends them to. What they allowed the one, they did not allow another.
func (c Client) LooksLike(other Client) bool {
	return c.Name == other.Name && c.LogoURI == other.LogoURI && slices.Equal(c.redirectHosts(), other.redirectHosts())
}

func (c Client) redirectHosts() (hosts []string) {
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil {
			hosts = append(hosts, u.Scheme+"://"+u.Host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// NormalizeClientName is [directory.NormalizeName] for an application, which also loses what shows nothing: there is no
// reason for it but to look like another.
func NormalizeClientName(s string) (string, bool) {
	name, ok := directory.NormalizeName(s)
	if !ok {
		return "", false
	}
	return directory.NormalizeName(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) ||
			!directory.Visible(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) {
			return -1
		}
		return r
	}, name))
}

// plainHost reports whether a URL names its host in ASCII, as DNS does (an A-label for other letters, RFC 5890
// §2.3.2.1), and a port that exists.
func plainHost(u *url.URL) bool {
	host := u.Hostname()
	if host == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return false
		}
	}
	if strings.Contains(host, ":") {
		return true // an IPv6 address, which url.Parse has checked for its brackets
	}
	return strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

// ascii reports whether text is visible ASCII, as URIs are (RFC 3986 §2).
func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= 0x20 || r > 0x7e })
}
