package web

import "testing"

func TestWordsOfSeveralAlphabetsAreMarked(t *testing.T) {
	for name, want := range map[string]bool{
		"Acme Bank": false, "mуbank": true, "Αcme": true, "Яндекс Music": false, "Ελληνική Bank": false, "日本Bank": false, "Bank2Go": false, "Café": false, "my-bаnk": true, "": false,
	} {
		if got := mixesScripts(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
