// Package passkeytest is a software authenticator with a browser around it, for tests. It takes the options that a page
// receives and returns what PublicKeyCredential.toJSON() would. Its keys, hashes and signatures are real. It writes its
// own CBOR and authenticator data, so that it shares only the specification with the code under test.
//
//	a := passkeytest.New("https://login.example.com")
//	response, err := a.Create(options) // {"publicKey":{…}} of a registration
//	response, err = a.Get(options)     // {"publicKey":{…}} of a sign-in or step-up
//
// By default it behaves like a careful browser: it respects the RP ID, excludeCredentials and allowCredentials, and its
// user is always present. It does not enforce what the relying party must enforce: Flags without user verification are
// sent even when verification is required.
package passkeytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/stepward/stepward/internal/idp"
)

// COSE algorithms (RFC 9053).
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// Errors with which credentials.create and credentials.get reject.
var (
	ErrInvalidState = errors.New("InvalidStateError") // one of excludeCredentials exists
	ErrNotAllowed   = errors.New("NotAllowedError")   // no passkey fits
	ErrNotSupported = errors.New("NotSupportedError") // no algorithm fits
	ErrSecurity     = errors.New("SecurityError")     // the RP ID is not the origin's
)

// An Authenticator holds passkeys. Fields may be changed between calls. Calls may run concurrently.
type Authenticator struct {
	Origin     string // of the page in the browser
	Algorithm  int    // 0: the first supported one in the options
	Flags      byte   // idp.FlagUserPresent and so on, sent unchanged
	CountBy    uint32 // added to the counter by each assertion; 0 keeps it at zero, as for synced passkeys
	AAGUID     [16]byte
	Attachment string
	Transports []string
	// SelfAttest makes packed self attestation; Attestor, if set, packed attestation with a certificate. Neither: none.
	SelfAttest bool
	Attestor   *Attestor
	// Attest changes the attestation before it is sent; nil: it does not.
	Attest func(format *string, statement map[string]any)
	// OmitUserHandle omits the user handle from assertions, as authenticators may with allowed credentials.
	OmitUserHandle bool
	// Unasked are client extension outputs that were not requested.
	Unasked map[string]any

	// NewKey makes the key of the next credential; nil: a valid one.
	NewKey func(alg int) (crypto.Signer, error)

	// Bend changes the client data before it is hashed and signed; BendData changes the authenticator data before it is
	// signed.
	Bend     func(*ClientData)
	BendData func(authData []byte)

	mu       sync.Mutex
	Passkeys []*Passkey // oldest first; Get uses the newest match
}

// A Passkey is one credential of an Authenticator. Tests may copy one to play a thief.
type Passkey struct {
	ID         []byte
	RPID       string
	UserHandle []byte
	Algorithm  int
	Key        crypto.Signer
	Count      uint32
}

// COSE returns the public key as registered (RFC 9053 §7).
func (k *Passkey) COSE() ([]byte, error) { return coseKey(k.Algorithm, k.Key.Public()) }

// ClientData is the browser's description of the ceremony (WebAuthn L3 §5.8.1).
type ClientData struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"`
	Origin      string `json:"origin"`
	CrossOrigin bool   `json:"crossOrigin"`
	TopOrigin   string `json:"topOrigin,omitempty"`
}

// New returns an empty platform authenticator that verifies its user, in a browser with a page of this origin.
func New(origin string) *Authenticator {
	return &Authenticator{
		Origin:     origin,
		Flags:      idp.FlagUserPresent | idp.FlagUserVerified,
		Attachment: "platform",
		Transports: []string{"internal"},
	}
}

// bytes64 is binary data in the JSON form of WebAuthn (WebAuthn L3 §5.1: Base64URLString).
type bytes64 []byte

func (b bytes64) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

func (b *bytes64) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

type descriptor struct {
	ID bytes64 `json:"id"`
}

