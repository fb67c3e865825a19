package idp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/x509name"
)

// certificate returns a certificate with this subject (ASN.1 order), changed by edit.
func certificate(t testing.TB, subject pkix.RDNSequence, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

var (
	oidC  = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidO  = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidCN = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidID = asn1.ObjectIdentifier{2, 5, 4, 97} // organizationIdentifier, of PSD2 certificates
)

func rdn(parts ...any) (set pkix.RelativeDistinguishedNameSET) {
	for i := 0; i < len(parts); i += 2 {
		set = append(set, pkix.AttributeTypeAndValue{Type: parts[i].(asn1.ObjectIdentifier), Value: parts[i+1]})
	}
	return set
}

func TestSubjectsAreComparedAsDistinguishedNames(t *testing.T) {
	subject := pkix.RDNSequence{rdn(oidC, "DE"), rdn(oidO, `Bank, "Süd" + Söhne `), rdn(oidOU, "api", oidCN, "acme")}
	cert := certificate(t, subject, nil)
	const o = `O=Bank\, \"Süd\" \+ Söhne\ `
	for text, want := range map[string]bool{
		"OU=api+CN=acme," + o + ",C=DE":                                               true,
		"CN=acme+OU=api," + o + ",C=DE":                                               true, // sets are unordered
		"cn = acme + ou = api , " + o + " , c = DE":                                   true,
		`2.5.4.3=acme+2.5.4.11=api,2.5.4.10=Bank\2c \22S\c3\bcd\22 \2b Söhne\20,C=DE`: true,
		"CN=#0c0461636d65+OU=api," + o + ",C=DE":                                      true,
		"C=DE," + o + ",CN=acme+OU=api":                                               false, // reversed
		"CN=acme," + o + ",C=DE":                                                      false, // missing part
		"CN=acme+OU=api," + o + ",C=DE,DC=example":                                    false, // additional part
		"CN=acme,OU=api," + o + ",C=DE":                                               false, // two RDNs instead of one with two attributes
		"CN=Acme+OU=api," + o + ",C=DE":                                               false, // letter case
		`CN=acme+OU=api,O=Bank\, \"Süd\" \+ Söhne,C=DE`:                               false, // without the trailing space
		"OU=acme+CN=api," + o + ",C=DE":                                               false,
		"CN=acm":                                                                      false,
		"":                                                                            false,
	} {
		if got := (CertificateName{SubjectDN: text}).Matches(cert); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if !(CertificateName{SubjectDN: "2.5.4.97=PSDDE-BAFIN-123"}).Matches(certificate(t, pkix.RDNSequence{rdn(oidID, "PSDDE-BAFIN-123")}, nil)) {
		t.Error("an attribute named by its OID was not found")
	}
	number, err := asn1.Marshal(pkix.RDNSequence{rdn(oidCN, 42)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509name.Subject(number); err == nil {
		t.Error("a subject with a number was accepted")
	}
}

func TestAnAlternativeNameMustBeInTheCertificate(t *testing.T) {
	uri, err := url.Parse("spiffe://acme/api")
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, pkix.RDNSequence{rdn(oidCN, "only.example")}, func(c *x509.Certificate) {
		c.DNSNames = []string{"other.example", "Api.Example", "*.wild.example"}
		c.URIs, c.EmailAddresses = []*url.URL{uri}, []string{"api@acme.example"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7), net.ParseIP("2001:db8::1")}
	})
	for _, row := range []struct {
		name CertificateName
		want bool
	}{
		{CertificateName{SANDNS: "api.example"}, true},
		{CertificateName{SANDNS: "only.example"}, false}, // the common name does not count
		{CertificateName{SANDNS: "a.wild.example"}, false},
		{CertificateName{SANDNS: "*.wild.example"}, false},
		{CertificateName{SANDNS: "example"}, false},
		{CertificateName{SANDNS: "192.0.2.7"}, false},
		{CertificateName{SANURI: "spiffe://acme/api"}, true},
		{CertificateName{SANURI: "spiffe://acme/api/"}, false},
		{CertificateName{SANURI: "spiffe://acme/"}, false},
		{CertificateName{SANIP: "192.0.2.7"}, true},
		{CertificateName{SANIP: "::ffff:192.0.2.7"}, true},
		{CertificateName{SANIP: "2001:db8:0::1"}, true},
		{CertificateName{SANIP: "192.0.2.8"}, false},
		{CertificateName{SANEmail: "api@acme.example"}, true},
		{CertificateName{SANEmail: "api@evil.example"}, false},
		{CertificateName{SANEmail: "api@acme.example", SANDNS: "api.example"}, false}, // two names are invalid
		{CertificateName{}, false},
	} {
		if got := row.name.Matches(cert); got != row.want {
			t.Errorf("%+v: %v", row.name, got)
		}
	}
}

func TestACertificateNameHasExactlyOneField(t *testing.T) {
	for want, name := range map[string]CertificateName{
		"":                            {SubjectDN: "CN=acme,O=Acme"},
		"exactly one":                 {},
		"exactly one of":              {SubjectDN: "CN=a", SANDNS: "a.example"},
		"_subject_dn has a part":      {SubjectDN: "acme"},
		"_subject_dn has a char":      {SubjectDN: `CN="acme"`},
		"_subject_dn has a backslash": {SubjectDN: `CN=a\zz`},
		"_subject_dn has an empty":    {SubjectDN: "CN="},
		"_subject_dn has a #":         {SubjectDN: "CN=#0c05"},
		"limited to 1024":             {SubjectDN: "CN=" + strings.Repeat("a", 1024)},
		"_san_dns is not":             {SANDNS: "*.example"},
		"_san_uri is not":             {SANURI: "acme"},
		"_san_ip is not":              {SANIP: "192.0.2.300"},
		"_san_email is not":           {SANEmail: "acme"},
	} {
		got := name.fault()
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%+v: %q, want %q", name, got, want)
		}
	}
}
