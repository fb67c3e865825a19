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

// A Guard is what an endpoint demands of a request before anything else looks at it. The library takes any method, reads
// credentials from the query, and takes the first of a repeated parameter in some places, the last in others.
type Guard struct {
	Methods []string
	// Credentials: the client authenticates itself.
	Credentials bool
	// Bearer: errors are those of RFC 6750, and the token may not come twice.
	Bearer bool
	// Scripts of the client's own origins may read the answers (Door).
	Scripts bool
	// Several are the parameters that may come several times; no others may.
	Several []string
	// Check looks at the parsed form; nil: nothing more.
	Check func(form url.Values) *Error
}

// admit parses the request into call and says what is wrong with it.
func (g Guard) admit(w http.ResponseWriter, r *http.Request, call *Call) *Error {
	if !slices.Contains(g.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(g.Methods, ", "))
		return InvalidRequest("method not allowed").With(http.StatusMethodNotAllowed)
	}
	if r.URL.RawQuery != "" { // it would stand in logs and histories (RFC 6749 §2.3.1, RFC 9700 §4.3.2)
		return InvalidRequest("parameters belong in the body, not in the address")
	}
	if r.Method == http.MethodPost {
		t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || t != "application/x-www-form-urlencoded" {
			if !g.Bearer || r.ContentLength != 0 {
				return InvalidRequest("the body must be application/x-www-form-urlencoded")
			}
		}
	}
	if err := r.ParseForm(); err != nil {
		if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return InvalidRequest(fmt.Sprintf("the body is longer than %d bytes", big.Limit)).With(http.StatusRequestEntityTooLarge)
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

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// readCredentials refuses a request with two client authentications, none, or a broken one.
func readCredentials(r *http.Request) (Credentials, *Error) {
	form, header := r.PostForm, r.Header.Get("Authorization")
	in := Credentials{ClientID: form.Get("client_id"), Secret: form.Get("client_secret")}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		switch {
		case header != "" || form.Has("client_secret"): // RFC 6749 §2.3
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
	if form.Has("client_secret") { // RFC 6749 §2.3
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
	return Credentials{ClientID: name, Secret: password, Basic: true}, nil
}

// bearer refuses a request that carries no access token, or two (RFC 6750 §2).
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
