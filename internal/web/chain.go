package web

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

// contentPolicy needs no nonce, because scripts and styles are files. Logos may come from any https host.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; " +
	"connect-src 'self'; form-action 'self'%s; frame-ancestors 'none'; base-uri 'none'"

var pagePolicy = fmt.Sprintf(contentPolicy, "")

// headersFor returns the headers of every response.
func headersFor(c Config) http.Header {
	h := http.Header{}
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: browsers would send "Origin: null" with our own forms, and the cross-origin check of browsers
	// without Sec-Fetch-Site would have nothing to check. Either value hides the referrer from other origins.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	if c.Issuer.Scheme == "https" && !c.Insecure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return h
}

// Browser returns the chain for pages.
func (s *Shell) Browser(mux *http.ServeMux) http.Handler {
	routed := s.origins.Handler(s.routed(mux))
	return s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
			"camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		routed.ServeHTTP(w, r)
	}), false)
}

// Protocol returns the chain for OAuth endpoints and well-known documents.
func (s *Shell) Protocol(h http.Handler) http.Handler {
	return s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer noteRoute(r)
		h.ServeHTTP(w, r)
	}), true)
}

// chain returns the common part of both chains.
func (s *Shell) chain(next http.Handler, machine bool) http.Handler {
	return s.address(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer, trace := r.Context(), ""
		if s.config.Trace != nil {
			outer, trace = s.config.Trace(r, s.fromProxy(r))
		}
		rec := newRecord(outer, w, r, machine)
		defer rec.life.end()
		rec.trace, rec.policy = trace, s.config.PolicyVersion
		if sent := r.Header.Get(requestIDHeader); saneID(sent) && s.fromProxy(r) {
			rec.id[0] = sent
		}
		r = r.WithContext(&rec.life) // from here on, r is ours to change
		if machine {
			rec.certificates = s.certificatesOf(r)
		}
		maps.Copy(w.Header(), s.headers)
		w.Header()[requestIDHeader] = rec.id[:]
		defer rec.write(outer, s, r)
		defer s.recover(rec, r)
		if !s.config.Rate.Allow(rec.network) {
			s.Fail(rec, r, &Problem{
				Status: http.StatusTooManyRequests, Limit: s.config.Rate.Limit, Code: "too_many_requests", Words: "problem.rate",
			})
			return
		}
		most := cmp.Or(s.config.Bodies[r.URL.Path], maxBody)
		if r.ContentLength > most { // as declared: no need to read it
			s.Fail(rec, r, tooLarge(nil))
			return
		}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(rec, r.Body, most)
		}
		next.ServeHTTP(rec, r)
	}))
}

// recover turns a panic into the plain error page. Its text and stack only go to the log.
func (s *Shell) recover(rec *record, r *http.Request) {
	v := recover()
	switch {
	case v == nil:
		return
	case v == http.ErrAbortHandler:
		panic(v)
	}
	Note(r.Context(), stackAttr(debug.Stack()))
	s.Fail(rec, r, fmt.Errorf("panic: %v", v))
}

// routed answers requests that no pattern of the mux matches with our error page instead of the mux's.
func (s *Shell) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer noteRoute(r)
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &probe{header: http.Header{}} // the mux's response, to tell 405 from 404
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			s.Fail(w, r, &Problem{
				Status: probe.status, Code: "method_not_allowed", Words: "problem.method",
			})
			return
		}
		s.Fail(w, r, &Problem{
			Status: http.StatusNotFound, Code: "not_found", Words: "problem.nowhere",
		})
	})
}

// originCheck rejects state-changing requests that another site causes a browser to send.
func (s *Shell) originCheck() (*http.CrossOriginProtection, error) {
	check := http.NewCrossOriginProtection()
	// The check compares Origin with Host, which a proxy may rewrite, so our own origin is always trusted.
	own := url.URL{Scheme: s.config.Issuer.Scheme, Host: s.config.Issuer.Host}
	if err := check.AddTrustedOrigin(own.String()); err != nil {
		return nil, fmt.Errorf("issuer as origin: %w", err)
	}
	check.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Fail(w, r, &Problem{
			Status: http.StatusForbidden, Code: "cross_origin", Words: "problem.origin", NextURL: "/account",
			Err: errors.New("cross-origin request"),
		})
	}))
	return check, nil
}

// formSource returns the CSP sources to add to form-action for the redirect target of a form. Chromium applies
// form-action to every redirect that follows, including those of the client, whose callback may redirect to another of
// its hosts. So it allows the scheme rather than the origin, and on loopback every port (docs/decisions). It returns ""
// for anything that is not clearly an origin or a scheme.
func formSource(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" {
		return ""
	}
	source := " " + u.Scheme + ":"
	if u.Scheme == "https" || u.Scheme == "http" {
		if u.Host == "" || strings.ContainsFunc(u.Host, func(r rune) bool { return !isHostRune(r) }) {
			return ""
		}
		source = " https:"
		if u.Scheme == "http" { // development, or a native application
			source = " http://" + u.Host + " http://localhost:* http://127.0.0.1:* https:"
		}
	}
	return source
}

// frameSources returns the CSP sources for the frames of a page: their origins only. Anything that is not clearly a web
// origin is left out, and does not load.
func frameSources(frames []string) (sources string) {
	for _, frame := range frames {
		u, err := url.Parse(frame)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
			strings.ContainsFunc(u.Host, func(r rune) bool { return !isHostRune(r) }) {
			continue
		}
		if source := " " + u.Scheme + "://" + u.Host; !strings.Contains(sources+" ", source+" ") {
			sources += source
		}
	}
	return sources
}

func isHostRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:[]", r)
}

// probe is a ResponseWriter that records the status and drops everything else.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
