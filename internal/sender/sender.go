// Package sender verifies the keys that prove who sent a request: DPoP proofs (RFC 9449) and client certificates (RFC
// 8705).
package sender

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// BinderConfig configures a Binder.
type BinderConfig struct {
	Issuer     string
	MTLSOrigin string // origin that requests client certificates (RFC 8705 §5); empty: none
	Ephemeral  ephemeral.Store
	Secret     []byte // 32 random bytes shared by all replicas, from which nonces are derived
}

// A Binder verifies the keys and certificates of requests. It is safe for concurrent use.
type Binder struct {
	cfg    BinderConfig
	nonces nonces
}

// NewBinder returns a Binder.
func NewBinder(cfg BinderConfig) *Binder { return &Binder{cfg: cfg, nonces: newNonces(cfg.Secret)} }

// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
func (s *Binder) Nonce(now time.Time) string { return s.nonces.current(now) }

// A Binding is the key that a request has proved. It is valid only after CheckReplay succeeds.
type Binding struct {
	idp.Confirmation
	mark *ephemeral.Op // claims the proof's jti; nil: no proof
}

// With returns ops together with the binding's own op, to run in one round trip.
func (b Binding) With(ops ...*ephemeral.Op) []*ephemeral.Op {
	if b.mark == nil {
		return ops
	}
	return append([]*ephemeral.Op{b.mark}, ops...)
}

// CheckReplay reports an error if the proof was used before. Call it after the round trip.
func (b Binding) CheckReplay() error {
	if b.mark != nil && !b.mark.Found {
		return InvalidProof("the DPoP proof was used before")
	}
	return nil
}

// Bind returns the key that tokens for this sender are bound to. Its errors are *oauth.Error.
func (s *Binder) Bind(sender oauth.Sender, c idp.Client, now time.Time) (Binding, error) {
	cert, err := certificateBinding(sender, c)
	if err != nil {
		return Binding{}, err
	}
	if len(sender.Proofs) == 0 {
		if c.DPoPBound || !cert.Bound() && !c.Rules().BearerTokens {
			return Binding{}, InvalidProof("a DPoP proof is required")
		}
		return Binding{Confirmation: cert}, nil
	}
	b, err := s.CheckProof(sender, c, "", now)
	b.X5T = cert.X5T
	return b, err
}

// CheckProof verifies the DPoP proof of a request (RFC 9449 §4.3), including its hash of accessToken if that is not
// empty.
func (s *Binder) CheckProof(sender oauth.Sender, c idp.Client, accessToken string, now time.Time) (Binding, error) {
	if len(sender.Proofs) != 1 {
		return Binding{}, InvalidProof("exactly one DPoP proof is required")
	}
	proof, err := dpop.Parse(sender.Proofs[0])
	if err != nil {
		return Binding{}, InvalidProof(err.Error())
	}
	// Compare with our own public address, never with the Host header.
	err = proof.Check(sender.Method, s.cfg.Issuer+sender.Path, accessToken, now)
	if err != nil && s.cfg.MTLSOrigin != "" {
		err = proof.Check(sender.Method, s.cfg.MTLSOrigin+sender.Path, accessToken, now)
	}
	if err != nil {
		return Binding{}, InvalidProof(err.Error())
	}
	needed := proof.Nonce != "" || !c.Rules().WithoutNonce
	if needed && !s.nonces.fresh(proof.Nonce, now) {
		return Binding{}, oauth.Refuse("use_dpop_nonce", "the DPoP proof must contain the nonce of the DPoP-Nonce header")
	}
	sum := sha256.Sum256([]byte(proof.Key + "\x00" + proof.ID)) // a key of fixed length for any jti
	return Binding{idp.Confirmation{JKT: proof.Key}, &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "dpop:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		TTL: proof.Until().Sub(now) + dpop.MaxAhead + time.Second, // a replica with a slow clock accepts the proof longer
	}}, nil
}

// InvalidProof returns the error for an invalid DPoP proof.
func InvalidProof(description string) error {
	return oauth.Refuse("invalid_dpop_proof", description)
}

// ErrNotHeld means that the sender did not prove possession of the key that the token is bound to.
var ErrNotHeld = errors.New("presented without the key that the token is bound to")

// Prove verifies that the sender of a token holds the keys it is bound to (RFC 9449 §7.1, RFC 8705 §3). A bound token
// is never accepted as a bearer token, nor a bearer token with DPoP. Its errors are ErrNotHeld and *oauth.Error.
func (s *Binder) Prove(
	ctx context.Context, sender oauth.Sender, c idp.Client, token string, to idp.Confirmation, now time.Time,
) error {
	if to.X5T != "" {
		if chain := sender.Certificates; len(chain) == 0 || idp.CertificateThumbprint(chain[0]) != to.X5T {
			return ErrNotHeld
		}
	}
	switch proven, needed := sender.Scheme == "dpop", to.JKT != ""; {
	case proven != needed:
		return ErrNotHeld
	case !needed:
		return nil
	}
	b, err := s.CheckProof(sender, c, token, now)
	if err != nil {
		return oauth.ErrorOf(ctx, "check DPoP proof", err).With(http.StatusUnauthorized)
	}
	if b.JKT != to.JKT {
		return ErrNotHeld
	}
	if err := s.cfg.Ephemeral.Do(ctx, b.mark); err != nil {
		return oauth.Broken(ctx, "mark DPoP proof", err)
	}
	if err := b.CheckReplay(); err != nil {
		return oauth.ErrorOf(ctx, "check DPoP proof", err).With(http.StatusUnauthorized)
	}
	return nil
}

// certificateBinding returns the certificate that the client's access tokens are bound to. A client registered for
// bound tokens must send one: RFC 8705 §3.4 would allow us to issue a bearer token, but the registration rules that
// out.
func certificateBinding(sender oauth.Sender, c idp.Client) (idp.Confirmation, error) {
	if !c.CertificateBound {
		return idp.Confirmation{}, nil
	}
	if len(sender.Certificates) == 0 {
		return idp.Confirmation{}, oauth.InvalidRequest(
			"a client certificate is required, because the client's tokens are bound to it")
	}
	return idp.Confirmation{X5T: idp.CertificateThumbprint(sender.Certificates[0])}, nil
}
