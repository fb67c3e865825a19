package token

import (
	"slices"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// codeTTL is the lifetime of an authorization code (FAPI 2.0 §5.3.2.1: at most 60 s).
const codeTTL = time.Minute

// An Authorization is stored under the hash of a code and taken once.
type Authorization struct {
	ClientID      string        `json:"client"`
	RedirectURI   string        `json:"redirect_uri"`
	CodeChallenge string        `json:"challenge,omitempty"`
	Nonce         string        `json:"nonce,omitempty"`
	UserID        string        `json:"user"`
	SessionID     string        `json:"sid"`
	Scopes        []string      `json:"scopes"`
	Resources     []string      `json:"resources,omitempty"`
	Details       idp.Details   `json:"authorization_details,omitempty"`
	Claims        string        `json:"claims,omitempty"`
	Assurance     idp.Assurance `json:"assurance"`
	Granted       bool          `json:"granted,omitempty"` // idp.Outcome
	ExpiresAt     time.Time     `json:"exp,omitzero"`      // when the code expires
	// Confirmation is the key that must be proven when the code is exchanged (RFC 9449 §10); zero: any, or none.
	Confirmation idp.Confirmation `json:"cnf,omitzero"`
}

// NewCode returns a new code, and the operation that stores its authorization.
func (s *Service) NewCode(a Authorization) (idp.Secret, *ephemeral.Op, error) {
	code := idp.NewLongSecret()
	a.ExpiresAt = time.Now().Add(codeTTL)
	put, err := s.codes.PutOp(code.Hash(), a, 0)
	return code, put, err
}

// Allowed returns what the outcome of a request allows.
func Allowed(req idp.Request, o idp.Outcome) Authorization {
	a := Authorization{
		ClientID:      req.ClientID,
		RedirectURI:   req.RedirectURI,
		CodeChallenge: req.CodeChallenge,
		Nonce:         req.Nonce,
		UserID:        o.UserID,
		SessionID:     o.SessionID,
		Resources:     req.Resources,
		Details:       req.Details,
		Assurance:     o.Assurance,
		Granted:       o.Granted,
		Confirmation:  idp.Confirmation{JKT: req.DPoPKey},
	}
	for _, scope := range o.Scopes {
		if slices.Contains(req.Scopes, scope) && !slices.Contains(req.ClaimScopes, scope) {
			a.Scopes = append(a.Scopes, scope)
		}
	}
	if len(req.Claims) > 0 {
		if claims, err := access.ParseClaims(string(req.Claims)); err == nil { // checked at the authorization endpoint
			a.Claims = claims.Granted(o.Scopes)
		}
	}
	return a
}
