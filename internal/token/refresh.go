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
	"github.com/stepward/stepward/internal/web"
)

// refreshGrace is how long a refresh token that was used still works: an answer may get lost on its way, and two tabs may
// refresh at once. A client whose request took as long as it could has half a minute left to try again.
const refreshGrace = web.MaxTime + 30*time.Second

// Refresh is the refresh_token grant (RFC 6749 §6, RFC 9700 §4.14.2). A refresh token is a handle, which finds its
// family and never changes, and a secret, which every use replaces.
//
// The next secret is derived from the present one. So a request that comes again within the grace gets the very same
// successor, on any replica, and the store keeps two hashes and nothing that could be given out. A used secret that comes
// later is in the wrong hands, or its successor is: the family ends.
//
// A refused request changes nothing, or a thief could keep a used token alive by asking for what is refused. So a request that wants
// less than everything is checked against the family before the token is replaced. One that wants everything, as nearly all do, is
// refused only for what has happened to the family, the same for everybody; then the rotation is taken back.
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
	if is.Wish, err = s.Wish(c, r.Form); err != nil {
		return nil, err
	}
	is.Wish.scopes = s.cfg.Catalog.Known(oauth.Words(r.Form.Get("scope")))
	if len(is.Wish.scopes) == 0 && strings.TrimSpace(r.Form.Get("scope")) != "" {
		return nil, oauth.Refuse("invalid_scope", "no scope that is known here")
	}
	if oauth.Beyond(is.Wish.scopes, c.Scopes) { // told before the token is used up
		return nil, oauth.Refuse("invalid_scope", "more was asked for than was granted")
	}
	if !handleFits(handle, is.confirmation) {
		return nil, oauth.InvalidGrant("the refresh token is bound to a key that was not proven")
	}
	next := secret
	if c.Rules().Rotation {
		next = s.successor(handle, secret)
	}
	if is.Wish.narrows() {
		if f, err := s.cfg.DB.FamilyByRefresh(ctx, handle.Hash(), secret.Hash(), c.ID, now, refreshGrace); err == nil {
			if refused := s.allow(is, f); refused != nil {
				return nil, refused
			}
		} else if !errors.Is(err, idp.ErrNotFound) { // of a token that is not there, RotateFamily says why
			return nil, oauth.Broken(ctx, "load family", err)
		}
	}
	f, u, err := s.cfg.DB.RotateFamily(ctx, handle.Hash(), secret.Hash(), next.Hash(), c.ID, now, refreshGrace)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, s.refreshReused(ctx, c, handle, now)
	}
	if err != nil {
		return nil, oauth.Broken(ctx, "rotate family", err)
	}
	if refused := s.allow(is, f); refused != nil {
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

// boundHandle makes the handle of a new family. What has to be proven with its refresh tokens stands in it, since the handle
// finds the family only whole: nothing after a tilde, and any key will do (a confidential client's tokens are bound to the
// client, RFC 9449 §5); a key, and it has to be that one. So who has a token without its key is told apart before anything
// is rotated or looked up, and nothing ends because he tried. All he can do with the token is revoke it (RFC 7009 asks for no
// proof), which is what its owner wants.
func boundHandle(c idp.Client, of idp.Confirmation) idp.Secret {
	handle := idp.NewSecret()
	switch {
	case !of.Bound():
		return handle
	case c.Public():
		return handle + "~" + idp.Secret(of.JKT+of.X5T)
	default:
		return handle + "~"
	}
}

// handleFits reports whether what was proven is what the handle of a refresh token demands.
func handleFits(handle idp.Secret, proven idp.Confirmation) bool {
	_, key, bound := strings.Cut(handle.Reveal(), "~")
	return !bound || proven.Bound() && (key == "" || key == proven.JKT+proven.X5T)
}

// splitRefresh takes a refresh token apart; false if it cannot be one.
func splitRefresh(token string) (handle, secret idp.Secret, ok bool) {
	h, s, ok := strings.Cut(token, ".")
	return idp.Secret(h), idp.Secret(s), ok && h != "" && s != "" && len(token) <= 256 && !strings.Contains(s, ".")
}

// successor is the secret that follows one.
func (s *Service) successor(handle, secret idp.Secret) idp.Secret {
	mac := hmac.New(sha256.New, s.cfg.RefreshKey)
	mac.Write([]byte(handle.Reveal() + "." + secret.Reveal()))
	return idp.Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// refreshReused answers a refresh token that may not be used: it was used before, or it is another client's. Either way
// it leaked from its family, which ends.
func (s *Service) refreshReused(ctx context.Context, c idp.Client, handle idp.Secret, now time.Time) error {
	_, err := s.cfg.DB.ReuseOfFamily(ctx, handle.Hash(), now, oauth.ClientEvent(ctx, idp.EventRefreshReused, "", c.ID, now))
	switch {
	case err == nil:
		web.Note(ctx, slog.Bool("refresh_reused", true))
	case !errors.Is(err, idp.ErrNotFound):
		return oauth.Broken(ctx, "revoke family of a reused refresh token", err)
	}
	return oauth.InvalidGrant("the refresh token is not valid (any longer)")
}
