package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// CodeExchange is the authorization_code grant (RFC 6749 §4.1.3). The code is taken first: whatever is wrong with the
// rest of the request, it does not work again.
func (s server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	c, now := r.Client.(client).registered, time.Now()
	is, err := s.p.prepare(ctx, c, now)
	if err != nil {
		return nil, broken(ctx, "prepare tokens", err)
	}
	code := idp.Secret(r.Data.Code)
	a, err := s.p.codes.Take(ctx, code.Hash())
	if errors.Is(err, idp.ErrNotFound) {
		return nil, s.p.reused(ctx, c, code, now)
	}
	if err != nil {
		return nil, broken(ctx, "take code", err)
	}
	switch {
	case a.ClientID != c.ID, a.RedirectURI != r.Data.RedirectURI:
		return nil, invalidGrant("the code was issued to another client or for another redirect_uri")
	case !proves(a.CodeChallenge, r.Data.CodeVerifier, needsPKCE(c)):
		return nil, invalidGrant("code_verifier does not fit code_challenge")
	case !s.p.allow(is, a.Scopes, a.Assurance):
		return nil, invalidGrant("nothing that was allowed is allowed any longer")
	}
	f := idp.Family{
		ID:        familyOf(code),
		ClientID:  c.ID,
		UserID:    a.UserID,
		SessionID: a.SessionID,
		Scopes:    a.Scopes,
		Audience:  c.Audience,
		Assurance: a.Assurance,
		Claims:    a.Claims,
		CreatedAt: now,
		ExpiresAt: is.expires, // nothing of it outlives its only access token
	}
	var refresh idp.Secret
	if slices.Contains(a.Scopes, scopeOffline) && slices.Contains(c.GrantTypes, grantRefresh) {
		handle, secret := idp.NewSecret(), idp.NewSecret()
		refresh = handle + "." + secret
		f.Offline, f.ExpiresAt = true, now.Add(s.p.RefreshTTL)
		f.HandleHash, f.CurrentHash = handle.Hash(), secret.Hash()
	}
	issued := s.p.event(ctx, idp.EventTokensIssued, a.UserID, c.ID, now)
	issued.SessionID = a.SessionID
	u, err := s.p.DB.CreateFamily(ctx, f, is.row(f.ID), issued)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, invalidGrant("the account is closed")
	}
	if err != nil {
		return nil, broken(ctx, "store family", err)
	}
	resp, err := s.p.sign(is, f, u, a.Nonce, refresh)
	if err != nil {
		return nil, broken(ctx, "sign tokens", err)
	}
	return op.NewResponse(resp), nil
}

func invalidGrant(description string) error {
	return oidc.ErrInvalidGrant().WithDescription("%s", description)
}

// familyOf names the family that a code produces. It follows from the code, so that a code that comes again finds what
// it produced without any record of used codes.
func familyOf(code idp.Secret) string {
	sum := sha256.Sum256([]byte("family" + code.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// reused answers a code that is not there: never issued, expired, or used. If it was used, somebody else has it, and
// what it produced is revoked (RFC 6749 §4.1.2, RFC 9700 §4.5).
func (p *Provider) reused(ctx context.Context, c idp.Client, code idp.Secret, now time.Time) error {
	family := familyOf(code)
	ev := p.event(ctx, idp.EventCodeReused, "", c.ID, now)
	ev.Detail = map[string]string{"family": family}
	err := p.DB.RevokeFamily(ctx, family, "", now, ev)
	switch {
	case err == nil:
		web.Note(ctx, slog.Bool("code_reused", true))
	case !errors.Is(err, idp.ErrNotFound):
		return broken(ctx, "revoke family of a reused code", err)
	}
	return invalidGrant("the code is not valid (any longer)")
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
