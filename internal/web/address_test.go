package web_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stepward/stepward/internal/web"
)

// One holder of IPv6 has a whole /64 (RFC 6177): with each address counted alone, a limit would limit nobody.
func TestANetworkIsAnIPv4AddressOrAnIPv6Slash64(t *testing.T) {
	for _, c := range []struct{ peer, want string }{
		{"203.0.113.9:1234", "203.0.113.9"},
		{"203.0.113.10:1234", "203.0.113.10"},
		{"[::ffff:203.0.113.9]:1234", "203.0.113.9"},
		{"[2001:db8:0:1::1]:1234", "2001:db8:0:1::"},
		{"[2001:db8:0:1:ffff:ffff:ffff:ffff]:1234", "2001:db8:0:1::"},
		{"[2001:db8:0:2::1]:1234", "2001:db8:0:2::"},
		{"[fe80::1%eth0]:1234", "fe80::"},
		{"@", "unknown"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if got := web.ClientNetwork(r); got != c.want {
			t.Errorf("%s is of %s, want %s", c.peer, got, c.want)
		}
	}
}
