package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// firstLook is how soon after a client's first tokens its session is looked up. After that we know when the session may
// end by itself. Before, the user may have signed out between the code and its exchange.
const firstLook = time.Minute

// StoreFamily stores the family of an authorization in one batch and returns its first tokens. code is the code of the
// authorization. Every grant for a user ends here, or refreshes a family that began here.
func (s *Service) StoreFamily(ctx context.Context, is *Issue, a Authorization, code idp.Secret) (*Response, error) {
	c, now := *is.client, is.now
	if a.Confirmation.Bound() && a.Confirmation.JKT != is.confirmation.JKT {
		return nil, oauth.InvalidGrant("the code is bound to a key that was not proven")
	}
	f := familyOf(is, a, FamilyOf(code))
	if err := s.allow(is, f); errors.Is(err, errClosed) {
		return nil, oauth.InvalidGrant("nothing of the grant is allowed any longer")
	} else if err != nil {
		return nil, err
	}
	f.ExpiresAt = is.expires // the access token is the only one of the family
	var refresh idp.Secret
	if slices.Contains(a.Scopes, oauth.ScopeOffline) && slices.Contains(c.GrantTypes, idp.GrantRefreshToken) {
		handle, secret := newHandle(code, c, is.confirmation), idp.NewSecret()
		refresh = handle + "." + secret
		f.Offline, f.ExpiresAt = true, now.Add(s.cfg.Lifetimes.Refresh)
		f.HandleHash, f.CurrentHash, f.FoundByID = handle.Hash(), secret.Hash(), !is.confirmation.Bound()
	}
	if c.WantsLogout() {
		f.WatchFrom = now.Add(firstLook)
	}
	issued := oauth.ClientEvent(ctx, idp.EventTokensIssued, a.UserID, c.ID, now)
	issued.SessionID = a.SessionID
	f, u, err := s.cfg.DB.CreateFamily(ctx, f, is.row(f.ID), issued)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return nil, oauth.InvalidGrant(
			"the user signed out, revoked the grant or may not use the client, or the account or client is disabled",
		)
	case errors.Is(err, idp.ErrConflict):
		return nil, ErrAlreadyStored
	}
	if err != nil {
		return nil, oauth.Broken(ctx, "store family", err)
	}
	if !s.cfg.Catalog.Policy.Holds(
		idp.Access{Scopes: is.scopes, Resources: is.audience, Details: is.details}, f.Assurance, now,
	) {
		return nil, oauth.InvalidGrant("the user revoked the confirmation")
	}
	resp, err := s.sign(is, f, u, a.Nonce, refresh)
	if err != nil {
		return nil, oauth.Broken(ctx, "sign tokens", err)
	}
	return resp, nil
}

// familyOf returns the family of an authorization, without what only tokens that are issued have.
func familyOf(is *Issue, a Authorization, id string) idp.Family {
	return idp.Family{
		ID:           id,
		ClientID:     is.client.ID,
		UserID:       a.UserID,
		SessionID:    a.SessionID,
		Scopes:       a.Scopes,
		Audience:     is.client.Audience,
		Resources:    a.Resources,
		Details:      a.Details,
		Assurance:    a.Assurance,
		Claims:       a.Claims,
		Confirmation: is.confirmation,
		CreatedAt:    is.now,
		Granted:      a.Granted,
		OnlyFor:      is.client.AllowedGroups,
	}
}

// FamilyOf returns the ID of the family that a code produces. It is derived from the code, so that a reused code leads
// to its family without a record of used codes.
func FamilyOf(code idp.Secret) string {
	sum := sha256.Sum256([]byte("family" + code.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ErrAlreadyStored: a family with this ID exists or existed.
var ErrAlreadyStored = errors.New("family already stored")

// AnswerReused answers a code that was used a moment ago, or is in use right now. Somebody else has it, so the family
// it produced or is about to produce is revoked (RFC 6749 §4.1.2, RFC 9700 §4.5).
func (s *Service) AnswerReused(ctx context.Context, c idp.Client, code idp.Secret, now time.Time) error {
	family := FamilyOf(code)
	ev := oauth.ClientEvent(ctx, idp.EventCodeReused, "", c.ID, now)
	ev.Detail = map[string]string{"family": family}
	found, err := s.cfg.DB.SpendFamily(ctx, family, now, ev)
	if err != nil {
		return oauth.Broken(ctx, "revoke family of a reused code", err)
	}
	web.Note(ctx, slog.Bool("code_reused", true), slog.Bool("family_revoked", found))
	return oauth.InvalidGrant("the code is invalid or expired")
}

// AnswerUnknown answers a code that is not stored: never issued, expired, or used some time ago. In the last case its
// family is revoked.
func (s *Service) AnswerUnknown(ctx context.Context, c idp.Client, code idp.Secret, now time.Time) error {
	family := FamilyOf(code)
	ev := oauth.ClientEvent(ctx, idp.EventCodeReused, "", c.ID, now)
	ev.Detail = map[string]string{"family": family}
	err := s.cfg.DB.RevokeFamily(ctx, family, "", now, ev)
	switch {
	case err == nil:
		web.Note(ctx, slog.Bool("code_reused", true))
	case !errors.Is(err, idp.ErrNotFound):
		return oauth.Broken(ctx, "revoke family of a reused code", err)
	}
	return oauth.InvalidGrant("the code is invalid or expired")
}
