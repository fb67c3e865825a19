// Package access reads what a client requests: resources (RFC 8707), authorization details (RFC 9396), and claims (OIDC
// Core §5.5).
package access

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// Limits of the resource parameter, the only one that may be repeated (RFC 8707 §2).
const (
	MaxResources = 8
	MaxResource  = 512 // bytes
)

// A Catalog holds what clients can request: the operator's scopes, resources and types of authorization details.
type Catalog struct {
	Issuer string
	Policy idp.Policy
}

// Targets reads the resource parameter: absolute URIs without fragment (RFC 8707 §2) of registered resources that the
// client may use. The provider itself is always accepted, for userinfo.
func (cat Catalog) Targets(c idp.Client, values []string) ([]string, error) {
	var out []string
	for _, uri := range values {
		u, err := url.Parse(uri)
		switch {
		case uri == "": // counts as omitted (RFC 6749 §3.1)
			continue
		case len(uri) > MaxResource || err != nil || !u.IsAbs() || strings.Contains(uri, "#"):
			return nil, oauth.Refuse("invalid_target", "resource must be an absolute URI without fragment")
		case slices.Contains(out, uri):
			continue
		case len(out) == MaxResources:
			return nil, oauth.Refuse("invalid_target", fmt.Sprintf("more than %d resources", MaxResources))
		case !cat.MayTarget(c, uri):
			return nil, oauth.Refuse("invalid_target", "a resource is unknown or not allowed for the client")
		}
		out = append(out, uri)
	}
	return out, nil
}

// MayTarget reports whether the client may have tokens for a resource.
func (cat Catalog) MayTarget(c idp.Client, uri string) bool {
	_, registered := cat.Policy.Resources[uri]
	return uri == cat.Issuer || registered && (len(c.Resources) == 0 || slices.Contains(c.Resources, uri))
}

// Carried returns the scopes that tokens for these resources can carry. The standard scopes are about the person and
// only for userinfo. An ID token is issued whether or not they are carried.
func (cat Catalog) Carried(scopes, resources []string) (out []string) {
	for _, scope := range scopes {
		if slices.ContainsFunc(resources, func(uri string) bool {
			if uri == cat.Issuer {
				return slices.Contains(idp.StandardScopes, scope)
			}
			return slices.Contains(cat.Policy.Resources[uri].Scopes, scope)
		}) {
			out = append(out, scope)
		}
	}
	return out
}

// Known drops unknown words from a scope parameter (OIDC Core §3.1.2.1).
func (cat Catalog) Known(words []string) []string {
	return slices.DeleteFunc(words, func(scope string) bool {
		_, configured := cat.Policy.Scopes[scope]
		return !configured && !slices.Contains(idp.StandardScopes, scope)
	})
}

// Reachable filters the scopes of a request that names resources. Scopes that no token for them could carry affect
// neither consent nor the requirement.
func (cat Catalog) Reachable(scopes, resources []string) []string {
	if len(resources) == 0 {
		return scopes
	}
	carried := cat.Carried(scopes, resources)
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return !slices.Contains(carried, scope) && !slices.Contains(idp.StandardScopes, scope)
	})
}
