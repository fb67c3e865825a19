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

// ClientCredentials is the client_credentials grant (RFC 6749 §4.4): a token of the client's own, with nobody
// behind it. Such a token has no family and no row anywhere: issuing it asks no store. It is told from those of people by
// its sub, which is the client_id (RFC 9068 §2.2), and by the jti, which names no family; it has no acr, amr or auth_time,
// so it meets no requirement of a step-up.
func (s *Service) ClientCredentials(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	own := slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool { return !s.cfg.Catalog.Policy.ForMachines(scope) })
	wanted := oauth.Words(r.Form.Get("scope"))
	if len(wanted) == 0 {
		wanted = own
	}
	if len(wanted) == 0 || oauth.Beyond(wanted, own) {
		return nil, oauth.Refuse("invalid_scope", "a client may ask in its own name for scopes that are its own, have no action class and are not about a user")
	}
	w, err := s.Wish(c, r.Form)
	if err != nil {
		return nil, err
	}
	is, err := s.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	// Nobody confirmed anything: resources and types of an action class are closed to it, as its scopes are.
	err = s.allow(is, idp.Family{Scopes: wanted, Audience: c.Audience, Resources: w.resources, Details: w.details})
	switch {
	case errors.Is(err, errClosed):
		return nil, oauth.Refuse("invalid_target", "what was asked for has to be confirmed by a person")
	case err != nil:
		return nil, err
	case is.opaque != "":
		return nil, oauth.Refuse("invalid_target", "tokens for this resource are opaque, and a client's own token is stored nowhere")
	}
	resp := &Response{
		TokenType: is.confirmation.TokenType(), ExpiresIn: is.expires.Unix() - now.Unix(), Scope: strings.Join(is.scopes, " "), Details: is.details,
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

// lookUpMachine looks up a client's own token, which is signed and has not expired: in one round trip, if the client is
// in the cache.
func (s *Service) lookUpMachine(ctx context.Context, c AccessClaims) (presented, error) {
	if c.Subject != c.ClientID {
		return presented{}, keys.ErrToken
	}
	registered, err := s.holder(ctx, c.ClientID)
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
		client: registered, family: idp.Family{ClientID: c.ClientID}, subject: c.Subject, id: c.ID, scopes: strings.Fields(c.Scope),
		audience: c.Audience, details: c.Details, confirmation: c.Confirmation, issued: time.Unix(c.Issued, 0), expires: time.Unix(c.Expires, 0),
	}, nil
}

// notRevoked returns errToken for a token that was revoked alone.
func (s *Service) notRevoked(ctx context.Context, jti string) error {
	mark := &ephemeral.Op{Verb: ephemeral.Get, Key: revokedKey(jti)}
	if err := s.cfg.Ephemeral.Do(ctx, mark); err != nil {
		return fmt.Errorf("look for revocation: %w", err)
	}
	if mark.Found {
		return keys.ErrToken
	}
	return nil
}

// revokeAlone marks a token that is a client's own, or that it exchanged, as revoked until it expires. The mark stands in
// the ephemeral store; whoever verifies the signature alone does not see it, as with every JWT.
func (s *Service) revokeAlone(ctx context.Context, c AccessClaims, clientID string, now time.Time, ev idp.Event) error {
	left := time.Unix(c.Expires, 0).Sub(now)
	if c.ClientID != clientID || left < time.Millisecond {
		return keys.ErrToken
	}
	mark := &ephemeral.Op{Verb: ephemeral.Claim, Key: revokedKey(c.ID), Value: []byte("1"), TTL: left}
	if err := s.cfg.Ephemeral.Do(ctx, mark); err != nil || !mark.Found {
		return err
	}
	if err := s.cfg.DB.RecordEvents(ctx, ev); err != nil { // the token is revoked, whatever becomes of the event
		web.Note(ctx, slog.Any("record_error", err))
	}
	return nil
}

func revokedKey(jti string) string { return "revoked:" + jti }
