package provider

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
)

// Revocation ends a token of the client's own (RFC 7009), and with it its whole family: a JWT cannot be called back alone,
// and who revokes a token means the access. What is not known, or not this client's, is answered in the same way: it does
// not work for the client afterwards, as it did not before.
func (s server) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	c, token, now := r.Client.(client).registered, r.Data.Token, time.Now()
	if len(token) > maxToken {
		return op.NewResponse(nil), nil
	}
	ev := s.p.event(ctx, idp.EventTokensRevoked, "", c.ID, now)
	var err error
	switch strings.Count(token, ".") {
	case 1:
		if handle, _, ok := splitRefresh(token); ok {
			err = s.p.DB.RevokeFamilyByHandle(ctx, handle.Hash(), c.ID, now, ev)
		}
	case 2:
		err = s.p.revokeJWT(ctx, token, c.ID, now, ev)
	default:
		err = s.p.DB.RevokeOpaque(ctx, idp.Secret(token).Hash(), c.ID, now, ev)
	}
	if err != nil && !errors.Is(err, idp.ErrNotFound) && !errors.Is(err, keys.ErrToken) {
		return nil, broken(ctx, "revoke token", err)
	}
	return op.NewResponse(nil), nil
}

func (p *Provider) revokeJWT(ctx context.Context, token, clientID string, now time.Time, ev idp.Event) error {
	ring, err := p.Keys.Current(ctx)
	if err != nil {
		return err
	}
	var claims accessClaims
	if err := ring.Open(keys.TypeAccessToken, token, &claims); err != nil {
		return err
	}
	family, _, ofFamily := strings.Cut(claims.ID, ".")
	if !ofFamily || claims.Actor != nil {
		return p.revokeAlone(ctx, claims, clientID, now, ev)
	}
	return p.DB.RevokeFamily(ctx, family, clientID, now, ev)
}
