package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5/middleware"
)

const forwardedFor = "X-Forwarded-For"

// clientAddress returns the middleware that finds the client behind trusted proxies. X-Forwarded-For from any other
// peer is ignored, because anybody can write it. If it comes from a proxy that the operator forgot to name, all limits
// count for the proxy's address, so a warning is logged once an hour.
func clientAddress(trusted []netip.Prefix, log *slog.Logger) func(http.Handler) http.Handler {
	find := func(h http.Handler) http.Handler { return h }
	if len(trusted) > 0 {
		prefixes := make([]string, len(trusted))
		for i, p := range trusted {
			prefixes[i] = p.Masked().String()
		}
		find = middleware.ClientIPFromXFF(prefixes...)
	}
	var warned atomic.Int64 // Unix seconds
	return func(next http.Handler) http.Handler {
		found := find(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header[forwardedFor] == nil:
			case isTrusted(trusted, r):
				r = withoutPorts(r)
			default:
				now, last := time.Now().Unix(), warned.Load()
				if now-last >= 3600 && warned.CompareAndSwap(last, now) {
					log.Warn("X-Forwarded-For from an untrusted peer: if it is your proxy, add it to trusted-proxies, "+
						"or all limits count for its address", slog.String("peer", r.RemoteAddr))
				}
			}
			found.ServeHTTP(w, r)
		})
	}
}

// isTrusted reports whether the peer of a request is a trusted proxy.
func isTrusted(trusted []netip.Prefix, r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil &&
		slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap().WithZone("")) })
}

// withoutPorts removes the ports that some proxies append to addresses in X-Forwarded-For ("1.2.3.4:567").
func withoutPorts(r *http.Request) *http.Request {
	values := r.Header[forwardedFor]
	if !slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, ":") }) {
		return r
	}
	plain := make([]string, len(values))
	for i, value := range values {
		hops := strings.Split(value, ",")
		for j, hop := range hops {
			hop = strings.TrimSpace(hop)
			if with, err := netip.ParseAddrPort(hop); err == nil {
				hop = with.Addr().String()
			} else if bare, ok := strings.CutPrefix(hop, "["); ok && strings.HasSuffix(bare, "]") {
				hop = strings.TrimSuffix(bare, "]")
			}
			hops[j] = hop
		}
		plain[i] = strings.Join(hops, ", ")
	}
	r = r.Clone(r.Context())
	r.Header[forwardedFor] = plain
	return r
}

// ClientAddress returns the client's address as reported by trusted proxies, or else the peer's; "" without one (a unix
// socket).
func ClientAddress(r *http.Request) string {
	if rec, ok := recordOf(r.Context()); ok {
		return rec.address
	}
	address, _ := addressOf(r)
	return address
}

// addressOf returns the address of ClientAddress, and the first address of its network; the zero Addr if it is unknown.
func addressOf(r *http.Request) (address string, network netip.Addr) {
	addr := middleware.GetClientIPAddr(r.Context())
	if !addr.IsValid() {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return "", netip.Addr{}
		}
		addr = peer.Addr().Unmap().WithZone("")
	}
	if network = addr.Unmap(); network.Is6() {
		network = netip.PrefixFrom(network.WithZone(""), 64).Masked().Addr()
	}
	return addr.String(), network
}

// ClientNetwork returns the source that a request is counted for: the client's address, or the /64 network of an IPv6
// address, because everybody has 2⁶⁴ of those.
func ClientNetwork(r *http.Request) string {
	rec, ok := recordOf(r.Context())
	network := netip.Addr{}
	if ok {
		network = rec.network
	} else {
		_, network = addressOf(r)
	}
	if network.IsValid() {
		return network.String()
	}
	return "unknown"
}
