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

// typeAccess is the one type of token that can be exchanged (RFC 8693 §3).
const typeAccess = "urn:ietf:params:oauth:token-type:access_token"

// maxActors bounds through how many hands a token may have gone.
const maxActors = 4

// An actor is who acts for the subject of a token: the last one, and inside it those before (RFC 8693 §4.1).
type actor struct {
	Subject string `json:"sub"` // the client, as in its own tokens
	Before  *actor `json:"act,omitempty"`
}

func (a *actor) count() (n int) {
	for ; a != nil; a = a.Before {
		n++
	}
	return n
}

// Exchange is the token-exchange grant (RFC 8693): an API that was called with a person's token gets one with which
// it calls the next API for that person. It is delegation and never impersonation: act always says who holds the token.
//
// The new token is of the family of the old one, so it is the ceremony that says acr, amr and auth_time, and whatever ends
// the family, the session, the grant or a window ends it too. It is stored nowhere, never refreshed, and in all but its
// audience it is at the most what the old one is.
func (s *Service) Exchange(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	if c.Public() { // whoever has somebody's client_id and a token would be that client
		return nil, oauth.InvalidClient()
	}
	is, err := s.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if is.Wish, err = s.Wish(c, r.Form); err != nil {
		return nil, err
	}
	is.Wish.scopes = oauth.Words(r.Form.Get("scope"))
	t, err := s.subjectToken(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if err := s.actorToken(ctx, r, is); err != nil {
		return nil, err
	}
	if t.confirmation.Bound() && !is.confirmation.Bound() {
		return nil, invalidExchange("the subject token is bound to a key, so the new one has to be bound to one of yours")
	}
	if err := s.passOn(is, t, r.Form); err != nil {
		return nil, err
	}
	resp, err := s.signExchanged(ctx, is, t)
	if err != nil {
		return nil, oauth.Broken(ctx, "sign tokens", err)
	}
	s.noteExchange(ctx, is, t)
	return resp, nil
}

// invalidExchange says that a token cannot be taken for what it was sent as (RFC 8693 §2.2.2).
func invalidExchange(description string) error {
	return oauth.InvalidRequest(description)
}

// subjectToken looks up the token to exchange: of a person, and meant for the client. A client's own token has no person
// to act for, and whoever has the credentials gets a token in its own name.
func (s *Service) subjectToken(ctx context.Context, r *Request, now time.Time) (presented, error) {
	c, wanted := r.Client, r.Form.Get("requested_token_type")
	switch {
	case r.Form.Get("subject_token_type") != typeAccess:
		return presented{}, invalidExchange("subject_token_type must be that of an access token")
	case wanted != "" && wanted != typeAccess:
		return presented{}, invalidExchange("requested_token_type must be that of an access token")
	}
	t, err := s.lookUp(ctx, r.Call, r.Form.Get("subject_token"), now)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return presented{}, oauth.Broken(ctx, "look up subject token", err)
	}
	meant := slices.ContainsFunc(t.audience, func(a string) bool { return a == c.ID || slices.Contains(c.Serves, a) })
	switch {
	case err != nil || !meant: // which of the two is nobody's business
		return presented{}, invalidExchange("the subject token is not valid (any longer), or not meant for the client")
	case t.user.ID == "":
		return presented{}, invalidExchange("the subject token is a client's own, with nobody behind it")
	case t.actor.count() >= maxActors:
		return presented{}, invalidExchange(fmt.Sprintf("the subject token was passed on %d times already", maxActors))
	}
	return t, nil
}

// actorToken checks an actor token, which only repeats what authenticating the client has shown: it has to be the
// client's own.
func (s *Service) actorToken(ctx context.Context, r *Request, is *Issue) error {
	token, kind := r.Form.Get("actor_token"), r.Form.Get("actor_token_type")
	switch {
	case token == "" && kind == "":
		return nil
	case token == "" || kind != typeAccess: // RFC 8693 §2.1
		return invalidExchange("actor_token goes with an actor_token_type, that of an access token")
	}
	t, err := s.lookUp(ctx, r.Call, token, is.now)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return oauth.Broken(ctx, "look up actor token", err)
	}
	proven := !t.confirmation.Bound() || t.confirmation == is.confirmation
	if err != nil || t.user.ID != "" || t.client.ID != is.client.ID || !proven {
		return invalidExchange("the actor token is not a valid one of the client's own")
	}
	return nil
}

