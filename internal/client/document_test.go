package client

import (
	"strings"
	"testing"
)

func TestInvalidDocumentURLsAreNotFetched(t *testing.T) {
	for id, want := range map[string]bool{
		"https://app.example/client.json":                 true,
		"https://app.example:8443/a/b":                    true,
		"https://app.example":                             false,
		"https://app.example/":                            false,
		"http://app.example/client.json":                  false,
		"https://app.example/client.json#x":               false,
		"https://app.example/client.json?x=1":             false,
		"https://app.example/client.json?":                false,
		"https://user@app.example/client.json":            false,
		"https://app.example/a/../client.json":            false,
		"https://app.example/./client.json":               false,
		"https://app.example/" + strings.Repeat("x", 128): false,
		"https:///client.json":                            false,
		"app":                                             false,
		"":                                                false,
	} {
		if got := isDocument(id); got != want {
			t.Errorf("%.60s: %v", id, got)
		}
	}
}

func TestASiteIsADomainWithAllItsHosts(t *testing.T) {
	for id, want := range map[string]string{
		"https://app.example/c":            "app.example",
		"https://a.b.app.example.com/c":    "example.com",
		"https://a.b.example.co.uk:8443/c": "example.co.uk",
		"https://ada.github.io/c":          "ada.github.io", // others publish at other names
		"https://192.0.2.1:8443/c":         "192.0.2.1",
		"https://[2001:db8::1]/c":          "2001:db8::1",
		"https://intranet/c":               "intranet",
	} {
		if got := siteOf(id); got != want {
			t.Errorf("%s: %q", id, got)
		}
	}
}
