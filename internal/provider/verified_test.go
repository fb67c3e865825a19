package provider

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/keys"
)

func TestAVerifiedTokenIsRememberedByItsExactBytesAlone(t *testing.T) {
	h := open(t)
	token := h.tokens(h.addClient(nil), h.addUser())["access_token"].(string)
	r, err := h.keys.Current(t.Context())
	check(t, err)
	for range 2 { // verified, then remembered
		if _, err := h.provider.verified.open(r, token); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.provider.verified.claims) != 1 {
		t.Fatalf("%d tokens are remembered", len(h.provider.verified.claims))
	}
	signature := strings.LastIndexByte(token, '.') + 1
	for _, bent := range []string{token[:signature] + strings.Repeat("A", 86), token[:len(token)-1], token + "A", "A" + token} {
		if _, err := h.provider.verified.open(r, bent); !errors.Is(err, keys.ErrToken) {
			t.Errorf("%.20s…: %v", bent, err)
		}
	}
	if len(h.provider.verified.claims) != 1 {
		t.Errorf("a refused token is remembered: %d", len(h.provider.verified.claims))
	}
}

func TestARememberedTokenStillExpiresAndIsStillRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u := h.addUser()
		token := h.tokens(h.addClient(nil), u)["access_token"].(string)
		if _, err := h.provider.present(t.Context(), token, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.provider.present(t.Context(), token, time.Now().Add(time.Hour)); !errors.Is(err, keys.ErrToken) {
			t.Errorf("an expired token: %v", err)
		}
		check(t, h.db.DisableUser(t.Context(), u.ID, time.Now()))
		if _, err := h.provider.present(t.Context(), token, time.Now()); !errors.Is(err, keys.ErrToken) {
			t.Errorf("a revoked token: %v", err)
		}
	})
}
