package passkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/stepward/stepward/internal/pubkey"
)

// Limits of a registration response besides MaxResponse. They are checked before any verification.
const (
	maxClientData   = 4 << 10 // bytes
	maxChain        = 6       // certificates of an attestation
	maxCertificate  = 4 << 10 // bytes
	maxCredentialID = 1023    // bytes (WebAuthn L3 §7.1 step 25)
)

// transports are the values of AuthenticatorTransport (WebAuthn L3 §5.8.4). Others are dropped, because the stored
// values are sent to anyone who types the user's address.
var transports = []string{"ble", "hybrid", "internal", "nfc", "smart-card", "usb"}

// knownTransports returns the known values in their order, without duplicates.
func knownTransports[T ~string](reported []T) (known []string) {
	for _, t := range reported {
		if slices.Contains(transports, string(t)) && !slices.Contains(known, string(t)) {
			known = append(known, string(t))
		}
	}
	return known
}

// checkPublicKey rejects, before any verification, a COSE key that is not pubkey.CheapToVerify or has an algorithm we
// do not request.
func checkPublicKey(cose []byte) error {
	bad := errors.New("public key has an unsupported type or size")
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return bad
	}
	var public any
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgES256) && k.Curve == int64(webauthncose.P256) &&
			len(k.XCoord) == 32 && len(k.YCoord) == 32 {
			point := slices.Concat([]byte{4}, k.XCoord, k.YCoord) // uncompressed (SEC 1 §2.3.3)
			if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil {
				public = key
			}
		}
	case webauthncose.RSAPublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgRS256) && len(k.Modulus) <= 512 && len(k.Exponent) <= 4 {
			public = &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: int(new(big.Int).SetBytes(k.Exponent).Int64())}
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgEdDSA) && k.Curve == int64(webauthncose.Ed25519) {
			public = ed25519.PublicKey(k.XCoord)
		}
	}
	if !pubkey.CheapToVerify(public) {
		return bad
	}
	return nil
}

// checkCosts rejects a registration response that would cost too much to verify.
func checkCosts(parsed *protocol.ParsedCredentialCreationData) error {
	object := parsed.Response.AttestationObject
	if len(parsed.Raw.AttestationResponse.ClientDataJSON) > maxClientData {
		return errors.New("clientDataJSON is too long")
	}
	if len(object.AuthData.AttData.CredentialID) > maxCredentialID {
		return errors.New("credential ID is too long")
	}
	if err := checkPublicKey(object.AuthData.AttData.CredentialPublicKey); err != nil {
		return err
	}
	chain, _ := object.AttStatement["x5c"].([]any)
	if len(chain) > maxChain {
		return errors.New("attestation has too many certificates")
	}
	for _, one := range chain {
		der, _ := one.([]byte)
		if len(der) > maxCertificate {
			return errors.New("attestation certificate is too long")
		}
		if cert, err := x509.ParseCertificate(der); err == nil && !pubkey.CheapToVerify(cert.PublicKey) {
			return errors.New("attestation certificate has a public key of an unsupported type or size")
		}
	}
	return nil
}
