package authorize

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

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
