package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/web"
)

// A sender is what a request says of who sends it beside its form. The library hands neither path nor connection on to
// what answers the request, so it travels in the context.
type sender struct {
	method, path string
	scheme       string   // of the Authorization header, in lower case
	proofs       []string // DPoP headers (RFC 9449 §4.1)
}

type senderKey struct{}

// withSender reads the sender of a request, and gives whoever sent a DPoP proof the nonce for the next one (RFC 9449 §8.2).
func (p *Provider) withSender(w http.ResponseWriter, r *http.Request) *http.Request {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s := sender{method: r.Method, path: r.URL.Path, scheme: strings.ToLower(scheme), proofs: r.Header.Values("DPoP")}
	if len(s.proofs) > 0 {
		w.Header().Set("DPoP-Nonce", p.nonces.current(time.Now()))
	}
	return r.WithContext(context.WithValue(r.Context(), senderKey{}, s))
}

func senderOf(ctx context.Context) sender {
	s, _ := ctx.Value(senderKey{}).(sender)
	return s
}

// A binding is the key that a request has proven. It counts when its mark has been set.
type binding struct {
	idp.Confirmation
	mark *ephemeral.Op // claims the proof's jti; nil: nothing to claim
}

// with are the binding's op and others that the caller has for the same round trip.
func (b binding) with(ops ...*ephemeral.Op) []*ephemeral.Op {
	if b.mark == nil {
		return ops
	}
	return append([]*ephemeral.Op{b.mark}, ops...)
}

// settled says, after the round trip, whether the proof was new.
func (b binding) settled() error {
	if b.mark != nil && !b.mark.Found {
		return invalidProof("the DPoP proof was used before")
	}
	return nil
}

// bind reads what a request of client c for tokens has proven: they are to be bound to it. Its errors are answers.
func (p *Provider) bind(ctx context.Context, c idp.Client, now time.Time) (binding, error) {
	cert, err := certificateBinding(ctx, c)
	if err != nil {
		return binding{}, err
	}
	s := senderOf(ctx)
	if len(s.proofs) == 0 {
		if c.DPoPBound || !cert.Bound() && !c.Rules().BearerTokens {
			return binding{}, invalidProof("a DPoP proof is needed")
		}
		return binding{Confirmation: cert}, nil
	}
	b, err := p.checkProof(s, c, "", now)
	b.X5T = cert.X5T
	return b, err
}

// checkProof checks the proof of a request (RFC 9449 §4.3), for accessToken if it presents one.
func (p *Provider) checkProof(s sender, c idp.Client, accessToken string, now time.Time) (binding, error) {
	if len(s.proofs) != 1 {
		return binding{}, invalidProof("one DPoP proof is needed, and no more")
	}
	proof, err := dpop.Parse(s.proofs[0])
	if err != nil {
		return binding{}, invalidProof(err.Error())
	}
	// The address is ours as clients know it, never what the Host header says.
	err = proof.Check(s.method, p.Issuer+s.path, accessToken, now)
	if err != nil && p.MTLSOrigin != "" {
		err = proof.Check(s.method, p.MTLSOrigin+s.path, accessToken, now)
	}
	if err != nil {
		return binding{}, invalidProof(err.Error())
	}
	needed := proof.Nonce != "" || !c.Rules().WithoutNonce
	if needed && !p.nonces.fresh(proof.Nonce, now) {
		return binding{}, &oidc.Error{ErrorType: "use_dpop_nonce", Description: "the DPoP proof has to carry the nonce of the DPoP-Nonce header"}
	}
	sum := sha256.Sum256([]byte(proof.Key + "\x00" + proof.ID)) // any jti, in a key of fixed length
	return binding{idp.Confirmation{JKT: proof.Key}, &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "dpop:" + base64.RawURLEncoding.EncodeToString(sum[:]), Value: []byte("1"),
		TTL: proof.Until().Sub(now) + dpop.MaxAhead + time.Second, // a replica whose clock is behind takes it longer
	}}, nil
}

func invalidProof(description string) error {
	return &oidc.Error{ErrorType: "invalid_dpop_proof", Description: description}
}

// held checks that whoever presents a token holds the keys that it is bound to (RFC 9449 §7.1, RFC 8705 §3): a bound token is
// never taken for a bearer token, nor the other way round. errToken: it is presented in the wrong way, or by somebody else.
func (p *Provider) held(ctx context.Context, token string, t presented, now time.Time) error {
	if of := t.confirmation.X5T; of != "" {
		if chain := web.ClientCertificate(ctx); len(chain) == 0 || idp.CertificateThumbprint(chain[0]) != of {
			return keys.ErrToken
		}
	}
	s := senderOf(ctx)
	switch proven, needed := s.scheme == "dpop", t.confirmation.JKT != ""; {
	case proven != needed:
		return keys.ErrToken
	case !needed:
		return nil
	}
	b, err := p.checkProof(s, t.client, token, now)
	if err != nil {
		return op.NewStatusError(err, http.StatusUnauthorized)
	}
	if b.JKT != t.confirmation.JKT {
		return keys.ErrToken
	}
	if err := p.Ephemeral.Do(ctx, b.mark); err != nil {
		return broken(ctx, "mark DPoP proof", err)
	}
	if err := b.settled(); err != nil {
		return op.NewStatusError(err, http.StatusUnauthorized)
	}
	return nil
}
