package token

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// A narrowing is the part of a grant that a request at the token endpoint asks for. Empty fields ask for everything.
type narrowing struct {
	scopes, resources []string
	details           idp.Details
}

// narrows reports whether a request asks for less than everything.
func (w narrowing) narrows() bool { return len(w.scopes)+len(w.resources)+len(w.details) > 0 }

// ReadNarrowing reads resource and authorization_details at the token endpoint (RFC 8707 §2.2, RFC 9396 §6). allow
// checks whether they were granted.
func (s *Service) ReadNarrowing(c idp.Client, form url.Values) (w narrowing, err error) {
	if w.resources, err = s.cfg.Catalog.Targets(c, form["resource"]); err != nil {
		return w, err
	}
	if w.details, err = s.cfg.Catalog.Details(c, form.Get("authorization_details")); err != nil {
		return w, err
	}
	return w, nil
}

// errClosed: the grant was for a limited time (design §2), or the client may no longer have it.
var errClosed = oauth.Refuse(
	"invalid_scope", "the time for this action has passed; ask for it again at the authorization endpoint",
)

// allow sets the scopes, resources, details and lifetime of one response: the requested part of the grant, limited to
// what the client may still have and to action classes whose window is open. A scope or detail with an action class,
// and a token that carries one, last as long as the window. A request can only narrow the grant.
//
// A family granted for resources gets tokens for resources: their audience is exactly those resources, and they carry
// the scopes that the resources accept. Its other tokens are for the client's own audience. One token cannot be both
// opaque and a JWT, so resources with different formats need separate requests.
func (s *Service) allow(is *Issue, f idp.Family) error {
	c, w := *is.client, is.Narrowing
	named := f.Resources
	if len(w.resources) > 0 {
		granted := f.Resources
		if len(granted) == 0 {
			granted = s.audience(f.Audience, f.Scopes)
		}
		if oauth.Beyond(w.resources, granted) {
			return oauth.Refuse("invalid_target", "the request exceeds the grant")
		}
		named = w.resources
	}
	scopes, details := f.Scopes, f.Details
	if len(w.scopes) > 0 {
		wanted := s.cfg.Catalog.Reachable(w.scopes, f.Resources) // as in authorize
		if len(wanted) == 0 || oauth.Beyond(wanted, scopes) {
			return oauth.Refuse("invalid_scope", "the request exceeds the grant")
		}
		scopes = wanted
	}
	if len(w.details) > 0 {
		if !w.details.Within(details) {
			return access.InvalidDetails("the request exceeds the grant")
		}
		details = w.details
	}
	// What the client may no longer have is dropped, although it was granted.
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
	details = slices.DeleteFunc(slices.Clone(details), func(d idp.Detail) bool {
		return !slices.Contains(c.DetailTypes, d.Type)
	})
	asked := idp.Access{Scopes: scopes, Resources: f.Audience, Details: details}
	if len(named) > 0 {
		asked.Resources = slices.DeleteFunc(slices.Clone(named), func(uri string) bool {
			return !s.cfg.Catalog.MayTarget(c, uri)
		})
		if len(asked.Resources) == 0 {
			return oauth.Refuse("invalid_target", "the client may no longer have tokens for these resources")
		}
		asked.Scopes, asked.Details = s.cfg.Catalog.Carried(scopes, asked.Resources), details.At(asked.Resources)
	}
	policy := s.cfg.Catalog.Policy
	if is.machine {
		policy = s.machines
	}
	open, until := policy.Open(asked, f.Assurance, is.now)
	something := len(open.Scopes)+len(open.Details) > 0
	nothingAsked := len(asked.Scopes)+len(asked.Details) == 0 && len(named) > 0 // only the resource
	if !something && !nothingAsked || len(asked.Resources) > 0 && len(open.Resources) == 0 {
		return errClosed
	}
	is.openID = slices.Contains(scopes, oauth.ScopeOpenID)
	is.inID = slices.DeleteFunc(slices.Clone(c.IDTokenClaims), func(s string) bool { return !slices.Contains(scopes, s) })
	is.scopes, is.details = open.Scopes, open.Details
	format, ttl := cmp.Or(c.AccessFormat, idp.FormatJWT), c.AccessTTL
	if len(named) == 0 {
		is.audience = s.audience(open.Resources, is.scopes)
	} else {
		is.audience = open.Resources
		is.scopes, is.details = s.cfg.Catalog.Carried(is.scopes, open.Resources), is.details.At(open.Resources)
		var err error
		if format, ttl, err = s.formOf(open.Resources, format, ttl); err != nil {
			return err
		}
	}
	switch {
	case format == idp.FormatJWT:
		is.opaque = ""
	case is.opaque == "":
		is.opaque = idp.NewLongSecret()
	}
	ttl = cmp.Or(ttl, s.cfg.Lifetimes.Access)
	if most := c.Rules().AccessTTL; most > 0 {
		ttl = min(ttl, most)
	}
	is.expires = is.now.Add(ttl).Truncate(time.Second)
	if !until.IsZero() && until.Before(is.expires) {
		is.expires = until.Truncate(time.Second)
	}
	return nil
}

// formOf returns the format and lifetime of a token for these resources; format and ttl are the client's.
func (s *Service) formOf(
	resources []string, format idp.TokenFormat, ttl time.Duration,
) (idp.TokenFormat, time.Duration, error) {
	var one idp.TokenFormat
	for _, uri := range resources {
		r := s.cfg.Catalog.Policy.Resources[uri]
		of := cmp.Or(r.Format, format)
		if one != "" && of != one {
			return "", 0, oauth.Refuse(
				"invalid_target", "tokens for these resources have different formats; request one resource at a time",
			)
		}
		one = of
		if r.TTL > 0 && (ttl <= 0 || r.TTL < ttl) {
			ttl = r.TTL
		}
	}
	return one, ttl, nil
}
