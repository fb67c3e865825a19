package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/sealed"
	"github.com/stepward/stepward/internal/store/storetest"
)

var oldKey, newKey = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

func secretsUnder(t testing.TB, db *store.DB, operator ...[]byte) *Secrets {
	t.Helper()
	s, err := LoadSecrets(t.Context(), db, operator)
	check(t, err)
	return s
}

func TestTheOperatorsKeyChangesWhileReplicasRun(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		before, after := newKeys(t, db, wrapper(t, 1, 2)), newKeys(t, db, wrapper(t, 2, 1))
		check(t, before.Prepare(t.Context()))
		subject := secretsUnder(t, db, oldKey, newKey).Key("subject")
		signer, err := before.Signer(t.Context(), ES256)
		check(t, err)
		token, err := signer.Sign("JWT", subjectOnly{"ada"})
		check(t, err)

		// Replicas with either key first make keys, and both read them.
		check(t, before.RotateNow(t.Context(), time.Now()))
		check(t, after.RotateNow(t.Context(), time.Now()))
		check(t, newKeys(t, db, wrapper(t, 1, 2)).Prepare(t.Context()))

		if _, err := Reseal(t.Context(), db, wrapper(t, 2), time.Now()); !errors.Is(err, ErrOperatorKey) {
			t.Errorf("without the old key: %v", err)
		}
		n, err := Reseal(t.Context(), db, wrapper(t, 2, 1), time.Now())
		if stored, _ := db.SigningKeys(t.Context()); err != nil || n == 0 || n > len(stored)+1 {
			t.Errorf("%d of %d keys encrypted anew, %v", n, len(stored), err)
		}
		if again, err := Reseal(t.Context(), db, wrapper(t, 2, 1), time.Now()); err != nil || again != 0 {
			t.Errorf("the second time: %d %v", again, err)
		}

		// The old key opens nothing any more, the new one alone opens everything, and nothing else has changed.
		if _, err := newKeys(t, db, wrapper(t, 1)).Current(t.Context()); !errors.Is(err, ErrOperatorKey) {
			t.Errorf("signing keys under the old key: %v", err)
		}
		if _, err := LoadSecrets(t.Context(), db, [][]byte{oldKey}); !errors.Is(err, ErrOperatorKey) {
			t.Errorf("secrets under the old key: %v", err)
		}
		alone, err := newKeys(t, db, wrapper(t, 2)).Current(t.Context())
		check(t, err)
		var got subjectOnly
		if err := alone.Open("JWT", token, &got); err != nil || got.Subject != "ada" {
			t.Errorf("a token from before: %v %v", got, err)
		}
		if !bytes.Equal(secretsUnder(t, db, newKey).Key("subject"), subject) {
			t.Error("pairwise subs have changed")
		}
		// A replica that knows only the old key goes on with what it has opened.
		if _, err := before.Signer(t.Context(), ES256); err != nil {
			t.Errorf("a running replica: %v", err)
		}
	})
}

func TestSecretsOfAnOlderInstallationStayWhatTheyWere(t *testing.T) {
	db := storetest.Open(t)
	check(t, newKeys(t, db, wrapper(t, 1)).Prepare(t.Context())) // by a program that stored no secrets
	s := secretsUnder(t, db, newKey, oldKey)                     // the first start of this one has another key already
	for _, purpose := range []string{"decoy", "refresh", "subject", "recovery-codes"} {
		want, err := hkdf.Key(sha256.New, oldKey, nil, "stepward/"+purpose, 32)
		check(t, err)
		if !bytes.Equal(s.Key(purpose), want) {
			t.Errorf("%s has changed", purpose)
		}
	}
	if bytes.Equal(s.Key("other"), derive(oldKey, "other")) {
		t.Error("a new purpose hangs on the operator's key")
	}
	if _, err := LoadSecrets(t.Context(), db, [][]byte{bytes.Repeat([]byte{3}, 32)}); !errors.Is(err, ErrOperatorKey) {
		t.Errorf("another key: %v", err)
	}
	fresh := storetest.Open(t)
	if bytes.Equal(secretsUnder(t, fresh, oldKey).Key("subject"), derive(oldKey, "subject")) {
		t.Error("a new installation derives its secrets from the operator's key")
	}
	if blob, err := sealed.Secrets(t.Context(), fresh); err != nil || bytes.Contains(blob, []byte("seed")) {
		t.Errorf("stored in clear: %q %v", blob, err)
	}
}

