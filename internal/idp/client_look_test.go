// This test is inside the package: it calls fetchable.
package idp

import (
	"strings"
	"testing"
)

func TestNamesOfClientsHideNothing(t *testing.T) {
	for name, want := range map[string]string{
		"Acme Bank": "Acme Bank", "Ac\u200bme": "Acme", "Ac\u202eme": "Acme", "Ac\u2060me\ufeff": "Acme", "A\u200dB": "AB", "Acme\u00ad": "Acme", "銀行": "銀行", "بنك": "بنك", "Café": "Café",
	} {
		if got, ok := NormalizeClientName(name); !ok || got != want {
			t.Errorf("%+q: %+q, %v", name, got, ok)
		}
		c := Client{Name: name}
		if faulty := strings.Contains(strings.Join(c.Faults(Policy{}), "\n"), "client_name"); faulty != (name != want) {
			t.Errorf("%+q is refused: %v", name, faulty)
		}
	}
	for _, name := range []string{"\u200b", "\u200d\u200d", " \u202e "} {
		if got, ok := NormalizeClientName(name); ok {
			t.Errorf("%+q: %q", name, got)
		}
	}
}

func TestRegisteredAddressesAreASCIIAndExist(t *testing.T) {
	for uri, ok := range map[string]bool{
		"https://app.example/cb": true, "https://xn--mbank-23d.example/cb": true, "https://app.example:8443/cb": true, "http://[::1]:80/cb": true, "http://127.0.0.1/cb": true,
		"https://my_host.example/cb": true,
		"https://mуbank.example/cb":  false, "https://a\u202eb.example/": false, "https://a\u200bb.example/": false, "https://a\uff0eexample/": false, "https://app.example/ü": false,
		"https://app.example:99999/cb": false, "https://app.example:0/cb": false, "https://app.example:/cb": false, "https://a%20b.example/": false, "https://a,b.example/": false,
	} {
		if reason := redirectFault(uri, false); (reason == "") != ok {
			t.Errorf("%q: %q", uri, reason)
		}
		if strings.HasPrefix(uri, "https:") && fetchable(uri) != ok {
			t.Errorf("fetchable %q: %v", uri, !ok)
		}
	}
}
