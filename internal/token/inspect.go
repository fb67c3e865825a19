package token

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/web"
)

// userInfo is the response of the userinfo endpoint (OIDC Core §5.3.2).
type userInfo struct {
	Subject string `json:"sub"`
	access.UserClaims
}

// UserInfo sends the current claims of the user that the token's scopes and the claims parameter name.
func (s *Service) UserInfo(w http.ResponseWriter, r *http.Request, call *oauth.Call, token string) error {
	ctx, now := r.Context(), time.Now()
	t, err := s.lookUp(ctx, call, token, now)
	if err == nil {
		if bad := opensUserInfo(s, t); bad != nil && bad.Code == "invalid_token" {
			err = keys.ErrToken
		}
	}
	if err == nil {
		err = s.cfg.Binder.Prove(ctx, call.Sender, t.client, token, t.confirmation, now)
	}
	if errors.Is(err, keys.ErrToken) || errors.Is(err, sender.ErrNotHeld) {
		return oauth.InvalidToken("the access token is invalid or expired")
	}
	if err != nil {
		return oauth.ErrorOf(ctx, "look up access token", err)
	}
	if bad := opensUserInfo(s, t); bad != nil {
		return bad
	}
	info, more := userInfoOf(t)
	if t.client.UserInfoAlg != "" {
		return s.writeSignedUserInfo(ctx, w, t.client, info, more)
	}
	return web.WriteJSON(w, http.StatusOK, access.Extend(info, more))
}

// opensUserInfo returns why a valid token does not open userinfo; nil: it does.
func opensUserInfo(s *Service, t presented) *oauth.Error {
	switch {
	case !slices.Contains(t.audience, s.cfg.Catalog.Issuer):
		return oauth.InvalidToken("the access token is for other resources")
	case !slices.Contains(t.scopes, oauth.ScopeOpenID):
		return oauth.Refuse(
			"insufficient_scope", "the access token was issued without the scope openid",
		).With(http.StatusForbidden)
	}
	return nil
}

// userInfoOf returns the claims that a token opens, and those that the client's rules add.
func userInfoOf(t presented) (userInfo, map[string]any) {
	asked := access.StoredClaims(t.family.Claims).UserInfo
	isAsked := func(claim string) bool { _, ok := asked[claim]; return ok }
	scopes := t.scopes
	granted := func(scope string) bool { return slices.Contains(scopes, scope) }
	info := userInfo{t.subject, access.ClaimsOf(t.user, func(claim string) bool {
		return isAsked(claim) || granted(access.ScopeOf[claim])
	})}
	return info, access.Release{Client: t.client, User: t.user, Scope: granted, Asked: isAsked}.Claims()
}

// introspection is the response of RFC 7662 §2.2 with the members of RFC 9470 §6.2.
type introspection struct {
	Active    bool           `json:"active"`
	Scope     string         `json:"scope,omitempty"`
	ClientID  string         `json:"client_id,omitempty"`
	TokenType string         `json:"token_type,omitempty"`
	Expires   int64          `json:"exp,omitempty"`
	Issued    int64          `json:"iat,omitempty"`
	Subject   string         `json:"sub,omitempty"`
	Audience  oauth.Audience `json:"aud,omitempty"`
	Issuer    string         `json:"iss,omitempty"`
	ID        string         `json:"jti,omitempty"`
	ACR       string         `json:"acr,omitempty"`
	AMR       []string       `json:"amr,omitempty"`
	AuthTime  int64          `json:"auth_time,omitempty"`
	Actor     *actor         `json:"act,omitempty"`                   // RFC 8693 §4.1
	Details   idp.Details    `json:"authorization_details,omitempty"` // RFC 9396 §9.2
	// the resource server checks it (RFC 9449 §6.2, RFC 8705 §3.2)
	Confirmation idp.Confirmation `json:"cnf,omitzero"`
}

// Introspect tells a client whether an access token is active and what it allows, if the token concerns the client. For
// other clients and other tokens, the answer is that it is not active (RFC 7662 §2.2, §4). It does not use the
// library, which would reject a client that authenticates with its certificate alone.
func (s *Service) Introspect(w http.ResponseWriter, r *http.Request, call *oauth.Call) error {
	c, err := s.cfg.Clients.Requester(r, call)
	if err != nil {
		return err
	}
	if c.Public() { // without authentication, the answers would tell a stranger which tokens work (RFC 7662 §2.1)
		return oauth.InvalidClient()
	}
	t, err := s.lookUp(r.Context(), call, call.Form.Get("token"), time.Now())
	if errors.Is(err, keys.ErrToken) || err == nil && !concerns(t, c, s.cfg.Catalog.Issuer) {
		return s.writeIntrospection(w, r, c, introspection{})
	}
	if err != nil {
		return fmt.Errorf("look up access token: %w", err)
	}
	return s.writeIntrospection(w, r, c, introspected(s, c, t))
}

// introspected returns what a client is told about an active token.
func introspected(s *Service, c idp.Client, t presented) any {
	var at int64
	if !t.family.Assurance.AuthTime.IsZero() {
		at = authTime(t.family.Assurance, t.issued)
	}
	scopes, details := visibleTo(s, c, t)
	granted := func(scope string) bool { return slices.Contains(scopes, scope) }
	more := access.Release{Client: t.client, User: t.user, Scope: granted, Access: true}.Claims()
	return access.Extend(introspection{
		Active:       true,
		Scope:        strings.Join(scopes, " "),
		ClientID:     t.client.ID,
		TokenType:    t.confirmation.TokenType(),
		Expires:      t.expires.Unix(),
		Issued:       t.issued.Unix(),
		Subject:      t.subject,
		Audience:     t.audience,
		Issuer:       s.cfg.Catalog.Issuer,
		ID:           t.id,
		ACR:          t.family.Assurance.ACR,
		AMR:          t.family.Assurance.AMR,
		AuthTime:     at,
		Actor:        t.actor,
		Details:      details,
		Confirmation: t.confirmation,
	}, more)
}

// concerns reports whether a client may know about a token: the token is its own or meant for it, or it has no
// particular audience and the client is a resource server.
func concerns(t presented, c idp.Client, issuer string) bool {
	general := !slices.ContainsFunc(t.audience, func(a string) bool { return a != issuer })
	serves := slices.ContainsFunc(t.audience, func(a string) bool { return slices.Contains(c.Serves, a) })
	return t.client.ID == c.ID || slices.Contains(t.audience, c.ID) || c.ResourceServer && (serves || general)
}

// visibleTo returns the scopes and details that introspection shows to a client. A resource server that is one of
// several in the audience sees its own part, not what the token allows elsewhere (RFC 9701 §8.3, RFC 9396 §9.2).
func visibleTo(s *Service, c idp.Client, t presented) (scopes []string, details idp.Details) {
	served := slices.DeleteFunc(slices.Clone(t.audience), func(a string) bool { return !slices.Contains(c.Serves, a) })
	if t.client.ID == c.ID || len(served) == 0 {
		return t.scopes, t.details
	}
	return s.cfg.Catalog.Carried(t.scopes, served), t.details.At(served)
}