func TestAWithdrawnKeyIsRefusedAtOnceAndStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		k, replica := newKeys(t, db, wrapper(t, 1)), newKeys(t, db, wrapper(t, 1))
		check(t, k.Prepare(t.Context()))
		signer, err := replica.Signer(t.Context(), ES256)
		check(t, err)
		token, err := signer.Sign("JWT", subjectOnly{"ada"})
		check(t, err)
		stored, err := db.SigningKeys(t.Context())
		check(t, err)
		active, _ := activeOf(stored, ES256)
		check(t, k.Withdraw(t.Context(), active.ID, time.Now()))
		time.Sleep(5 * time.Second)
		for name, ring := range map[string]*Ring{"this replica": k, "another": replica} {
			set, err := ring.Current(t.Context())
			check(t, err)
			if set.Open("JWT", token, &subjectOnly{}) == nil {
				t.Errorf("%s accepts what it signed", name)
			}
			if jwks, err := ring.JWKS(t.Context()); err != nil || bytes.Contains(jwks, []byte(active.ID)) {
				t.Errorf("%s publishes it: %v", name, err)
			}
			if s, err := ring.Signer(t.Context(), ES256); err != nil || strings.Contains(s.headers["JWT"], active.ID) || s == signer {
				t.Errorf("%s signs with it: %v", name, err)
			}
		}
		if err := k.Withdraw(t.Context(), active.ID, time.Now()); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		if err := k.Withdraw(t.Context(), "no-such-key", time.Now()); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("an unknown key: %v", err)
		}
		events, err := db.Events(t.Context(), "", 100)
		check(t, err)
		if !slices.ContainsFunc(events, func(e idp.Event) bool { return e.Kind == idp.EventKeyWithdrawn && e.Detail["kid"] == active.ID }) {
			t.Errorf("no event: %+v", events)
		}
	})
}

// transit is Vault's transit engine as its API documentation describes it, for one key and one token.
func transit(t *testing.T) (url string, encrypt func([]byte) string) {
	block, err := aes.NewCipher(bytes.Repeat([]byte{9}, 32))
	check(t, err)
	aead, err := cipher.NewGCM(block)
	check(t, err)
	fail := func(w http.ResponseWriter, status int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string][]string{"errors": {message}})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/transit/decrypt/stepward", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Ciphertext string }
		if r.Header.Get("X-Vault-Token") != "s.token" || r.Header.Get("X-Vault-Request") != "true" || r.Header.Get("X-Vault-Namespace") != "team" {
			fail(w, http.StatusForbidden, "permission denied")
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(in.Ciphertext, "vault:v1:"))
		if err != nil || len(raw) < 12 {
			fail(w, http.StatusBadRequest, "invalid ciphertext: no prefix")
			return
		}
		plain, err := aead.Open(nil, raw[:12], raw[12:], nil)
		if err != nil {
			fail(w, http.StatusBadRequest, "invalid ciphertext: unable to decrypt")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 0,
			"data": map[string]string{"plaintext": base64.StdEncoding.EncodeToString(plain)}, "wrap_info": nil, "warnings": nil, "auth": nil,
		})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, func(plain []byte) string {
		nonce := make([]byte, 12)
		_, _ = rand.Read(nonce)
		return "vault:v1:" + base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, nil))
	}
}

func TestVaultDecryptsTheOperatorsKey(t *testing.T) {
	address, encrypt := transit(t)
	v, err := NewVault(address+"/transit/stepward?namespace=team", "s.token")
	check(t, err)
	key, err := v.Decrypt(t.Context(), encrypt(oldKey))
	if err != nil || !bytes.Equal(key, oldKey) {
		t.Errorf("%x %v", key, err)
	}
	if _, err := v.Decrypt(t.Context(), "vault:v1:AAAA"); err == nil || !strings.Contains(err.Error(), "invalid ciphertext") {
		t.Errorf("a broken ciphertext: %v", err)
	}
	denied, err := NewVault(address+"/transit/stepward?namespace=team", "s.wrong")
	check(t, err)
	if _, err := denied.Decrypt(t.Context(), encrypt(oldKey)); err == nil || !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "s.wrong") {
		t.Errorf("a wrong token: %v", err)
	}
	for _, text := range []string{
		"vault.example.com", "http://vault.example.com/transit/stepward", "https://vault.example.com/stepward", "https://vault.example.com/transit/",
		"ftp://vault.example.com/transit/stepward", "https://me:secret@vault.example.com/transit/stepward",
	} {
		if _, err := NewVault(text, ""); err == nil || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", text, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Decrypt(ctx, encrypt(oldKey)); err == nil {
		t.Error("decrypted although its caller has left")
	}
}
