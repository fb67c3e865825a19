// Package authorize is the authorization endpoint. It reads the request of an application and sends the response.
//
//	application ──▶ /oauth2/par ──▶ stored request (RFC 9126) ──▶ request_uri
//	     │
//	application ──▶ /oauth2/authorize ──▶ client, redirect URI ──▶ read ──▶ Config.Begin ──▶ /login
//	                                                                                (package login)
//	application ◀── code, state, iss ◀── Respond ◀── outcome of the interaction ◀──────────┘
//
// Until the client and its redirect URI are verified, errors are shown to the person. After that they go to the client.
package authorize

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// Params are the parameters of this endpoint. Others are ignored (RFC 6749 §3.1), even if repeated.
var Params = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"display", "prompt", "max_age", "ui_locales", "claims_locales", "id_token_hint", "login_hint", "acr_values", "claims",
	"code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri", "registration",
	"resource", "authorization_details",
}

//go:embed pages
var files embed.FS

// Config configures a Service.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store
	Shell     *web.Shell
	Keys      *keys.Ring // sign responses (JARM)
	Outbound  *outbound.Client
	Clients   *client.Authenticator
	Registrar *client.Registrar
	Binder    *sender.Binder
	Tokens    *token.Service
	Names     *subject.Names
	Catalog   access.Catalog
	Room      *limit.Room // for pushed requests of strangers
	// Begin stores an interaction and returns the path of its first page. If it answers the request itself, it returns ""
	// (login.Begin).
	Begin oauth.Begin
	// RequirePAR rejects every authorization request that was not pushed, whatever the client's policy.
	RequirePAR bool
}

// Service is the authorization endpoint with pushed requests and responses. It is safe for concurrent use.
type Service struct {
	cfg    Config
	pushes ephemeral.Bucket[pushed]
	pages  *web.Pages
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	return &Service{cfg: cfg, pushes: ephemeral.NewBucket[pushed](cfg.Ephemeral, "par", referenceTTL), pages: pages}, nil
}

// Mount adds the endpoints for browsers.
func (s *Service) Mount(protocol *http.ServeMux) {
	s.cfg.Shell.Handle(protocol, "GET "+oauth.PathAuthorize, s.authorize)
	s.cfg.Shell.Handle(protocol, "POST "+oauth.PathAuthorize, s.authorize)
	protocol.HandleFunc("GET "+oauth.PathFormPostJS, s.formPostScript)
}

// authorize is the authorization endpoint, for GET and POST. Until the client and its redirect URI are verified, errors
// are shown to the person, without a redirect. After that they go to the client.
func (s *Service) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm // for a form, the query is not part of the request (OIDC Core §3.1.2.1)
	}
	web.AskLanguages(r.Context(), oauth.Words(form.Get("ui_locales")))
	in, err := s.resolveClient(r, form, false)
	if err != nil {
		return s.answerOutage(w, r, form, err)
	}
	web.AskLanguages(r.Context(), oauth.Words(in.form.Get("ui_locales"))) // pushed, or in a request object
	req, need, err := s.understand(r, in)
	if bad, ok := errors.AsType[*oauth.Error](err); ok {
		web.Note(r.Context(), slog.String("client", req.ClientID))
		return s.Respond(w, r, idp.Interaction{Request: req}, idp.Outcome{Error: bad.Code, Description: bad.Description})
	}
	var location string
	if err == nil {
		if location, err = s.cfg.Begin(r.Context(), w, r, req, need); err != nil {
			err = fmt.Errorf("begin interaction: %w", err)
		}
	}
	if silent(in.form) && outage(r.Context(), err) {
		return s.sendOutage(w, r, req, err)
	}
	if err != nil {
		return err
	}
	if location == "" { // already answered
		return nil
	}
	http.Redirect(w, r, location, seeOther(r))
	return nil
}

// understand reads the request of a verified client. An *oauth.Error is for the client.
func (s *Service) understand(r *http.Request, in arrival) (idp.Request, idp.Requirement, error) {
	req := idp.Request{ClientID: in.client.ID, RedirectURI: in.form.Get("redirect_uri"), Pushed: in.reference}
	err := readResponseMode(in.form, in.client, &req)
	if err == nil {
		err = in.refused
	}
	if err != nil {
		return req, idp.Requirement{}, err
	}
	need, err := s.read(r, in.form, in.client, &req)
	return req, need, err
}

// A Reading is an authorization request as this endpoint understands it.
type Reading struct {
	Client  idp.Client
	Request idp.Request
	Need    idp.Requirement
	Refused *oauth.Error // what the client is told instead; nil: the request is good
	// AsIf says what an own request was taken to be, because the client's requests must be so: AsPushed, AsSigned or "".
	AsIf string
}

