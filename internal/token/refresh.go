package token

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// refreshGrace is how long a used refresh token still works, because a response may be lost and two tabs may refresh at
// once. After a request of maximal length, a client has half a minute left to try again.
const refreshGrace = web.MaxTime + 30*time.Second

// Refresh is the refresh_token grant (RFC 6749 §6, RFC 9700 §4.14.2). A refresh token consists of a handle, which
// finds its family and never changes, and a secret, which every use replaces.
//
// The next secret is derived from the current one. So a request repeated within the grace gets the same successor, on
// any replica, and the store only keeps two hashes. If a used secret comes later, then it or its successor was stolen,
// and the family ends.
//
// A rejected request changes nothing. Otherwise a thief could keep a used token alive with requests that are rejected.
// So a request for less than everything is checked against the family before the token is replaced. A request for
// everything, the usual case, can only be rejected because of the state of the family, the same for every caller; then
// the rotation is undone.
func (s *Service) Refresh(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	handle, secret, ok := splitRefresh(r.Form.Get("refresh_token"))
	if !ok {
		return nil, oauth.InvalidGrant("the refresh token is not valid")
	}
	is, err := s.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if is.Narrowing, err = s.ReadNarrowing(c, r.Form); err != nil {
		return nil, err
	}
	is.Narrowing.scopes = s.cfg.Catalog.Known(oauth.Words(r.Form.Get("scope")))
	if len(is.Narrowing.scopes) == 0 && strings.TrimSpace(r.Form.Get("scope")) != "" {
		return nil, oauth.Refuse("invalid_scope", "no known scope")
	}
	if oauth.Beyond(is.Narrowing.scopes, c.Scopes) { // rejected before the token is used up
		return nil, oauth.Refuse("invalid_scope", "the request exceeds the grant")
	}
	if !handleFits(handle, is.confirmation) {
		return nil, oauth.InvalidGrant("the refresh token is bound to a key that was not proven")
	}
	next := secret
	if c.Rules().Rotation {
		next = s.successor(handle, secret)
	}
	if is.Narrowing.narrows() {
		if f, err := s.cfg.DB.FamilyByRefresh(ctx, familyKey(handle), secret.Hash(), c.ID, now, refreshGrace); err == nil {
			if refused := s.allow(is, f); refused != nil {
				return nil, refused
			}
		} else if !errors.Is(err, idp.ErrNotFound) { // for a missing token, RotateFamily returns the reason
			return nil, oauth.Broken(ctx, "load family", err)
		}
	}
	f, u, err := s.cfg.DB.RotateFamily(ctx, familyKey(handle), secret.Hash(), next.Hash(), c.ID, now, refreshGrace)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, s.refreshReused(ctx, c, handle, now)
	}
	if err != nil {
		return nil, oauth.Broken(ctx, "rotate family", err)
	}
	refused := s.allow(is, f)
	if refused == nil && !u.Membership.Admitted(c.AllowedGroups) {
		refused = oauth.InvalidGrant("the user may no longer use the client")
	}
	if refused != nil {
		if next != secret {
			if err := s.cfg.DB.UndoRotation(ctx, f.ID, secret.Hash(), next.Hash(), now); err != nil {
				return nil, oauth.Broken(ctx, "undo rotation", err)
			}
		}
		return nil, refused
	}
	if row := is.row(f.ID); row != nil {
		if err := s.cfg.DB.AddOpaque(ctx, *row); err != nil {
			return nil, oauth.Broken(ctx, "store opaque token", err)
		}
	}
	resp, err := s.sign(is, f, u, "", handle+"."+next) // no nonce: OIDC Core §12.2
	if err != nil {
		return nil, oauth.Broken(ctx, "sign tokens", err)
	}
	return resp, nil
}

// newHandle creates the handle of a new family. A handle that is not bound is the code that the family came from: the
// family's ID is derived from the code, so the database needs no index for it. A spent code gives nobody more power
// than before: it can end the family (AnswerUnknown), and refreshing needs the secret.
//
// A bound handle is a new secret with what must be proven with its refresh tokens: a key after a tilde, or nothing, if
// any key will do (a confidential client's tokens are bound to the client, RFC 9449 §5). So a stolen token is rejected
// before any lookup or rotation, and the attempt ends nothing; the thief can only revoke it (RFC 7009 requires no
// proof), which is what its owner wants.
func newHandle(code idp.Secret, c idp.Client, of idp.Confirmation) idp.Secret {
	switch {
	case !of.Bound():
		return code
	case c.Public():
		return idp.NewSecret() + "~" + idp.Secret(of.JKT+of.X5T)
	default:
		return idp.NewSecret() + "~"
	}
}

// familyKey returns how the store finds the family of a handle. Codes are longer than the handles of older tokens.
func familyKey(handle idp.Secret) store.FamilyKey {
	if strings.Contains(handle.Reveal(), "~") || len(handle) <= len(idp.NewSecret()) {
		return store.FamilyKey{HandleHash: handle.Hash()}
	}
	return store.FamilyKey{ID: FamilyOf(handle)}
}

// handleFits reports whether the proven key is the one that the handle of a refresh token requires.
func handleFits(handle idp.Secret, proven idp.Confirmation) bool {
	_, key, bound := strings.Cut(handle.Reveal(), "~")
	return !bound || proven.Bound() && (key == "" || key == proven.JKT+proven.X5T)
}

// splitRefresh splits a refresh token; ok is false if it cannot be one.
func splitRefresh(token string) (handle, secret idp.Secret, ok bool) {
	h, s, ok := strings.Cut(token, ".")
	return idp.Secret(h), idp.Secret(s), ok && h != "" && s != "" && len(token) <= 256 && !strings.Contains(s, ".")
}

// successor derives the next secret.
func (s *Service) successor(handle, secret idp.Secret) idp.Secret {
	mac := hmac.New(sha256.New, s.cfg.RefreshKey)
	mac.Write([]byte(handle.Reveal() + "." + secret.Reveal()))
	return idp.Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// refreshReused answers a refresh token that was used before or belongs to another client. Either way it was stolen or
// leaked, so its family ends.
func (s *Service) refreshReused(ctx context.Context, c idp.Client, handle idp.Secret, now time.Time) error {
	_, err := s.cfg.DB.ReuseOfFamily(
		ctx, familyKey(handle), now, oauth.ClientEvent(ctx, idp.EventRefreshReused, "", c.ID, now),
	)
	switch {
	case err == nil:
		web.Note(ctx, slog.Bool("refresh_reused", true))
	case !errors.Is(err, idp.ErrNotFound):
		return oauth.Broken(ctx, "revoke family of a reused refresh token", err)
	}
	return oauth.InvalidGrant("the refresh token is invalid or expired")
}
