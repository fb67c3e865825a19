package authorize

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

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

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
