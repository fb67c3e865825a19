package passkey_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// Each test covers one known mistake of relying parties on go-webauthn 0.18, and fails if our check is removed.

func TestPitfall01_UnrequestedOutputsAreIgnored(t *testing.T) {
	h := newHouse(t)
	safari := passkeytest.New(origin)
	safari.Unasked = map[string]any{"appid": false, "appidExclude": true}
	h.register(h.newUser("ada"), safari)
	h.mustSignIn(safari)
}

func TestPitfall02_TheWholeSessionIsStored(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	h.register(h.newUser("ada"), a)
	cer := h.begin()
	stored := h.take(cer.ID)
	if diff := cmp.Diff(cer, stored, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("the store changed the ceremony: %s", diff)
	}
	if stored.Session.UserVerification != "required" {
		t.Errorf("session %+v", stored.Session)
	}
	stored.Session.UserVerification = ""
	a.Flags = idp.FlagUserPresent
	if _, err := h.finish(stored, h.get(a, h.SignInOptions(cer.Challenge))); !errors.Is(err, passkey.ErrNotVerified) {
		t.Errorf("got %v", err)
	}
}

func TestPitfall03_UserVerificationIsReadFromThisResponse(t *testing.T) {
	h := newHouse(t, allowUnverified)
	a := passkeytest.New(origin)
	if k := h.register(h.newUser("ada"), a); !k.UVInitialized {
		t.Fatal("not verified at registration")
	}
	for _, verified := range []bool{true, false, true} {
		a.Flags = idp.FlagUserPresent
		if verified {
			a.Flags |= idp.FlagUserVerified
		}
		if got := h.mustSignIn(a); got.Authentication.UserVerified != verified {
			t.Errorf("verified %t, want %t", got.Authentication.UserVerified, verified)
		}
	}
}

// The opposite case: a PIN proves nothing if the key was registered without one, because its finder may have set it
// (WebAuthn L3 §4, uvInitialized; §7.2 step 24 wants a second factor for the change).
func TestPitfall03_UserVerificationCountsOnlyIfRegisteredWithIt(t *testing.T) {
	h := newHouse(t, allowUnverified)
	a := passkeytest.New(origin)
	a.Flags = idp.FlagUserPresent
	if k := h.register(h.newUser("ada"), a); k.UVInitialized {
		t.Fatal("verified at registration")
	}
	a.Flags |= idp.FlagUserVerified
	for range 2 {
		if got := h.mustSignIn(a); got.Authentication.UserVerified || got.Passkey.UVInitialized {
			t.Error("counted")
		}
	}
}

func TestPitfall04_FlagsAreStoredAsTheOctet(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	a.Flags |= idp.FlagBackupEligible
	if k := h.register(h.newUser("ada"), a); k.Flags != a.Flags|1<<6 { // AT
		t.Errorf("registered with %08b, sent %08b", k.Flags, a.Flags)
	}
	for _, flags := range []byte{a.Flags, a.Flags | idp.FlagBackedUp, a.Flags} {
		a.Flags = flags
		if got := h.mustSignIn(a); got.Passkey.Flags != flags {
			t.Errorf("kept %08b, sent %08b", got.Passkey.Flags, flags)
		}
	}
	lenient := newHouse(t, allowUnverified)
	lenient.register(lenient.newUser("ada"), a)
	a.Flags = idp.FlagUserPresent | idp.FlagBackupEligible
	if got := lenient.mustSignIn(a); got.Passkey.Flags != a.Flags { // the library would add the latched UV
		t.Errorf("kept %08b, sent %08b", got.Passkey.Flags, a.Flags)
	}
}

func TestPitfall05_BackupEligibilityMayAppearButNeverDisappear(t *testing.T) {
	maker := newAttestor(t)
	h := newHouse(t, direct(maker.Entry()))
	a := attestedKey(maker)
	if k := h.register(h.newUser("ada"), a); !k.HardwareBound() {
		t.Fatal("not hardware-bound to begin with")
	}
	a.Flags |= idp.FlagBackupEligible

	cer := h.begin()
	forged := edit(t, h.get(a, h.SignInOptions(cer.Challenge)), forgeSignature)
	if _, err := h.finish(cer, forged); !errors.Is(err, passkey.ErrRefused) || h.keys[0].Synced() {
		t.Errorf("a forged response moved the flag: %v", err)
	}
	got := h.mustSignIn(a)
	if !got.BecameSynced || !got.Passkey.Synced() || got.Passkey.HardwareBound() {
		t.Errorf("became synced %t, passkey %08b", got.BecameSynced, got.Passkey.Flags)
	}
	if diff := cmp.Diff([]string{idp.ACRPhishingResistant}, got.Authentication.ACRs()); diff != "" {
		t.Error(diff)
	}
	if got := h.mustSignIn(a); got.BecameSynced {
		t.Error("BecameSynced was reported twice")
	}
	a.Flags &^= idp.FlagBackupEligible
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("went back to device-bound: %v", err)
	}
}

