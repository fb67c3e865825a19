package login

import (
	"slices"

	"github.com/stepward/stepward/internal/idp"
)

// restate returns an interaction as this policy states it. The policy may have changed since the last page, and an
// interaction must not end under two: the action classes that it needs, and what they ask for, become those of this
// policy, and what this policy does not know is gone, as if the request had come just now.
func restate(p idp.Policy, i idp.Interaction) idp.Interaction {
	if i.Policy == p.Version {
		return i
	}
	i.Policy = p.Version
	need := &i.Requirement
	if i.Local != nil {
		need.ActionClasses = slices.Clone(need.ActionClasses)
		for n, class := range need.ActionClasses {
			if now, known := p.ActionClasses[class.Name]; known {
				need.ActionClasses[n] = now
			}
		}
		return i
	}
	unknown := func(scope string) bool {
		_, configured := p.Scopes[scope]
		return !configured && !slices.Contains(idp.StandardScopes, scope)
	}
	r := &i.Request
	r.Scopes = slices.DeleteFunc(slices.Clone(r.Scopes), unknown)
	r.ClaimScopes = slices.DeleteFunc(slices.Clone(r.ClaimScopes), unknown)
	need.ActionClasses = p.ActionClassesOf(idp.Access{Scopes: r.Scopes, Resources: r.Resources, Details: r.Details})
	if !need.Essential {
		need.ACRValues = slices.DeleteFunc(slices.Clone(need.ACRValues), func(v string) bool {
			_, _, known := p.Resolve(v)
			return !known
		})
	}
	return i
}
