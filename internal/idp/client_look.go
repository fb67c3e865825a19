package idp

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// LooksLike reports whether people would take two descriptions of a client for the same: its name, its logo, and the hosts
// that it sends them to. What they allowed the one, they did not allow another.
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

// NormalizeClientName is [NormalizeName] for an application, which also loses what shows nothing: there is no reason for it
// but to look like another.
func NormalizeClientName(s string) (string, bool) {
	name, ok := NormalizeName(s)
	if !ok {
		return "", false
	}
	return NormalizeName(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || !isVisible(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) {
			return -1
		}
		return r
	}, name))
}

// lookalikes are the scripts whose letters look like those of another.
var lookalikes = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic, unicode.Lisu}

// MixesScripts reports whether a word of the name has letters of two scripts that look alike, as "mуbank" with a Cyrillic у
// (Unicode TS #39, §5.1). Latin beside Chinese, Japanese or Arabic is usual and is not counted.
func MixesScripts(name string) bool {
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) {
		found := -1
		for _, r := range word {
			i := slices.IndexFunc(lookalikes, func(script *unicode.RangeTable) bool { return unicode.Is(script, r) })
			if i >= 0 && found >= 0 && i != found {
				return true
			}
			if i >= 0 {
				found = i
			}
		}
	}
	return false
}

// plainHost reports whether a URL names its host in ASCII, as DNS does (an A-label for other letters, RFC 5890 §2.3.2.1), and
// a port that exists.
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