// options has the members of both kinds of options that an authenticator needs.
type options struct {
	Challenge        bytes64      `json:"challenge"`
	RPID             string       `json:"rpId"`
	AllowCredentials []descriptor `json:"allowCredentials"`

	RP                 struct{ ID string }      `json:"rp"`
	User               struct{ ID bytes64 }     `json:"user"`
	PubKeyCredParams   []struct{ Alg int }      `json:"pubKeyCredParams"`
	ExcludeCredentials []descriptor             `json:"excludeCredentials"`
	Extensions         struct{ CredProps bool } `json:"extensions"`
}

// read accepts {"publicKey":{…}} or the inner object.
func read(data []byte) (options, error) {
	var outer struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(data, &outer); err != nil {
		return options{}, fmt.Errorf("read options: %w", err)
	}
	if outer.PublicKey != nil {
		data = outer.PublicKey
	}
	var o options
	if err := json.Unmarshal(data, &o); err != nil {
		return options{}, fmt.Errorf("read options: %w", err)
	}
	return o, nil
}

type response struct {
	ID         bytes64        `json:"id"`
	RawID      bytes64        `json:"rawId"`
	Type       string         `json:"type"`
	Attachment string         `json:"authenticatorAttachment"`
	Extensions map[string]any `json:"clientExtensionResults"`
	Response   map[string]any `json:"response"`
}

// Create makes a passkey, as credentials.create() does, and returns the registration response.
func (a *Authenticator) Create(optionsJSON []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o, err := read(optionsJSON)
	if err != nil {
		return nil, err
	}
	if err := a.checkRPID(o.RP.ID); err != nil {
		return nil, err
	}
	for _, excluded := range o.ExcludeCredentials {
		if slices.ContainsFunc(a.Passkeys, func(k *Passkey) bool {
			return k.RPID == o.RP.ID && bytes.Equal(k.ID, excluded.ID)
		}) {
			return nil, ErrInvalidState
		}
	}
	alg := a.Algorithm
	for _, param := range o.PubKeyCredParams {
		if alg == 0 && slices.Contains([]int{ES256, EdDSA, RS256}, param.Alg) {
			alg = param.Alg
		}
	}
	k := &Passkey{ID: bytes.Repeat([]byte{0}, 20), RPID: o.RP.ID, UserHandle: o.User.ID, Algorithm: alg}
	_, _ = rand.Read(k.ID) // never fails
	make := newKey
	if a.NewKey != nil {
		make = a.NewKey
	}
	if k.Key, err = make(alg); err != nil {
		return nil, err
	}
	public, err := coseKey(alg, k.Key.Public())
	if err != nil {
		return nil, err
	}
	const attested = 1 << 6 // AT, WebAuthn L3 §6.1
	authData := a.authData(k, attested)
	authData = append(authData, a.AAGUID[:]...)
	authData = binary.BigEndian.AppendUint16(authData, uint16(len(k.ID)))
	authData = append(append(authData, k.ID...), public...)
	if a.BendData != nil {
		a.BendData(authData)
	}
	clientData, err := a.clientData("webauthn.create", o.Challenge)
	if err != nil {
		return nil, err
	}
	format, statement, err := a.attest(k, authData, clientData)
	if err == nil && a.Attest != nil {
		a.Attest(&format, statement)
	}
	if err != nil {
		return nil, err
	}
	object, err := encode(map[string]any{"fmt": format, "attStmt": statement, "authData": authData})
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Key.Public())
	if err != nil {
		return nil, err
	}
	extensions := a.extensions()
	if o.Extensions.CredProps {
		extensions["credProps"] = map[string]any{"rk": true}
	}
	a.Passkeys = append(a.Passkeys, k)
	return json.Marshal(response{k.ID, k.ID, "public-key", a.Attachment, extensions, map[string]any{
		"clientDataJSON":     bytes64(clientData),
		"authenticatorData":  bytes64(authData),
		"attestationObject":  bytes64(object),
		"transports":         a.Transports,
		"publicKey":          bytes64(spki),
		"publicKeyAlgorithm": alg,
	}})
}

