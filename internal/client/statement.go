package client

import (
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// Statements configures which software statements are accepted (RFC 7591 §2.3). The zero value accepts none.
type Statements struct {
	Issuer string
	Keys   []jose.JSONWebKey // public
}

const maxStatement = 8 << 10 // bytes

// statementTypes are the accepted typ headers of a software statement, in lower case.
var statementTypes = []string{"jwt", "software-statement+jwt"}

// open verifies a software statement and returns its members about the client.
func (s Statements) open(text string, now time.Time) (members map[string]any, err error) {
	if s.Issuer == "" {
		return nil, oauth.Refuse("unapproved_software_statement", "software statements are not accepted here")
	}
	invalid := func() (map[string]any, error) {
		return nil, oauth.Refuse(
			"invalid_software_statement", "the software statement is not a valid JWT signed by its issuer",
		)
	}
	token, err := ParseSigned(text, maxStatement, &members)
	if err != nil {
		return invalid()
	}
	var claims struct {
		Issuer string `json:"iss"`
		SignedTimes
	}
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return invalid()
	}
	if claims.Issuer != s.Issuer {
		return nil, oauth.Refuse("unapproved_software_statement", "the issuer of the software statement is not trusted")
	}
	err = CheckHeader(token, statementTypes, "", idp.Rules{RS256: true})
	if err == nil && !slices.ContainsFunc(s.Keys, func(key jose.JSONWebKey) bool { return verifies(key, token) }) {
		err = errors.New("no key of the issuer verifies the signature")
	}
	if err == nil {
		err = claims.Check(now)
	}
	if err != nil {
		return invalid()
	}
	return oauth.KnownMembers(members), nil
}
