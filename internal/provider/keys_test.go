package provider

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	oidcclient "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func wrapper(t testing.TB, key byte, older ...byte) *KeyWrapper {
	t.Helper()
	var rest [][]byte
	for _, k := range older {
		rest = append(rest, bytes.Repeat([]byte{k}, 32))
	}
	w, err := NewKeyWrapper(bytes.Repeat([]byte{key}, 32), rest...)
	check(t, err)
	return w
}

func newKeys(t testing.TB, db *store.DB, w *KeyWrapper) *Keys {
	t.Helper()
	k, err := NewKeys(KeysConfig{DB: db, Wrapper: w})
	check(t, err)
	return k
}

func TestAnApplicationOfAnotherHouseVerifiesOurTokens(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, alg := range algorithms {
		c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = alg })
		tok := h.tokens(c, u)
		op, err := oidcclient.NewProvider(t.Context(), h.url)
		check(t, err)
		id, err := op.Verifier(&oidcclient.Config{ClientID: c.ID, SupportedSigningAlgs: algorithms}).Verify(t.Context(), tok["id_token"].(string))
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
	for _, alg := range algorithms {
		_, _, err := h.keys.signer(t.Context(), alg)
		check(t, err)
	}
	r := h.get(pathJWKS)
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

func TestKeysAreSealedInTheStoreAndOpenOnlyUnderTheOperatorsKey(t *testing.T) {
	db := storetest.Open(t)
	first := newKeys(t, db, wrapper(t, 1))
	check(t, first.Prepare(t.Context()))
	stored, err := db.SigningKeys(t.Context())
	check(t, err)
	private, err := first.open(stored[0])
	check(t, err)
	if private.kid != stored[0].ID || bytes.Contains(stored[0].Sealed, []byte("PRIVATE")) {
		t.Error("not the sealed key")
	}
	if _, err := newKeys(t, db, wrapper(t, 2)).JWKS(t.Context()); !errors.Is(err, ErrOperatorKey) {
		t.Errorf("another operator's key: %v", err)
	}
	if _, err := newKeys(t, db, wrapper(t, 2, 1)).JWKS(t.Context()); err != nil {
		t.Errorf("the new key with the old one beside it: %v", err)
	}
	moved := stored[0]
	moved.ID = "another place"
	if _, err := first.open(moved); err == nil {
		t.Error("a sealed key opens in another key's place")
	}
	if _, err := NewKeyWrapper([]byte("short")); err == nil {
		t.Error("a short operator's key is taken")
	}
}

func TestReplicasThatNeedAFirstKeyAtOnceAgreeOnOne(t *testing.T) {
	db := storetest.Open(t)
	w := wrapper(t, 1)
	var wg sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		keys := newKeys(t, db, w)
		wg.Go(func() {
			s, _, err := keys.signer(t.Context(), ES256)
			if err != nil {
				t.Error(err)
				return
			}
			kids[i] = s.kid
		})
	}
	wg.Wait()
	if len(slices.Compact(kids)) != 1 {
		t.Errorf("kids: %v", kids)
	}
}

// states lists the stored keys as algorithm-free words, oldest first.
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
		h := openInBubble(t)
		h.keys.cfg.Every, h.keys.cfg.Ahead, h.keys.cfg.Keep = 90*day, 7*day, 30*day
		c, u := h.addClient(nil), h.addUser()
		old := h.tokens(c, u)["id_token"].(string)
		kid := func() any {
			header, _ := claims(t, h.tokens(c, u)["id_token"])
			return header["kid"]
		}
		first := kid()
		published := func(kid any) bool { return strings.Contains(h.get(pathJWKS).body, kid.(string)) }
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
		if strings.Count(h.get(pathJWKS).body, `"kid"`) != 2 || kid() != first {
			t.Error("the next key is published and does not sign")
		}
		time.Sleep(6 * day)
		rotate(idp.KeyActive, idp.KeyNext)
		time.Sleep(day)
		rotate(idp.KeyRetired, idp.KeyActive)
		second := kid()
		if second == first || !published(first) || !published(second) {
			t.Errorf("after the change: %v signs, the set is %s", second, h.get(pathJWKS).body)
		}
		if _, err := h.provider.verifyHint(t.Context(), old); err != nil {
			t.Errorf("what the retired key signed: %v", err)
		}
		time.Sleep(30 * day)
		check(t, h.keys.Rotate(t.Context(), time.Now()))
		if published(first) {
			t.Error("a retired key never leaves the set")
		}
		if _, err := h.provider.verifyHint(t.Context(), old); err == nil {
			t.Error("a key that has left still verifies")
		}
	})
}

