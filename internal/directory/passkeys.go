package directory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// MaxPasskeyMinimum bounds how many passkeys an account may need.
const MaxPasskeyMinimum = 5

// A PasskeyNeed says which passkeys a user may add, and how many of them make the account complete.
type PasskeyNeed struct {
	Minimum     int  // zero: one
	DeviceBound bool // no synced ones
	Proven      bool // only models that prove what they are
	// Allowed are the AAGUIDs of the only models, which must prove it. Nil: all; empty: none, because two rules name
	// different ones.
	Allowed   []uuid.UUID
	Forbidden []uuid.UUID // not these, by what they claim to be
}

// A PasskeyKind is what the rules ask about a passkey.
type PasskeyKind struct {
	Synced bool
	Proven bool      // its attestation was verified
	Model  uuid.UUID // a claim unless Proven
}

// Allows reports whether a passkey is of the needed kind.
func (n PasskeyNeed) Allows(k PasskeyKind) bool {
	return !(n.DeviceBound && k.Synced) && n.Proves(k) && n.AllowsModel(k)
}

// Proves reports whether a passkey proves its model, if that is needed.
func (n PasskeyNeed) Proves(k PasskeyKind) bool {
	return k.Proven || !n.Proven
}

// AllowsModel reports whether the passkey's model is allowed and not forbidden.
func (n PasskeyNeed) AllowsModel(k PasskeyKind) bool {
	return !slices.Contains(n.Forbidden, k.Model) &&
		(n.Allowed == nil || k.Proven && slices.Contains(n.Allowed, k.Model))
}

// and returns what fulfils both.
func (n PasskeyNeed) and(m PasskeyNeed) PasskeyNeed {
	both := PasskeyNeed{
		Minimum: max(n.Minimum, m.Minimum), DeviceBound: n.DeviceBound || m.DeviceBound, Proven: n.Proven || m.Proven,
		Allowed: n.Allowed,
	}
	if n.Allowed == nil {
		both.Allowed = m.Allowed
	} else if m.Allowed != nil {
		both.Allowed = []uuid.UUID{}
		for _, id := range n.Allowed {
			if slices.Contains(m.Allowed, id) {
				both.Allowed = append(both.Allowed, id)
			}
		}
	}
	for _, id := range slices.Concat(n.Forbidden, m.Forbidden) {
		if !slices.Contains(both.Forbidden, id) {
			both.Forbidden = append(both.Forbidden, id)
		}
	}
	return both
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
		need = need.and(r.Need)
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
		if r.Need.Proven || r.Need.Allowed != nil {
			return true
		}
	}
	return false
}

// ParsePasskeyRule reads "everyone minimum=2", "role:admin minimum=2 kind=device-bound", "group:finance proven" or
// "group:finance allowed=AAGUID allowed=AAGUID" and "forbidden=AAGUID".
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
		model, modelErr := ParseModel(value)
		switch {
		case key == "minimum" && numberErr == nil && n >= 1 && n <= MaxPasskeyMinimum:
			r.Need.Minimum = n
		case word == "kind=device-bound":
			r.Need.DeviceBound = true
		case word == "proven":
			r.Need.Proven = true
		case (key == "allowed" || key == "forbidden") && modelErr != nil:
			return r, modelErr
		case key == "allowed":
			r.Need.Allowed = append(r.Need.Allowed, model)
		case key == "forbidden":
			r.Need.Forbidden = append(r.Need.Forbidden, model)
		default:
			return r, fmt.Errorf("%q is not minimum=1 to minimum=%d, kind=device-bound, proven, allowed=AAGUID or "+
				"forbidden=AAGUID", word, MaxPasskeyMinimum)
		}
	}
	return r, nil
}

// ParseModel reads the AAGUID of a model in its usual form.
func ParseModel(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != len(id.String()) {
		return uuid.UUID{}, fmt.Errorf("%q is no AAGUID; use the form of 2fc0579f-8113-47ea-b116-bb5a8db9202a", s)
	}
	return id, nil
}
