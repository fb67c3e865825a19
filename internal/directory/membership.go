package directory

import (
	"encoding/json"
	"slices"
	"strings"
)

// A Membership is what the directory says of a user: all groups that they are in, directly or through another group,
// and the values of claims that they have or inherit.
type Membership struct {
	Groups []Group `json:"groups,omitempty"` // ID and name, by name
	Values []Value `json:"values,omitempty"`
}

// A Value is the value of one claim.
type Value struct {
	Claim string    `json:"claim"`
	Type  ClaimType `json:"type"`
	Scope string    `json:"scope"`
	JSON  string    `json:"value"`
	Group string    `json:"group,omitempty"` // the group that it is inherited from; empty: the user's own
}

// In reports whether the user is in one of the groups. No user is in an empty list.
func (m Membership) In(names []string) bool {
	return slices.ContainsFunc(m.Groups, func(g Group) bool { return slices.Contains(names, g.Name) })
}

// Admitted reports whether what is for these groups is for the user: for none, it is for everyone.
func (m Membership) Admitted(groups []string) bool { return len(groups) == 0 || m.In(groups) }

// Claims returns the value of each claim: the user's own, else that of the group that comes first by name. Lists are
// the exception: the user's own and those of all groups together.
func (m Membership) Claims() []Value {
	values := slices.Clone(m.Values)
	slices.SortFunc(values, func(a, b Value) int { // an own value has no group, so it comes first
		return strings.Compare(a.Claim+"\x00"+a.Group, b.Claim+"\x00"+b.Group)
	})
	var out []Value
	for _, v := range values {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].Claim != v.Claim:
			out = append(out, v)
		case v.Type == ClaimList:
			out[last].JSON = union(out[last].JSON, v.JSON)
		}
	}
	return out
}

// union returns two JSON lists as one.
func union(a, b string) string {
	var first, second []string
	if json.Unmarshal([]byte(a), &first) != nil || json.Unmarshal([]byte(b), &second) != nil {
		return a
	}
	for _, item := range second {
		if !slices.Contains(first, item) {
			first = append(first, item)
		}
	}
	joined, _ := json.Marshal(first) // lists of text always marshal
	return string(joined)
}
