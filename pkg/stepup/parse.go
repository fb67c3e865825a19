package stepup

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of ParseChallenges, so that a hostile server cannot make it work hard.
const (
	maxHeader     = 8 << 10 // bytes of all WWW-Authenticate headers together
	maxChallenges = 16
	maxParams     = 32
)

// FromResponse returns the challenge of a 401 or 403 response that a new authorization request may meet. Of several
// challenges it takes the first with insufficient_user_authentication, else insufficient_scope, else invalid_token,
// else no error code. It reports false for other responses. It does not read the body.
func FromResponse(resp *http.Response) (Challenge, bool) {
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return Challenge{}, false
	}
	challenges := ParseChallenges(resp.Header)
	for _, code := range []string{InsufficientUserAuthentication, InsufficientScope, InvalidToken, ""} {
		for _, c := range challenges {
			if c.Error == code {
				return c, true
			}
		}
	}
	return Challenge{}, false
}

// ParseChallenges returns the Bearer and DPoP challenges of the WWW-Authenticate headers, in order. It handles several
// challenges in a header and several headers (RFC 9110 §11.6.1), and skips other schemes and unknown parameters. A
// header with a syntax error or a repeated parameter yields nothing. A challenge whose max_age is not a number of
// seconds is skipped. ParseChallenges reads at most 8 KiB and 16 challenges.
func ParseChallenges(h http.Header) []Challenge {
	var all []Challenge
	budget := maxHeader
	for _, value := range h.Values("WWW-Authenticate") {
		if budget -= len(value); budget < 0 {
			break
		}
		parsed, ok := parseHeader(value)
		if !ok {
			continue
		}
		for _, p := range parsed {
			if c, ok := p.challenge(); ok && len(all) < maxChallenges {
				all = append(all, c)
			}
		}
	}
	return all
}

// rawChallenge is a challenge of any scheme. Parameter names are in lower case; params is nil for a token68.
type rawChallenge struct {
	scheme string
	params map[string]string
}

func (r rawChallenge) challenge() (Challenge, bool) {
	c := Challenge{Realm: r.params["realm"], Error: r.params["error"], Description: r.params["error_description"]}
	switch scheme := strings.ToLower(r.scheme); {
	case scheme == "bearer" && r.params != nil:
		c.Scheme = "Bearer"
	case scheme == "dpop" && r.params != nil:
		c.Scheme = "DPoP"
	default:
		return Challenge{}, false
	}
	c.ACRValues = fields(r.params["acr_values"])
	c.Scopes = fields(r.params["scope"])
	if text, ok := r.params["max_age"]; ok {
		seconds, err := strconv.ParseUint(text, 10, 31) // 68 years; no sign, no fraction
		if err != nil {
			return Challenge{}, false
		}
		c.MaxAge = Within(time.Duration(seconds) * time.Second)
	}
	return c, true
}

// fields splits s at spaces and drops duplicates; nil if nothing is left.
func fields(s string) []string {
	var list []string
	seen := map[string]bool{}
	for _, f := range strings.Fields(s) {
		if !seen[f] {
			seen[f] = true
			list = append(list, f)
		}
	}
	return list
}

// parseHeader parses #challenge (RFC 9110 §11.6.1):
//
//	challenge  = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
//	auth-param = token BWS "=" BWS ( token / quoted-string )
//
// Commas separate both parameters and challenges. A token after a comma is a parameter name if "=" follows, and
// otherwise the scheme of the next challenge.
func parseHeader(value string) ([]rawChallenge, bool) {
	var list []rawChallenge
	s := scanner{value}
	for {
		s.skip(" \t,") // empty list elements are allowed (RFC 9110 §5.6.1.2)
		if s.rest == "" {
			return list, true
		}
		word := s.token()
		if word == "" || len(list) == maxChallenges {
			return nil, false
		}
		if s.param() { // of the previous challenge
			if len(list) == 0 || list[len(list)-1].params == nil || !s.value(list[len(list)-1].params, word) || !s.atComma() {
				return nil, false
			}
			continue
		}
		list = append(list, rawChallenge{scheme: word, params: map[string]string{}})
		c := &list[len(list)-1]
		if !s.space() { // a scheme without parameters
			if !s.atComma() {
				return nil, false
			}
			continue
		}
		if s.rest == "" || s.rest[0] == ',' {
			continue
		}
		if s.token68() {
			c.params = nil
			continue
		}
		name := s.token()
		if name == "" || !s.param() || !s.value(c.params, name) || !s.atComma() {
			return nil, false
		}
	}
}

// scanner consumes a header from the front.
type scanner struct{ rest string }

func (s *scanner) skip(set string) { s.rest = strings.TrimLeft(s.rest, set) }

// space consumes spaces and tabs, and reports whether there were any.
func (s *scanner) space() bool {
	before := len(s.rest)
	s.skip(" \t")
	return len(s.rest) < before
}

// token consumes a token (RFC 9110 §5.6.2); "" if there is none.
func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && isTokenChar(s.rest[n]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

// param consumes the "=" of a parameter with the spaces around it. Without "=" it consumes nothing.
func (s *scanner) param() bool {
	after, ok := strings.CutPrefix(strings.TrimLeft(s.rest, " \t"), "=")
	if ok {
		s.rest = strings.TrimLeft(after, " \t")
	}
	return ok
}

// value consumes a token or quoted-string (RFC 9110 §5.6.4) and stores it under name. Names are case-insensitive and
// must not repeat within a challenge (RFC 9110 §11.2).
func (s *scanner) value(params map[string]string, name string) bool {
	name = strings.ToLower(name)
	if _, twice := params[name]; twice || len(params) == maxParams {
		return false
	}
	if !strings.HasPrefix(s.rest, `"`) {
		word := s.token()
		params[name] = word
		return word != ""
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch ch := s.rest[i]; {
		case ch == '"':
			params[name] = b.String()
			s.rest = s.rest[i+1:]
			return true
		case ch == '\\' && i+1 < len(s.rest) && isQuotable(s.rest[i+1]):
			i++
			b.WriteByte(s.rest[i])
		case ch == '\\' || !isQuotable(ch):
			return false
		default:
			b.WriteByte(ch)
		}
	}
	return false // not closed
}

// token68 consumes a token68 (RFC 9110 §11.2), if there is one. Only "=" may follow it.
func (s *scanner) token68() bool {
	n := 0
	for n < len(s.rest) && (isTokenChar(s.rest[n]) || s.rest[n] == '/') {
		n++
	}
	after := scanner{strings.TrimLeft(s.rest[n:], "=")}
	if n == 0 || !after.atComma() {
		return false
	}
	*s = after
	return true
}

// atComma reports whether the list element ends here.
func (s *scanner) atComma() bool {
	s.skip(" \t")
	return s.rest == "" || s.rest[0] == ','
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isQuotable(c byte) bool { return c == '\t' || c >= 0x20 && c != 0x7F }
