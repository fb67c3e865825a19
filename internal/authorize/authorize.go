// Package authorize is the authorization endpoint: it reads what an application asks for, and answers the application.
//
//	application ──▶ /oauth2/par ──▶ the request is kept (RFC 9126) ──▶ request_uri
//	     │
//	application ──▶ /oauth2/authorize ──▶ trusted: client and redirect URI belong together ──▶ read ──▶ Config.Begin ──▶ /login
//	                                                                                                     (package login)
//	application ◀── code, state, iss ◀── Respond ◀── how the interaction ended ◀──────────────────────────────┘
//
// Until client and redirect URI are known to belong together, errors are shown to the person. From then on they go to the client.
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
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// authorizeParams are the parameters this endpoint knows. Others are ignored (RFC 6749 §3.1), however often they come.
var Params = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"display", "prompt", "max_age", "ui_locales", "claims_locales", "id_token_hint", "login_hint", "acr_values", "claims",
	"code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri", "registration",
	"resource", "authorization_details",
}

//go:embed pages
var files embed.FS

// Config wires a Service.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store
	Shell     *web.Shell
	Keys      *keys.Ring // sign answers (JARM)
	Outbound  *outbound.Client
	Clients   *client.Authenticator
	Registrar *client.Registrar
	Binder    *sender.Binder
	Tokens    *token.Service
	Names     *subject.Names
	Catalog   access.Catalog
	// Begin stores an interaction and returns the path that shows it, or answers it at once and returns "" (login.Begin).
	Begin oauth.Begin
	// RequirePAR refuses every authorization request that was not pushed, whatever the client's policy.
	RequirePAR bool
}

// Service is the authorization endpoint and what belongs to it. It may be used by any number of goroutines.
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

// Mount adds the endpoints that browsers are sent to.
func (s *Service) Mount(protocol *http.ServeMux) {
	s.cfg.Shell.Handle(protocol, "GET "+oauth.PathAuthorize, s.authorize)
	s.cfg.Shell.Handle(protocol, "POST "+oauth.PathAuthorize, s.authorize)
	protocol.HandleFunc("GET "+oauth.PathFormPostJS, s.formPostScript)
}

// authorize is the authorization endpoint, by GET and POST. Until client and redirect URI are known to belong together
// errors are shown to the person and nobody is redirected; from then on they go to the client.
func (s *Service) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm // what stands in the URL of a form's target is not part of the request (OIDC Core §3.1.2.1)
	}
	in, err := s.trusted(r, form)
	if err != nil {
		return s.answerOutage(w, r, form, err)
	}
	req := idp.Request{ClientID: in.client.ID, RedirectURI: in.form.Get("redirect_uri"), Pushed: in.reference}
	var need idp.Requirement
	if err = manner(in.form, in.client, &req); err == nil {
		err = in.refused
	}
	if err == nil {
		need, err = s.read(r, in.form, in.client, &req)
	}
	if bad, ok := errors.AsType[*oauth.Error](err); ok {
		web.Note(r.Context(), slog.String("client", req.ClientID), slog.String("oauth_error", bad.Code),
			slog.String("oauth_error_description", oauth.Describable(bad.Description)))
		return s.Respond(w, r, idp.Interaction{Request: req}, idp.Outcome{Error: bad.Code, Description: bad.Description})
	}
	var location string
	if err == nil {
		if location, err = s.cfg.Begin(r.Context(), w, r, req, need); err != nil {
			err = fmt.Errorf("begin interaction: %w", err)
		}
	}
	if silent(in.form) && outage(r.Context(), err) {
		return s.tellOutage(w, r, req, err)
	}
	if err != nil {
		return err
	}
	if location == "" { // answered already
		return nil
	}
	http.Redirect(w, r, location, seeOther(r))
	return nil
}

// seeOther is 302, or 303 after a POST, so that no browser sends the form again (RFC 9700 §4.12).
func seeOther(r *http.Request) int {
	if r.Method == http.MethodPost {
		return http.StatusSeeOther
	}
	return http.StatusFound
}

// badLink is the page for a request that cannot be answered to its client, because it is not known to be the client's.
func badLink(code, text string, err error) error {
	return &web.Problem{
		Status: http.StatusBadRequest, Code: code, Title: "This sign-in link doesn't work",
		Text: text, Next: "Go back to the application and try again. If it keeps happening, tell the people who run it.", Err: err,
	}
}