// What [Reading.AsIf] can be.
const (
	AsPushed = "pushed" // RFC 9126
	AsSigned = "signed" // RFC 9101
)

// asIf is described at Reading.AsIf.
func (s *Service) asIf(c idp.Client) string {
	switch {
	case s.mustPush(c):
		return AsPushed
	case c.RequireSignedRequest:
		return AsSigned
	}
	return ""
}

// mustPush reports whether a client must push its requests.
func (s *Service) mustPush(c idp.Client) bool { return c.MustPush() || s.cfg.RequirePAR }

// Understand reads a request as the endpoint would, and begins nothing. A *web.Problem is what the person would see:
// the client or its redirect URI is not known. own reads it as if the client itself had sent it, pushed or signed as it
// must be.
func (s *Service) Understand(r *http.Request, form url.Values, own bool) (a Reading, err error) {
	in, err := s.resolveClient(r, form, own)
	if err != nil {
		return a, err
	}
	a.Client = in.client
	if own {
		a.AsIf = s.asIf(in.client)
	}
	a.Request, a.Need, err = s.understand(r, in)
	if bad, ok := errors.AsType[*oauth.Error](err); ok {
		a.Refused, err = bad, nil
	}
	return a, err
}

// seeOther returns 302, or 303 after a POST, so that no browser sends the form again (RFC 9700 §4.12).
func seeOther(r *http.Request) int {
	if r.Method == http.MethodPost {
		return http.StatusSeeOther
	}
	return http.StatusFound
}

// badLink returns the error page for a request whose client is not verified, so that no response can be sent to it.
// what is the key of a sentence about the reason.
func badLink(code, what string, err error) error {
	return &web.Problem{
		Status: http.StatusBadRequest, Code: code, Words: "authorize.link", Args: []any{"what", words.T(what)}, Err: err,
	}
}

// An arrival is an authorization request with a verified client and redirect URI.
type arrival struct {
	client    idp.Client
	form      url.Values
	reference string // its hash, if the request was pushed
	refused   error  // an error to send to the client before the request is read
}

// resolveClient loads the client, and the request if it was pushed or is in a request object, and checks that the
// redirect URI is registered for the client. own is described at Understand.
func (s *Service) resolveClient(r *http.Request, form url.Values, own bool) (arrival, error) {
	refused := func(what, reason string) (arrival, error) {
		return arrival{}, badLink("invalid_request", what, errors.New(reason))
	}
	byReference := refersToPush(form)
	if len(form["client_id"]) > 1 || len(form["redirect_uri"]) > 1 && !byReference {
		return refused("app.twice", "client_id or redirect_uri repeated")
	}
	id := form.Get("client_id")
	if id == "" {
		return refused("app.nameless", "client_id missing")
	}
	err := s.cfg.Registrar.RefreshDocument(r, id)
	var client idp.Client
	if err == nil {
		client, err = s.cfg.DB.Client(r.Context(), id)
	}
	if errors.Is(err, idp.ErrNotFound) {
		web.Note(r.Context(), oauth.Sent("client_id_sent", id))
		return refused("app.unknown", "client unknown")
	}
	if err != nil {
		return arrival{}, fmt.Errorf("load client: %w", err)
	}
	in := arrival{client: client, form: form}
	switch {
	case own:
	case byReference:
		if in.form, in.reference, err = s.loadPushed(r, form, client); err != nil {
			return arrival{}, err
		}
	case s.mustPush(client):
		in.refused = oauth.Refuse("invalid_request", "the client must push its requests (RFC 9126)")
	default:
		request, err := s.unwrap(r.Context(), client, form)
		if err == nil {
			in.form = request
		}
		in.refused = err
	}
	bad, isRefused := errors.AsType[*oauth.Error](in.refused)
	err = checkRedirect(r.Context(), client, in.form)
	if err != nil {
		web.Note(r.Context(), slog.String("client", client.ID))
	}
	switch {
	case isRefused && err != nil: // there is no address to send the error to
		return arrival{}, badLink(bad.Code, "app.unusable", bad)
	case errors.Is(err, errNoRedirect):
		return refused("app.nowhere", err.Error())
	case err != nil:
		return refused("app.elsewhere", err.Error())
	}
	return in, nil
}

var (
	errNoRedirect      = oauth.Refuse("invalid_request", "redirect_uri is missing")
	errForeignRedirect = oauth.Refuse("invalid_request", "redirect_uri is not registered for the client")
)

