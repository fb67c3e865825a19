package passkey_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

func unavailable(context.Context, []byte, []byte) (idp.Passkey, idp.User, error) {
	return idp.Passkey{}, idp.User{}, fmt.Errorf("find: %w", idp.ErrUnavailable)
}

func forgeSignature(_, inner map[string]any) {
	signature, _ := base64.RawURLEncoding.DecodeString(inner["signature"].(string))
	signature[len(signature)-1] ^= 1
	inner["signature"] = base64.RawURLEncoding.EncodeToString(signature)
}

// bends are changes that neither ceremony may accept. Each is an attack or a misconfiguration.
var bends = map[string]func(*passkeytest.Authenticator){
	"wrong origin": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.Origin = "https://login.example.com.evil.example" }
	},
	"sibling origin": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.Origin = "https://other.example.com" }
	},
	"other port": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.Origin = origin + ":8443" }
	},
	"plain http": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.Origin = "http://login.example.com" }
	},
	"wrong RP ID": func(a *passkeytest.Authenticator) { a.BendData = func(authData []byte) { authData[0] ^= 1 } },
	"wrong type": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) {
			c.Type = map[string]string{"webauthn.get": "webauthn.create", "webauthn.create": "webauthn.get"}[c.Type]
		}
	},
	"cross-origin": func(a *passkeytest.Authenticator) { a.Bend = func(c *passkeytest.ClientData) { c.CrossOrigin = true } },
	"top origin": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.TopOrigin = "https://shop.example" }
	},
	"other challenge": func(a *passkeytest.Authenticator) {
		a.Bend = func(c *passkeytest.ClientData) { c.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }
	},
	"no user present":             func(a *passkeytest.Authenticator) { a.Flags = idp.FlagUserVerified },
	"backed up, but not eligible": func(a *passkeytest.Authenticator) { a.Flags |= idp.FlagBackedUp },
}

func TestATamperedSignInIsRefused(t *testing.T) {
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			a := passkeytest.New(origin)
			h.register(h.newUser("ada"), a)
			bend(a)
			if _, err := h.signIn(a); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestATamperedRegistrationIsRefused(t *testing.T) {
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			a := passkeytest.New(origin)
			bend(a)
			if _, err := h.tryRegister(h.newUser("ada"), a); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAForgedSignatureIsRefused(t *testing.T) {
	for _, alg := range []int{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
		h := newHouse(t)
		a := passkeytest.New(origin)
		a.Algorithm = alg
		h.register(h.newUser("ada"), a)
		cer := h.begin()
		response := h.get(a, h.SignInOptions(cer.Challenge))
		if _, err := h.finish(cer, edit(t, response, forgeSignature)); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("algorithm %d: %v", alg, err)
		}
		// Client data and authenticator data are under the signature too.
		for _, member := range []string{"clientDataJSON", "authenticatorData"} {
			changed := edit(t, response, func(_, inner map[string]any) {
				data, _ := base64.RawURLEncoding.DecodeString(inner[member].(string))
				if member == "clientDataJSON" {
					data = append(data, ' ')
				} else {
					data[36]++ // the counter
				}
				inner[member] = base64.RawURLEncoding.EncodeToString(data)
			})
			if _, err := h.finish(cer, changed); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("algorithm %d, %s changed: %v", alg, member, err)
			}
		}
	}
}

func TestTheChallengeOfAnotherCeremonyIsRefused(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	h.register(h.newUser("ada"), a)
	one, other := h.begin(), h.begin()
	response := h.get(a, h.SignInOptions(other.Challenge))
	_, err := h.finish(h.take(one.ID), response)
	if !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), base64.RawURLEncoding.EncodeToString(other.Challenge)) {
		t.Errorf("a live challenge is in the error: %v", err)
	}
}

