package idp

import (
	"fmt"
	"slices"
	"strings"
)

// maxRequestURIs is the maximum number of request_uris.
const maxRequestURIs = 20

// requestFaults describes what is wrong with the client's settings for signed requests and responses.
func (c Client) requestFaults() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	keys := c.JWKSURI != "" || c.JWKS != nil && len(c.JWKS.Keys) > 0
	if c.RequestObjectAlg != "" && !slices.Contains(AssertionAlgorithms, c.RequestObjectAlg) {
		fault("request_object_signing_alg must be one of %s", strings.Join(AssertionAlgorithms, ", "))
	}
	for name, set := range map[string]bool{
		"request_object_signing_alg":    c.RequestObjectAlg != "",
		"request_uris":                  len(c.RequestURIs) > 0,
		"require_signed_request_object": c.RequireSignedRequest,
	} {
		if set && !keys {
			fault("%s needs jwks or jwks_uri", name)
		}
		if set && !slices.Contains(c.GrantTypes, GrantAuthorizationCode) {
			fault("%s needs the authorization_code grant", name)
		}
	}
	if len(c.RequestURIs) > maxRequestURIs {
		fault("request_uris are limited to %d", maxRequestURIs)
	}
	for _, uri := range c.RequestURIs {
		if !fetchable(uri) {
			fault("request_uris %q is not an https URL, without user, of at most 2048 bytes", uri)
		}
	}
	if c.ResponseAlg != "" && !slices.Contains(IDTokenAlgorithms, c.ResponseAlg) {
		fault("authorization_signed_response_alg must be one of %s", strings.Join(IDTokenAlgorithms, ", "))
	}
	return faults
}
