package idp

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/x509name"
)

// A CertificateName identifies a client with tls_client_auth by its certificate. Exactly one field is set (RFC 8705
// §2.1.2). The operator decides which CAs are trusted.
type CertificateName struct {
	SubjectDN string `json:"tls_client_auth_subject_dn,omitempty"` // RFC 4514
	SANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	SANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	SANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	SANEmail  string `json:"tls_client_auth_san_email,omitempty"`
}

// Matches reports whether the certificate has this name, as its whole subject or as one of its alternative names. An
// invalid name, or one with several fields set, matches no certificate.
func (n CertificateName) Matches(cert *x509.Certificate) bool {
	if n.fault() != "" {
		return false
	}
	switch {
	case n.SubjectDN != "":
		want, err := x509name.Parse(n.SubjectDN)
		if err != nil {
			return false
		}
		got, err := x509name.Subject(cert.RawSubject)
		return err == nil && got.Equal(want)
	case n.SANDNS != "": // compared literally: a wildcard certificate names no single client
		return slices.ContainsFunc(cert.DNSNames, func(name string) bool { return strings.EqualFold(name, n.SANDNS) })
	case n.SANURI != "":
		return slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == n.SANURI })
	case n.SANIP != "":
		want := netip.MustParseAddr(n.SANIP).Unmap() // fault has parsed it
		for _, raw := range cert.IPAddresses {
			if got, ok := netip.AddrFromSlice(raw); ok && got.Unmap() == want {
				return true
			}
		}
		return false
	default:
		return slices.Contains(cert.EmailAddresses, n.SANEmail)
	}
}

// fault describes what is wrong with a name; "" if nothing.
func (n CertificateName) fault() string {
	given := 0
	for _, v := range []string{n.SubjectDN, n.SANDNS, n.SANURI, n.SANIP, n.SANEmail} {
		if v != "" {
			given++
		}
		if len(v) > 1024 {
			return "tls_client_auth_* is limited to 1024 bytes"
		}
	}
	if given != 1 {
		return "tls_client_auth needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email"
	}
	switch {
	case n.SubjectDN != "":
		if _, err := x509name.Parse(n.SubjectDN); err != nil {
			return "tls_client_auth_subject_dn " + err.Error()
		}
	case n.SANDNS != "":
		if !visible(n.SANDNS) || strings.ContainsAny(n.SANDNS, "*/:@") {
			return "tls_client_auth_san_dns is not a host name"
		}
	case n.SANURI != "":
		if u, err := url.Parse(n.SANURI); err != nil || !u.IsAbs() || u.String() != n.SANURI {
			return "tls_client_auth_san_uri is not an absolute URI in its normal spelling"
		}
	case n.SANIP != "":
		if addr, err := netip.ParseAddr(n.SANIP); err != nil || addr.Zone() != "" {
			return "tls_client_auth_san_ip is not an IP address"
		}
	case n.SANEmail != "":
		if !visible(n.SANEmail) || strings.Count(n.SANEmail, "@") != 1 {
			return "tls_client_auth_san_email is not an e-mail address"
		}
	}
	return ""
}

// visible reports whether s consists of visible ASCII characters.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r > 0x7e })
}

// CertificateThumbprint returns the x5t#S256 of a certificate (RFC 8705 §3.1).
func CertificateThumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
