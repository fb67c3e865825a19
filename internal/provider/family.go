package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// settle stores the family that an authorization produces, in one batch, and answers with its first tokens. Every grant
// with a person behind it ends here, or in the family that this began.
func (p *Provider) settle(ctx context.Context, is *issue, a authorization, familyID string) (*op.Response, error) {
	c, now := is.client, is.now
	if a.Confirmation.Bound() && a.Confirmation.JKT != is.confirmation.JKT {
		return nil, invalidGrant("the code is bound to a key that was not proven")
	}
	f := idp.Family{
		ID:           familyID,
		ClientID:     c.ID,
		UserID:       a.UserID,
		SessionID:    a.SessionID,
		Scopes:       a.Scopes,
		Audience:     c.Audience,
		Resources:    a.Resources,
		Details:      a.Details,
		Assurance:    a.Assurance,
		Claims:       a.Claims,
		Confirmation: is.confirmation,
		CreatedAt:    now,
		Granted:      a.Granted,
	}
	if err := p.allow(is, f); errors.Is(err, errClosed) {
		return nil, invalidGrant("nothing that was allowed is allowed any longer")
	} else if err != nil {
		return nil, atToken(err)
	}
	f.ExpiresAt = is.expires // nothing of it outlives its only access token
	var refresh idp.Secret
	if slices.Contains(a.Scopes, scopeOffline) && slices.Contains(c.GrantTypes, grantRefresh) {
		handle, secret := boundHandle(c, is.confirmation), idp.NewSecret()
		refresh = handle + "." + secret
		f.Offline, f.ExpiresAt = true, now.Add(p.RefreshTTL)
		f.HandleHash, f.CurrentHash = handle.Hash(), secret.Hash()
	}
	if c.WantsLogout() {
		f.WatchFrom = now.Add(firstLook)
	}
	issued := p.event(ctx, idp.EventTokensIssued, a.UserID, c.ID, now)
	issued.SessionID = a.SessionID
	f, u, err := p.DB.CreateFamily(ctx, f, is.row(f.ID), issued)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, invalidGrant("the account is closed, or the user has taken back what was allowed")
	}
	if err != nil {
		return nil, broken(ctx, "store family", err)
	}
	if !p.Policy.Holds(idp.Access{Scopes: is.scopes, Resources: is.audience, Details: is.details}, f.Assurance, now) {
		return nil, invalidGrant("the user has taken back what was confirmed")
	}
	resp, err := p.sign(is, f, u, a.Nonce, refresh)
	if err != nil {
		return nil, broken(ctx, "sign tokens", err)
	}
	return op.NewResponse(resp), nil
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
