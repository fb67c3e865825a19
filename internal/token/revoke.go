package token

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// Revoke ends a token of the client (RFC 7009) together with its whole family: a JWT cannot be revoked alone, and a
// client that revokes a token wants to end the access. An unknown token, or one of another client, gets the same
// answer: either way, the client cannot use it afterwards.
func (s *Service) Revoke(ctx context.Context, r *Request) error {
	c, token, now := r.Client, r.Form.Get("token"), time.Now()
	if len(token) > maxToken {
		return nil
	}
	ev := oauth.ClientEvent(ctx, idp.EventTokensRevoked, "", c.ID, now)
	var err error
	switch strings.Count(token, ".") {
	case 1:
		if handle, _, ok := splitRefresh(token); ok {
			err = s.cfg.DB.RevokeFamilyByHandle(ctx, familyKey(handle), c.ID, now, ev)
		}
	case 2:
		err = s.revokeJWT(ctx, token, c.ID, now, ev)
	default:
		err = s.cfg.DB.RevokeOpaque(ctx, idp.Secret(token).Hash(), c.ID, now, ev)
	}
	if err != nil && !errors.Is(err, idp.ErrNotFound) && !errors.Is(err, keys.ErrToken) {
		return oauth.Broken(ctx, "revoke token", err)
	}
	return nil
}

func (s *Service) revokeJWT(ctx context.Context, token, clientID string, now time.Time, ev idp.Event) error {
	ring, err := s.cfg.Keys.Current(ctx)
	if err != nil {
		return err
	}
	var claims AccessClaims
	if err := ring.Open(keys.TypeAccessToken, token, &claims); err != nil {
		return err
	}
	family, _, ofFamily := strings.Cut(claims.ID, ".")
	if !ofFamily || claims.Actor != nil {
		return s.revokeAlone(ctx, claims, clientID, now, ev)
	}
	return s.cfg.DB.RevokeFamily(ctx, family, clientID, now, ev)
}