func TestTwoReplicasThatAnnounceAKeyAtOnceEndWithOne(t *testing.T) {
	db := storetest.Open(t)
	keys := newKeys(t, db, wrapper(t, 1))
	check(t, keys.Prepare(t.Context()))
	for range 2 {
		next, err := keys.make(t.Context(), ES256, idp.KeyNext, time.Now())
		check(t, err)
		check(t, db.AddSigningKey(t.Context(), next))
	}
	check(t, keys.Rotate(t.Context(), time.Now()))
	got := states(t, db)
	slices.Sort(got)
	if d := cmp.Diff([]idp.KeyState{idp.KeyActive, idp.KeyNext, idp.KeyRetired}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAReplicaLearnsOfNewKeysWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		w := wrapper(t, 1)
		here, there := newKeys(t, db, w), newKeys(t, db, w)
		check(t, here.Prepare(t.Context()))
		check(t, there.Prepare(t.Context()))
		s, _, err := here.signer(t.Context(), EdDSA)
		check(t, err)
		before := db.RoundTrips()
		set, err := there.JWKS(t.Context())
		check(t, err)
		if strings.Contains(string(set), s.kid) || db.RoundTrips() != before {
			t.Error("not cached")
		}
		time.Sleep(keyCacheTTL)
		set, err = there.JWKS(t.Context())
		check(t, err)
		if !strings.Contains(string(set), s.kid) {
			t.Error("still unknown after 4 s")
		}
	})
}

func TestATokenOpensUnderItsOwnHeaderOnly(t *testing.T) {
	db := storetest.Open(t)
	keys := newKeys(t, db, wrapper(t, 1))
	s, r, err := keys.signer(t.Context(), ES256)
	check(t, err)
	token, err := s.sign(typAccessToken, accessClaims{Subject: "u"})
	check(t, err)
	var c accessClaims
	check(t, r.open(typAccessToken, token, &c))
	if c.Subject != "u" {
		t.Errorf("claims: %+v", c)
	}
	parts := strings.Split(token, ".")
	resign := func(header string) string {
		input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1]
		sig, err := s.signature([]byte(input))
		check(t, err)
		return input + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	der, err := s.key.Sign(nil, digest[:], crypto.SHA256)
	check(t, err)
	for name, bent := range map[string]string{
		"alg none":              base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+s.kid+`","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"another alg":           resign(`{"alg":"HS256","kid":"` + s.kid + `","typ":"at+jwt"}`),
		"no typ":                resign(`{"alg":"ES256","kid":"` + s.kid + `"}`),
		"a jwk of its own":      resign(`{"alg":"ES256","kid":"` + s.kid + `","typ":"at+jwt","jwk":{}}`),
		"an ASN.1 signature":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(der),
		"padding":               token + "=",
		"a line break":          token + "\n",
		"four parts":            token + ".",
		"two parts":             parts[0] + "." + parts[1],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"zeros for a signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
	} {
		if err := r.open(typAccessToken, bent, &c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := r.open(typIDToken, token, &c); err == nil {
		t.Error("accepted as another type")
	}
}

func FuzzToken(f *testing.F) {
	db := storetest.Open(f)
	keys := newKeys(f, db, wrapper(f, 1))
	s, r, err := keys.signer(f.Context(), ES256)
	check(f, err)
	good, err := s.sign(typAccessToken, accessClaims{Subject: "u"})
	check(f, err)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("..")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, token string) {
		var c accessClaims
		if r.open(typAccessToken, token, &c) == nil && token != good {
			t.Errorf("accepted %q", token)
		}
	})
}