// checkRedirect checks that the request names a redirect URI of the client.
func checkRedirect(ctx context.Context, client idp.Client, form url.Values) error {
	switch uri := form.Get("redirect_uri"); {
	case uri == "":
		return errNoRedirect
	case !redirectRegistered(client, uri):
		web.Note(ctx, oauth.SentURI("redirect_uri_sent", uri))
		return errForeignRedirect
	}
	return nil
}

// readResponseMode reads into req how to send the response, including errors.
func readResponseMode(form url.Values, client idp.Client, req *idp.Request) error {
	req.State, req.ResponseMode = form.Get("state"), form.Get("response_mode")
	if len(form["state"]) > 1 || len(req.State) > oauth.MaxState {
		req.State = "" // too long to send back
	}
	if req.ResponseMode != "" && !slices.Contains(ResponseModes, req.ResponseMode) {
		req.ResponseMode = ""
		return oauth.Refuse("invalid_request", "response_mode is not supported")
	}
	if strings.HasSuffix(req.ResponseMode, "jwt") {
		req.ResponseAlg = cmp.Or(client.ResponseAlg, keys.ES256)
	}
	return nil
}

// read validates the rest of the request into req and returns its requirement. Its errors go to the client, in the way
// that req says by then.
func (s *Service) read(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error) {
	none := idp.Requirement{}
	for _, name := range Params {
		if len(form[name]) > 1 && name != "resource" { // RFC 6749 §3.1, RFC 8707 §2
			return none, oauth.Refuse("invalid_request", "a parameter is repeated: "+name)
		}
	}
	if len(form.Get("state")) > oauth.MaxState {
		return none, oauth.Refuse("invalid_request", fmt.Sprintf("state is longer than %d bytes", oauth.MaxState))
	}
	if form.Get("registration") != "" {
		return none, oauth.Refuse("registration_not_supported", "registration is not supported")
	}
	switch form.Get("response_type") {
	case "code":
	case "":
		return none, oauth.Refuse("invalid_request", "response_type is missing")
	default:
		return none, oauth.Refuse("unsupported_response_type", "only response_type=code is supported")
	}
	if !slices.Contains(client.GrantTypes, idp.GrantAuthorizationCode) {
		return none, oauth.Refuse("unauthorized_client", "the client is not registered for the authorization code grant")
	}
	req.Nonce, req.LoginHint = form.Get("nonce"), form.Get("login_hint")
	if len(req.Nonce) > oauth.MaxState {
		return none, oauth.Refuse("invalid_request", fmt.Sprintf("nonce is longer than %d bytes", oauth.MaxState))
	}
	if len(req.LoginHint) > oauth.MaxHint {
		req.LoginHint = "" // it is only a hint
	}
	req.UILocales = oauth.Words(form.Get("ui_locales"))

	if err := pkce(form, client, req); err != nil {
		return none, err
	}
	if req.DPoPKey = form.Get("dpop_jkt"); req.DPoPKey != "" &&
		(len(req.DPoPKey) != 43 || strings.Trim(req.DPoPKey, base64URL) != "") {
		return none, oauth.Refuse("invalid_request", "dpop_jkt must be a base64url-encoded SHA-256") // RFC 9449 §10
	}
	if err := prompts(form, req); err != nil {
		return none, err
	}
	return s.ReadAccess(r, form, client, req)
}

// ReadAccess reads into req what a request asks for, and returns the proof of the person that it requires.
func (s *Service) ReadAccess(
	r *http.Request, form url.Values, client idp.Client, req *idp.Request,
) (need idp.Requirement, err error) {
	if req.Resources, err = s.cfg.Catalog.Targets(client, form["resource"]); err != nil {
		return need, err
	}
	if req.Details, err = s.cfg.Catalog.Details(client, form.Get("authorization_details")); err != nil {
		return need, err
	}
	if err := s.scopes(form, client, req); err != nil {
		return need, err
	}
	return s.readDemand(r, form, client, req)
}

