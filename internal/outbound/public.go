package outbound

import "net/netip"

// special are the networks within the unicast ranges that are not the public internet: those in the IANA
// special-purpose registries (RFC 6890), and those whose addresses embed an IPv4 address that a gateway would extract.
var special = parse(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3",   // multicast, reserved, broadcast
	"2001::/23",     // protocol assignments, Teredo
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4
	"3fff::/20",     // documentation
)

// unicast is all the IPv6 space assigned to networks. It excludes loopback, link-local, unique local, multicast,
// IPv4-compatible and NAT64 (64:ff9b::/96) addresses.
var unicast = netip.MustParsePrefix("2000::/3")

// public reports whether ip, unmapped and without a zone, is on the public internet.
func public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Is6() && !unicast.Contains(ip) {
		return false
	}
	for _, network := range special {
		if network.Contains(ip) {
			return false
		}
	}
	return true
}

func parse(networks ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(networks))
	for i, network := range networks {
		list[i] = netip.MustParsePrefix(network)
	}
	return list
}
