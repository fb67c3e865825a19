package passkey_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// fixChallenge gives a ceremony a known challenge, so that findings can be reproduced in another process.
func fixChallenge(cer passkey.Ceremony) passkey.Ceremony {
	cer.Challenge = []byte("0123456789abcdef0123456789abcdef")
	cer.Session.Challenge = base64.RawURLEncoding.EncodeToString(cer.Challenge)
	return cer
}

// checkRefusal checks that an error is one of those documented, and does not contain the challenge.
func checkRefusal(t *testing.T, cer passkey.Ceremony, err error) {
	t.Helper()
	for _, known := range []error{passkey.ErrRefused, passkey.ErrNotVerified, passkey.ErrCounter, passkey.ErrUnknownCredential} {
		if errors.Is(err, known) {
			if strings.Contains(reason(err), base64.RawURLEncoding.EncodeToString(cer.Challenge)) {
				t.Errorf("the challenge is in the error: %v", err)
			}
			return
		}
	}
	t.Errorf("undocumented error: %v", err)
}

func FuzzFinishAssertion(f *testing.F) {
	h := newHouse(f)
	ada := idp.User{ID: "ada", Handle: []byte(strings.Repeat("h", 64)), Email: "ada@example.com"}
	h.users[ada.ID] = ada
	a := passkeytest.New(origin)
	k := h.register(ada, a)
	cer := fixChallenge(h.begin())
	for _, change := range []func(){
		func() {},
		func() { a.Flags |= idp.FlagBackupEligible },
		func() { a.Unasked = map[string]any{"appid": true, "prf": map[string]any{"enabled": true}} },
	} {
		change()
		response := h.get(a, h.SignInOptions(cer.Challenge))
		f.Add(response)
		f.Add(edit(f, response, forgeSignature))
	}
	// Every credential ID is found, so that inputs of another process reach the signature.
	find := func(_ context.Context, id, _ []byte) (idp.Passkey, idp.User, error) {
		k.CredentialID = id
		return k, ada, nil
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		got, err := h.FinishAssertion(t.Context(), cer, browser, response, cer.CreatedAt, find)
		if err != nil {
			checkRefusal(t, cer, err)
		} else if !got.Authentication.UserVerified || got.Authentication.UserID != ada.ID {
			t.Errorf("got %+v", got.Authentication)
		}
	})
}

func FuzzFinishRegistration(f *testing.F) {
	maker := newAttestor(f)
	h := newHouse(f, direct(maker.Entry()))
	ada := h.newUser("ada")
	cer, options, err := h.NewRegistration(f.Context(), ada, nil, browser)
	if err != nil {
		f.Fatal(err)
	}
	cer = fixChallenge(cer)
	options = []byte(strings.Replace(string(options), challengeOf(f, options), base64.RawURLEncoding.EncodeToString(cer.Challenge), 1))
	for _, change := range []func(*passkeytest.Authenticator){
		func(*passkeytest.Authenticator) {},
		func(a *passkeytest.Authenticator) { a.Algorithm = passkeytest.ES256 },
		func(a *passkeytest.Authenticator) { a.Algorithm, a.SelfAttest = passkeytest.RS256, true },
		func(a *passkeytest.Authenticator) { a.Attestor, a.AAGUID = maker, maker.AAGUID },
	} {
		a := passkeytest.New(origin)
		change(a)
		response, err := a.Create(options)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(response)
	}
	stored, err := json.Marshal(cer)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		put := &ephemeral.Op{Verb: ephemeral.Put, Key: "ceremony:" + cer.ID, Value: stored, TTL: time.Hour}
		if err := h.store.Do(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		k, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, cer.CreatedAt)
		if err != nil {
			checkRefusal(t, cer, err)
		} else if k.UserID != ada.ID || !k.UVInitialized || len(k.CredentialID) == 0 || len(k.PublicKey) == 0 {
			t.Errorf("got %+v", k)
		}
	})
}

func challengeOf(t testing.TB, options []byte) string {
	t.Helper()
	var o struct{ PublicKey struct{ Challenge string } }
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return o.PublicKey.Challenge
}
