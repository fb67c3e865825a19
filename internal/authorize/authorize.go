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
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

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
