package passkey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

const (
	origin  = "https://login.example.com"
	browser = "hash-of-the-browser-cookie"
)

// house is a relying party with users and passkeys.
type house struct {
	*passkey.Ceremonies
	t     testing.TB
	store ephemeral.Store
	users map[string]idp.User
	keys  []idp.Passkey
	finds int
}

func newHouse(t testing.TB, change ...func(*passkey.Config)) *house {
	t.Helper()
	config := passkey.Config{RPID: "example.com", RPName: "Example", Origins: []string{origin}, Store: ephemeraltest.Open(t)}
	for _, f := range change {
		f(&config)
	}
	c, err := passkey.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &house{Ceremonies: c, t: t, store: config.Store, users: map[string]idp.User{}}
}

func allowUnverified(c *passkey.Config) { c.AllowUnverified = true }

func (h *house) newUser(name string) idp.User {
	u := idp.NewUser(name+"@example.com", name, time.Now())
	h.users[u.ID] = u
	return u
}

func (h *house) keysOf(u idp.User) []idp.Passkey {
	return slices.DeleteFunc(slices.Clone(h.keys), func(k idp.Passkey) bool { return k.UserID != u.ID })
}

func (h *house) find(_ context.Context, credentialID, _ []byte) (idp.Passkey, idp.User, error) {
	h.finds++
	for _, k := range h.keys {
		if bytes.Equal(k.CredentialID, credentialID) {
			return k, h.users[k.UserID], nil
		}
	}
	return idp.Passkey{}, idp.User{}, idp.ErrNotFound
}

// save stores the passkey of an assertion, as the store does.
func (h *house) save(k idp.Passkey) {
	for i := range h.keys {
		if h.keys[i].ID == k.ID {
			h.keys[i] = k
		}
	}
}

func (h *house) tryRegister(u idp.User, a *passkeytest.Authenticator) (idp.Passkey, error) {
	h.t.Helper()
	cer, options, err := h.NewRegistration(h.t.Context(), u, h.keysOf(u), browser)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := a.Create(options)
	if err != nil {
		return idp.Passkey{}, err
	}
	k, err := h.FinishRegistration(h.t.Context(), cer.ID, browser, u, response, time.Now())
	h.keepsSecret(cer, err)
	return k, err
}

func (h *house) register(u idp.User, a *passkeytest.Authenticator) idp.Passkey {
	h.t.Helper()
	k, err := h.tryRegister(u, a)
	if err != nil {
		h.t.Fatal("register: ", reason(err))
	}
	h.keys = append(h.keys, k)
	return k
}

// signIn runs a whole sign-in over the store.
func (h *house) signIn(a *passkeytest.Authenticator) (passkey.Assertion, error) {
	h.t.Helper()
	cer := h.begin()
	return h.finish(h.take(cer.ID), h.get(a, h.SignInOptions(cer.Challenge)))
}

func (h *house) mustSignIn(a *passkeytest.Authenticator) passkey.Assertion {
	h.t.Helper()
	assertion, err := h.signIn(a)
	if err != nil {
		h.t.Fatal("sign in: ", reason(err))
	}
	return assertion
}

func (h *house) begin() passkey.Ceremony {
	h.t.Helper()
	cer, op, err := h.NewSignIn("the-interaction", browser)
	if err != nil {
		h.t.Fatal(err)
	}
	h.do(op)
	return cer
}

func (h *house) beginStepUp(u idp.User, classes ...string) (passkey.Ceremony, json.RawMessage) {
	h.t.Helper()
	cer, options, op, err := h.NewAssertion(idp.PurposeStepUp, "the-interaction", browser, u.ID, h.keysOf(u), classes)
	if err != nil {
		h.t.Fatal(err)
	}
	h.do(op)
	return cer, options
}

func (h *house) do(op *ephemeral.Op) {
	h.t.Helper()
	if err := h.store.Do(h.t.Context(), op); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) take(id string) passkey.Ceremony {
	h.t.Helper()
	op := h.TakeOp(id)
	h.do(op)
	cer, err := h.FromOp(op)
	if err != nil {
		h.t.Fatal(err)
	}
	return cer
}

func (h *house) get(a *passkeytest.Authenticator, options []byte) []byte {
	h.t.Helper()
	response, err := a.Get(options)
	if err != nil {
		h.t.Fatal(err)
	}
	return response
}

