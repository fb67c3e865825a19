// This test is inside the package: what is remembered shows in nothing but time.
package token

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/store/storetest"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAVerifiedTokenIsRememberedByItsExactBytesAlone(t *testing.T) {
	wrapper, err := keys.NewWrapper(make([]byte, 32))
	check(t, err)
	ring, err := keys.New(keys.Config{DB: storetest.Open(t), Wrapper: wrapper})
	check(t, err)
	signer, err := ring.Signer(t.Context(), keys.ES256)
	check(t, err)
	token, err := signer.Sign(keys.TypeAccessToken, AccessClaims{Subject: "u"})
	check(t, err)
	set, err := ring.Current(t.Context())
	check(t, err)
	var v verified
	for range 2 { // verified, then remembered
		if c, err := v.open(set, token); err != nil || c.Subject != "u" {
			t.Fatal(c, err)
		}
	}
	if len(v.claims) != 1 {
		t.Fatalf("%d tokens are remembered", len(v.claims))
	}
	signature := strings.LastIndexByte(token, '.') + 1
	for _, bent := range []string{token[:signature] + strings.Repeat("A", 86), token[:len(token)-1], token + "A", "A" + token} {
		if _, err := v.open(set, bent); !errors.Is(err, keys.ErrToken) {
			t.Errorf("%.20s…: %v", bent, err)
		}
	}
	if len(v.claims) != 1 {
		t.Errorf("a refused token is remembered: %d", len(v.claims))
	}
	if _, err := v.open(&keys.Set{}, token); err == nil {
		t.Error("a token is remembered beyond the keys that verified it")
	}
}
