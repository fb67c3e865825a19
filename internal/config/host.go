package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// hostNames are the names of DNS as browsers read them (UTS #46): lower case, A-labels, at most 63 bytes a label.
var hostNames = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true),
	idna.Transitional(false),
)

// origin returns the parts of a URL that is an origin: as browsers write it, without the default port. Its error
// continues a sentence that begins with the URL.
func origin(v string) (*url.URL, error) {
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("is not an http(s) URL")
	}
	if u.Path == "/" {
		u.Path = ""
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("has more than an origin; remove everything but %s://%s", u.Scheme, u.Host)
	}
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("has the port %s, which is not between 1 and 65535", port)
	}
	port = strings.TrimLeft(port, "0")
	if port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		port = ""
	}
	switch {
	case port != "":
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// asciiHost returns a host as browsers send it: an IDN as A-labels, everything in lower case.
func asciiHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), nil
	}
	if name, dot := strings.CutSuffix(host, "."); dot {
		return "", fmt.Errorf("ends its host with a dot, which names another host to browsers and to WebAuthn; use %s", name)
	}
	name, err := hostNames.ToASCII(host)
	if err != nil {
		return "", fmt.Errorf("has the host %q, which is not a name of DNS: labels of letters, digits and hyphens, "+
			"such as id.example.com", host)
	}
	return name, nil
}

// relyingPartyFault says why no passkey can be made for a host (WebAuthn L3 §5.1.3, §13.4.9); "" if one can.
func relyingPartyFault(host string) string {
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, addr := netip.ParseAddr(host)
	switch {
	case host == "localhost":
		return ""
	case addr == nil, last[0] >= '0' && last[0] <= '9': // browsers read 127.1 and 0x7f.1 as addresses too
		return "names an IP address; passkeys need a host name, such as id.example.com"
	case last == host:
		return fmt.Sprintf("has the host %s, a single label, which cannot be the RP ID of passkeys; "+
			"use a full name, such as %s.example.com", host, host)
	}
	return ""
}
