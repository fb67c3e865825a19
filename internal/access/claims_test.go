// This test is inside the package: it calls every method on what the parser lets through.
package access

import "testing"

func FuzzClaimsParameter(f *testing.F) {
	f.Add(`{"id_token":{"acr":{"essential":true,"values":["phrh"]}}}`)
	f.Add(`{"userinfo":{"a":null},"userinfo":{}}`)
	f.Add(`{"x":[[[{"a":1,"a":2}]]]}`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseClaims(s)
		if err == nil && c == nil {
			t.Error("neither claims nor an error")
		}
		if err == nil {
			c.Scopes()
			c.Granted([]string{"email"})
			c.IDToken["acr"].Strings()
		}
	})
}
