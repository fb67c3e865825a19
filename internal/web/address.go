package web

import (
	"net/http"
	"net/netip"

	"github.com/go-chi/chi/v5/middleware"
)

// clientAddress returns the middleware that finds the client behind trusted proxies. Without any, X-Forwarded-For is
// something anybody can write and is not looked at.
func clientAddress(trusted []netip.Prefix) func(http.Handler) http.Handler {
	if len(trusted) == 0 {
		return func(h http.Handler) http.Handler { return h }
	}
	prefixes := make([]string, len(trusted))
	for i, p := range trusted {
		prefixes[i] = p.Masked().String()
	}
	return middleware.ClientIPFromXFF(prefixes...)
}

// ClientAddress returns the address of the client, as told by trusted proxies, else of the peer itself; "" if there is
// none (a unix socket).
func ClientAddress(r *http.Request) string {
	if rec, ok := recordOf(r.Context()); ok {
		return rec.address
	}
	return addressOf(r)
}

func addressOf(r *http.Request) string {
	if ip := middleware.GetClientIP(r.Context()); ip != "" {
		return ip
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return peer.Addr().Unmap().WithZone("").String()
}

// ClientNetwork returns whom a request is counted for: the client's address, or the network of an IPv6 one, of which
// everybody has 2⁶⁴ addresses.
func ClientNetwork(r *http.Request) string {
	addr, err := netip.ParseAddr(ClientAddress(r))
	if err != nil {
		return "unknown"
	}
	if addr = addr.Unmap(); addr.Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().Addr().String()
	}
	return addr.String()
}
