package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// Request objects (RFC 9101, OIDC Core §6): a client signs its authorization request, so that nothing can change it on
// the way through the browser. It sends the JWT itself, or a registered URL where we fetch it. Encryption is not
// supported.
//
// Request objects may be used again: a repeated one begins another sign-in like the first, which ends at the client's
// redirect URI with the state and code_challenge that the client chose.

const (
	maxObject   = oauth.MaxRequest
	objectTypes = "application/oauth-authz-req+jwt, application/jwt"
	// objectSpan is the longest time between nbf and exp, so nbf cannot be older either (FAPI 2.0 Message Signing
	// §5.3.1).
	objectSpan = time.Hour
)

// requestObjectTypes are the accepted typ headers, in lower case (RFC 9101 §10.8).
var requestObjectTypes = []string{"oauth-authz-req+jwt", "jwt"}

// A requestObject is parsed, but not checked.
type requestObject struct {
	token  *client.Signed
	claims requestObjectClaims
	params map[string]json.RawMessage // all members, including the parameters
}

type requestObjectClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ClientID string          `json:"client_id"`
	client.SignedTimes
}

func parseRequestObject(text string) (*requestObject, error) {
	o := &requestObject{}
	var err error
	o.token, err = client.ParseSigned(text, maxObject, &o.claims, &o.params)
	return o, err
}

// check checks a request object of client c, except for its signature and parameters.
func (o *requestObject) check(c idp.Client, issuer string, now time.Time) error {
	policy := c.Rules()
	if err := client.CheckHeader(o.token, requestObjectTypes, c.RequestObjectAlg, policy); err != nil {
		return err
	}
	var aud oauth.Audience
	switch err := json.Unmarshal(o.claims.Audience, &aud); {
	case o.claims.ClientID != c.ID: // RFC 9101 §5
		return errors.New("client_id differs from the request's")
	case o.claims.Issuer != "" && o.claims.Issuer != c.ID:
		return errors.New("iss is not the client")
	case o.claims.Subject == c.ID: // RFC 9101 §10.8: it could pass for a client assertion elsewhere
		return errors.New("sub must not be the client")
	case err != nil || !slices.Contains(aud, issuer):
		return errors.New("aud is not this provider")
	case o.params["request"] != nil || o.params["request_uri"] != nil: // RFC 9101 §4
		return errors.New("a request object must not contain another")
	}
	if !policy.UndatedRequests {
		switch t := o.claims.SignedTimes; {
		case t.Expires == nil:
			return errors.New("exp is missing")
		case t.NotBefore == nil:
			return errors.New("nbf is missing")
		case *t.Expires-*t.NotBefore > objectSpan.Seconds():
			return errors.New("exp is more than an hour after nbf")
		}
	}
	return o.claims.Check(now)
}

// form returns the parameters as if they had been sent as a form (RFC 9101 §4). Strings, numbers and JSON are
// accepted.
func (o *requestObject) form() (url.Values, error) {
	form := url.Values{}
	for _, name := range Params {
		raw := o.params[name]
		if raw == nil || string(raw) == "null" {
			continue
		}
		var list []string
		var text string
		switch {
		case json.Unmarshal(raw, &text) == nil:
			form.Set(name, text)
		case name == "max_age" && raw[0] >= '0' && raw[0] <= '9',
			name == "claims" && raw[0] == '{', name == "authorization_details" && raw[0] == '[':
			form.Set(name, string(raw))
		case name == "resource" && json.Unmarshal(raw, &list) == nil: // RFC 8707 §2
			form[name] = list
		default:
			return nil, errors.New("wrong type of parameter " + name)
		}
	}
	return form, nil
}

// unwrap returns the request inside a request object, or form itself if there is no object. Parameters outside the
// object are ignored (RFC 9101 §6.3). All errors are for the client.
func (s *Service) unwrap(ctx context.Context, c idp.Client, form url.Values) (url.Values, error) {
	text, address := form.Get("request"), form.Get("request_uri")
	switch {
	case len(form["request"]) > 1 || len(form["request_uri"]) > 1: // RFC 6749 §3.1
		return nil, oauth.Refuse("invalid_request", "request or request_uri is repeated")
	case text != "" && address != "": // RFC 9101 §5
		return nil, oauth.Refuse("invalid_request", "request and request_uri exclude each other")
	case address != "":
		var err error
		if text, err = s.fetchObject(ctx, c, address); err != nil {
			return nil, err
		}
	case text == "" && c.RequireSignedRequest: // RFC 9101 §10.5
		return nil, oauth.Refuse("invalid_request", "the client must sign its requests (RFC 9101)")
	case text == "":
		return form, nil
	}
	request, err := s.openRequestObject(ctx, c, text)
	if err != nil {
		return nil, oauth.Refuse("invalid_request_object", "request object: "+err.Error())
	}
	if sent := form["response_type"]; len(sent) > 0 && !slices.Equal(sent, request["response_type"]) { // OIDC Core §6.1
		return nil, oauth.Refuse("invalid_request", "response_type differs from the request object's")
	}
	return request, nil
}

// openRequestObject verifies a request object and returns its parameters.
func (s *Service) openRequestObject(ctx context.Context, c idp.Client, text string) (url.Values, error) {
	o, err := parseRequestObject(text)
	if err != nil {
		return nil, err
	}
	if err := o.check(c, s.cfg.Catalog.Issuer, time.Now()); err != nil {
		return nil, err
	}
	if err := s.cfg.Clients.SignedBy(ctx, c, o.token); err != nil {
		web.Note(ctx, slog.String("request_object_refused", err.Error()))
		return nil, errors.New("no key of the client verifies the signature")
	}
	return o.form()
}

// fetchObject fetches a request object from a URL that the client registered, compared character by character, so that
// nobody else decides what we fetch. The fragment, the hash that tells caches of a change (OIDC Core §6.2), is not
// compared: nothing is cached, and the signature protects the content.
func (s *Service) fetchObject(ctx context.Context, c idp.Client, address string) (string, error) {
	if !slices.Contains(c.RequestURIs, address) {
		return "", oauth.Refuse("invalid_request_uri", "request_uri is not registered for the client")
	}
	got, err := s.cfg.Outbound.Get(ctx, address, objectTypes, maxObject)
	if err != nil {
		web.Note(ctx, slog.Any("request_uri_error", err))
		return "", oauth.Refuse("invalid_request_uri", "request_uri does not lead to a request object")
	}
	return strings.TrimSpace(string(got.Body)), nil
}
