package directory

import "slices"

// Role is what a user may do at the provider itself. Clients never see it.
type Role string

const (
	RoleUser    Role = ""        // nothing
	RoleAuditor Role = "auditor" // read everything, change nothing
	RoleSupport Role = "support" // recovery links and sign-outs, for people without a role
	RoleAdmin   Role = "admin"   // everything but what concerns owners
	RoleOwner   Role = "owner"   // everything
)

// Roles are all roles that can be given, the lowest first.
var Roles = []Role{RoleUser, RoleAuditor, RoleSupport, RoleAdmin, RoleOwner}

// ranks orders the roles. Support and auditor have the same rank: neither may do what the other may.
var ranks = map[Role]int{RoleUser: 0, RoleAuditor: 1, RoleSupport: 1, RoleAdmin: 2, RoleOwner: 3}

// Known reports whether r is a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// Above reports whether r is a higher role than other.
func (r Role) Above(other Role) bool { return ranks[r] > ranks[other] }

// Recovers reports whether the role may make or approve links that recover the account of somebody with the other role.
// Between equals only owners do: it would hide who acts.
func (r Role) Recovers(other Role) bool {
	return r == RoleOwner || r != RoleAuditor && r.Above(other)
}

// Reads reports whether the role may read what admins read.
func (r Role) Reads() bool { return ranks[r] > 0 }

// Name is the role as people write it: "none" for RoleUser.
func (r Role) Name() string {
	if r == RoleUser {
		return "none"
	}
	return string(r)
}

// ParseRole reads what Name writes; false if it is no role.
func ParseRole(s string) (Role, bool) {
	if s == "none" {
		return RoleUser, true
	}
	return Role(s), s != "" && Role(s).Known()
}
