package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// typeAccess is the only type of token that can be exchanged (RFC 8693 §3).
const typeAccess = "urn:ietf:params:oauth:token-type:access_token"

// maxActors is the longest chain of actors.
const maxActors = 4

// An actor is the party that acts for the subject of a token. It contains the previous actor (RFC 8693 §4.1).
type actor struct {
	Subject string `json:"sub"` // the client, as in tokens of its own
	Before  *actor `json:"act,omitempty"`
}

func (a *actor) count() (n int) {
	for ; a != nil; a = a.Before {
		n++
	}
	return n
}

// Exchange is the token-exchange grant (RFC 8693). An API that was called with a user's token gets a token to call the
// next API for that user. This is delegation, never impersonation: act always names the client that holds the token.
//
// The new token belongs to the family of the old one. So acr, amr and auth_time come from the same ceremony, and the
// token ends with the family, session, grant or window. It is neither stored nor refreshed, and except for its audience
// it allows at most what the old one does.
func (s *Service) Exchange(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	if c.Public() { // otherwise anybody with a client_id and a token could be that client
		return nil, oauth.InvalidClient()
	}
	is, err := s.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if is.Narrowing, err = s.ReadNarrowing(c, r.Form); err != nil {
		return nil, err
	}
	is.Narrowing.scopes = oauth.Words(r.Form.Get("scope"))
	t, err := s.subjectToken(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if err := s.actorToken(ctx, r, is); err != nil {
		return nil, err
	}
	if t.confirmation.Bound() && !is.confirmation.Bound() {
		return nil, invalidExchange("the subject token is bound to a key, so prove a key of yours for the new one")
	}
	if err := s.limitToSubject(is, t, r.Form); err != nil {
		return nil, err
	}
	resp, err := s.signExchanged(ctx, is, t)
	if err != nil {
		return nil, oauth.Broken(ctx, "sign tokens", err)
	}
	s.noteExchange(ctx, is, t)
	return resp, nil
}

// invalidExchange returns the error for an unsuitable token (RFC 8693 §2.2.2).
func invalidExchange(description string) error {
	return oauth.InvalidRequest(description)
}

// subjectToken looks up the token to exchange. It must be a user's token and meant for the client. A token issued to a
// client itself has no user to act for; such a client can request one of its own.
func (s *Service) subjectToken(ctx context.Context, r *Request, now time.Time) (presented, error) {
	c, wanted := r.Client, r.Form.Get("requested_token_type")
	switch {
	case r.Form.Get("subject_token_type") != typeAccess:
		return presented{}, invalidExchange("subject_token_type must be the type of an access token")
	case wanted != "" && wanted != typeAccess:
		return presented{}, invalidExchange("requested_token_type must be the type of an access token")
	}
	t, err := s.lookUp(ctx, r.Call, r.Form.Get("subject_token"), now)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return presented{}, oauth.Broken(ctx, "look up subject token", err)
	}
	meant := slices.ContainsFunc(t.audience, func(a string) bool { return a == c.ID || slices.Contains(c.Serves, a) })
	switch {
	case err != nil || !meant: // both get the same answer
		return presented{}, invalidExchange("the subject token is invalid, expired or not meant for the client")
	case t.user.ID == "":
		return presented{}, invalidExchange("the subject token was issued to a client, not for a user")
	case !t.user.Membership.Admitted(c.AllowedGroups):
		return presented{}, invalidExchange("the user of the subject token may not use the client")
	case t.actor.count() >= maxActors:
		return presented{}, invalidExchange(fmt.Sprintf("the subject token was already exchanged %d times", maxActors))
	}
	return t, nil
}

// actorToken checks the actor token, if there is one. It must be the client's own, so it only repeats what client
// authentication has shown.
func (s *Service) actorToken(ctx context.Context, r *Request, is *Issue) error {
	token, kind := r.Form.Get("actor_token"), r.Form.Get("actor_token_type")
	switch {
	case token == "" && kind == "":
		return nil
	case token == "" || kind != typeAccess: // RFC 8693 §2.1
		return invalidExchange("actor_token requires the actor_token_type of an access token")
	}
	t, err := s.lookUp(ctx, r.Call, token, is.now)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return oauth.Broken(ctx, "look up actor token", err)
	}
	proven := !t.confirmation.Bound() || t.confirmation == is.confirmation
	if err != nil || t.user.ID != "" || t.client.ID != is.client.ID || !proven {
		return invalidExchange("the actor token is not a valid token of the client")
	}
	return nil
}

// limitToSubject sets what the new token allows: for the targets of the request, what the old token allows there and
// the client may have, and no longer than the old one. Standard scopes are not passed on: they are between the user and
// the client they signed in to, and open userinfo.
func (s *Service) limitToSubject(is *Issue, t presented, form url.Values) error {
	f := idp.Family{Details: t.details, Assurance: t.family.Assurance}
	f.Scopes = slices.DeleteFunc(slices.Clone(t.scopes), func(s string) bool {
		return slices.Contains(idp.StandardScopes, s)
	})
	var err error
	if f.Resources, f.Audience, err = s.readTargets(*is.client, t, is.Narrowing.resources, form["audience"]); err != nil {
		return err
	}
	is.Narrowing.resources = nil
	if oauth.Beyond(is.Narrowing.scopes, is.client.Scopes) {
		return oauth.Refuse("invalid_scope", "the client may not have one of these scopes")
	}
	err = s.allow(is, f)
	switch nothing := errors.Is(err, errClosed); {
	case err != nil && !nothing:
		return err
	case nothing || len(is.scopes)+len(is.details) == 0:
		return oauth.Refuse(
			"invalid_scope", "no scope is left: the client or the target may not have it, or its time has passed",
		)
	case is.opaque != "":
		return oauth.Refuse(
			"invalid_target", "tokens for this resource are opaque, and this grant cannot issue opaque tokens",
		)
	}
	if t.expires.Before(is.expires) {
		is.expires = t.expires
	}
	return nil
}