func (h *house) finish(cer passkey.Ceremony, response []byte) (passkey.Assertion, error) {
	h.t.Helper()
	assertion, err := h.FinishAssertion(h.t.Context(), cer, browser, response, time.Now(), h.find)
	h.keepsSecret(cer, err)
	if err == nil {
		h.save(assertion.Passkey)
	}
	return assertion, err
}

// keepsSecret checks that an error does not contain the challenge, which must not reach a log.
func (h *house) keepsSecret(cer passkey.Ceremony, err error) {
	h.t.Helper()
	if err != nil && len(cer.Challenge) > 0 && strings.Contains(reason(err), base64.RawURLEncoding.EncodeToString(cer.Challenge)) {
		h.t.Errorf("the challenge is in the error: %v", err)
	}
}

// reason prints all layers of an error as a log would, and deeper.
func reason(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		b.WriteString(err.Error() + " / ")
	}
	return b.String()
}

// edit changes one member of a response.
func edit(t testing.TB, response []byte, f func(credential, inner map[string]any)) []byte {
	t.Helper()
	var credential map[string]any
	if err := json.Unmarshal(response, &credential); err != nil {
		t.Fatal(err)
	}
	f(credential, credential["response"].(map[string]any))
	changed, err := json.Marshal(credential)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func withoutAllowList(t *testing.T, options []byte) []byte {
	t.Helper()
	var o struct {
		PublicKey map[string]any `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	delete(o.PublicKey, "allowCredentials")
	changed, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestASignInRecordsUserMethodAndPurpose(t *testing.T) {
	h := newHouse(t)
	ada, phone := h.newUser("ada"), passkeytest.New(origin)
	phone.Flags |= idp.FlagBackupEligible | idp.FlagBackedUp
	k := h.register(ada, phone)
	before := time.Now()
	got := h.mustSignIn(phone)
	if got.User.ID != ada.ID || got.Passkey.ID != k.ID || h.finds != 1 {
		t.Errorf("user %s, passkey %s after %d finds", got.User.ID, got.Passkey.ID, h.finds)
	}
	if got.Authentication.ID == "" || got.Authentication.At.Before(before) {
		t.Errorf("authentication %q at %v", got.Authentication.ID, got.Authentication.At)
	}
	want := idp.Authentication{
		ID: got.Authentication.ID, At: got.Authentication.At, UserID: ada.ID, PasskeyID: k.ID, Purpose: idp.PurposeSignIn,
		Interaction: "the-interaction", UserVerified: true, BackupEligible: true, BackedUp: true,
	}
	if diff := cmp.Diff(want, got.Authentication); diff != "" {
		t.Error(diff)
	}
}

func TestASignInRequestsAnyVerifiedPasskey(t *testing.T) {
	for verification, h := range map[string]*house{"required": newHouse(t), "preferred": newHouse(t, allowUnverified)} {
		cer := h.begin()
		var got map[string]map[string]any
		if err := json.Unmarshal(h.SignInOptions(cer.Challenge), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]any{"publicKey": {
			"challenge": base64.RawURLEncoding.EncodeToString(cer.Challenge), "timeout": 600000.0, "rpId": "example.com",
			"userVerification": verification,
		}}
		if diff := cmp.Diff(want, got); diff != "" || len(cer.Challenge) != 32 {
			t.Errorf("challenge of %d bytes, %s", len(cer.Challenge), diff)
		}
	}
}

func TestAStepUpCarriesActionClassesAndRequestsTheUsersPasskeys(t *testing.T) {
	h := newHouse(t)
	ada, phone := h.newUser("ada"), passkeytest.New(origin)
	phone.Transports = []string{"hybrid", "internal"}
	k := h.register(ada, phone)
	cer, options := h.beginStepUp(ada, "payments", "keys")
	var o struct {
		PublicKey struct {
			UserVerification string
			RPID             string `json:"rpId"`
			AllowCredentials []struct {
				ID, Type   string
				Transports []string
			}
		}
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	if o.PublicKey.UserVerification != "required" || o.PublicKey.RPID != "example.com" || len(o.PublicKey.AllowCredentials) != 1 ||
		o.PublicKey.AllowCredentials[0].ID != base64.RawURLEncoding.EncodeToString(k.CredentialID) ||
		!slices.Equal(o.PublicKey.AllowCredentials[0].Transports, phone.Transports) {
		t.Errorf("options %s", options)
	}
	phone.OmitUserHandle = true // allowed with a list of allowed credentials
	got, err := h.finish(h.take(cer.ID), h.get(phone, options))
	if err != nil {
		t.Fatal(reason(err))
	}
	if a := got.Authentication; a.Purpose != idp.PurposeStepUp || !slices.Equal(a.ActionClasses, []string{"payments", "keys"}) || !a.UserVerified {
		t.Errorf("authentication %+v", a)
	}
}

func TestASignInByAddressAcceptsOnlyThePasskeysOfThatUser(t *testing.T) {
	h := newHouse(t)
	ada, bob := h.newUser("ada"), h.newUser("bob")
	adas, bobs := passkeytest.New(origin), passkeytest.New(origin)
	h.register(ada, adas)
	h.register(bob, bobs)
	cer, options, op, err := h.NewAssertion(idp.PurposeSignIn, "i", browser, "", h.keysOf(ada), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.do(op)
	if _, err := bobs.Get(options); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("bob's authenticator: %v", err)
	}
	if _, err := h.finish(cer, h.get(bobs, withoutAllowList(t, options))); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("bob's passkey for ada's name: %v", err)
	}
	got, err := h.finish(h.take(cer.ID), h.get(adas, options))
	if err != nil || got.User.ID != ada.ID || got.Authentication.Purpose != idp.PurposeSignIn {
		t.Errorf("ada: %+v, %v", got.Authentication, err)
	}
}

func TestEveryRequestedAlgorithmRegistersAndSignsIn(t *testing.T) {
	for name, alg := range map[string]int{"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256} {
		for _, self := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h := newHouse(t)
				a := passkeytest.New(origin)
				a.Algorithm, a.SelfAttest, a.CountBy = alg, self, 1
				k := h.register(h.newUser("ada"), a)
				if want := map[bool]string{false: "none", true: "packed"}[self]; k.AttestationFormat != want {
					t.Errorf("format %s", k.AttestationFormat)
				}
				for count := range uint32(3) {
					if got := h.mustSignIn(a); got.Passkey.SignCount != count+1 {
						t.Errorf("count %d, want %d", got.Passkey.SignCount, count+1)
					}
				}
			})
		}
	}
}

func TestRegistrationSetsEveryField(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	a.AAGUID = [16]byte{0xfb, 0xfc, 0x30, 0x07, 0x15, 0x4e, 0x4e, 0xcc, 0x8c, 0x0b, 0x6e, 0x02, 0x05, 0x57, 0xd7, 0xbd}
	a.Flags |= idp.FlagBackupEligible | idp.FlagBackedUp
	a.Transports = []string{"hybrid", "internal"}
	k := h.register(ada, a)
	if k.ID == "" || len(k.PublicKey) == 0 || k.CreatedAt.IsZero() || !json.Valid(k.Attestation) || len(k.Attestation) < 300 {
		t.Errorf("incomplete: %+v", k)
	}
	want := idp.Passkey{
		ID: k.ID, UserID: ada.ID, CredentialID: a.Passkeys[0].ID, PublicKey: k.PublicKey,
		Flags: a.Flags | 1<<6, UVInitialized: true, AAGUID: a.AAGUID[:], AttestationType: "none", AttestationFormat: "none",
		Attestation: k.Attestation, Transports: []string{"hybrid", "internal"}, Attachment: "platform",
		Extensions: json.RawMessage(`{"rk":true}`), Name: "Apple Passwords", CreatedAt: k.CreatedAt,
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Error(diff)
	}
}

func TestRegistrationRequestsADiscoverableVerifiedPasskeyWithCredProps(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	k := h.register(ada, a)
	_, options, err := h.NewRegistration(t.Context(), ada, h.keysOf(ada), browser)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]map[string]any
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	got := o["publicKey"]
	delete(got, "challenge")
	delete(got, "pubKeyCredParams") // pitfall 13
	want := map[string]any{
		"rp":                     map[string]any{"id": "example.com", "name": "Example"},
		"user":                   map[string]any{"id": base64.RawURLEncoding.EncodeToString(ada.Handle), "name": ada.Email, "displayName": "ada"},
		"timeout":                600000.0,
		"attestation":            "none",
		"authenticatorSelection": map[string]any{"requireResidentKey": true, "residentKey": "required", "userVerification": "required"},
		"excludeCredentials": []any{map[string]any{
			"id": base64.RawURLEncoding.EncodeToString(k.CredentialID), "type": "public-key", "transports": []any{"internal"},
		}},
		"extensions": map[string]any{"credProps": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The table in docs/design.md, end to end: from the authenticator's response to acr and amr.
func TestACRAndAMROfAnAssertion(t *testing.T) {
	var (
		phr, phrh = []string{"phr"}, []string{"phrh", "phr"}
		software  = []string{"pop", "swk", "user", "mfa"}
		device    = []string{"pop", "user", "mfa"}
		hardware  = []string{"pop", "hwk", "user", "mfa"}
		present   = []string{"pop", "user"}
	)
	const up, uv, be, bs = idp.FlagUserPresent, idp.FlagUserVerified, idp.FlagBackupEligible, idp.FlagBackedUp
	maker := newAttestor(t)
	attested := func(a *passkeytest.Authenticator) { a.Attestor, a.AAGUID = maker, maker.AAGUID }
	claimed := func(a *passkeytest.Authenticator) {
		a.AAGUID, a.Attachment, a.Transports = maker.AAGUID, "cross-platform", []string{"usb"}
	}
	self := func(a *passkeytest.Authenticator) { a.AAGUID, a.SelfAttest = maker.AAGUID, true }
	protection := func(p ...string) func(*metadataEntry) {
		return func(e *metadataEntry) { e.MetadataStatement.KeyProtection = p }
	}
	for _, row := range []struct {
		name       string
		flags      byte
		make       func(*passkeytest.Authenticator)
		state      func(*metadataEntry)
		unverified bool
		acrs, amr  []string
	}{
		{name: "device-bound", flags: up | uv, acrs: phr, amr: device},
		{name: "backup-eligible", flags: up | uv | be, acrs: phr, amr: software},
		{name: "backed up", flags: up | uv | be | bs, acrs: phr, amr: software},
		{name: "attested hardware", flags: up | uv, make: attested, acrs: phrh, amr: hardware},
		{name: "attested secure element", flags: up | uv, make: attested, state: protection("secure_element"), acrs: phrh, amr: hardware},
		{name: "attested tee", flags: up | uv, make: attested, state: protection("tee"), acrs: phrh, amr: hardware},
		{name: "attested, partly software", flags: up | uv, make: attested, state: protection("hardware", "software"), acrs: phr, amr: device},
		{name: "attested but synced", flags: up | uv | be, make: attested, acrs: phr, amr: software},
		{name: "attested, model revoked", flags: up | uv, make: attested, state: revoke, acrs: phr, amr: device},
		{name: "model only claimed", flags: up | uv, make: claimed, acrs: phr, amr: device},
		{name: "self-attested", flags: up | uv, make: self, acrs: phr, amr: device},
		{name: "not verified", flags: up, unverified: true, amr: present},
		{name: "not verified by attested hardware", flags: up, make: attested, unverified: true, amr: present},
	} {
		t.Run(row.name, func(t *testing.T) {
			entry := maker.Entry()
			if row.state != nil {
				row.state(entry)
			}
			h := newHouse(t, direct(entry), func(c *passkey.Config) { c.AllowUnverified = row.unverified })
			a := passkeytest.New(origin)
			a.Flags = row.flags
			if row.make != nil {
				row.make(a)
			}
			k := h.register(h.newUser("ada"), a)
			got := h.mustSignIn(a)
			if diff := cmp.Diff(row.acrs, got.Authentication.ACRs()); diff != "" {
				t.Error("acr: ", diff)
			}
			if diff := cmp.Diff(row.amr, got.Authentication.AMR()); diff != "" {
				t.Error("amr: ", diff)
			}
			if len(row.acrs) > 0 { // Passkey.ACRs must equal the acr values of its assertions
				if diff := cmp.Diff(row.acrs, k.ACRs()); diff != "" {
					t.Error("promised acr: ", diff)
				}
			}
		})
	}
}

func TestNewRefusesInvalidConfiguration(t *testing.T) {
	for name, change := range map[string]func(*passkey.Config){
		"no store":            func(c *passkey.Config) { c.Store = nil },
		"no name":             func(c *passkey.Config) { c.RPName = "" },
		"no origin":           func(c *passkey.Config) { c.Origins = nil },
		"address as RP ID":    func(c *passkey.Config) { c.RPID = "127.0.0.1" },
		"unknown attestation": func(c *passkey.Config) { c.Attestation = "enterprise" },
	} {
		config := passkey.Config{RPID: "example.com", RPName: "Example", Origins: []string{origin}, Store: ephemeraltest.Open(t)}
		change(&config)
		if _, err := passkey.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
