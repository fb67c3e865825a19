package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
)

// CodeExchange is the authorization_code grant (RFC 6749 §4.1.3). The code is taken first: whatever is wrong with the
// rest of the request, it does not work again.
func (s server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	c, now := r.Client.(client).registered, time.Now()
	w, err := s.p.wish(c, r.Form)
	if err != nil {
		return nil, err
	}
	code := idp.Secret(r.Data.Code)
	take := s.p.codes.TakeOp(code.Hash())
	is, err := s.p.prepare(ctx, c, now, take)
	if err != nil {
		return nil, err
	}
	is.wish = w
	a, err := s.p.codes.Decode(take)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, s.p.reused(ctx, c, code, now)
	}
	if err != nil {
		return nil, broken(ctx, "take code", err)
	}
	switch {
	case a.ClientID != c.ID, a.RedirectURI != r.Data.RedirectURI:
		return nil, invalidGrant("the code was issued to another client or for another redirect_uri")
	case !proves(a.CodeChallenge, r.Data.CodeVerifier, c.NeedsPKCE()):
		return nil, invalidGrant("code_verifier does not fit code_challenge")
	}
	return s.p.settle(ctx, is, a, familyOf(code))
}

func invalidGrant(description string) error {
	return oidc.ErrInvalidGrant().WithDescription("%s", description)
}

// proves reports whether the verifier belongs to the challenge (RFC 7636 §4.6). A challenge is never waived, and a
// verifier without one is refused: somebody took the challenge out of the request on its way (RFC 9700 §4.8.2).
func proves(challenge, verifier string, needed bool) bool {
	if challenge == "" {
		return verifier == "" && !needed
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
