// These tests are inside the package: they need signers and encrypted keys, which are not exported.
package keys

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

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// subjectOnly is a token with one claim.
type subjectOnly struct {
	Subject string `json:"sub"`
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wrapper(t testing.TB, key byte, older ...byte) *Wrapper {
	t.Helper()
	var rest [][]byte
	for _, k := range older {
		rest = append(rest, bytes.Repeat([]byte{k}, 32))
	}
	w, err := NewWrapper(bytes.Repeat([]byte{key}, 32), rest...)
	check(t, err)
	return w
}

func newKeys(t testing.TB, db *store.DB, w *Wrapper) *Ring {
	t.Helper()
	k, err := New(Config{DB: db, Wrapper: w})
	check(t, err)
	return k
}

func TestKeysAreSealedInTheStoreAndOpenOnlyUnderTheOperatorsKey(t *testing.T) {
	db := storetest.Open(t)
	first := newKeys(t, db, wrapper(t, 1))
	check(t, first.Prepare(t.Context()))
	stored, err := db.SigningKeys(t.Context())
	check(t, err)
	private, err := first.open(stored[0])
	check(t, err)
	if private.KeyID != stored[0].ID || bytes.Contains(stored[0].Sealed, []byte("PRIVATE")) {
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
	if _, err := NewWrapper([]byte("short")); err == nil {
		t.Error("a short operator's key is taken")
	}
}

// algorithmsOf lists the alg of each published key.
func algorithmsOf(t testing.TB, k *Ring) (algs []string) {
	t.Helper()
	text, err := k.JWKS(t.Context())
	check(t, err)
	var set struct {
		Keys []jose.JSONWebKey `json:"keys"`
	}
	check(t, json.Unmarshal(text, &set))
	for _, key := range set.Keys {
		algs = append(algs, key.Algorithm)
	}
	slices.Sort(algs)
	return algs
}

// Clients cache the JWKS, so a key created together with its first token would be missing there.
func TestEveryAnnouncedAlgorithmHasAPublishedKeyFromTheStart(t *testing.T) {
	db := storetest.Open(t)
	ring := newKeys(t, db, wrapper(t, 1))
	check(t, ring.Prepare(t.Context()))
	before, err := ring.JWKS(t.Context())
	check(t, err)
	if got := algorithmsOf(t, ring); !slices.Equal(got, Algorithms) {
		t.Fatalf("published %v, announced %v", got, Algorithms)
	}
	for _, alg := range ring.Algorithms() {
		_, err := ring.Signer(t.Context(), alg)
		check(t, err)
	}
	other := newKeys(t, db, wrapper(t, 1))
	check(t, other.Prepare(t.Context()))
	after, err := other.JWKS(t.Context())
	check(t, err)
	if !bytes.Equal(before, after) {
		t.Errorf("another key was made later:\n%s\n%s", before, after)
	}
}

func TestReplicasThatNeedAFirstKeyAtOnceAgreeOnOne(t *testing.T) {
	db := storetest.Open(t)
	w := wrapper(t, 1)
	var wg sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		ring := newKeys(t, db, w)
		wg.Go(func() {
			s, err := ring.Signer(t.Context(), ES256)
			if err != nil {
				t.Error(err)
				return
			}
			kids[i] = s.KeyID
		})
	}
	wg.Wait()
	if len(slices.Compact(kids)) != 1 {
		t.Errorf("kids: %v", kids)
	}
}

func TestTwoReplicasThatAnnounceAKeyAtOnceEndWithOne(t *testing.T) {
	db := storetest.Open(t)
	ring := newKeys(t, db, wrapper(t, 1))
	_, err := ring.Signer(t.Context(), ES256)
	check(t, err)
	for range 2 {
		next, err := ring.make(t.Context(), ES256, idp.KeyNext, time.Now())
		check(t, err)
		check(t, db.AddSigningKey(t.Context(), next))
	}
	check(t, ring.Rotate(t.Context(), time.Now()))
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
		for _, ring := range []*Ring{here, there} {
			_, err := ring.Signer(t.Context(), ES256)
			check(t, err)
		}
		s, err := here.Signer(t.Context(), EdDSA)
		check(t, err)
		before := db.RoundTrips()
		set, err := there.JWKS(t.Context())
		check(t, err)
		if strings.Contains(string(set), s.KeyID) || db.RoundTrips() != before {
			t.Error("not cached")
		}
		time.Sleep(keyCacheTTL)
		set, err = there.JWKS(t.Context())
		check(t, err)
		if !strings.Contains(string(set), s.KeyID) {
			t.Error("still unknown after 4 s")
		}
	})
}

func TestATokenOpensUnderItsOwnHeaderOnly(t *testing.T) {
	db := storetest.Open(t)
	ring := newKeys(t, db, wrapper(t, 1))
	s, err := ring.Signer(t.Context(), ES256)
	check(t, err)
	r, err := ring.Current(t.Context())
	check(t, err)
	token, err := s.Sign(TypeAccessToken, subjectOnly{"u"})
	check(t, err)
	var c subjectOnly
	check(t, r.Open(TypeAccessToken, token, &c))
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
		"alg none":              base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+s.KeyID+`","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"another alg":           resign(`{"alg":"HS256","kid":"` + s.KeyID + `","typ":"at+jwt"}`),
		"no typ":                resign(`{"alg":"ES256","kid":"` + s.KeyID + `"}`),
		"a jwk of its own":      resign(`{"alg":"ES256","kid":"` + s.KeyID + `","typ":"at+jwt","jwk":{}}`),
		"an ASN.1 signature":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(der),
		"padding":               token + "=",
		"a line break":          token + "\n",
		"four parts":            token + ".",
		"two parts":             parts[0] + "." + parts[1],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"zeros for a signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
	} {
		if err := r.Open(TypeAccessToken, bent, &c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := r.Open(TypeIDToken, token, &c); err == nil {
		t.Error("accepted as another type")
	}
}

func FuzzToken(f *testing.F) {
	db := storetest.Open(f)
	ring := newKeys(f, db, wrapper(f, 1))
	s, err := ring.Signer(f.Context(), ES256)
	check(f, err)
	r, err := ring.Current(f.Context())
	check(f, err)
	good, err := s.Sign(TypeAccessToken, subjectOnly{"u"})
	check(f, err)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("..")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, token string) {
		var c subjectOnly
		if r.Open(TypeAccessToken, token, &c) == nil && token != good {
			t.Errorf("accepted %q", token)
		}
	})
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
