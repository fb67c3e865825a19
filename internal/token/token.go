// Package token issues, looks up and revokes tokens.
//
//	code, device code, refresh token ──▶ family (store) ──▶ access, ID and refresh token
//	client credentials ──▶ access token without a family
//	access token ──▶ UserInfo, Introspect, Exchange;  any token ──▶ Revoke: its family ends
//
// Every token for a user is derived from one [idp.Family], which one grant produced and which is revoked as a whole. A
// JWT access token names its family in its jti, so that userinfo and introspection need one read.
package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
)

// AccessClaims are the claims of a JWT access token (RFC 9068 §2.2, RFC 9470 §6.1).
type AccessClaims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience oauth.Audience `json:"aud"`
	ClientID string         `json:"client_id"`
	Expires  int64          `json:"exp"`
	Issued   int64          `json:"iat"`
	ID       string         `json:"jti"` // the family's ID, a dot, and a unique part; without a dot: no family
	Scope    string         `json:"scope"`
	ACR      string         `json:"acr,omitempty"`
	AMR      []string       `json:"amr,omitempty"`
	AuthTime int64          `json:"auth_time,omitempty"` // 0: not for a user (clientcredentials.go)
	Session  string         `json:"sid,omitempty"`
	// Details are what the token allows beyond its scope (RFC 9396 §9.1).
	Details idp.Details `json:"authorization_details,omitempty"`
	// Confirmation is the key that the presenter must prove (RFC 9449 §6.1, RFC 8705 §3.1).
	Confirmation idp.Confirmation `json:"cnf,omitzero"`
	// Actor is the client that acts for the subject of an exchanged token (exchange.go).
	Actor *actor `json:"act,omitempty"`
}

