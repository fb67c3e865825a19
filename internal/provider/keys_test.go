package provider

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"

	oidcclient "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

func TestAThirdPartyLibraryVerifiesOurTokens(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, alg := range keys.Algorithms {
		c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = alg })
		tok := h.tokens(c, u)
		op, err := oidcclient.NewProvider(t.Context(), h.url)
		check(t, err)
		id, err := op.Verifier(&oidcclient.Config{ClientID: c.ID, SupportedSigningAlgs: keys.Algorithms}).Verify(t.Context(), tok["id_token"].(string))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if err := id.VerifyAccessToken(tok["access_token"].(string)); err != nil {
			t.Errorf("%s: at_hash: %v", alg, err)
		}
		if id.Subject != u.ID || id.Nonce != "n-1" {
			t.Errorf("%s: %+v", alg, id)
		}
	}
}

func TestTheJWKSHoldsPublicKeysWithTheirThumbprints(t *testing.T) {
	h := open(t)
	for _, alg := range keys.Algorithms {
		_, err := h.keys.Signer(t.Context(), alg)
		check(t, err)
	}
	r := h.get(oauth.PathJWKS)
	var set jose.JSONWebKeySet
	check(t, json.Unmarshal([]byte(r.body), &set))
	if len(set.Keys) != 4 || !strings.Contains(r.Header.Get("Cache-Control"), "max-age") || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d keys, headers %v", len(set.Keys), r.Header)
	}
	for _, key := range set.Keys {
		sum, err := key.Thumbprint(crypto.SHA256)
		check(t, err)
		if !key.Valid() || !key.IsPublic() || key.Use != "sig" || key.KeyID != base64.RawURLEncoding.EncodeToString(sum) {
			t.Errorf("key %+v", key)
		}
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"k"`} {
		if strings.Contains(r.body, private) {
			t.Errorf("the set has a member %s", private)
		}
	}
}

// states lists the states of the stored keys, oldest first.
func states(t *testing.T, db *store.DB) (out []idp.KeyState) {
	t.Helper()
	stored, err := db.SigningKeys(t.Context())
	check(t, err)
	for _, k := range stored {
		out = append(out, k.State)
	}
	return out
}

func TestKeysRotateWithOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 10 * time.Minute // of a shorter year: the stores sweep every minute, which makes months of a bubble long
		h := openInBubble(t, func(c *Config) {
			w, err := keys.NewWrapper(bytes.Repeat([]byte{7}, 32))
			check(t, err)
			c.Keys, err = keys.New(keys.Config{DB: c.DB, Wrapper: w, Every: 90 * day, Ahead: 7 * day, Keep: 30 * day})
			check(t, err)
		})
		c, u := h.addClient(nil), h.addUser()
		old := h.tokens(c, u)["id_token"].(string)
		kid := func() any {
			header, _ := claims(t, h.tokens(c, u)["id_token"])
			return header["kid"]
		}
		first := kid()
		published := func(kid any) bool { return strings.Contains(h.get(oauth.PathJWKS).body, kid.(string)) }
		rotate := func(want ...idp.KeyState) {
			t.Helper()
			check(t, h.keys.Rotate(t.Context(), time.Now()))
			check(t, h.keys.Rotate(t.Context(), time.Now())) // twice does no harm
			if d := cmp.Diff(want, states(t, h.db)); d != "" {
				t.Fatalf("(-want +got):\n%s", d)
			}
		}
		rotate(idp.KeyActive)
		time.Sleep(83 * day)
		rotate(idp.KeyActive, idp.KeyNext)
		if strings.Count(h.get(oauth.PathJWKS).body, `"kid"`) != 2 || kid() != first {
			t.Error("the next key is published and does not sign")
		}
		time.Sleep(6 * day)
		rotate(idp.KeyActive, idp.KeyNext)
		time.Sleep(day)
		rotate(idp.KeyRetired, idp.KeyActive)
		second := kid()
		if second == first || !published(first) || !published(second) {
			t.Errorf("after the change: %v signs, the set is %s", second, h.get(oauth.PathJWKS).body)
		}
		if _, err := h.provider.tokens.VerifyHint(t.Context(), old); err != nil {
			t.Errorf("what the retired key signed: %v", err)
		}
		time.Sleep(30 * day)
		check(t, h.keys.Rotate(t.Context(), time.Now()))
		if published(first) {
			t.Error("a retired key never leaves the set")
		}
		if _, err := h.provider.tokens.VerifyHint(t.Context(), old); err == nil {
			t.Error("a key that has left still verifies")
		}
	})
}