// An arrival is an authorization request of which client and redirect URI are known to belong together.
type arrival struct {
	client    idp.Client
	form      url.Values
	reference string // the hash of it, if the request was pushed
	refused   error  // a refusal for the client, before the request is read
}

// trusted finds the client, and the request if it was pushed or is in a request object, and checks that the redirect URI is the
// client's own.
func (s *Service) trusted(r *http.Request, form url.Values) (arrival, error) {
	refused := func(text, reason string) (arrival, error) {
		return arrival{}, badLink("invalid_request", text, errors.New(reason))
	}
	byReference := refersToPush(form)
	if len(form["client_id"]) > 1 || len(form["redirect_uri"]) > 1 && !byReference {
		return refused("The application sent a parameter twice.", "client_id or redirect_uri repeated")
	}
	id := form.Get("client_id")
	if id == "" {
		return refused("The application did not say who it is.", "client_id missing")
	}
	err := s.cfg.Registrar.Meet(r, id)
	var client idp.Client
	if err == nil {
		client, err = s.cfg.DB.Client(r.Context(), id)
	}
	if errors.Is(err, idp.ErrNotFound) {
		web.Note(r.Context(), oauth.Sent("client_id_sent", id))
		return refused("We don't know the application that sent you here.", "client unknown")
	}
	if err != nil {
		return arrival{}, fmt.Errorf("load client: %w", err)
	}
	in := arrival{client: client, form: form}
	switch {
	case byReference:
		if in.form, in.reference, err = s.pulled(r, form, client); err != nil {
			return arrival{}, err
		}
	case client.MustPush() || s.cfg.RequirePAR:
		in.refused = oauth.Refuse("invalid_request", "the client has to push its requests (RFC 9126)")
	default:
		request, err := s.unwrap(r.Context(), client, form)
		if err == nil {
			in.form = request
		}
		in.refused = err
	}
	bad, isRefused := errors.AsType[*oauth.Error](in.refused)
	err = ownRedirect(r.Context(), client, in.form)
	if err != nil {
		web.Note(r.Context(), slog.String("client", client.ID))
	}
	switch {
	case isRefused && err != nil: // nothing says where to tell the client
		return arrival{}, badLink(bad.Code, "The application's request cannot be used.", bad)
	case errors.Is(err, errNoRedirect):
		return refused("The application did not say where to send you afterwards.", err.Error())
	case err != nil:
		return refused("The application asked us to send you to an address that is not registered for it.", err.Error())
	}
	return in, nil
}

var (
	errNoRedirect      = oauth.Refuse("invalid_request", "redirect_uri is missing")
	errForeignRedirect = oauth.Refuse("invalid_request", "redirect_uri is not registered for the client")
)

// ownRedirect checks that the request names a redirect URI, and one of the client's.
func ownRedirect(ctx context.Context, client idp.Client, form url.Values) error {
	switch uri := form.Get("redirect_uri"); {
	case uri == "":
		return errNoRedirect
	case !redirectRegistered(client, uri):
		web.Note(ctx, oauth.SentURI("redirect_uri_sent", uri))
		return errForeignRedirect
	}
	return nil
}

// manner reads into req how the client wants its answer, a refusal included.
func manner(form url.Values, client idp.Client, req *idp.Request) error {
	req.State, req.ResponseMode = form.Get("state"), form.Get("response_mode")
	if len(form["state"]) > 1 || len(req.State) > oauth.MaxState {
		req.State = "" // not one to give back
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

// read validates the rest of the request into req and says what it requires. Its refusals go to the client, in the manner
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
		req.LoginHint = "" // a hint
	}
	req.UILocales = oauth.Words(form.Get("ui_locales"))

	if err := pkce(form, client, req); err != nil {
		return none, err
	}
	if req.DPoPKey = form.Get("dpop_jkt"); req.DPoPKey != "" && (len(req.DPoPKey) != 43 || strings.Trim(req.DPoPKey, base64URL) != "") {
		return none, oauth.Refuse("invalid_request", "dpop_jkt is not the base64url of a SHA-256") // RFC 9449 §10
	}
	if err := prompts(form, req); err != nil {
		return none, err
	}
	return s.ReadAccess(r, form, client, req)
}

