// These tests are inside the package: they look at rules that a whole registration only shows in part.
package client

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzClientMetadata(f *testing.F) {
	f.Add([]byte(`{"redirect_uris":["https://app.example/cb"],"client_name":"App"}`))
	f.Add([]byte(`{"redirect_uris":["com.example.app:/cb"],"application_type":"native","scope":"openid","default_max_age":1}`))
	f.Add([]byte(`{"jwks":{"keys":[{"kty":"EC"}]},"client_name":null,"contacts":["a"],"redirect_uris":[""]}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		members, err := oauth.Members(document)
		if err != nil {
			return
		}
		m, err := decodeMetadata(maps.Clone(members))
		if err != nil {
			return
		}
		c, err := m.apply(idp.Client{ID: "x", Policy: idp.PolicyStandard, Dynamic: true}, []string{"openid"})
		if err != nil || checkClient(c, idp.Policy{Decay: idp.DefaultDecay()}) != nil {
			return
		}
		if c.FirstParty || c.ResourceServer || !slices.Equal(c.Scopes, []string{"openid"}) {
			t.Errorf("%s became %+v", document, c)
		}
		// What is registered can be registered again as it was told, and stays the same.
		told, err := json.Marshal(metadataOf(c))
		check(t, err)
		members, err = oauth.Members(told)
		check(t, err)
		again, err := decodeMetadata(members)
		check(t, err)
		same, err := again.apply(idp.Client{ID: "x", Policy: idp.PolicyStandard, Dynamic: true}, []string{"openid"})
		check(t, err)
		if a, b := encoded(t, c), encoded(t, same); string(a) != string(b) {
			t.Errorf("%s\nbecame %s\nand then %s", document, a, b)
		}
	})
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	check(t, err)
	return text
}
