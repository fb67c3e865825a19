package x509name_test

import (
	"testing"

	"github.com/stepward/stepward/internal/x509name"
)

func FuzzDistinguishedName(f *testing.F) {
	for _, s := range []string{"CN=acme,O=Acme", `CN=a\,b+OU=\20x\20`, "CN=#0c0461636d65", "1.2.3=x", `CN=\`, "=", "CN=a,", "CN= "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := x509name.Parse(text)
		if err != nil {
			return
		}
		for _, rdn := range name {
			for _, a := range rdn {
				if a.OID == "" || a.Value == "" {
					t.Fatalf("%q: %v", text, name)
				}
			}
		}
	})
}
