package client

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys/keystest"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store/storetest"
)

// signed returns an assertion of client "app" that ends in five minutes.
func signed(t testing.TB, key crypto.Signer) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{
		"iss": "app", "sub": "app", "aud": "https://id.example", "exp": time.Now().Unix() + 300, "jti": idp.NewID(),
	})
	check(t, err)
	input := enc([]byte(`{"alg":"ES256"}`)) + "." + enc(claims)
	return input + "." + enc(keystest.Sign(t, "ES256", key, []byte(input)))
}

func authenticator(t testing.TB, key crypto.Signer) (*Authenticator, idp.Client) {
	t.Helper()
	return NewAuthenticator(AuthenticatorConfig{Issuer: "https://id.example", DB: storetest.Open(t), Ephemeral: ephemeraltest.Open(t)}), idp.Client{
		ID: "app", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodPrivateKey,
		JWKS: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}},
	}
}

func TestAnAssertionIsRememberedForReplicasWithSlowClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := keystest.NewKey(t, "ES256")
		s, c := authenticator(t, key)
		a, err := parseAssertion(signed(t, key))
		check(t, err)
		for i, behind := range []time.Duration{0, signedSkew} {
			now := time.Now().Add(-behind)
			check(t, s.checkAssertion(t.Context(), a, c, oauth.PathToken, now))
			fresh, err := s.markUsed(t.Context(), a, now)
			check(t, err)
			if fresh != (i == 0) {
				t.Errorf("%v behind: fresh %v", behind, fresh)
			}
			time.Sleep(300*time.Second + signedSkew - time.Millisecond)
		}
	})
}

func FuzzClientAssertion(f *testing.F) {
	key := keystest.NewKey(f, "ES256")
	s, c := authenticator(f, key)
	now, good := time.Now(), signed(f, key)
	first, err := parseAssertion(good)
	check(f, err)
	f.Add(good)
	f.Add("a.b.c")
	f.Add(good + "\n")
	f.Add(good[:len(good)-1])
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"ES256","jwk":{}}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":"ES256","x5c":["x"]}`} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(header)) + good[strings.Index(good, "."):])
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAssertion(text)
		if err != nil {
			return
		}
		if s.checkAssertion(t.Context(), a, c, oauth.PathToken, now) == nil && a.claims.ID != first.claims.ID { // another spelling of the same is caught by its jti
			t.Errorf("believed %q", text)
		}
	})
}
