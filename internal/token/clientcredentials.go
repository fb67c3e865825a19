package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// ClientCredentials is the client_credentials grant (RFC 6749 §4.4): a token for the client itself, not for a user.
// Such a token has no family and is not stored: issuing it needs no round trip. Two things tell it from users' tokens:
// sub is the client_id (RFC 9068 §2.2), and the jti names no family. It has no acr, amr or auth_time, so it satisfies
// no step-up.
func (s *Service) ClientCredentials(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	own := slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool {
		return !s.cfg.Catalog.Policy.ForMachines(scope)
	})
	wanted := oauth.Words(r.Form.Get("scope"))
	if len(wanted) == 0 {
		wanted = own
	}
	if len(wanted) == 0 || oauth.Beyond(wanted, own) {
		return nil, oauth.Refuse(
			"invalid_scope", "only scopes of the client without an action class, and not about a user, are allowed here",
		)
	}
	w, err := s.ReadNarrowing(c, r.Form)
	if err != nil {
		return nil, err
	}
	is, err := s.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	// Nobody confirmed anything, so resources and types with an action class are refused, like such scopes, except for
	// scopes that are meant for machines as well.
	is.machine = true
	err = s.allow(is, idp.Family{Scopes: wanted, Audience: c.Audience, Resources: w.resources, Details: w.details})
	switch {
	case errors.Is(err, errClosed):
		return nil, oauth.Refuse("invalid_target", "a person must confirm this request")
	case err != nil:
		return nil, err
	case is.opaque != "":
		return nil, oauth.Refuse(
			"invalid_target", "tokens for this resource are opaque, and this grant cannot issue opaque tokens",
		)
	}
	resp := &Response{
		TokenType: is.confirmation.TokenType(), ExpiresIn: is.expires.Unix() - now.Unix(),
		Scope: strings.Join(is.scopes, " "), Details: is.details,
	}
	resp.AccessToken, err = is.access.Sign(keys.TypeAccessToken, AccessClaims{
		Issuer:       s.cfg.Catalog.Issuer,
		Subject:      c.ID,
		Audience:     is.audience,
		ClientID:     c.ID,
		Expires:      is.expires.Unix(),
		Issued:       now.Unix(),
		ID:           idp.NewSecret().Reveal(),
		Scope:        resp.Scope,
		Details:      is.details,
		Confirmation: is.confirmation,
	})
	if err != nil {
		return nil, oauth.Broken(ctx, "sign tokens", err)
	}
	return resp, nil
}

// lookUpMachine looks up a token issued to the client itself. It is signed and has not expired. If the client is
// cached, this takes one round trip.
func (s *Service) lookUpMachine(ctx context.Context, c AccessClaims) (presented, error) {
	if c.Subject != c.ClientID {
		return presented{}, keys.ErrToken
	}
	registered, err := s.loadHolder(ctx, c.ClientID)
	if err != nil {
		return presented{}, err
	}
	if !slices.Contains(registered.GrantTypes, idp.GrantClientCredentials) {
		return presented{}, keys.ErrToken
	}
	if err := s.notRevoked(ctx, c.ID); err != nil {
		return presented{}, err
	}
	return presented{
		client: registered, family: idp.Family{ClientID: c.ClientID}, subject: c.Subject, id: c.ID,
		scopes:   strings.Fields(c.Scope),
		audience: c.Audience, details: c.Details, confirmation: c.Confirmation, issued: time.Unix(c.Issued, 0),
		expires: time.Unix(c.Expires, 0),
	}, nil
}

// notRevoked returns errToken if this single token was revoked.
func (s *Service) notRevoked(ctx context.Context, jti string) error {
	mark := &ephemeral.Op{Verb: ephemeral.Get, Key: revokedKey(jti)}
	if err := s.cfg.Ephemeral.Do(ctx, mark); err != nil {
		return fmt.Errorf("look up revocation: %w", err)
	}
	if mark.Found {
		return keys.ErrToken
	}
	return nil
}

// revokeAlone revokes a single token, issued to a client itself or exchanged, until it expires. The mark is kept in the
// ephemeral store. As with every JWT, a resource server that only verifies the signature does not see it.
func (s *Service) revokeAlone(ctx context.Context, c AccessClaims, clientID string, now time.Time, ev idp.Event) error {
	left := time.Unix(c.Expires, 0).Sub(now)
	if c.ClientID != clientID || left < time.Millisecond {
		return keys.ErrToken
	}
	mark := &ephemeral.Op{Verb: ephemeral.Claim, Key: revokedKey(c.ID), Value: []byte("1"), TTL: left}
	if err := s.cfg.Ephemeral.Do(ctx, mark); err != nil || !mark.Found {
		return err
	}
	if err := s.cfg.DB.RecordEvents(ctx, ev); err != nil { // the token is revoked even if the event is lost
		web.Note(ctx, slog.Any("record_error", err))
	}
	return nil
}

func revokedKey(jti string) string { return "revoked:" + jti }
