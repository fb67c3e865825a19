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

// A wish is what a request at the token endpoint wants of what was granted; what it leaves empty it wants all of.
type wish struct {
	scopes, resources []string
	details           idp.Details
}

// narrows reports whether a request wants less than everything.
func (w wish) narrows() bool { return len(w.scopes)+len(w.resources)+len(w.details) > 0 }

// Wish reads resource and authorization_details at the token endpoint (RFC 8707 §2.2, RFC 9396 §6). Whether they were
// granted is for allow to say.
func (s *Service) Wish(c idp.Client, form url.Values) (w wish, err error) {
	if w.resources, err = s.cfg.Catalog.Targets(c, form["resource"]); err != nil {
		return w, err
	}
	if w.details, err = s.cfg.Catalog.Details(c, form.Get("authorization_details")); err != nil {
		return w, err
	}
	return w, nil
}

// errClosed: what was granted was granted for a time (design §2), or is the client's no longer.
var errClosed = oauth.Refuse("invalid_scope", "the time for this action has passed; ask for it again at the authorization endpoint")

// allow settles what one answer gives of what a family was granted: what was wished for of it, which the client may still
// have, and which is open. Whatever names an action class lasts as long as its window, and so does a token that carries it.
// Narrowing is all that a wish can do.
//
// A family that was granted for resources gets tokens for resources: their audience is those and nobody else, and they
// carry the scopes that those take. Its other tokens are for the client's own audience. What one token would have to be in
// two forms, opaque for one resource and a JWT for another, it is not: the client asks for one at a time.
func (s *Service) allow(is *Issue, f idp.Family) error {
	c, w := is.client, is.Wish
	named := f.Resources
	if len(w.resources) > 0 {
		granted := f.Resources
		if len(granted) == 0 {
			granted = s.audience(f.Audience, f.Scopes)
		}
		if oauth.Beyond(w.resources, granted) {
			return oauth.Refuse("invalid_target", "more was asked for than was granted")
		}
		named = w.resources
	}
	scopes, details := f.Scopes, f.Details
	if len(w.scopes) > 0 {
		wanted := s.cfg.Catalog.Reachable(w.scopes, f.Resources) // as authorize did
		if len(wanted) == 0 || oauth.Beyond(wanted, scopes) {
			return oauth.Refuse("invalid_scope", "more was asked for than was granted")
		}
		scopes = wanted
	}
	if len(w.details) > 0 {
		if !w.details.Within(details) {
			return access.InvalidDetails("more was asked for than was granted")
		}
		details = w.details
	}
	// What the client may no longer have, it does not get because it once could.
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
	details = slices.DeleteFunc(slices.Clone(details), func(d idp.Detail) bool { return !slices.Contains(c.DetailTypes, d.Type) })
	asked := idp.Access{Scopes: scopes, Resources: f.Audience, Details: details}
	if len(named) > 0 {
		asked.Resources = slices.DeleteFunc(slices.Clone(named), func(uri string) bool { return !s.cfg.Catalog.MayTarget(c, uri) })
		if len(asked.Resources) == 0 {
			return oauth.Refuse("invalid_target", "the client may not have tokens for these resources any longer")
		}
		asked.Scopes, asked.Details = s.cfg.Catalog.Carried(scopes, asked.Resources), details.At(asked.Resources)
	}
	open, until := s.cfg.Catalog.Policy.Open(asked, f.Assurance, is.now)
	something := len(open.Scopes)+len(open.Details) > 0
	nothingAsked := len(asked.Scopes)+len(asked.Details) == 0 && len(named) > 0 // the resource alone
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

// formOf is the form and lifetime of one token for all of these resources; format and ttl are the client's.
func (s *Service) formOf(resources []string, format idp.TokenFormat, ttl time.Duration) (idp.TokenFormat, time.Duration, error) {
	var one idp.TokenFormat
	for _, uri := range resources {
		r := s.cfg.Catalog.Policy.Resources[uri]
		of := cmp.Or(r.Format, format)
		if one != "" && of != one {
			return "", 0, oauth.Refuse("invalid_target", "the tokens of these resources differ in form; ask for one resource at a time")
		}
		one = of
		if r.TTL > 0 && (ttl <= 0 || r.TTL < ttl) {
			ttl = r.TTL
		}
	}
	return one, ttl, nil
}
