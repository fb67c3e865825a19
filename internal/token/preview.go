package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// A Preview is what a client would get after an interaction. It is made by the code that issues and shows tokens, but
// nothing in it was signed or stored, so that nothing in it can be used.
type Preview struct {
	// Refused is the error of the token endpoint; nil: it would answer with Response.
	Refused  *Refusal        `json:"refused,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
	// ID is the ID token, Access the access token; nil: there is none, or it is opaque.
	ID     *Unsigned `json:"id,omitempty"`
	Access *Unsigned `json:"access,omitempty"`
	// UserInfo is what the userinfo endpoint would answer, or NoUserInfo its error.
	UserInfo   json.RawMessage `json:"userinfo,omitempty"`
	NoUserInfo *Refusal        `json:"no_userinfo,omitempty"`
	// Introspection is what the client itself would be told about the access token.
	Introspection json.RawMessage `json:"introspection,omitempty"`
}

// A Refusal is an OAuth error.
type Refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// An Unsigned is a JWT without a signature.
type Unsigned struct {
	Header json.RawMessage            `json:"header"`
	Claims map[string]json.RawMessage `json:"claims"`
}

// Unmade stands for what only a token that is issued has.
const Unmade = "…"

// Preview returns what a client would get after an interaction with this request and outcome. The outcome has no error.
func (s *Service) Preview(ctx context.Context, c idp.Client, req idp.Request, o idp.Outcome) (p Preview, err error) {
	u, err := s.cfg.DB.UserByID(ctx, o.UserID)
	if err == nil {
		u.Membership, err = s.cfg.DB.MembershipOf(ctx, o.UserID)
	}
	if err != nil {
		return p, fmt.Errorf("load user: %w", err)
	}
	a := Allowed(req, o)
	is := &Issue{client: &c, now: time.Now(), confirmation: a.Confirmation}
	if !is.confirmation.Bound() && (c.DPoPBound || !c.Rules().BearerTokens) {
		is.confirmation.JKT = Unmade // the client's key
	}
	f := familyOf(is, a, Unmade)
	err = s.allow(is, f)
	if bad, ok := errors.AsType[*oauth.Error](err); ok {
		p.Refused = &Refusal{bad.Code, bad.Description}
		return p, nil
	} else if err != nil {
		return p, err
	}
	if is.access, err = s.cfg.Keys.Signer(ctx, keys.ES256); err == nil {
		is.id, err = s.cfg.Keys.Signer(ctx, idTokenAlg(c))
	}
	if err != nil {
		return p, fmt.Errorf("load signing keys: %w", err)
	}
	return p, describe(s, &p, is, f, u, req.Nonce)
}

// describe writes into p what is issued, and what userinfo and introspection say of it.
func describe(s *Service, p *Preview, is *Issue, f idp.Family, u idp.User, nonce string) (err error) {
	c, resp := *is.client, Response{
		AccessToken: Unmade, TokenType: is.confirmation.TokenType(), ExpiresIn: is.expires.Unix() - is.now.Unix(),
		Scope: strings.Join(is.scopes, " "), Details: is.details,
	}
	if slices.Contains(f.Scopes, oauth.ScopeOffline) && slices.Contains(c.GrantTypes, idp.GrantRefreshToken) {
		resp.RefreshToken = Unmade
	}
	if is.opaque == "" {
		if p.Access, err = unsigned(is.access.Header(keys.TypeAccessToken), accessClaims(s, is, f, u)); err != nil {
			return err
		}
		p.Access.unmade("jti")
	}
	if is.openID {
		resp.IDToken = Unmade
		claims := idClaims(s, is, f, u, nonce, Unmade)
		if p.ID, err = unsigned(is.id.Header(keys.TypeIDToken), claims); err != nil {
			return err
		}
	}
	t := presented{
		client: c, family: f, user: u, subject: s.cfg.Names.Sub(c, u.ID), scopes: is.scopes, audience: is.audience,
		details: is.details, confirmation: is.confirmation, issued: is.now, expires: is.expires,
	}
	if is.opaque == "" {
		t.id = Unmade
	}
	if bad := opensUserInfo(s, t); bad != nil {
		p.NoUserInfo = &Refusal{bad.Code, bad.Description}
	} else {
		info, more := userInfoOf(t)
		if p.UserInfo, err = json.Marshal(access.Extend(info, more)); err != nil {
			return err
		}
	}
	if p.Introspection, err = json.Marshal(introspected(s, c, t)); err != nil {
		return err
	}
	p.Response, err = json.Marshal(resp)
	return err
}

func unsigned(header string, claims any) (*Unsigned, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	u := &Unsigned{Header: json.RawMessage(header)}
	return u, json.Unmarshal(text, &u.Claims)
}

func (u *Unsigned) unmade(claim string) { u.Claims[claim] = json.RawMessage(`"` + Unmade + `"`) }
