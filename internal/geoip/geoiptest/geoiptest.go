// Package geoiptest writes small MaxMind DB files for tests.
package geoiptest

import (
	"bytes"
	"net"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// A Name is the name of a place in two languages.
type Name struct{ English, German string }

// File returns a database in which 192.0.2.0/24 is in this country and city, and 2001:db8::/32 in the country.
func File(t testing.TB, country, city Name) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	named := func(n Name) mmdbtype.Map {
		return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(n.English), "de": mmdbtype.String(n.German)}}
	}
	for network, record := range map[string]mmdbtype.Map{
		"192.0.2.0/24":  {"country": named(country), "city": named(city)},
		"2001:db8::/32": {"country": named(country)},
	} {
		_, parsed, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(parsed, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
