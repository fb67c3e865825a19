package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/google/uuid"
)

// An Attestor is the maker of an authenticator model. It has a root certificate, signs attestations, and publishes
// metadata. Setting Authenticator.Attestor makes an authenticator one of this model; the AAGUIDs must be equal.
type Attestor struct {
	AAGUID [16]byte
	Root   *x509.Certificate
	leaf   []byte
	key    *ecdsa.PrivateKey
}

// NewAttestor creates the maker of the model with this AAGUID.
func NewAttestor(aaguid [16]byte) (*Attestor, error) {
	return NewAttestorUntil(aaguid, time.Now().AddDate(10, 0, 0))
}

// NewAttestorUntil founds a maker whose attestation certificate expires then.
func NewAttestorUntil(aaguid [16]byte, expires time.Time) (*Attestor, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	model, err := asn1.Marshal(aaguid[:])
	if err != nil {
		return nil, err
	}
	// WebAuthn L3 §8.2.1 lists the required contents.
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject: pkix.Name{
			Country: []string{"SE"}, Organization: []string{"Test"}, OrganizationalUnit: []string{"Authenticator Attestation"},
			CommonName: "Test Attestation",
		},
		NotBefore: expires.AddDate(-20, 0, 0), NotAfter: expires, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: model}},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, fmt.Errorf("make leaf: %w", err)
	}
	parsed, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return nil, err
	}
	return &Attestor{AAGUID: aaguid, Root: parsed, leaf: leafDER, key: key}, nil
}

// Entry is the metadata of the model: a hardware key without incidents. Tests may change it.
func (a *Attestor) Entry() *metadata.Entry {
	return &metadata.Entry{
		AaGUID: a.AAGUID,
		MetadataStatement: metadata.Statement{
			AaGUID:                      a.AAGUID,
			Description:                 "Test Key",
			AttestationTypes:            metadata.AuthenticatorAttestationTypes{metadata.BasicFull},
			AttestationRootCertificates: []*x509.Certificate{a.Root},
			KeyProtection:               []string{"hardware", "secure_element"},
		},
		StatusReports: []metadata.StatusReport{{Status: metadata.FidoCertified}},
	}
}

// Metadata is a passkey.Metadata that knows only this model.
func (a *Attestor) Metadata() func(uuid.UUID) *metadata.Entry {
	entry := a.Entry()
	return func(aaguid uuid.UUID) *metadata.Entry {
		if aaguid == a.AAGUID {
			return entry
		}
		return nil
	}
}

// attest makes the attestation statement: packed by the maker, packed by the key itself, or none (WebAuthn L3 §8).
func (a *Authenticator) attest(k *Passkey, authData, clientData []byte) (
	format string, statement map[string]any, err error,
) {
	switch {
	case a.Attestor != nil:
		signature, err := sign(ES256, a.Attestor.key, authData, clientData)
		return "packed", map[string]any{"alg": ES256, "sig": signature, "x5c": []any{a.Attestor.leaf}}, err
	case a.SelfAttest:
		signature, err := sign(k.Algorithm, k.Key, authData, clientData)
		return "packed", map[string]any{"alg": k.Algorithm, "sig": signature}, err
	}
	return "none", map[string]any{}, nil
}