func TestPitfall06_AnAAGUIDWithoutAttestationIsAClaim(t *testing.T) {
	maker := newAttestor(t)
	nameless, err := passkeytest.NewAttestor([16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*passkeytest.Authenticator) *metadataEntry{
		"none":        func(a *passkeytest.Authenticator) *metadataEntry { a.AAGUID = maker.AAGUID; return maker.Entry() },
		"zero AAGUID": func(a *passkeytest.Authenticator) *metadataEntry { a.Attestor = nameless; return nameless.Entry() },
		"self-attested": func(a *passkeytest.Authenticator) *metadataEntry {
			a.AAGUID, a.SelfAttest = maker.AAGUID, true
			return surrogate(maker)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := passkeytest.New(origin)
			h := newHouse(t, direct(change(a)))
			k := h.register(h.newUser("ada"), a)
			if k.HardwareBound() || !k.AttestationVerifiedAt.IsZero() || h.mustSignIn(a).Authentication.HardwareBound {
				t.Errorf("accepted: %s %s", k.AttestationFormat, k.AttestationType)
			}
		})
	}
}

// surrogate is metadata that would let self attestation pass.
func surrogate(maker *passkeytest.Attestor) *metadataEntry {
	entry := maker.Entry()
	entry.MetadataStatement.AttestationTypes = append(entry.MetadataStatement.AttestationTypes, "basic_surrogate")
	return entry
}

func TestPitfall07_AnUnknownCredentialHasItsOwnError(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	k := h.register(ada, a)
	cer := h.begin()
	stepUp, options := h.beginStepUp(ada)
	h.keys = nil
	for _, c := range []struct {
		cer      passkey.Ceremony
		response []byte
	}{{cer, h.get(a, h.SignInOptions(cer.Challenge))}, {stepUp, h.get(a, options)}} {
		_, err := h.finish(c.cer, c.response)
		unknown, ok := errors.AsType[*passkey.UnknownCredentialError](err)
		if !ok || !errors.Is(err, passkey.ErrUnknownCredential) || errors.Is(err, passkey.ErrRefused) {
			t.Fatalf("got %v", err)
		}
		if unknown.RPID != "example.com" || unknown.EncodedID() != base64.RawURLEncoding.EncodeToString(k.CredentialID) {
			t.Errorf("unknown %+v", unknown)
		}
	}
}

func TestPitfall08_TheLookupDecidesNothing(t *testing.T) {
	h := newHouse(t)
	ada, a, other := h.newUser("ada"), passkeytest.New(origin), passkeytest.New(origin)
	h.register(ada, a)
	h.register(ada, other)

	cer := h.begin()
	if _, err := h.finish(cer, edit(t, h.get(a, h.SignInOptions(cer.Challenge)), forgeSignature)); !errors.Is(err, passkey.ErrRefused) || h.finds != 1 {
		t.Errorf("forged: %v after %d finds", err, h.finds)
	}
	// Removing another passkey of the user during the ceremony does not affect it.
	stepUp, options := h.beginStepUp(ada)
	response := h.get(a, options)
	h.keys = h.keys[:1]
	h.finds = 0
	if _, err := h.finish(stepUp, response); err != nil || h.finds != 1 {
		t.Errorf("without the removed passkey: %s after %d finds", reason(err), h.finds)
	}
	// An unreachable store is not an unknown credential, which would make the browser forget the passkey.
	h.keys = nil
	_, err := h.FinishAssertion(t.Context(), stepUp, browser, response, time.Now(), unavailable)
	if !errors.Is(err, idp.ErrUnavailable) || errors.Is(err, passkey.ErrUnknownCredential) {
		t.Errorf("unavailable: %v", err)
	}
}

func TestPitfall09_ACeremonyIsTakenOnce(t *testing.T) {
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
	if _, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response[1:], time.Now()); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("broken response: %v", err)
	}
	if _, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now()); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("second finish: %v", err)
	}
	h.register(ada, a)
	if _, err := h.tryRegister(ada, a); !errors.Is(err, passkeytest.ErrInvalidState) {
		t.Errorf("the same authenticator again: %v", err)
	}

	signIn := h.begin()
	h.take(signIn.ID)
	op := h.TakeOp(signIn.ID)
	h.do(op)
	if _, err := h.FromOp(op); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("second take: %v", err)
	}
}

func TestPitfall10_TheCounterOnlyGoesForwards(t *testing.T) {
	h := newHouse(t)
	ada, key := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, key)
	for range 2 {
		if got := h.mustSignIn(key); got.Passkey.SignCount != 0 { // synced passkeys do not count
			t.Errorf("count %d", got.Passkey.SignCount)
		}
	}
	key.CountBy = 5
	h.mustSignIn(key)
	thief := *key.Passkeys[0]
	thief.Count = 3
	for _, count := range []uint32{3, 5, 0} {
		original := key.Passkeys[0]
		thief.Count = count
		key.Passkeys[0], key.CountBy = &thief, 0
		_, err := h.signIn(key)
		regressed, ok := errors.AsType[*passkey.CounterError](err)
		if !ok || !errors.Is(err, passkey.ErrCounter) || regressed.PasskeyID != h.keys[0].ID || regressed.UserID != ada.ID {
			t.Fatalf("count %d after 5: %v", count, err)
		}
		key.Passkeys[0] = original
	}
	key.CountBy = 1
	if got := h.mustSignIn(key); got.Passkey.SignCount != 6 { // the warning does not stick
		t.Errorf("count %d", got.Passkey.SignCount)
	}
}

