package passkey_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

type metadataEntry = metadata.Entry

func newAttestor(t testing.TB) *passkeytest.Attestor {
	t.Helper()
	maker, err := passkeytest.NewAttestor([16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	if err != nil {
		t.Fatal(err)
	}
	return maker
}

// direct requests attestation and knows one model.
func direct(entry *metadata.Entry) func(*passkey.Config) {
	return func(c *passkey.Config) {
		c.Attestation = passkey.AttestationDirect
		c.Metadata = func(aaguid uuid.UUID) *metadata.Entry {
			if aaguid == entry.AaGUID {
				return entry
			}
			return nil
		}
	}
}

func revoke(e *metadata.Entry) {
	e.StatusReports = append(e.StatusReports, metadata.StatusReport{Status: metadata.Revoked})
}

func attestedKey(maker *passkeytest.Attestor) *passkeytest.Authenticator {
	a := passkeytest.New(origin)
	a.Attestor, a.AAGUID = maker, maker.AAGUID
	return a
}

func TestAVerifiedAttestationIsStoredWithItsTime(t *testing.T) {
	maker := newAttestor(t)
	h := newHouse(t, direct(maker.Entry()))
	before := time.Now()
	k := h.register(h.newUser("ada"), attestedKey(maker))
	if !k.HardwareBound() || k.KeyProtection != idp.KeyProtectionHardware || k.AttestationVerifiedAt.Before(before) {
		t.Errorf("protection %q, verified at %v", k.KeyProtection, k.AttestationVerifiedAt)
	}
	if k.AttestationType != "basic_full" || k.AttestationFormat != "packed" {
		t.Errorf("type %q, format %q", k.AttestationType, k.AttestationFormat)
	}
}

func TestAttestationByAnImpostorIsNotTrusted(t *testing.T) {
	maker, impostor := newAttestor(t), newAttestor(t) // the same AAGUID under another root
	h := newHouse(t, direct(maker.Entry()))
	if k := h.register(h.newUser("ada"), attestedKey(impostor)); k.HardwareBound() || !k.AttestationVerifiedAt.IsZero() {
		t.Error("a foreign root was trusted")
	}
}

func TestUnrequestedAttestationIsNotTrusted(t *testing.T) {
	maker := newAttestor(t)
	h := newHouse(t, func(c *passkey.Config) { c.Metadata = maker.Metadata() })
	if k := h.register(h.newUser("ada"), attestedKey(maker)); k.HardwareBound() {
		t.Error("hardware-bound under attestation none")
	}
}

func TestAnInvalidAttestationSignatureIsRefused(t *testing.T) {
	maker := newAttestor(t)
	h := newHouse(t, direct(maker.Entry()))
	ada, a := h.newUser("ada"), attestedKey(maker)
	cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	response = edit(t, response, func(_, inner map[string]any) {
		object, err := base64.RawURLEncoding.DecodeString(inner["attestationObject"].(string))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(object, []byte("\x63sig\x58")) // CBOR: "sig", a byte string, then its length
		object[at+5+int(object[at+5])] ^= 1              // its last byte
		inner["attestationObject"] = base64.RawURLEncoding.EncodeToString(object)
	})
	_, err = h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now())
	if !errors.Is(err, passkey.ErrRefused) || !strings.Contains(err.Error(), "attestation") {
		t.Errorf("got %v", err)
	}
}

func TestARevokedModelLosesHardwareWithTheNextAssertion(t *testing.T) {
	maker := newAttestor(t)
	entry := maker.Entry()
	h := newHouse(t, direct(entry))
	a := attestedKey(maker)
	k := h.register(h.newUser("ada"), a)
	if got := h.mustSignIn(a); !got.Authentication.HardwareBound {
		t.Fatal("not hardware-bound to begin with")
	}
	if h.BadModel(k, time.Now()) {
		t.Error("a good model is called bad")
	}
	revoke(entry)
	if !h.BadModel(k, time.Now()) {
		t.Error("a revoked model is not called bad")
	}
	if got := h.mustSignIn(a); got.Authentication.HardwareBound || got.Passkey.HardwareBound() {
		t.Error("a revoked model still counts as hardware")
	}
	if again := h.CheckAttestation(k, time.Now()); again.HardwareBound() || !again.AttestationVerifiedAt.IsZero() {
		t.Error("a revoked model passes the check again")
	}
}

func TestAFailedAttestationIsLogged(t *testing.T) {
	var log bytes.Buffer
	maker := newAttestor(t)
	k := newHouse(t, direct(maker.Entry())).registerNew(attestedKey(maker))
	k.PublicKey = append([]byte{0}, k.PublicKey...)
	newHouse(t, direct(maker.Entry()), func(c *passkey.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }).CheckAttestation(k, time.Now())
	if !strings.Contains(log.String(), "attestation not verified") || !strings.Contains(log.String(), "passkey="+k.ID) {
		t.Errorf("the log: %s", log.String())
	}
}

func TestAStoredAttestationCanBeCheckedAgain(t *testing.T) {
	maker := newAttestor(t)
	unknown := maker.Entry()
	unknown.AaGUID = uuid.UUID{9}
	k := newHouse(t, direct(unknown)).registerNew(attestedKey(maker))
	if k.HardwareBound() {
		t.Fatal("an unknown model counts as hardware")
	}
	later := time.Now().Add(time.Hour)
	again := newHouse(t, direct(maker.Entry())).CheckAttestation(k, later)
	if !again.HardwareBound() || !again.AttestationVerifiedAt.Equal(later) {
		t.Error("new metadata did not change the stored passkey")
	}
	k.PublicKey = append([]byte{0}, k.PublicKey...)
	if newHouse(t, direct(maker.Entry())).CheckAttestation(k, later).HardwareBound() {
		t.Error("an attestation of another key was accepted")
	}
}

func (h *house) registerNew(a *passkeytest.Authenticator) idp.Passkey {
	h.t.Helper()
	return h.register(h.newUser("ada"), a)
}

// A passkey whose origin cannot be proven is as welcome as one without attestation.
func TestAPasskeyWhoseAttestationCannotBeTracedIsWelcome(t *testing.T) {
	maker := newAttestor(t)
	old, err := passkeytest.NewAttestorUntil(maker.AAGUID, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	as := func(format string, members ...any) func(*string, map[string]any) {
		return func(f *string, statement map[string]any) {
			*f = format
			for i := 0; i < len(members); i += 2 {
				statement[members[i].(string)] = members[i+1]
			}
		}
	}
	spoil := func(_ *string, statement map[string]any) { statement["sig"].([]byte)[10] ^= 1 }
	for name, c := range map[string]struct {
		maker  *passkeytest.Attestor
		attest func(*string, map[string]any)
		forged bool
	}{
		"an unknown format":              {nil, as("of-the-future", "x", 1), false},
		"an Android key of another root": {maker, as("android-key"), false},
		"an Apple chain of another root": {maker, as("apple"), false},
		"a TPM that says too little":     {nil, as("tpm", "ver", "2.0"), false},
		"an expired certificate":         {old, nil, false},
		"a wrong signature":              {maker, spoil, true},
		"one by an expired certificate":  {old, spoil, true},
		"one of an Android key":          {maker, func(f *string, s map[string]any) { *f = "android-key"; spoil(f, s) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, direct(maker.Entry()))
			ada, a := h.newUser("ada"), passkeytest.New(origin)
			a.Attest = c.attest
			if c.maker != nil {
				a.Attestor, a.AAGUID = c.maker, c.maker.AAGUID
			}
			cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
			if err != nil {
				t.Fatal(err)
			}
			response, err := a.Create(options)
			if err != nil {
				t.Fatal(err)
			}
			k, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now())
			if c.forged {
				if !errors.Is(err, passkey.ErrRefused) {
					t.Errorf("accepted: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if k.HardwareBound() || !k.AttestationVerifiedAt.IsZero() {
				t.Errorf("believed: %+v", k)
			}
			if again := h.CheckAttestation(k, time.Now()); again.HardwareBound() {
				t.Error("believed later")
			}
		})
	}
}

// Everything but the attestation is checked all the same.
func TestAnUnknownAttestationIsNoWayAroundTheOtherChecks(t *testing.T) {
	h := newHouse(t)
	ada := h.newUser("ada")
	for name, bend := range map[string]func(*passkeytest.ClientData){
		"challenge": func(d *passkeytest.ClientData) { d.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		"origin":    func(d *passkeytest.ClientData) { d.Origin = "https://evil.example" },
	} {
		a := passkeytest.New(origin)
		a.Attest = func(f *string, statement map[string]any) { *f, statement["x"] = "of-the-future", 1 }
		a.Bend = bend
		cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now()); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
