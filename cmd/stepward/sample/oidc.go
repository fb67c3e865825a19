package sample

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/pkg/stepup"
)

// A provider has the contents of the discovery document.
type provider struct {
	*oidc.Provider
	oauth2       oauth2.Config
	idTokens     *oidc.IDTokenVerifier
	accessTokens *oidc.IDTokenVerifier // checks signature, issuer, audience and expiry; api.go checks the rest
	endSession   string
	sendsIssuer  bool // RFC 9207
}

type discovery struct {
	mu    sync.Mutex
	found *provider
}

// provider discovers the issuer on first use. After a failure it tries again on the next use.
func (a *app) provider(ctx context.Context) (*provider, error) {
	a.discovery.mu.Lock()
	defer a.discovery.mu.Unlock()
	if a.found != nil {
		return a.found, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, a.Client), a.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	var more struct {
		EndSession  string `json:"end_session_endpoint"`
		SendsIssuer bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if a.ClientSecret == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	a.found = &provider{
		Provider: p,
		oauth2: oauth2.Config{
			ClientID: a.ClientID, ClientSecret: a.ClientSecret, Endpoint: endpoint, RedirectURL: a.BaseURL + CallbackPath,
			Scopes: []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
		},
		idTokens:     p.Verifier(&oidc.Config{ClientID: a.ClientID}),
		accessTokens: p.Verifier(&oidc.Config{ClientID: a.Audience}),
		endSession:   more.EndSession,
		sendsIssuer:  more.SendsIssuer,
	}
	return a.found, nil
}

func (a *app) signIn(w http.ResponseWriter, r *http.Request) { a.authorize(w, r, nil, "") }

// authorize sends the browser to the provider, for a sign-in or, with an attempt, to meet a challenge of the API.
func (a *app) authorize(w http.ResponseWriter, r *http.Request, attempt *stepup.Attempt, header string) {
	p, err := a.provider(r.Context())
	if err != nil {
		a.fail(w, r, unreachable, err)
		return
	}
	next := pending{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), attempt: attempt}
	address := p.oauth2.AuthCodeURL(next.state, oidc.Nonce(next.nonce), oauth2.S256ChallengeOption(next.verifier))
	target, err := url.Parse(address)
	if err != nil {
		a.fail(w, r, unreachable, err)
		return
	}
	params := target.Query()
	if attempt != nil {
		params = attempt.Authorize(params, a.sessions.current(r).user.idToken)
		params.Set("authorization_details", theOrder.details())
		target.RawQuery = params.Encode()
	}
	next.trace = sent(p.oauth2.Endpoint.AuthURL, params, header)
	a.sessions.expect(w, r, next)
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

// callback handles the authorization response (OIDC Core §3.1.2.5) and finishes the sign-in or payout.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	begun, ok := a.sessions.take(r, q.Get("state"))
	if !ok {
		a.fail(w, r, unknownSignIn, errors.New("callback: unknown state"))
		return
	}
	p, err := a.provider(r.Context())
	if err != nil {
		a.fail(w, r, unreachable, err)
		return
	}
	if iss := q.Get("iss"); iss != a.Issuer && (iss != "" || p.sendsIssuer) { // RFC 9207 §2.4
		a.fail(w, r, unknownSignIn, fmt.Errorf("callback: response of issuer %q", iss))
		return
	}
	if code := q.Get("error"); code != "" {
		a.fail(w, r, refusal(code, begun.attempt != nil), fmt.Errorf("callback: %q", code))
		return
	}
	u, claims, err := a.exchange(r.Context(), p, begun, q.Get("code"))
	if err != nil {
		a.fail(w, r, badTokens, err)
		return
	}
	u.trace.receive(q, claims, u)
	if begun.attempt == nil {
		a.sessions.start(w, r, session{user: u})
		http.Redirect(w, r, "/me", http.StatusSeeOther)
		return
	}
	if err := begun.attempt.Verify(claims, time.Now()); err != nil {
		a.fail(w, r, notMet, err) // keep the session: another user may have returned
		return
	}
	a.finishPayout(w, r, u)
}

// exchange turns the code into a user with verified tokens. The claims are those of the ID token, with the granted
// scopes.
func (a *app) exchange(ctx context.Context, p *provider, begun pending, code string) (*user, stepup.Claims, error) {
	ctx = oidc.ClientContext(ctx, a.Client)
	tokens, err := p.oauth2.Exchange(ctx, code, oauth2.VerifierOption(begun.verifier))
	if err != nil {
		return nil, stepup.Claims{}, fmt.Errorf("exchange code: %w", exchangeFault(err))
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := p.idTokens.Verify(ctx, raw)
	if err != nil {
		return nil, stepup.Claims{}, fmt.Errorf("verify id token: %w", err)
	}
	if idToken.Nonce != begun.nonce {
		return nil, stepup.Claims{}, errors.New("verify id token: wrong nonce")
	}
	if idToken.AccessTokenHash != "" {
		if err := idToken.VerifyAccessToken(tokens.AccessToken); err != nil {
			return nil, stepup.Claims{}, fmt.Errorf("verify id token: %w", err)
		}
	}
	var claims stepup.Claims
	if err := idToken.Claims(&claims); err != nil {
		return nil, stepup.Claims{}, fmt.Errorf("read id token: %w", err)
	}
	claims.Scopes = strings.Fields(begun.trace.scope)
	if granted, ok := tokens.Extra("scope").(string); ok { // absent: as requested (RFC 6749 §5.1)
		claims.Scopes = strings.Fields(granted)
	}
	u := &user{
		subject: claims.Subject, idToken: raw, accessToken: tokens.AccessToken, idClaims: claims.Raw, trace: begun.trace,
	}
	if info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens)); err != nil {
		a.Logger.WarnContext(ctx, "no userinfo", "error", err)
	} else if info.Subject == claims.Subject { // another user's must not be used (OIDC Core §5.3.2)
		_ = info.Claims(&u.userInfo)
	}
	return u, claims, nil
}

// exchangeFault keeps the error code and drops the rest of the response, which may contain anything.
func exchangeFault(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("token endpoint: status %d, %q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return err
}

// leaving is the state of a logout request. It only makes the home page say that the user signed out.
const leaving = "signed-out"

// signOut ends the session here, then at the provider (OIDC RP-Initiated Logout §2).
func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	here := a.sessions.current(r)
	a.sessions.end(w, r)
	p, err := a.provider(r.Context())
	if err != nil || p.endSession == "" || here.user == nil {
		http.Redirect(w, r, SignedOutPath+"?state="+leaving, http.StatusSeeOther)
		return
	}
	target, err := url.Parse(p.endSession)
	if err != nil {
		a.fail(w, r, unreachable, err)
		return
	}
	q := target.Query()
	q.Set("id_token_hint", here.user.idToken)
	q.Set("client_id", a.ClientID)
	q.Set("post_logout_redirect_uri", a.BaseURL+SignedOutPath)
	q.Set("state", leaving) // returned with the browser
	target.RawQuery = q.Encode()
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}
