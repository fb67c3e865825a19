package passkey

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// create verifies a registration. An attestation that cannot be traced to a maker (its format or chain is unknown, a
// certificate has expired) is no reason to refuse a passkey, which is as good as one without attestation: then the
// response is verified once more as if it had none. An attestation that is wrong is refused.
func (c *Ceremonies) create(
	p party, session webauthn.SessionData, parsed *protocol.ParsedCredentialCreationData,
) (*webauthn.Credential, error) {
	cred, err := c.webauthn.CreateCredential(p, session, parsed)
	object := parsed.Response.AttestationObject
	if err == nil || object.Format == string(protocol.AttestationFormatNone) || forged(parsed, err) {
		return cred, err
	}
	plain := *parsed
	plain.Response.AttestationObject.Format = string(protocol.AttestationFormatNone)
	plain.Response.AttestationObject.AttStatement, plain.Response.AttestationObject.SubStatements = nil, nil
	cred, again := c.webauthn.CreateCredential(p, session, &plain)
	if again != nil {
		return nil, again
	}
	cred.AttestationFormat = object.Format
	c.log.Info("attestation not traceable", slog.String("format", object.Format),
		slog.Any("error", refused(err, session.Challenge)))
	return cred, nil
}

// ofForgeries are in the library's words for a statement that was not made for this registration.
var ofForgeries = []string{
	"signature", "nonce", "mismatch", "extradata", "does not match", "challenge not equal",
	"verifying the public key",
}

// forged reports whether an attestation is wrong, rather than of unknown origin.
func forged(parsed *protocol.ParsedCredentialCreationData, err error) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		return true
	}
	details := strings.ToLower(e.Details)
	if slices.ContainsFunc(ofForgeries, func(word string) bool { return strings.Contains(details, word) }) {
		return true
	}
	return forgedByLeaf(parsed)
}

// forgedByLeaf checks the signature of formats that the attestation certificate signs (WebAuthn L3 §8.2, §8.4), which
// the library does only after it has found the chain in order.
func forgedByLeaf(parsed *protocol.ParsedCredentialCreationData) bool {
	object := parsed.Response.AttestationObject
	switch protocol.AttestationFormat(object.Format) {
	case protocol.AttestationFormatPacked, protocol.AttestationFormatAndroidKey:
	default:
		return false
	}
	chain, _ := object.AttStatement["x5c"].([]any)
	signature, _ := object.AttStatement["sig"].([]byte)
	alg, _ := object.AttStatement["alg"].(int64)
	if len(chain) == 0 {
		return false
	}
	der, _ := chain[0].([]byte)
	leaf, err := x509.ParseCertificate(der)
	algorithm := webauthncose.SigAlgFromCOSEAlg(webauthncose.COSEAlgorithmIdentifier(alg))
	if err != nil || algorithm == x509.UnknownSignatureAlgorithm {
		return false
	}
	hash := sha256.Sum256(parsed.Raw.AttestationResponse.ClientDataJSON)
	return leaf.CheckSignature(algorithm, slices.Concat(object.RawAuthData, hash[:]), signature) != nil
}
