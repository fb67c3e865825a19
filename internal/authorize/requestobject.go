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

// Request objects (RFC 9101, OIDC Core §6): a client signs its authorization request, so that nothing on the way through the
// browser changes it. It sends the JWT itself, or, where it registered the address, says where we find it. Encrypted ones
// are not supported.
//
// Nothing is marked as used: a request object that is sent again begins another sign-in, as the first did, and ends at the
// client's own redirect URI with the state and code_challenge that the client chose for it.

const (
	maxObject   = oauth.MaxRequest
	objectTypes = "application/oauth-authz-req+jwt, application/jwt"
	// objectSpan is how far exp may lie after nbf; so nbf lies no further back either (FAPI 2.0 Message Signing §5.3.1).
	objectSpan = time.Hour
)

// requestObjectTypes are what the typ header may say, in lower case (RFC 9101 §10.8).
var requestObjectTypes = []string{"oauth-authz-req+jwt", "jwt"}

// A requestObject is parsed, and nothing of it checked.
type requestObject struct {
	token  *client.Signed
	claims requestObjectClaims
	params map[string]json.RawMessage // all members, the parameters among them
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

// check says what is wrong with a request object of client c, apart from its signature and its parameters.
func (o *requestObject) check(c idp.Client, issuer string, now time.Time) error {
	policy := c.Rules()
	if err := client.CheckHeader(o.token, requestObjectTypes, c.RequestObjectAlg, policy); err != nil {
		return err
	}
	var aud oauth.Audience
	switch err := json.Unmarshal(o.claims.Audience, &aud); {
	case o.claims.ClientID != c.ID: // RFC 9101 §5
		return errors.New("client_id is not that of the request")
	case o.claims.Issuer != "" && o.claims.Issuer != c.ID:
		return errors.New("iss is not the client")
	case o.claims.Subject == c.ID: // RFC 9101 §10.8: or it might pass for a client assertion elsewhere
		return errors.New("sub has no place in a request object")
	case err != nil || !slices.Contains(aud, issuer):
		return errors.New("aud is not this provider")
	case o.params["request"] != nil || o.params["request_uri"] != nil: // RFC 9101 §4
		return errors.New("a request object has no place in another")
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

// form returns the parameters as if they had been sent (RFC 9101 §4): strings, numbers, and for what is JSON there, JSON.
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
		case name == "max_age" && raw[0] >= '0' && raw[0] <= '9', name == "claims" && raw[0] == '{', name == "authorization_details" && raw[0] == '[':
			form.Set(name, string(raw))
		case name == "resource" && json.Unmarshal(raw, &list) == nil: // RFC 8707 §2
			form[name] = list
		default:
			return nil, errors.New("a parameter has the wrong type: " + name)
		}
	}
	return form, nil
}

// unwrap returns the request that form carries in a request object, or form itself, which is what it says then. Of what
// stands beside an object nothing counts (RFC 9101 §6.3). Every error is a refusal.
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
		return nil, oauth.Refuse("invalid_request", "the client has to sign its requests (RFC 9101)")
	case text == "":
		return form, nil
	}
	request, err := s.opened(ctx, c, text)
	if err != nil {
		return nil, oauth.Refuse("invalid_request_object", "request object: "+err.Error())
	}
	if sent := form["response_type"]; len(sent) > 0 && !slices.Equal(sent, request["response_type"]) { // OIDC Core §6.1
		return nil, oauth.Refuse("invalid_request", "response_type differs from that of the request object")
	}
	return request, nil
}

// opened verifies a request object and returns what it asks.
func (s *Service) opened(ctx context.Context, c idp.Client, text string) (url.Values, error) {
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

// fetchObject returns what is at an address that the client registered, character by character: nobody else says what we
// fetch. Its fragment, the hash by which OIDC Core §6.2 tells caches of a change, is not compared: nothing is cached, and
// the signature holds.
func (s *Service) fetchObject(ctx context.Context, c idp.Client, address string) (string, error) {
	if !slices.Contains(c.RequestURIs, address) {
		return "", oauth.Refuse("invalid_request_uri", "request_uri is not registered for the client")
	}
	got, err := s.cfg.Outbound.Get(ctx, address, objectTypes, maxObject)
	if err != nil {
		web.Note(ctx, slog.Any("request_uri_error", err))
		return "", oauth.Refuse("invalid_request_uri", "request_uri gives no request object")
	}
	return strings.TrimSpace(string(got.Body)), nil
}