func TestACeremonyFinishesOnlyWhereItBegan(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.FinishRegistration(t.Context(), cer.ID, "another browser", ada, response, time.Now()); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("registration: %v", err)
	}
	h.register(ada, a)
	for _, began := range []string{browser, ""} {
		cer, _, err := h.NewSignIn("i", began)
		if err != nil {
			t.Fatal(err)
		}
		response := h.get(a, h.SignInOptions(cer.Challenge))
		for _, binding := range []string{"another browser", ""} {
			h.finds = 0
			_, err := h.FinishAssertion(t.Context(), cer, binding, response, time.Now(), h.find)
			if !errors.Is(err, passkey.ErrRefused) || h.finds != 0 {
				t.Errorf("begun in %q, finished in %q: %v after %d finds", began, binding, err, h.finds)
			}
		}
	}
}

func TestACeremonyServesOnlyItsPurpose(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, a)
	registration, _, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	response := h.get(a, h.SignInOptions(registration.Challenge))
	if _, err := h.finish(h.take(registration.ID), response); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("an assertion with a registration's challenge: %v", err)
	}
	signIn := h.begin()
	if _, err := h.FinishRegistration(t.Context(), signIn.ID, browser, ada, response, time.Now()); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("a registration with a sign-in's challenge: %v", err)
	}
}

func TestAStepUpByAnotherUserIsRefused(t *testing.T) {
	h := newHouse(t)
	ada, bob := h.newUser("ada"), h.newUser("bob")
	adas, bobs := passkeytest.New(origin), passkeytest.New(origin)
	h.register(ada, adas)
	h.register(bob, bobs)
	cer, options := h.beginStepUp(ada)
	if _, err := h.finish(cer, h.get(bobs, withoutAllowList(t, options))); !errors.Is(err, passkey.ErrWrongUser) {
		t.Errorf("got %v", err)
	}
	registration, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	response, err := passkeytest.New(origin).Create(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.FinishRegistration(t.Context(), registration.ID, browser, bob, response, time.Now()); !errors.Is(err, passkey.ErrWrongUser) {
		t.Errorf("registration for another user: %v", err)
	}
}

func TestAStepUpAcceptsOnlyTheRequestedPasskeys(t *testing.T) {
	h := newHouse(t)
	ada, strong, weak := h.newUser("ada"), passkeytest.New(origin), passkeytest.New(origin)
	k := h.register(ada, strong)
	h.register(ada, weak)
	cer, options, _, err := h.NewAssertion(idp.PurposeStepUp, "i", browser, ada.ID, []idp.Passkey{k}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.finish(cer, h.get(weak, withoutAllowList(t, options))); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if _, _, _, err := h.NewAssertion(idp.PurposeStepUp, "i", browser, ada.ID, nil, nil); err == nil {
		t.Error("a step-up without passkeys was begun")
	}
	if _, _, _, err := h.NewAssertion(idp.PurposeStepUp, "i", browser, "", []idp.Passkey{k}, nil); err == nil {
		t.Error("a step-up without a user was begun")
	}
}

func TestTheUserHandleMustBeTheUsers(t *testing.T) {
	h := newHouse(t)
	ada, bob, a := h.newUser("ada"), h.newUser("bob"), passkeytest.New(origin)
	h.register(ada, a)
	a.Passkeys[0].UserHandle = bob.Handle
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("bob's handle on ada's passkey: %v", err)
	}
	a.OmitUserHandle = true
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("no handle at all: %v", err)
	}
}

func TestAnUnverifiedUserIsRefused(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	a.Flags = idp.FlagUserPresent
	if _, err := h.tryRegister(ada, a); !errors.Is(err, passkey.ErrNotVerified) {
		t.Errorf("registration: %v", err)
	}
	a = passkeytest.New(origin)
	h.register(ada, a)
	a.Flags = idp.FlagUserPresent
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrNotVerified) {
		t.Errorf("sign-in: %v", err)
	}
}

func TestADisabledUserIsToldOnlyAfterProof(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, a)
	ada.DisabledAt = time.Now()
	h.users[ada.ID] = ada
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrDisabled) {
		t.Errorf("got %v", err)
	}
	cer := h.begin()
	forged := edit(t, h.get(a, h.SignInOptions(cer.Challenge)), forgeSignature)
	if _, err := h.finish(cer, forged); errors.Is(err, passkey.ErrDisabled) {
		t.Error("a forged response reveals that the account is disabled")
	}
	if _, err := h.tryRegister(ada, passkeytest.New(origin)); !errors.Is(err, passkey.ErrDisabled) {
		t.Errorf("registration: %v", err)
	}
}

