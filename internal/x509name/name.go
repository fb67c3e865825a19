// Package x509name parses and compares distinguished names of certificates (X.501, RFC 4514).
package x509name

import (
	"cmp"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Name is a distinguished name, most general part first, as in certificates. The attributes of an RDN are sorted,
// because an RDN is a set.
type Name [][]Attribute

// An Attribute is one attribute of a distinguished name.
type Attribute struct {
	OID   string // dotted
	Value string
}

// attributeNames are the short names of RFC 4514 §3, and two more that OpenSSL prints.
var attributeNames = map[string]string{
	"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6",
	"STREET": "2.5.4.9",
	"DC":     "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"SERIALNUMBER": "2.5.4.5", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// Equal compares values exactly, including letter case: a wrong rejection is noticed at once, a wrong match is not.
func (n Name) Equal(other Name) bool {
	return slices.EqualFunc(n, other, slices.Equal[[]Attribute])
}

// Subject parses the subject of a certificate. It fails if a value is not text.
func Subject(raw []byte) (Name, error) {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &sequence); err != nil || len(rest) > 0 {
		return nil, errors.New("the subject is not a distinguished name")
	}
	var out Name
	for _, set := range sequence {
		var rdn []Attribute
		for _, a := range set {
			value, ok := a.Value.(string)
			if !ok {
				return nil, errors.New("the subject has a value that is not text")
			}
			rdn = append(rdn, Attribute{a.Type.String(), value})
		}
		out = append(out, sorted(rdn))
	}
	return out, nil
}

func sorted(rdn []Attribute) []Attribute {
	slices.SortFunc(rdn, func(a, b Attribute) int {
		return cmp.Or(cmp.Compare(a.OID, b.OID), cmp.Compare(a.Value, b.Value))
	})
	return rdn
}

// Parse parses a distinguished name as text, most specific part first (RFC 4514). Spaces around separators are allowed.
func Parse(text string) (Name, error) {
	if !utf8.ValidString(text) || len(text) > 1024 {
		return nil, errors.New("is not UTF-8 of at most 1024 bytes")
	}
	var out Name
	var rdn []Attribute
	for rest := text; ; {
		name, after, found := strings.Cut(rest, "=")
		oid := attributeOID(strings.TrimSpace(name))
		if !found || oid == "" {
			return nil, errors.New("has a part that is not NAME=value")
		}
		value, separator, next, err := attributeValue(after)
		if err != nil {
			return nil, err
		}
		rdn = append(rdn, Attribute{oid, value})
		if separator != '+' {
			out = append(out, sorted(rdn))
			rdn = nil
		}
		if separator == 0 {
			break
		}
		rest = next
	}
	slices.Reverse(out)
	return out, nil
}

func attributeOID(name string) string {
	if oid := attributeNames[strings.ToUpper(name)]; oid != "" {
		return oid
	}
	if strings.Contains(name, ".") && strings.Trim(name, "0123456789.") == "" {
		return name
	}
	return ""
}

// attributeValue reads a value up to the next separator; separator is 0 at the end of the text.
func attributeValue(s string) (value string, separator byte, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	var b strings.Builder
	kept := 0 // the end of the value, without trailing unescaped spaces
	i := 0
scan:
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', '+':
			separator, rest = c, s[i+1:]
			break scan
		case '"', ';', '<', '>', 0:
			return "", 0, "", errors.New("has a character that must be escaped with a backslash")
		case '\\':
			literal, length := escaped(s[i+1:])
			if length == 0 {
				return "", 0, "", errors.New("has a backslash before a character that must not be escaped")
			}
			b.WriteByte(literal)
			kept = b.Len()
			i += length
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	value = b.String()[:kept]
	if strings.HasPrefix(s, "#") {
		value, err = encodedValue(value[1:])
	}
	if err == nil && (value == "" || !utf8.ValidString(value)) {
		err = errors.New("has an empty or invalid value")
	}
	return value, separator, rest, err
}

// escaped reads the escape after a backslash: one character, or two hexadecimal digits for one byte.
func escaped(s string) (c byte, length int) {
	if s == "" {
		return 0, 0
	}
	if strings.IndexByte(`"+,;<>\ #=`, s[0]) >= 0 {
		return s[0], 1
	}
	if len(s) < 2 {
		return 0, 0
	}
	b, err := hex.DecodeString(s[:2])
	if err != nil {
		return 0, 0
	}
	return b[0], 2
}

// encodedValue decodes the #hex form: the BER encoding of the value (RFC 4514 §2.4).
func encodedValue(digits string) (string, error) {
	raw, err := hex.DecodeString(digits)
	if err == nil {
		var value any
		var rest []byte
		if rest, err = asn1.Unmarshal(raw, &value); err == nil && len(rest) == 0 {
			if text, ok := value.(string); ok {
				return text, nil
			}
		}
	}
	return "", errors.New("has a # without the hexadecimal digits of a text value")
}