// Managers reset the counters of synced passkeys. Rejecting that would lock their users out for ever.
func TestACounterResetOfASyncedPasskeyIsReported(t *testing.T) {
	h := newHouse(t)
	key := passkeytest.New(origin)
	key.Flags |= idp.FlagBackupEligible | idp.FlagBackedUp
	h.register(h.newUser("ada"), key)
	key.CountBy = 5
	if got := h.mustSignIn(key); got.CounterStalled {
		t.Error("a growing counter was reported as stalled")
	}
	key.Passkeys[0].Count, key.CountBy = 0, 1
	if got := h.mustSignIn(key); !got.CounterStalled || got.Passkey.SignCount != 5 {
		t.Errorf("stalled %v, count %d", got.CounterStalled, got.Passkey.SignCount)
	}
}

func TestPitfall11_ResponsesAreLimitedAndFirstUseIsRaceFree(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	h.register(ada, a)
	cer := h.begin()
	response := h.get(a, h.SignInOptions(cer.Challenge))
	large := slices.Concat(response, []byte(strings.Repeat(" ", passkey.MaxResponse+1-len(response))))
	h.finds = 0
	if _, err := h.finish(cer, large); !errors.Is(err, passkey.ErrRefused) || h.finds != 0 {
		t.Errorf("%d bytes: %v after %d finds", len(large), err, h.finds)
	}
	if _, err := h.finish(cer, large[:passkey.MaxResponse]); err != nil {
		t.Errorf("%d bytes: %s", passkey.MaxResponse, reason(err))
	}
	creation, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	if response, err = a.Create(options); err != nil {
		t.Fatal(err)
	}
	large = slices.Concat(response, []byte(strings.Repeat(" ", passkey.MaxResponse+1-len(response))))
	if _, err := h.FinishRegistration(t.Context(), creation.ID, browser, ada, large, time.Now()); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("registration of %d bytes: %v", len(large), err)
	}

	fresh := newHouse(t) // for the race detector: the library fills in its configuration on first use
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _, _ = fresh.NewSignIn("i", browser) })
	}
	wg.Wait()
}

func TestPitfall12_OriginsAreConfiguredExactly(t *testing.T) {
	for _, wrong := range []string{
		"https://login.example.com/", "https://login.example.com/path", "https://login.example.com:443", "http://localhost:80",
		"https://Login.example.com", "login.example.com", "https://", "", "https://user@login.example.com", "android:apk-key-hash:x",
	} {
		config := passkey.Config{RPID: "example.com", RPName: "Example", Origins: []string{wrong}, Store: ephemeraltest.Open(t)}
		if _, err := passkey.New(config); err == nil {
			t.Errorf("%q accepted", wrong)
		}
	}
	local := newHouse(t, func(c *passkey.Config) { c.RPID, c.Origins = "localhost", []string{"http://localhost:8080"} })
	a := passkeytest.New("http://localhost:8080")
	local.register(local.newUser("ada"), a)
	local.mustSignIn(a)
}

func TestPitfall13_OnlyTheThreeRequestedAlgorithmsAreAccepted(t *testing.T) {
	h := newHouse(t)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		PublicKey struct {
			PubKeyCredParams []struct {
				Type string
				Alg  int
			}
		}
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	var algs []int
	for _, param := range o.PublicKey.PubKeyCredParams {
		algs = append(algs, param.Alg)
	}
	if diff := cmp.Diff([]int{-8, -7, -257}, algs); diff != "" {
		t.Error(diff)
	}
	// ES384 in the COSE key: a map of five, its second pair 3: alg.
	a.Algorithm = passkeytest.ES256
	a.BendData = func(authData []byte) {
		const alg = 37 + 16 + 2 + 20 + 4 // head, AAGUID, length, ID, {1: 2, 3:
		if authData[alg] != 0x26 {       // -7
			t.Fatalf("not an algorithm: %x", authData[alg:])
		}
		authData[alg] = 0x38 - 1 // -24, an algorithm that was not requested
	}
	response, err := a.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now())
	if !errors.Is(err, passkey.ErrRefused) || !strings.Contains(err.Error(), "public key") {
		t.Errorf("got %v", err)
	}
}

func TestPitfall14_PaymentAssertionsAreNotSignIns(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	h.register(h.newUser("ada"), a)
	a.Bend = func(c *passkeytest.ClientData) { c.Type = "payment.get" }
	if _, err := h.signIn(a); !errors.Is(err, passkey.ErrRefused) {
		t.Errorf("got %v", err)
	}
}