func TestASuspendedPasskeyIsToldOnlyAfterProof(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, a)
	h.keys[0].SuspendedAt = time.Now()
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrSuspended) {
		t.Errorf("got %v", err)
	}
	cer := h.begin()
	forged := edit(t, h.get(a, h.SignInOptions(cer.Challenge)), forgeSignature)
	if _, err := h.finish(cer, forged); errors.Is(err, passkey.ErrSuspended) {
		t.Error("a forged response reveals that the passkey is suspended")
	}
}

func TestAnExpiredCeremonyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ada, a := h.newUser("ada"), passkeytest.New(origin)
		h.register(ada, a)
		signIn := h.begin()
		response := h.get(a, h.SignInOptions(signIn.Challenge))
		creation, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
		if err != nil {
			t.Fatal(err)
		}
		created, err := a.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(passkey.CeremonyTTL - time.Second)
		if _, err := h.finish(signIn, response); err != nil {
			t.Errorf("a second before: %s", reason(err))
		}
		time.Sleep(time.Second)
		if _, err := h.finish(signIn, response); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("a ceremony that was taken in time and finished late: %v", err)
		}
		op := h.TakeOp(signIn.ID)
		h.do(op)
		if _, err := h.FromOp(op); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("the store kept a sign-in: %v", err)
		}
		if _, err := h.FinishRegistration(t.Context(), creation.ID, browser, ada, created, time.Now()); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("the store kept a registration: %v", err)
		}
	})
}

func TestBrokenResponsesAreRefused(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, a)
	cer := h.begin()
	good := h.get(a, h.SignInOptions(cer.Challenge))
	set := func(member string, value any) []byte {
		return edit(t, good, func(_, inner map[string]any) { inner[member] = value })
	}
	text := base64.RawURLEncoding.EncodeToString
	for name, response := range map[string][]byte{
		"nothing":                  nil,
		"no JSON":                  []byte("{"),
		"null":                     []byte("null"),
		"array":                    []byte("[]"),
		"trailing":                 append(good[:len(good):len(good)], '{', '}'),
		"other id":                 edit(t, good, func(c, _ map[string]any) { c["id"] = "AAAA" }),
		"no type":                  edit(t, good, func(c, _ map[string]any) { delete(c, "type") }),
		"no response":              edit(t, good, func(c, _ map[string]any) { delete(c, "response") }),
		"client data no base64":    set("clientDataJSON", "***"),
		"client data a number":     set("clientDataJSON", 7),
		"client data broken JSON":  set("clientDataJSON", text([]byte(`{"type":`))),
		"client data null":         set("clientDataJSON", text([]byte(`null`))),
		"no authenticator data":    set("authenticatorData", ""),
		"short authenticator data": set("authenticatorData", text(make([]byte, 36))),
		"broken CBOR in extension": set("authenticatorData", text(append(append(make([]byte, 32), 0x85, 0, 0, 0, 0), 0xff, 0xff))),
		"no signature":             set("signature", ""),
		"huge extension":           edit(t, good, func(c, _ map[string]any) { c["clientExtensionResults"] = []int{1} }),
	} {
		if _, err := h.finish(cer, response); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		_, err := h.FinishRegistration(t.Context(), h.mustBeginRegistration(ada), browser, ada, response, time.Now())
		if !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("registration, %s: %v", name, err)
		}
	}
	if _, err := h.finish(cer, good); err != nil {
		t.Errorf("unchanged: %s", reason(err))
	}
}

func (h *house) mustBeginRegistration(u idp.User) string {
	h.t.Helper()
	cer, _, err := h.NewRegistration(h.t.Context(), u, nil, browser)
	if err != nil {
		h.t.Fatal(err)
	}
	return cer.ID
}

func TestErrorsDoNotRepeatLongInput(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	h.register(h.newUser("ada"), a)
	a.Bend = func(c *passkeytest.ClientData) { c.Origin = "https://evil.example/\n" + strings.Repeat("x", 5000) }
	_, err := h.signIn(a)
	if !errors.Is(err, passkey.ErrRefused) || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}
