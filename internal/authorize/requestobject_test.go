// This test is inside the package: from outside, an unsigned request object does not get this far.
package authorize

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

func FuzzRequestObject(f *testing.F) {
	const issuer = "https://id.example"
	c := idp.Client{ID: "app", Policy: idp.PolicyStandard}
	enc := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, claims := range []string{`"max_age":1e3`, `"claims":{}`, `"resource":["a","b"]`, `"request":null`, `"aud":[]`, `"exp":-1e400`, `"scope":"openid"`} {
		f.Add(enc(`{"alg":"ES256"}`) + "." + enc(`{"client_id":"app","aud":"`+issuer+`",`+claims+`}`) + "." + enc("signature"))
	}
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseRequestObject(text)
		if err != nil {
			return
		}
		form, err := o.form()
		for name, values := range form {
			if name != "resource" && len(values) != 1 || !slices.Contains(Params, name) {
				t.Errorf("%s: %q", name, values)
			}
		}
		if err == nil && o.check(c, issuer, time.Now()) == nil && form.Get("client_id") != c.ID {
			t.Errorf("another client's request was accepted: %q", text)
		}
	})
}
