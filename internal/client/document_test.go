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
