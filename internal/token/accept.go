package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/sender"
)

// An Accepted is a valid access token that was presented at one of our own APIs, by the sender it is bound to.
type Accepted struct {
	Client idp.Client // the client that holds it
	// User is the person for whom the client acts; zero: it acts for itself.
	User      idp.User
	SessionID string
	Scopes    []string
	Assurance idp.Assurance
}

// Accept checks an access token that is presented at one of our own APIs, as any resource server would: that it is for
// that resource, and that the sender holds the key it is bound to (RFC 9449 §7.1, RFC 8705 §3). An exchanged token is
// not accepted: the API could not name the API that acts. Its errors are *oauth.Error.
func (s *Service) Accept(ctx context.Context, call *oauth.Call, token, resource string) (Accepted, error) {
	now := time.Now()
	t, err := s.lookUp(ctx, call, token, now)
	if err == nil && (!slices.Contains(t.audience, resource) || t.actor != nil) {
		err = keys.ErrToken
	}
	if err == nil {
		err = s.cfg.Binder.Prove(ctx, call.Sender, t.client, token, t.confirmation, now)
	}
	if errors.Is(err, keys.ErrToken) || errors.Is(err, sender.ErrNotHeld) {
		return Accepted{}, oauth.InvalidToken("the access token is invalid, expired, or not for this API")
	}
	if err != nil {
		return Accepted{}, oauth.ErrorOf(ctx, "look up access token", err)
	}
	return Accepted{
		Client: t.client, User: t.user, SessionID: t.family.SessionID, Scopes: t.scopes, Assurance: t.family.Assurance,
	}, nil
}