// readTargets reads the targets of the new token. They are either registered resources, which decide on format,
// lifetime and scopes, or audiences of the client or of the old token. resource (already checked) and audience mean the
// same here (RFC 8693 §2.1). Without targets, the audience is the client's, or else that of the old token.
func (s *Service) readTargets(
	c idp.Client, t presented, resources, audiences []string,
) (named, general []string, err error) {
	targets := slices.Clone(resources)
	for _, a := range audiences {
		_, registered := s.cfg.Catalog.Policy.Resources[a]
		switch {
		case a == "" || slices.Contains(targets, a):
		case len(a) > access.MaxResource || len(targets) == access.MaxResources:
			return nil, nil, oauth.Refuse("invalid_target", "too many targets, or a target is too long")
		case slices.Contains(t.audience, a) || slices.Contains(c.Audience, a) || registered && s.cfg.Catalog.MayTarget(c, a):
			targets = append(targets, a)
		default:
			return nil, nil, oauth.Refuse("invalid_target", "a target is unknown or not allowed for the client")
		}
	}
	if slices.Contains(targets, s.cfg.Catalog.Issuer) && !slices.Contains(t.audience, s.cfg.Catalog.Issuer) {
		return nil, nil, oauth.Refuse("invalid_target", "the subject token is not for this provider")
	}
	switch {
	case len(targets) == 0 && len(c.Audience) > 0:
		targets = c.Audience
	case len(targets) == 0:
		targets = t.audience
	}
	if !slices.ContainsFunc(targets, func(a string) bool { return !s.cfg.Catalog.MayTarget(c, a) }) {
		return targets, nil, nil
	}
	if slices.ContainsFunc(
		targets, func(a string) bool { _, registered := s.cfg.Catalog.Policy.Resources[a]; return registered },
	) {
		return nil, nil, oauth.Refuse("invalid_target", "one token cannot be for registered resources and other audiences")
	}
	return nil, targets, nil
}

// signExchanged signs the token. sub and sid stay those of the client that the user signed in to.
func (s *Service) signExchanged(ctx context.Context, is *Issue, t presented) (*Response, error) {
	home, err := s.loadHolder(ctx, t.family.ClientID)
	if err != nil {
		return nil, err
	}
	resp := &Response{
		IssuedTokenType: typeAccess, TokenType: is.confirmation.TokenType(),
		ExpiresIn: max(0, is.expires.Unix()-is.now.Unix()), Scope: strings.Join(is.scopes, " "), Details: is.details,
	}
	resp.AccessToken, err = is.access.Sign(keys.TypeAccessToken, AccessClaims{
		Issuer:       s.cfg.Catalog.Issuer,
		Subject:      t.subject,
		Audience:     is.audience,
		ClientID:     is.client.ID,
		Expires:      is.expires.Unix(),
		Issued:       is.now.Unix(),
		ID:           t.family.ID + "." + idp.NewSecret().Reveal(),
		Scope:        resp.Scope,
		ACR:          t.family.Assurance.ACR,
		AMR:          t.family.Assurance.AMR,
		AuthTime:     authTime(t.family.Assurance, is.now),
		Session:      s.cfg.Names.SID(home, t.family.SessionID),
		Details:      is.details,
		Confirmation: is.confirmation,
		Actor:        &actor{Subject: is.client.ID, Before: t.actor},
	})
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	return resp, nil
}

// noteExchange records that a client acts for a user, at most once an hour for each client and family, because an API
// may exchange a token with every call.
func (s *Service) noteExchange(ctx context.Context, is *Issue, t presented) {
	claim := &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "exchanged:" + t.family.ID + ":" + is.client.ID, Value: []byte("1"), TTL: time.Hour,
	}
	err := s.cfg.Ephemeral.Do(ctx, claim)
	if err == nil && claim.Found {
		ev := oauth.ClientEvent(ctx, idp.EventTokensExchanged, t.user.ID, is.client.ID, is.now)
		ev.SessionID, ev.Detail = t.family.SessionID, map[string]string{
			"from": t.client.ID, "aud": strings.Join(is.audience, " "),
		}
		err = s.cfg.DB.RecordEvents(ctx, ev)
	}
	if err != nil {
		web.Note(ctx, slog.Any("record_error", err))
	}
}

// loadExchanger returns the client that holds an exchanged token. The token works as long as the client may use token
// exchange, and until the client revokes it. Revocation ends only this token, because the family belongs to another
// client.
func (s *Service) loadExchanger(ctx context.Context, c AccessClaims) (idp.Client, error) {
	registered, err := s.loadHolder(ctx, c.ClientID)
	if err != nil {
		return idp.Client{}, err
	}
	if !slices.Contains(registered.GrantTypes, idp.GrantTokenExchange) {
		return idp.Client{}, keys.ErrToken
	}
	return registered, s.notRevoked(ctx, c.ID)
}