// ReadAccess reads what a request asks for and what proof of the person it wants, into req.
func (s *Service) ReadAccess(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (need idp.Requirement, err error) {
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
	case method != "S256": // the default is plain (RFC 7636 §4.3), which proves nothing to who saw the request
		return oauth.Refuse("invalid_request", "code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, base64URL) != "":
		return oauth.Refuse("invalid_request", "code_challenge is not the base64url of a SHA-256")
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
				return oauth.Refuse("invalid_request", "prompt=none goes with no other value")
			}
		case "login", "consent", "select_account", "create":
		default: // Initiating User Registration 1.0 §4.1
			return oauth.Refuse("invalid_request", "a value of prompt is not supported")
		}
	}
	return nil
}

// scopes reads scope. One that nobody here knows is ignored (OIDC Core §3.1.2.1), one that this client may not have is
// refused.
func (s *Service) scopes(form url.Values, client idp.Client, req *idp.Request) error {
	for _, scope := range s.cfg.Catalog.Known(oauth.Words(form.Get("scope"))) {
		switch {
		case !slices.Contains(client.Scopes, scope):
			return oauth.Refuse("invalid_scope", "the client may not ask for one of these scopes")
		case scope == oauth.ScopeOffline && !slices.Contains(client.GrantTypes, idp.GrantRefreshToken): // OIDC Core §11: then it is ignored
		default:
			req.Scopes = append(req.Scopes, scope)
		}
	}
	req.Scopes = s.cfg.Catalog.Reachable(req.Scopes, req.Resources)
	if without := len(req.Resources)+len(req.Details) > 0 && form.Get("scope") == ""; len(req.Scopes) == 0 && !without { // RFC 9396 §3
		return oauth.Refuse("invalid_scope", "no scope that is known here, or none that the resources take")
	}
	return nil
}

// readDemand reads what concerns the authentication: ages, acr values, claims, and whose it should be.
func (s *Service) readDemand(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error) {
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
		d.Access.Resources = client.Audience // that is whom the tokens will be for
	}
	if text := form.Get("max_age"); text != "" {
		if strings.Trim(text, "0123456789") != "" {
			return none, oauth.Refuse("invalid_request", "max_age is not a number of seconds")
		}
		if seconds, err := strconv.ParseUint(text, 10, 32); err == nil { // what is more than a century bounds nothing
			age := time.Duration(seconds) * time.Second
			d.MaxAge = &age
		}
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := s.cfg.Tokens.VerifyHint(r.Context(), hint)
		if errors.Is(err, keys.ErrToken) || err == nil && c.Audience != client.ID {
			return none, oauth.Refuse("invalid_request", "id_token_hint is no ID token that this provider issued to the client")
		}
		if err != nil {
			return none, err
		}
		user, ok := s.cfg.Names.User(client, c.Subject)
		if !ok { // issued before the client changed its subject_type or its sector
			return none, oauth.Refuse("invalid_request", "id_token_hint is no ID token that this provider issued to the client")
		}
		req.HintedUser = user
	}
	if sub := claims.IDToken["sub"]; sub != nil && sub.Value != nil { // OIDC Core §5.5.1: that user or nobody
		named, _ := sub.Value.(string)
		id, ok := s.cfg.Names.User(client, named)
		switch {
		case named == "" || ok && req.HintedUser != "" && req.HintedUser != id:
			return none, oauth.Refuse("invalid_request", "claims and id_token_hint name different users")
		case !ok: // before anybody signs in: what is no name of this sector is nobody's, whoever's ID it may be
			return none, oauth.Refuse("login_required", "nobody has the sub that claims asks for")
		}
		req.HintedUser = id
	}
	if form.Get("claims") != "" {
		req.Claims = []byte(form.Get("claims"))
		for _, scope := range claims.Scopes() { // asked for by name: consent has to show it, the scope itself is not granted
			if slices.Contains(client.Scopes, scope) && !slices.Contains(req.Scopes, scope) {
				req.Scopes = append(req.Scopes, scope)
				req.ClaimScopes = append(req.ClaimScopes, scope)
			}
		}
	}
	return requirement(s.cfg.Catalog.Policy, client, d), nil
}
