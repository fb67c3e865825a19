package oauth

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Guard is what an endpoint requires of a request before anything else reads it. The library accepts any method,
// reads credentials from the query, and takes the first of a repeated parameter in some places, the last in others.
type Guard struct {
	Methods []string
	// Credentials: the client must authenticate.
	Credentials bool
	// Bearer: errors follow RFC 6750, and the token must not come twice.
	Bearer bool
	// Scripts: scripts of the client's origins may read the responses (see Door).
	Scripts bool
	// Several lists the parameters that may be repeated.
	Several []string
	// Check validates the parsed form; nil: no further check.
	Check func(form url.Values) *Error
}

// admit parses the request into call. It returns the error of an invalid request.
func (g Guard) admit(w http.ResponseWriter, r *http.Request, call *Call) *Error {
	if !slices.Contains(g.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(g.Methods, ", "))
		return InvalidRequest("method not allowed").With(http.StatusMethodNotAllowed)
	}
	if bad := RefuseInAddress(r.URL); bad != nil {
		return bad
	}
	if r.Method == http.MethodPost {
		t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || t != "application/x-www-form-urlencoded" {
			if !g.Bearer || r.ContentLength != 0 {
				return InvalidRequest("the body must be application/x-www-form-urlencoded")
			}
		}
	}
	r.Form, r.PostForm = nil, nil
	address := *r.URL
	defer func() { r.URL = &address }()
	r.URL = &url.URL{Path: address.Path} // parameters in the URL do not count
	if err := r.ParseForm(); err != nil {
		if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return InvalidRequest(fmt.Sprintf("the body is longer than %d bytes", big.Limit)).
				With(http.StatusRequestEntityTooLarge)
		}
		return InvalidRequest("the body is not a form")
	}
	call.Form = r.PostForm
	for name, values := range r.Form {
		if len(values) > 1 && !slices.Contains(g.Several, name) { // RFC 6749 §3.2
			return InvalidRequest("a parameter is repeated")
		}
	}
	if len(r.Header.Values("Authorization")) > 1 {
		return InvalidRequest("the Authorization header is repeated")
	}
	if g.Credentials {
		var bad *Error
		if call.Credentials, bad = readCredentials(r); bad != nil {
			return bad
		}
	}
	if g.Bearer {
		if bad := bearer(r); bad != nil {
			return bad
		}
	}
	if g.Check != nil {
		return g.Check(r.Form)
	}
	return nil
}

// inBody lists parameters that must not be in a URL: they would end up in logs and histories (RFC 6749 §2.3.1, RFC 9700
// §4.3.2), and ignoring them there would mislead the client.
var inBody = []string{
	"access_token", "acr_values", "actor_token", "actor_token_type", "assertion", "audience", "authorization_details",
	"claims", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_challenge",
	"code_challenge_method", "code_verifier", "device_code", "dpop_jkt", "grant_type", "id_token_hint", "login_hint",
	"max_age", "nonce", "prompt", "redirect_uri", "refresh_token", "request", "request_uri", "requested_token_type",
	"resource", "response_mode", "response_type", "scope", "state", "subject_token", "subject_token_type", "token",
	"token_type_hint", "user_code",
}

// RefuseInAddress rejects a URL with a parameter that belongs in the body. Other parameters are ignored (RFC 6749
// §3.2).
func RefuseInAddress(u *url.URL) *Error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return InvalidRequest("the query of the URL is malformed")
	}
	for name := range query {
		if slices.Contains(inBody, name) {
			return InvalidRequest("parameters belong in the body, not in the URL")
		}
	}
	return nil
}

// assertionType is the only supported client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// readCredentials rejects a request with no client authentication, two of them, or a malformed one.
func readCredentials(r *http.Request) (Credentials, *Error) {
	form, header := r.PostForm, r.Header.Get("Authorization") // a parameter without a value is none (RFC 6749 §3.2)
	in := Credentials{ClientID: form.Get("client_id"), Secret: form.Get("client_secret")}
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		switch {
		case header != "" || in.Secret != "": // RFC 6749 §2.3
			return in, InvalidRequest("more than one client authentication")
		case form.Get("client_assertion") == "" || form.Get("client_assertion_type") != assertionType:
			return in, InvalidClient()
		}
		in.Assertion = form.Get("client_assertion")
		return in, nil
	}
	if header == "" {
		if in.ClientID == "" {
			return in, InvalidClient() // RFC 6749 §5.2: no client authentication included
		}
		return in, nil
	}
	if in.Secret != "" { // RFC 6749 §2.3
		return in, InvalidRequest("more than one client authentication")
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return in, InvalidClient()
	}
	name, err := url.QueryUnescape(id)
	if err != nil || name == "" {
		return in, InvalidClient()
	}
	password, err := url.QueryUnescape(secret)
	if err != nil {
		return in, InvalidClient()
	}
	if in.ClientID != "" && in.ClientID != name {
		return in, InvalidRequest("client_id and the Authorization header name different clients")
	}
	// Without a password the header says who it is, as client_id does, and proves nothing.
	return Credentials{ClientID: name, Secret: password, Basic: password != ""}, nil
}

// bearer rejects a request with no access token, or with two (RFC 6750 §2).
func bearer(r *http.Request) *Error {
	header, body := r.Header.Get("Authorization"), r.PostForm.Get("access_token")
	scheme, token, _ := strings.Cut(header, " ")
	known := strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
	switch {
	case header != "" && body != "":
		return InvalidRequest("more than one access token")
	case header == "" && body == "", header != "" && (!known || strings.TrimSpace(token) == ""):
		bad := InvalidToken("an access token is required")
		bad.Bare = true
		return bad
	}
	return nil
}