// passOn settles what the new token is: for the targets of the request, what the old one gives there and the client may
// have, no longer than the old one. Standard scopes are not passed on: they are between the person and the client they
// signed in to, and open userinfo.
func (s *Service) passOn(is *Issue, t presented, form url.Values) error {
	f := idp.Family{Details: t.details, Assurance: t.family.Assurance}
	f.Scopes = slices.DeleteFunc(slices.Clone(t.scopes), func(s string) bool { return slices.Contains(idp.StandardScopes, s) })
	var err error
	if f.Resources, f.Audience, err = s.aim(is.client, t, is.Wish.resources, form["audience"]); err != nil {
		return err
	}
	is.Wish.resources = nil
	if oauth.Beyond(is.Wish.scopes, is.client.Scopes) {
		return oauth.Refuse("invalid_scope", "the client may not have one of these scopes")
	}
	err = s.allow(is, f)
	switch nothing := errors.Is(err, errClosed); {
	case err != nil && !nothing:
		return err
	case nothing || len(is.scopes)+len(is.details) == 0:
		return oauth.Refuse("invalid_scope", "nothing is left: the client or the target may have none of it, or its time has passed")
	case is.opaque != "":
		return oauth.Refuse("invalid_target", "tokens for this resource are opaque, and an exchanged token is stored nowhere")
	}
	if t.expires.Before(is.expires) {
		is.expires = t.expires
	}
	return nil
}

// aim reads whom the new token is for: registered resources, which settle form, lifetime and scopes, or else audiences of
// the client's own or of the old token. resource (checked already) and audience mean the same here (RFC 8693 §2.1).
// Without either it is the client's own audience, if it has one, else that of the old token.
func (s *Service) aim(c idp.Client, t presented, resources, audiences []string) (named, general []string, err error) {
	targets := slices.Clone(resources)
	for _, a := range audiences {
		_, registered := s.cfg.Catalog.Policy.Resources[a]
		switch {
		case a == "" || slices.Contains(targets, a):
		case len(a) > access.MaxResource || len(targets) == access.MaxResources:
			return nil, nil, oauth.Refuse("invalid_target", "too many targets, or one that is too long")
		case slices.Contains(t.audience, a) || slices.Contains(c.Audience, a) || registered && s.cfg.Catalog.MayTarget(c, a):
			targets = append(targets, a)
		default:
			return nil, nil, oauth.Refuse("invalid_target", "a target is not known here, or the client may not have tokens for it")
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
	if slices.ContainsFunc(targets, func(a string) bool { _, registered := s.cfg.Catalog.Policy.Resources[a]; return registered }) {
		return nil, nil, oauth.Refuse("invalid_target", "registered resources and other audiences do not go into one token")
	}
	return nil, targets, nil
}

// signExchanged makes the token. sub and sid stay those of the client that the person signed in to.
func (s *Service) signExchanged(ctx context.Context, is *Issue, t presented) (*Response, error) {
	home, err := s.holder(ctx, t.family.ClientID)
	if err != nil {
		return nil, err
	}
	resp := &Response{
		IssuedTokenType: typeAccess, TokenType: is.confirmation.TokenType(), ExpiresIn: max(0, is.expires.Unix()-is.now.Unix()), Scope: strings.Join(is.scopes, " "), Details: is.details,
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

// noteExchange records who began to act for whom: once an hour for each client and family, because an API may exchange a
// token with every call.
func (s *Service) noteExchange(ctx context.Context, is *Issue, t presented) {
	claim := &ephemeral.Op{Verb: ephemeral.Claim, Key: "exchanged:" + t.family.ID + ":" + is.client.ID, Value: []byte("1"), TTL: time.Hour}
	err := s.cfg.Ephemeral.Do(ctx, claim)
	if err == nil && claim.Found {
		ev := oauth.ClientEvent(ctx, idp.EventTokensExchanged, t.user.ID, is.client.ID, is.now)
		ev.SessionID, ev.Detail = t.family.SessionID, map[string]string{"from": t.client.ID, "aud": strings.Join(is.audience, " ")}
		err = s.cfg.DB.RecordEvents(ctx, ev)
	}
	if err != nil {
		web.Note(ctx, slog.Any("record_error", err))
	}
}

// exchangedBy is the client that holds an exchanged token. It holds as long as the client may exchange any, and until the
// client revokes it: that ends this one token, for the family is another's.
func (s *Service) exchangedBy(ctx context.Context, c AccessClaims) (idp.Client, error) {
	registered, err := s.holder(ctx, c.ClientID)
	if err != nil {
		return idp.Client{}, err
	}
	if !slices.Contains(registered.GrantTypes, idp.GrantTokenExchange) {
		return idp.Client{}, keys.ErrToken
	}
	return registered, s.notRevoked(ctx, c.ID)
}
