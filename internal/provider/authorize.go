package provider

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/web"
)

// Bounds of what a request may carry, in bytes: it is stored, and state comes back in a URL.
const (
	maxState = 512
	maxHint  = 256 // login_hint
	maxWords = 32  // values of scope, acr_values, ui_locales
)

// authorizeParams are the parameters this endpoint knows. Others are ignored (RFC 6749 §3.1), however often they come.
var authorizeParams = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"display", "prompt", "max_age", "ui_locales", "claims_locales", "id_token_hint", "login_hint", "acr_values", "claims",
	"code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri", "registration",
	"resource", "authorization_details",
}

// A refusal is an OAuth error response (RFC 6749 §4.1.2.1). Its description is ours: nothing of the request is in it.
type refusal struct{ code, description string }

func (r refusal) Error() string { return r.code + ": " + r.description }

func refuse(code, description string) error { return refusal{code, description} }

// authorize is the authorization endpoint, by GET and POST. Until client and redirect URI are known to belong together
// errors are shown to the person and nobody is redirected; from then on they go to the client.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.Form
	if r.Method == http.MethodPost {
		form = r.PostForm // what stands in the URL of a form's target is not part of the request (OIDC Core §3.1.2.1)
	}
	in, err := p.trusted(r, form)
	if err != nil {
		return err
	}
	req := idp.Request{ClientID: in.client.ID, RedirectURI: in.form.Get("redirect_uri"), Pushed: in.reference}
	var need idp.Requirement
	if err = manner(in.form, in.client, &req); err == nil {
		err = in.refused
	}
	if err == nil {
		need, err = p.read(r, in.form, in.client, &req)
	}
	if bad, ok := errors.AsType[refusal](err); ok {
		return p.Respond(w, r, idp.Interaction{Request: req}, idp.Outcome{Error: bad.code, Description: bad.description})
	}
	if err != nil {
		return err
	}
	location, err := p.Begin(r.Context(), w, r, req, need)
	if err != nil {
		return fmt.Errorf("begin interaction: %w", err)
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
func (p *Provider) trusted(r *http.Request, form url.Values) (arrival, error) {
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
	err := p.meet(r, id)
	var client idp.Client
	if err == nil {
		client, err = p.DB.Client(r.Context(), id)
	}
	if errors.Is(err, idp.ErrNotFound) {
		return refused("We don't know the application that sent you here.", "client unknown")
	}
	if err != nil {
		return arrival{}, fmt.Errorf("load client: %w", err)
	}
	in := arrival{client: client, form: form}
	switch {
	case byReference:
		if in.form, in.reference, err = p.pulled(r, form, client); err != nil {
			return arrival{}, err
		}
	case client.Pushes() || p.RequirePAR:
		in.refused = refuse("invalid_request", "the client has to push its requests (RFC 9126)")
	default:
		request, err := p.unwrap(r.Context(), client, form)
		if err == nil {
			in.form = request
		}
		in.refused = err
	}
	bad, isRefused := errors.AsType[refusal](in.refused)
	switch err := ownRedirect(client, in.form); {
	case isRefused && err != nil: // nothing says where to tell the client
		return arrival{}, badLink(bad.code, "The application's request cannot be used.", bad)
	case errors.Is(err, errNoRedirect):
		return refused("The application did not say where to send you afterwards.", err.Error())
	case err != nil:
		return refused("The application asked us to send you to an address that is not registered for it.", err.Error())
	}
	return in, nil
}

var (
	errNoRedirect      = refuse("invalid_request", "redirect_uri is missing")
	errForeignRedirect = refuse("invalid_request", "redirect_uri is not registered for the client")
)

// ownRedirect checks that the request names a redirect URI, and one of the client's.
func ownRedirect(client idp.Client, form url.Values) error {
	switch uri := form.Get("redirect_uri"); {
	case uri == "":
		return errNoRedirect
	case !redirectRegistered(client, uri):
		return errForeignRedirect
	}
	return nil
}

// manner reads into req how the client wants its answer, a refusal included.
func manner(form url.Values, client idp.Client, req *idp.Request) error {
	req.State, req.ResponseMode = form.Get("state"), form.Get("response_mode")
	if len(form["state"]) > 1 || len(req.State) > maxState {
		req.State = "" // not one to give back
	}
	if req.ResponseMode != "" && !slices.Contains(responseModes, req.ResponseMode) {
		req.ResponseMode = ""
		return refuse("invalid_request", "response_mode is not supported")
	}
	if strings.HasSuffix(req.ResponseMode, "jwt") {
		req.ResponseAlg = cmp.Or(client.ResponseAlg, keys.ES256)
	}
	return nil
}

// read validates the rest of the request into req and says what it requires. Its refusals go to the client, in the manner
// that req says by then.
func (p *Provider) read(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error) {
	none := idp.Requirement{}
	for _, name := range authorizeParams {
		if len(form[name]) > 1 && name != "resource" { // RFC 6749 §3.1, RFC 8707 §2
			return none, refuse("invalid_request", "a parameter is repeated: "+name)
		}
	}
	if len(form.Get("state")) > maxState {
		return none, refuse("invalid_request", fmt.Sprintf("state is longer than %d bytes", maxState))
	}
	if form.Get("registration") != "" {
		return none, refuse("registration_not_supported", "registration is not supported")
	}
	switch form.Get("response_type") {
	case "code":
	case "":
		return none, refuse("invalid_request", "response_type is missing")
	default:
		return none, refuse("unsupported_response_type", "only response_type=code is supported")
	}
	if !slices.Contains(client.GrantTypes, grantCode) {
		return none, refuse("unauthorized_client", "the client is not registered for the authorization code grant")
	}
	req.Nonce, req.LoginHint = form.Get("nonce"), form.Get("login_hint")
	if len(req.Nonce) > maxState {
		return none, refuse("invalid_request", fmt.Sprintf("nonce is longer than %d bytes", maxState))
	}
	if len(req.LoginHint) > maxHint {
		req.LoginHint = "" // a hint
	}
	req.UILocales = words(form.Get("ui_locales"))

	if err := pkce(form, client, req); err != nil {
		return none, err
	}
	if req.DPoPKey = form.Get("dpop_jkt"); req.DPoPKey != "" && (len(req.DPoPKey) != 43 || strings.Trim(req.DPoPKey, base64URL) != "") {
		return none, refuse("invalid_request", "dpop_jkt is not the base64url of a SHA-256") // RFC 9449 §10
	}
	if err := prompts(form, req); err != nil {
		return none, err
	}
	return p.readWhat(r, form, client, req)
}

// readWhat reads what is asked for, and what proof of the person.
func (p *Provider) readWhat(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (need idp.Requirement, err error) {
	if req.Resources, err = p.targets(client, form["resource"]); err != nil {
		return need, err
	}
	if req.Details, err = p.details(client, form.Get("authorization_details")); err != nil {
		return need, err
	}
	if err := p.scopes(form, client, req); err != nil {
		return need, err
	}
	return p.readDemand(r, form, client, req)
}

func pkce(form url.Values, client idp.Client, req *idp.Request) error {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return refuse("invalid_request", "code_challenge is missing")
	case challenge == "" && client.NeedsPKCE():
		return refuse("invalid_request", "code_challenge is required (PKCE, S256)")
	case challenge == "":
		return nil
	case method != "S256": // the default is plain (RFC 7636 §4.3), which proves nothing to who saw the request
		return refuse("invalid_request", "code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, base64URL) != "":
		return refuse("invalid_request", "code_challenge is not the base64url of a SHA-256")
	}
	req.CodeChallenge = challenge
	return nil
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func prompts(form url.Values, req *idp.Request) error {
	req.Prompt = words(form.Get("prompt"))
	for _, value := range req.Prompt {
		switch value {
		case "none":
			if len(req.Prompt) > 1 { // OIDC Core §3.1.2.1
				return refuse("invalid_request", "prompt=none goes with no other value")
			}
		case "login", "consent", "select_account", "create":
		default: // Initiating User Registration 1.0 §4.1
			return refuse("invalid_request", "a value of prompt is not supported")
		}
	}
	return nil
}

// scopes reads scope. One that nobody here knows is ignored (OIDC Core §3.1.2.1), one that this client may not have is
// refused.
func (p *Provider) scopes(form url.Values, client idp.Client, req *idp.Request) error {
	for _, scope := range words(form.Get("scope")) {
		_, known := p.Policy.Scopes[scope]
		switch {
		case !known && !slices.Contains(idp.StandardScopes, scope):
		case !slices.Contains(client.Scopes, scope):
			return refuse("invalid_scope", "the client may not ask for one of these scopes")
		case scope == scopeOffline && !slices.Contains(client.GrantTypes, grantRefresh): // OIDC Core §11: then it is ignored
		default:
			req.Scopes = append(req.Scopes, scope)
		}
	}
	req.Scopes = p.reachable(req.Scopes, req.Resources)
	if without := len(req.Resources)+len(req.Details) > 0 && form.Get("scope") == ""; len(req.Scopes) == 0 && !without { // RFC 9396 §3
		return refuse("invalid_scope", "no scope that is known here, or none that the resources take")
	}
	return nil
}

// readDemand reads what concerns the authentication: ages, acr values, claims, and whose it should be.
func (p *Provider) readDemand(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error) {
	none := idp.Requirement{}
	claims, err := parseClaims(form.Get("claims"))
	if err != nil {
		return none, refuse("invalid_request", "claims: "+err.Error())
	}
	d := demand{
		ACRValues: words(form.Get("acr_values")),
		ACR:       claims.IDToken["acr"],
		Login:     req.Prompts("login"),
		Access:    idp.Access{Scopes: req.Scopes, Resources: req.Resources, Details: req.Details},
	}
	if len(req.Resources) == 0 {
		d.Access.Resources = client.Audience // that is whom the tokens will be for
	}
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds < 0 {
			return none, refuse("invalid_request", "max_age is not a number of seconds")
		}
		age := time.Duration(seconds) * time.Second
		d.MaxAge = &age
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		c, err := p.verifyHint(r.Context(), hint)
		if errors.Is(err, keys.ErrToken) || err == nil && c.Audience != client.ID {
			return none, refuse("invalid_request", "id_token_hint is no ID token that this provider issued to the client")
		}
		if err != nil {
			return none, err
		}
		user, ok := p.names.User(client, c.Subject)
		if !ok { // issued before the client changed its subject_type or its sector
			return none, refuse("invalid_request", "id_token_hint is no ID token that this provider issued to the client")
		}
		req.HintedUser = user
	}
	if sub := claims.IDToken["sub"]; sub != nil && sub.Value != nil { // OIDC Core §5.5.1: that user or nobody
		named, _ := sub.Value.(string)
		id, ok := p.names.User(client, named)
		switch {
		case named == "" || ok && req.HintedUser != "" && req.HintedUser != id:
			return none, refuse("invalid_request", "claims and id_token_hint name different users")
		case !ok: // before anybody signs in: what is no name of this sector is nobody's, whoever's ID it may be
			return none, refuse("login_required", "nobody has the sub that claims asks for")
		}
		req.HintedUser = id
	}
	if form.Get("claims") != "" {
		req.Claims = []byte(form.Get("claims"))
		for _, scope := range claims.scopes() { // asked for by name: consent has to show it, the scope itself is not granted
			if slices.Contains(client.Scopes, scope) && !slices.Contains(req.Scopes, scope) {
				req.Scopes = append(req.Scopes, scope)
				req.ClaimScopes = append(req.ClaimScopes, scope)
			}
		}
	}
	return requirement(p.Policy, client, d), nil
}

// words splits a space-separated list, drops what comes twice and what is above the bound. A word that is too long is cut: nobody
// knows it any longer, but it is there, because an empty list means something else.
func words(s string) []string {
	var out []string
	for _, word := range strings.Fields(s) {
		word = word[:min(len(word), maxHint+1)]
		if !slices.Contains(out, word) && len(out) < maxWords {
			out = append(out, word)
		}
	}
	return out
}
