package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// OnlyFor rejects requests for hosts other than those of the origins with 421 (RFC 9110 §7.4). Otherwise a response
// could be cached under another name, or be read by a page under that name (DNS rebinding). A nil origin is ignored.
func (s *Shell) OnlyFor(next http.Handler, origins ...*url.URL) http.Handler {
	var hosts []string
	for _, origin := range origins {
		hosts = append(hosts, hostsOf(origin)...)
	}
	refuse := s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Fail(w, r, &Problem{
			Status: http.StatusMisdirectedRequest, Code: "misdirected_request", Words: "problem.host",
		})
	}), false)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.ContainsFunc(hosts, func(ours string) bool { return strings.EqualFold(ours, r.Host) }) {
			next.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(w, r)
	})
}

// hostsOf returns the spellings of an origin's host in the Host header: the default port may be left out.
func hostsOf(origin *url.URL) []string {
	if origin == nil {
		return nil
	}
	usual := ":" + map[string]string{"https": "443", "http": "80"}[origin.Scheme]
	if host := strings.TrimSuffix(origin.Host, usual); origin.Port() == "" || host != origin.Host {
		return []string{host, host + usual}
	}
	return []string{origin.Host}
}
