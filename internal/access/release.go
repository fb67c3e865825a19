package access

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/stepward/stepward/internal/idp"
)

// A Release says where claims go, and what was granted there.
type Release struct {
	Client idp.Client
	User   idp.User // with membership
	// Scope reports whether a scope was granted for this place, Asked whether the claims parameter asks for a claim; nil:
	// for none.
	Scope, Asked func(string) bool
	// Token limits groups to what fits into a token; userinfo and introspection have all of them.
	Token bool
	// Access is an access token, or its introspection: it has groups, and the mappings that say so.
	Access bool
}

// Claims returns groups and defined claims as the client sees them; nil if there are none.
func (r Release) Claims() map[string]any {
	c, out := r.Client, map[string]any{}
	if r.Scope(scopeGroups) || r.Asked != nil && r.Asked(scopeGroups) {
		if r.Token {
			c.GroupsClaim.Add(out, r.User.Membership.Groups)
		} else {
			out[c.GroupsClaim.Claim()] = c.GroupsClaim.Value(r.User.Membership.Groups)
		}
	}
	values := r.User.Membership.Claims()
	if !r.Access {
		for _, v := range values {
			if r.Scope(v.Scope) {
				out[v.Claim] = json.RawMessage(v.JSON)
			}
		}
	}
	for _, m := range c.ClaimMappings {
		if r.Access && !m.AccessToken {
			continue
		}
		value := m.Default // the operator's own words, not about the user: no scope releases it
		if scope, standard := ScopeOf[m.Source]; standard {
			if !r.Scope(scope) {
				continue
			}
			if own := standardClaim(r.User, m.Source); own != nil {
				value = own
			}
		}
		for _, v := range values {
			if v.Claim == m.Source {
				if value = nil; r.Scope(v.Scope) {
					value = json.RawMessage(v.JSON)
				}
			}
		}
		if len(value) > 0 {
			out[m.Claim] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

const scopeGroups = "groups"

// standardClaim returns the value of a standard claim of a user; nil if there is none.
func standardClaim(u idp.User, name string) json.RawMessage {
	text, err := json.Marshal(ClaimsOf(u, func(claim string) bool { return claim == name }))
	var members map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &members) != nil {
		return nil
	}
	return members[name]
}

// With is a set of claims with more members, which replace those of the same name.
type With struct {
	Claims any
	More   map[string]any
}

// Extend returns claims with more members; claims itself if there are none, which is the usual case.
func Extend(claims any, more map[string]any) any {
	if len(more) == 0 {
		return claims
	}
	return With{claims, more}
}

// MarshalJSON implements json.Marshaler.
func (w With) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(w.Claims)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(w.More)) {
		if members[name], err = json.Marshal(w.More[name]); err != nil {
			return nil, err
		}
	}
	return json.Marshal(members)
}
