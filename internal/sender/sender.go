// Package sender checks the keys that the sender of a request proves: DPoP proofs (RFC 9449) and client certificates (RFC 8705).
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

// BinderConfig wires a Binder.
type BinderConfig struct {
	Issuer     string
	MTLSOrigin string // where clients are asked for a certificate (RFC 8705 §5); empty: nowhere
	Ephemeral  ephemeral.Store
	Secret     []byte // 32 random bytes shared by all replicas; nonces are derived from it
}

// A Binder checks the keys and certificates that requests prove. It may be used by any number of goroutines.
type Binder struct {
	cfg    BinderConfig
	nonces nonces
}

// NewBinder returns a Binder.
func NewBinder(cfg BinderConfig) *Binder { return &Binder{cfg: cfg, nonces: newNonces(cfg.Secret)} }

// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
func (s *Binder) Nonce(now time.Time) string { return s.nonces.current(now) }

// A Binding is the key that a request has proven. It counts once its mark is set.
type Binding struct {
	idp.Confirmation
	mark *ephemeral.Op // claims the proof's jti; nil: nothing to claim
}

// With returns the binding's op and others that the caller has for the same round trip.
func (b Binding) With(ops ...*ephemeral.Op) []*ephemeral.Op {
	if b.mark == nil {
		return ops
	}
	return append([]*ephemeral.Op{b.mark}, ops...)
}

// Settled says, after the round trip, whether the proof was new.
func (b Binding) Settled() error {
	if b.mark != nil && !b.mark.Found {
		return InvalidProof("the DPoP proof was used before")
	}
	return nil
}

// Bind returns the key to which tokens for this sender are bound. Its errors are *Error.
func (s *Binder) Bind(sender oauth.Sender, c idp.Client, now time.Time) (Binding, error) {
	cert, err := certificateBinding(sender, c)
	if err != nil {
		return Binding{}, err
	}
	if len(sender.Proofs) == 0 {
		if c.DPoPBound || !cert.Bound() && !c.Rules().BearerTokens {
			return Binding{}, InvalidProof("a DPoP proof is needed")
		}
		return Binding{Confirmation: cert}, nil
	}
	b, err := s.CheckProof(sender, c, "", now)
	b.X5T = cert.X5T
	return b, err
}

// CheckProof checks the proof of a request (RFC 9449 §4.3), for accessToken if it presents one.
func (s *Binder) CheckProof(sender oauth.Sender, c idp.Client, accessToken string, now time.Time) (Binding, error) {
	if len(sender.Proofs) != 1 {
		return Binding{}, InvalidProof("one DPoP proof is needed, and no more")
	}
	proof, err := dpop.Parse(sender.Proofs[0])
	if err != nil {
		return Binding{}, InvalidProof(err.Error())
	}
	// The address is ours as clients know it, never what the Host header says.
	err = proof.Check(sender.Method, s.cfg.Issuer+sender.Path, accessToken, now)
	if err != nil && s.cfg.MTLSOrigin != "" {
		err = proof.Check(sender.Method, s.cfg.MTLSOrigin+sender.Path, accessToken, now)
	}
	if err != nil {
		return Binding{}, InvalidProof(err.Error())
	}
	needed := proof.Nonce != "" || !c.Rules().WithoutNonce
	if needed && !s.nonces.fresh(proof.Nonce, now) {
		return Binding{}, oauth.Refuse("use_dpop_nonce", "the DPoP proof has to carry the nonce of the DPoP-Nonce header")
	}
	sum := sha256.Sum256([]byte(proof.Key + "\x00" + proof.ID)) // any jti, in a key of fixed length
	return Binding{idp.Confirmation{JKT: proof.Key}, &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "dpop:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		TTL: proof.Until().Sub(now) + dpop.MaxAhead + time.Second, // a replica whose clock is behind takes it longer
	}}, nil
}

// InvalidProof returns the error for a DPoP proof that does not do.
func InvalidProof(description string) error {
	return oauth.Refuse("invalid_dpop_proof", description)
}

// ErrNotHeld says that a token is presented in the wrong way, or by somebody else than its holder.
var ErrNotHeld = errors.New("presented without the key that the token is bound to")

// Prove checks that the sender of a token holds the keys that it is bound to (RFC 9449 §7.1, RFC 8705 §3). A bound token is
// never accepted as a bearer token, nor the other way round. Its errors are ErrNotHeld and *Error.
func (s *Binder) Prove(ctx context.Context, sender oauth.Sender, c idp.Client, token string, to idp.Confirmation, now time.Time) error {
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
	if err := b.Settled(); err != nil {
		return oauth.ErrorOf(ctx, "check DPoP proof", err).With(http.StatusUnauthorized)
	}
	return nil
}

// certificateBinding returns the certificate to which a client's access tokens are bound. A client that is registered for it
// must send one. RFC 8705 §3.4 would let us issue a bearer token instead, which is what the client registered against.
func certificateBinding(sender oauth.Sender, c idp.Client) (idp.Confirmation, error) {
	if !c.CertificateBound {
		return idp.Confirmation{}, nil
	}
	if len(sender.Certificates) == 0 {
		return idp.Confirmation{}, oauth.InvalidRequest("tokens of the client are bound to its certificate, and there was none")
	}
	return idp.Confirmation{X5T: idp.CertificateThumbprint(sender.Certificates[0])}, nil
}