func pkce(form url.Values, client idp.Client, req *idp.Request) error {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return oauth.Refuse("invalid_request", "code_challenge is missing")
	case challenge == "" && client.NeedsPKCE():
		return oauth.Refuse("invalid_request", "code_challenge is required (PKCE, S256)")
	case challenge == "":
		return nil
	case method != "S256": // the default is plain (RFC 7636 §4.3), which proves nothing against an observer
		return oauth.Refuse("invalid_request", "code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, base64URL) != "":
		return oauth.Refuse("invalid_request", "code_challenge must be a base64url-encoded SHA-256")
	}
	req.CodeChallenge = challenge
	return nil
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func prompts(form url.Values, req *idp.Request) error {
	req.Prompt = oauth.Words(form.Get("prompt"))
	for _, value := range req.Prompt {
		switch value {
		case "none":
			if len(req.Prompt) > 1 { // OIDC Core §3.1.2.1
				return oauth.Refuse("invalid_request", "prompt=none excludes other values")
			}
		case "login", "consent", "select_account", "create":
		default: // Initiating User Registration 1.0 §4.1
			return oauth.Refuse("invalid_request", "a value of prompt is not supported")
		}
	}
	return nil
}

// scopes reads scope. Unknown scopes are ignored (OIDC Core §3.1.2.1). Scopes that the client may not have are
// rejected, or ignored if it registered itself: nobody told it which it may have (RFC 6749 §3.3).
func (s *Service) scopes(form url.Values, client idp.Client, req *idp.Request) error {
	for _, scope := range s.cfg.Catalog.Known(oauth.Words(form.Get("scope"))) {
		switch {
		case !slices.Contains(client.Scopes, scope) && client.Dynamic:
		case !slices.Contains(client.Scopes, scope):
			return oauth.Refuse("invalid_scope", "the client may not have one of these scopes")
		// OIDC Core §11: ignored without refresh tokens
		case scope == oauth.ScopeOffline && !slices.Contains(client.GrantTypes, idp.GrantRefreshToken):
		default:
			req.Scopes = append(req.Scopes, scope)
		}
	}
	req.Scopes = s.cfg.Catalog.Reachable(req.Scopes, req.Resources)
	// RFC 9396 §3
	if without := len(req.Resources)+len(req.Details) > 0 && form.Get("scope") == ""; len(req.Scopes) == 0 && !without {
		return oauth.Refuse("invalid_scope", "no known scope, or none that the resources accept")
	}
	return nil
}

// readDemand reads what concerns the authentication: ages, acr values, claims, and the requested user.
func (s *Service) readDemand(
	r *http.Request, form url.Values, client idp.Client, req *idp.Request,
) (idp.Requirement, error) {
	none := idp.Requirement{}
	claims, err := access.ParseClaims(form.Get("claims"))
	if err != nil {
		return none, oauth.Refuse("invalid_request", "claims: "+err.Error())
	}
	d := demand{
		ACRValues: oauth.Words(form.Get("acr_values")),
		ACR:       claims.IDToken["acr"],
		Login:     req.Prompts("login"),
		Access:    idp.Access{Scopes: req.Scopes, Resources: req.Resources, Details: req.Details},
	}
	if len(req.Resources) == 0 {
		d.Access.Resources = client.Audience // the audience of the tokens
	}
	if text := form.Get("max_age"); text != "" {
		if strings.Trim(text, "0123456789") != "" {
			return none, oauth.Refuse("invalid_request", "max_age must be a number of seconds")
		}
		if seconds, err := strconv.ParseUint(text, 10, 32); err == nil { // more than a century is no limit
			age := time.Duration(seconds) * time.Second
			d.MaxAge = &age
		}
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := s.cfg.Tokens.VerifyHint(r.Context(), hint)
		if errors.Is(err, keys.ErrToken) || err == nil && c.Audience != client.ID {
			return none, oauth.Refuse(
				"invalid_request", "id_token_hint must be an ID token issued to the client by this provider",
			)
		}
		if err != nil {
			return none, err
		}
		user, ok := s.cfg.Names.User(client, c.Subject)
		if !ok { // issued before the client's subject_type or sector changed
			return none, oauth.Refuse(
				"invalid_request", "id_token_hint must be an ID token issued to the client by this provider",
			)
		}
		req.HintedUser = user
	}
	if sub := claims.IDToken["sub"]; sub != nil && sub.Value != nil { // OIDC Core §5.5.1: that user or an error
		named, _ := sub.Value.(string)
		id, ok := s.cfg.Names.User(client, named)
		switch {
		case named == "" || ok && req.HintedUser != "" && req.HintedUser != id:
			return none, oauth.Refuse("invalid_request", "claims and id_token_hint name different users")
		case !ok: // rejected before sign-in: only names of the client's sector count, never user IDs
			return none, oauth.Refuse("login_required", "the requested sub does not exist")
		}
		req.HintedUser = id
	}
	if form.Get("claims") != "" {
		req.Claims = []byte(form.Get("claims"))
		// for claims requested by name: consent shows the scope, but it is not granted
		for _, scope := range claims.Scopes() {
			if slices.Contains(client.Scopes, scope) && !slices.Contains(req.Scopes, scope) {
				req.Scopes = append(req.Scopes, scope)
				req.ClaimScopes = append(req.ClaimScopes, scope)
			}
		}
	}
	return requirement(s.cfg.Catalog.Policy, client, d), nil
}