// IDClaims are the claims of an ID token (OIDC Core §2).
type IDClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Nonce    string   `json:"nonce,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	AtHash   string   `json:"at_hash,omitempty"`
	access.UserClaims
}

// Response is the response of RFC 6749 §5.1 and OIDC Core §3.1.3.3.
type Response struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
	// IssuedTokenType is set only by the token-exchange grant (RFC 8693 §2.2.1).
	IssuedTokenType string `json:"issued_token_type,omitempty"`

	Details idp.Details `json:"authorization_details,omitempty"` // RFC 9396 §7
}

// An Issue is a response of the token endpoint under construction: what one family issues at one time.
type Issue struct {
	client       *idp.Client // of the request: never changed
	now          time.Time
	Narrowing    narrowing
	scopes       []string         // of the access token
	audience     oauth.Audience   // of the access token
	details      idp.Details      // of the access token
	openID       bool             // with an ID token
	inID         []string         // scopes whose claims the ID token contains
	expires      time.Time        // of the access token
	confirmation idp.Confirmation // the key that the access token is bound to
	machine      bool             // for the client itself: scopes for machines need no step-up
	opaque       idp.Secret       // the access token, if it is opaque
	id           *keys.Signer     // for the ID token; nil without openid
	access       *keys.Signer     // for a JWT access token
}

// Lifetimes configures how long tokens live.
type Lifetimes struct {
	// Access and ID tokens: 10 minutes each by default. A client may have its own for access tokens.
	Access, ID time.Duration
	// Refresh is the lifetime of a family with refresh tokens, however often it is refreshed: 30 days by default.
	Refresh time.Duration
}

// Config configures a Service.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store
	Keys      *keys.Ring
	Names     *subject.Names
	Catalog   access.Catalog
	Binder    *sender.Binder
	Clients   *client.Registrar
	Lifetimes Lifetimes
	// RefreshKey derives the successors of refresh tokens: 32 random bytes shared by all replicas.
	RefreshKey []byte
}

// Service issues, looks up and revokes tokens. It is safe for concurrent use.
type Service struct {
	cfg      Config
	codes    ephemeral.Bucket[Authorization]
	verified verified
	machines idp.Policy // the policy without the action classes of scopes that machines may have
}

// New returns a Service.
func New(cfg Config) *Service {
	l := &cfg.Lifetimes
	l.Access, l.ID = cmp.Or(l.Access, 10*time.Minute), cmp.Or(l.ID, 10*time.Minute)
	l.Refresh = cmp.Or(l.Refresh, 30*24*time.Hour)
	return &Service{
		cfg: cfg, codes: ephemeral.NewCompactBucket(cfg.Ephemeral, "code", codeTTL, fields),
		machines: forMachines(cfg.Catalog.Policy),
	}
}

func forMachines(p idp.Policy) idp.Policy {
	p.Scopes = maps.Clone(p.Scopes)
	for name, scope := range p.Scopes {
		if scope.Machines {
			scope.ActionClass = ""
			p.Scopes[name] = scope
		}
	}
	return p
}

// A Request is a request of an authenticated client at the token endpoint.
type Request struct {
	*oauth.Call
	Client idp.Client
}

// Prepare loads what issuing needs before anything is used up, so that an unreadable key or a missing proof or
// certificate does not cost the client its code. It adds the operations in with, which may use something up, to the
// round trip that checks a DPoP proof. Its errors can be sent to the client.
func (s *Service) Prepare(ctx context.Context, req *Request, now time.Time, with ...*ephemeral.Op) (*Issue, error) {
	c := &req.Client
	is := &Issue{client: c, now: now}
	b, err := s.cfg.Binder.Bind(req.Sender, *c, now)
	if err != nil {
		return nil, err
	}
	is.confirmation = b.Confirmation
	if is.access, err = s.cfg.Keys.Signer(ctx, keys.ES256); err != nil {
		return nil, oauth.Broken(ctx, "prepare tokens", err)
	}
	if is.id, err = s.cfg.Keys.Signer(ctx, idTokenAlg(*c)); err != nil {
		return nil, oauth.Broken(ctx, "prepare tokens", err)
	}
	if err := s.cfg.Ephemeral.Do(ctx, b.With(with...)...); err != nil {
		return nil, oauth.Broken(ctx, "prepare tokens", err)
	}
	return is, b.CheckReplay()
}

func idTokenAlg(c idp.Client) string { return cmp.Or(c.IDTokenAlg, keys.ES256) }

// row returns the opaque access token to store; nil for a JWT.
func (is *Issue) row(familyID string) *store.OpaqueToken {
	if is.opaque == "" {
		return nil
	}
	return &store.OpaqueToken{
		Hash: is.opaque.Hash(), FamilyID: familyID, Scopes: is.scopes, Audience: is.audience, Details: is.details,
		Confirmation: is.confirmation, IssuedAt: is.now, ExpiresAt: is.expires,
	}
}

// sign creates the tokens of a stored family. refresh is the refresh token to include.
func (s *Service) sign(is *Issue, f idp.Family, u idp.User, nonce string, refresh idp.Secret) (*Response, error) {
	resp := &Response{
		AccessToken:  is.opaque.Reveal(),
		TokenType:    is.confirmation.TokenType(),
		ExpiresIn:    max(0, is.expires.Unix()-is.now.Unix()),
		RefreshToken: refresh.Reveal(),
		Scope:        strings.Join(is.scopes, " "),
		Details:      is.details,
	}
	var err error
	if is.opaque == "" {
		if resp.AccessToken, err = is.access.Sign(keys.TypeAccessToken, accessClaims(s, is, f, u)); err != nil {
			return nil, fmt.Errorf("access token: %w", err)
		}
	}
	if !is.openID {
		return resp, nil
	}
	claims := idClaims(s, is, f, u, nonce, is.id.AtHash(resp.AccessToken))
	if resp.IDToken, err = is.id.Sign(keys.TypeIDToken, claims); err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	return resp, nil
}

// accessClaims returns the claims of a JWT access token.
func accessClaims(s *Service, is *Issue, f idp.Family, u idp.User) any {
	granted := func(scope string) bool { return slices.Contains(is.scopes, scope) }
	more := access.Release{Client: *is.client, User: u, Scope: granted, Token: true, Access: true}.Claims()
	return access.Extend(AccessClaims{
		Issuer:       s.cfg.Catalog.Issuer,
		Subject:      s.cfg.Names.Sub(*is.client, u.ID),
		Audience:     is.audience,
		ClientID:     f.ClientID,
		Expires:      is.expires.Unix(),
		Issued:       is.now.Unix(),
		ID:           f.ID + "." + idp.NewSecret().Reveal(),
		Scope:        strings.Join(is.scopes, " "),
		ACR:          f.Assurance.ACR,
		AMR:          f.Assurance.AMR,
		AuthTime:     authTime(f.Assurance, is.now),
		Session:      s.cfg.Names.SID(*is.client, f.SessionID),
		Details:      is.details,
		Confirmation: is.confirmation,
	}, more)
}

// idClaims returns the claims of an ID token.
func idClaims(s *Service, is *Issue, f idp.Family, u idp.User, nonce, atHash string) any {
	asked := access.StoredClaims(f.Claims).IDToken
	isAsked := func(claim string) bool { _, ok := asked[claim]; return ok }
	inID := func(scope string) bool { return slices.Contains(is.inID, scope) }
	more := access.Release{Client: *is.client, User: u, Scope: inID, Asked: isAsked, Token: true}.Claims()
	return access.Extend(IDClaims{
		Issuer:   s.cfg.Catalog.Issuer,
		Subject:  s.cfg.Names.Sub(*is.client, u.ID),
		Audience: f.ClientID, // never the resources of the access token: the ID token is only for the client
		Expires:  is.now.Add(s.cfg.Lifetimes.ID).Unix(),
		Issued:   is.now.Unix(),
		AuthTime: authTime(f.Assurance, is.now),
		Nonce:    nonce,
		ACR:      f.Assurance.ACR,
		AMR:      f.Assurance.AMR,
		Session:  s.cfg.Names.SID(*is.client, f.SessionID),
		AtHash:   atHash,
		UserClaims: access.ClaimsOf(u, func(claim string) bool {
			return isAsked(claim) || inID(access.ScopeOf[claim])
		}),
	}, more)
}

// authTime returns the auth_time claim for tokens issued at a time. The clock of the replica that saw the
// authentication may be ahead of the issuing one (by less than ten seconds, see server/clocks.go). auth_time is then
// the time of issue: applications reject a token issued before its authentication, and an earlier auth_time only makes
// them ask sooner.
func authTime(a idp.Assurance, issued time.Time) int64 { return min(a.AuthTime.Unix(), issued.Unix()) }

// audience returns the aud of a token requested without resources: the client's APIs, or the issuer if it has none. The
// issuer is always included if the token opens userinfo.
func (s *Service) audience(of, scopes []string) oauth.Audience {
	a := oauth.Audience(slices.Clone(of))
	if (len(a) == 0 || slices.Contains(scopes, oauth.ScopeOpenID)) && !slices.Contains(a, s.cfg.Catalog.Issuer) {
		a = append(a, s.cfg.Catalog.Issuer)
	}
	return a
}

// A presented token is a valid access token: signed or stored by us, not expired, of a live family and an enabled user.
// A token issued to a client itself has only the client: no family and no user.
type presented struct {
	client          idp.Client // the client that holds the token
	family          idp.Family
	user            idp.User
	subject         string // the user's sub, or the client_id of a client's own token
	id              string // jti; empty for an opaque token
	scopes          []string
	audience        oauth.Audience
	details         idp.Details
	confirmation    idp.Confirmation // not proven yet: see holds
	actor           *actor           // acts for the subject; nil: the client they signed in to
	issued, expires time.Time
}

// maxToken is the longest accepted token, in bytes.
const maxToken = 8 << 10

// lookUp looks up an access token, in one round trip if its client is cached. It returns errToken for any token that is
// not valid.
func (s *Service) lookUp(ctx context.Context, call *oauth.Call, token string, now time.Time) (presented, error) {
	if len(token) > maxToken {
		return presented{}, keys.ErrToken
	}
	if strings.Count(token, ".") != 2 {
		return s.lookUpOpaque(ctx, call, idp.Secret(token), now)
	}
	r, err := s.cfg.Keys.Current(ctx)
	if err != nil {
		return presented{}, err
	}
	c, err := s.verified.open(r, token)
	if err != nil {
		return presented{}, err
	}
	call.NoteClient(c.ClientID)
	expires := time.Unix(c.Expires, 0)
	familyID, _, ofFamily := strings.Cut(c.ID, ".")
	if c.Issuer != s.cfg.Catalog.Issuer || !now.Before(expires) {
		return presented{}, keys.ErrToken
	}
	if !ofFamily {
		return s.lookUpMachine(ctx, c)
	}
	f, u, err := s.cfg.DB.FamilyWithUser(ctx, familyID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && f.ClientID != c.ClientID && c.Actor == nil {
		return presented{}, keys.ErrToken
	}
	if err != nil {
		return presented{}, fmt.Errorf("load family: %w", err)
	}
	client, err := s.loadHolder(ctx, f.ClientID)
	if err != nil {
		return presented{}, err
	}
	if c.Subject != s.cfg.Names.Sub(client, u.ID) || !u.Membership.Admitted(client.AllowedGroups) {
		return presented{}, keys.ErrToken
	}
	if c.Actor != nil {
		if client, err = s.loadExchanger(ctx, c); err != nil {
			return presented{}, err
		}
	}
	return s.open(presented{
		client: client, family: f, user: u, subject: c.Subject, id: c.ID, scopes: strings.Fields(c.Scope),
		audience: c.Audience,
		details:  c.Details, confirmation: c.Confirmation, actor: c.Actor,
		issued: time.Unix(c.Issued, 0), expires: expires,
	}, now)
}

// open returns a token only if its user may use the client that holds it and all its windows are open. A token with an
// action class ends with the window: when its time has passed, or when the user closes it.
func (s *Service) open(t presented, now time.Time) (presented, error) {
	if !t.user.Membership.Admitted(t.client.AllowedGroups) || !s.cfg.Catalog.Policy.Holds(
		idp.Access{Scopes: t.scopes, Resources: t.audience, Details: t.details}, t.family.Assurance, now,
	) {
		return presented{}, keys.ErrToken
	}
	return t, nil
}

func (s *Service) lookUpOpaque(
	ctx context.Context, call *oauth.Call, token idp.Secret, now time.Time,
) (presented, error) {
	t, f, u, err := s.cfg.DB.FamilyByOpaque(ctx, token.Hash())
	call.NoteClient(f.ClientID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && !now.Before(t.ExpiresAt) {
		return presented{}, keys.ErrToken
	}
	if err != nil {
		return presented{}, fmt.Errorf("load opaque token: %w", err)
	}
	client, err := s.loadHolder(ctx, f.ClientID)
	if err != nil {
		return presented{}, err
	}
	return s.open(presented{
		client: client, family: f, user: u, subject: s.cfg.Names.Sub(client, u.ID), scopes: t.Scopes, audience: t.Audience,
		details: t.Details, confirmation: t.Confirmation, issued: t.IssuedAt, expires: t.ExpiresAt,
	}, now)
}

// loadHolder returns the client that a token was issued to. If the client is gone, its tokens are invalid.
func (s *Service) loadHolder(ctx context.Context, id string) (idp.Client, error) {
	c, err := s.cfg.DB.Client(ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		return idp.Client{}, keys.ErrToken
	}
	if err != nil {
		return idp.Client{}, fmt.Errorf("load client: %w", err)
	}
	return c, nil
}

// VerifyHint checks an ID token sent as a hint. It must be ours, but may have expired (OIDC Core §3.1.2.1).
func (s *Service) VerifyHint(ctx context.Context, token string) (IDClaims, error) {
	if len(token) > maxToken {
		return IDClaims{}, keys.ErrToken
	}
	r, err := s.cfg.Keys.Current(ctx)
	if err != nil {
		return IDClaims{}, err
	}
	var c IDClaims
	if err := r.Open(keys.TypeIDToken, token, &c); err != nil {
		return IDClaims{}, err
	}
	if c.Issuer != s.cfg.Catalog.Issuer || c.Subject == "" || c.Expires == 0 { // without exp: signed userinfo
		return IDClaims{}, keys.ErrToken
	}
	return c, nil
}
