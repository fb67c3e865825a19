package authorize

import (
	"slices"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
)

// demand is what an authorization request says about the authentication.
type demand struct {
	ACRValues []string             // acr_values: voluntary, in order of preference
	ACR       *access.ClaimRequest // claims.id_token.acr; nil: not requested
	MaxAge    *time.Duration       // max_age; nil: none
	Login     bool                 // prompt=login
	Access    idp.Access
}

// requirement combines a request, its client and its scopes into the strictest requirement (design §2).
//
// A registered default_max_age is an upper limit: a request can lower it but not raise it, because a request can be
// edited in the browser. If both acr_values and the acr claim are sent, which OIDC Core §5.5.1.1 leaves open, we
// require a value that satisfies both, or else the claim, because only the claim can be essential.
func requirement(p idp.Policy, c idp.Client, d demand) idp.Requirement {
	need := idp.Requirement{
		ACRValues:     d.ACRValues,
		MinimumACR:    c.MinimumACR,
		ActionClasses: p.ActionClassesOf(d.Access),
		Fresh:         d.Login,
	}
	if asked := d.ACR.Strings(); len(asked) > 0 {
		need.Essential = d.ACR.Essential
		both := slices.DeleteFunc(slices.Clone(d.ACRValues), func(v string) bool { return !slices.Contains(asked, v) })
		if len(both) == 0 {
			both = asked
		}
		need.ACRValues = both
	}
	if len(need.ACRValues) == 0 {
		need.ACRValues = c.DefaultACRValues
	}
	if !need.Essential { // unknown voluntary values are dropped
		need.ACRValues = slices.DeleteFunc(slices.Clone(need.ACRValues), func(v string) bool {
			_, _, known := p.Resolve(v)
			return !known
		})
	}
	for _, limit := range []*time.Duration{d.MaxAge, c.DefaultMaxAge} {
		if limit != nil && (need.MaxAge == nil || *limit < *need.MaxAge) {
			need.MaxAge = limit
		}
	}
	if need.MaxAge != nil && *need.MaxAge == 0 {
		need.Fresh = true
	}
	return need
}