// Get signs with the newest matching passkey, like credentials.get() once its user picked one, and returns the
// assertion response.
func (a *Authenticator) Get(optionsJSON []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o, err := read(optionsJSON)
	if err != nil {
		return nil, err
	}
	if err := a.checkRPID(o.RPID); err != nil {
		return nil, err
	}
	var k *Passkey
	for _, candidate := range a.Passkeys {
		allowed := len(o.AllowCredentials) == 0 ||
			slices.ContainsFunc(o.AllowCredentials, func(d descriptor) bool { return bytes.Equal(d.ID, candidate.ID) })
		if candidate.RPID == o.RPID && allowed {
			k = candidate
		}
	}
	if k == nil {
		return nil, ErrNotAllowed
	}
	k.Count += a.CountBy
	authData := a.authData(k, 0)
	if a.BendData != nil {
		a.BendData(authData)
	}
	clientData, err := a.clientData("webauthn.get", o.Challenge)
	if err != nil {
		return nil, err
	}
	signature, err := sign(k.Algorithm, k.Key, authData, clientData)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"clientDataJSON":    bytes64(clientData),
		"authenticatorData": bytes64(authData),
		"signature":         bytes64(signature),
	}
	if !a.OmitUserHandle {
		answer["userHandle"] = bytes64(k.UserHandle)
	}
	return json.Marshal(response{k.ID, k.ID, "public-key", a.Attachment, a.extensions(), answer})
}

// checkRPID is the browser's check of the RP ID: it must be the origin's host or a parent domain (WebAuthn L3 §5.1.3).
// It does not use the public suffix list.
func (a *Authenticator) checkRPID(rpID string) error {
	u, err := url.Parse(a.Origin)
	if err != nil || rpID == "" || (u.Hostname() != rpID && !strings.HasSuffix(u.Hostname(), "."+rpID)) {
		return fmt.Errorf("%w: RP ID %q on a page of %q", ErrSecurity, rpID, a.Origin)
	}
	return nil
}

// authData returns the start of the authenticator data (WebAuthn L3 §6.1).
func (a *Authenticator) authData(k *Passkey, more byte) []byte {
	rpIDHash := sha256.Sum256([]byte(k.RPID))
	return binary.BigEndian.AppendUint32(append(rpIDHash[:], a.Flags|more), k.Count)
}

func (a *Authenticator) clientData(kind string, challenge []byte) ([]byte, error) {
	c := ClientData{Type: kind, Challenge: base64.RawURLEncoding.EncodeToString(challenge), Origin: a.Origin}
	if a.Bend != nil {
		a.Bend(&c)
	}
	return json.Marshal(c)
}

func (a *Authenticator) extensions() map[string]any {
	all := map[string]any{}
	for name, value := range a.Unasked {
		all[name] = value
	}
	return all
}

// rsaKey is shared by all RS256 passkeys of the process, because generating a key takes a tenth of a second.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newKey(alg int) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RS256:
		return rsaKey()
	}
	return nil, fmt.Errorf("%w: algorithm %d", ErrNotSupported, alg)
}

// sign makes the signature of WebAuthn L3 §6.3.3 step 11, over the authenticator data and the hash of the client data.
func sign(alg int, key crypto.Signer, authData, clientData []byte) ([]byte, error) {
	clientHash := sha256.Sum256(clientData)
	message := slices.Concat(authData, clientHash[:])
	if alg == EdDSA {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	return key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// coseKey encodes a public key (RFC 9053 §7, RFC 8230 §4).
func coseKey(alg int, public crypto.PublicKey) ([]byte, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4 ‖ X ‖ Y
		if err != nil {
			return nil, err
		}
		return encode(map[int]any{1: 2, 3: alg, -1: 1, -2: point[1:33], -3: point[33:]})
	case ed25519.PublicKey:
		return encode(map[int]any{1: 1, 3: alg, -1: 6, -2: []byte(key)})
	case *rsa.PublicKey:
		return encode(map[int]any{1: 3, 3: alg, -1: key.N.Bytes(), -2: big.NewInt(int64(key.E)).Bytes()})
	}
	return nil, fmt.Errorf("%w: key of type %T", ErrNotSupported, public)
}

var encMode = sync.OnceValues(func() (cbor.EncMode, error) { return cbor.CTAP2EncOptions().EncMode() })

func encode(v any) ([]byte, error) {
	mode, err := encMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}
