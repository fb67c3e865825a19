package directory

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxPasskeyMinimum bounds how many passkeys an account may need.
const MaxPasskeyMinimum = 5

// A PasskeyNeed says which passkeys a user may add, and how many of them make the account complete.
type PasskeyNeed struct {
	Minimum     int  // zero: one
	DeviceBound bool // no synced ones
	Proven      bool // only models that prove what they are
}

// Allows reports whether a passkey is of the needed kind.
func (n PasskeyNeed) Allows(synced, proven bool) bool {
	return !(n.DeviceBound && synced) && !(n.Proven && !proven)
}

// Least is the number of passkeys that make an account complete.
func (n PasskeyNeed) Least() int { return max(n.Minimum, 1) }

// A PasskeyRule says what the members of a group, or people with a role or a higher one, need; without either, what
// everybody needs.
type PasskeyRule struct {
	Role  Role
	Group string
	Need  PasskeyNeed
}

// PasskeyPolicy is all rules. A user needs the strictest of what those say that are about them.
type PasskeyPolicy []PasskeyRule

// For returns what a user with this role, in these groups, needs.
func (p PasskeyPolicy) For(role Role, groups []string) (need PasskeyNeed) {
	in := map[string]bool{}
	for _, g := range groups {
		in[GroupKey(g)] = true
	}
	for _, r := range p {
		if r.Group != "" && !in[GroupKey(r.Group)] || r.Role != RoleUser && role != r.Role && !role.Above(r.Role) {
			continue
		}
		need.Minimum = max(need.Minimum, r.Need.Minimum)
		need.DeviceBound = need.DeviceBound || r.Need.DeviceBound
		need.Proven = need.Proven || r.Need.Proven
	}
	return need
}

// OfGroups reports whether a rule is about a group.
func (p PasskeyPolicy) OfGroups() bool {
	for _, r := range p {
		if r.Group != "" {
			return true
		}
	}
	return false
}

// Proven reports whether a rule needs models that prove what they are.
func (p PasskeyPolicy) Proven() bool {
	for _, r := range p {
		if r.Need.Proven {
			return true
		}
	}
	return false
}

// ParsePasskeyRule reads "everyone minimum=2", "role:admin minimum=2 kind=device-bound" or "group:finance proven".
func ParsePasskeyRule(s string) (r PasskeyRule, err error) {
	words := strings.Fields(s)
	if len(words) < 2 {
		return r, fmt.Errorf("%q is no rule; use role:admin minimum=2 kind=device-bound", s)
	}
	subject, name, _ := strings.Cut(words[0], ":")
	switch {
	case words[0] == "everyone":
	case subject == "group" && name != "":
		r.Group = name
	case subject == "role" && Role(name) != RoleUser && Role(name).Known():
		r.Role = Role(name)
	default:
		return r, fmt.Errorf("%q is not everyone, role:NAME or group:NAME", words[0])
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		n, numberErr := strconv.Atoi(value)
		switch {
		case key == "minimum" && numberErr == nil && n >= 1 && n <= MaxPasskeyMinimum:
			r.Need.Minimum = n
		case word == "kind=device-bound":
			r.Need.DeviceBound = true
		case word == "proven":
			r.Need.Proven = true
		default:
			return r, fmt.Errorf("%q is not minimum=1 to minimum=%d, kind=device-bound or proven", word, MaxPasskeyMinimum)
		}
	}
	return r, nil
}
