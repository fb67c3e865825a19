package policy

import (
	"strings"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

// OwnScopes begins names that only Stepward gives scopes.
const OwnScopes = "stepward:"

// adminScopes are the scopes of the admin API, with their texts for the consent screen.
var adminScopes = map[string]string{
	adminapi.ScopeRead:         "See everything that admins of this server see",
	adminapi.ScopeWrite:        "Manage this server: users, groups, claims and applications",
	adminapi.ScopeUsersRead:    "See all users of this server",
	adminapi.ScopeUsersWrite:   "Manage the users of this server",
	adminapi.ScopeGroupsRead:   "See all groups of this server",
	adminapi.ScopeGroupsWrite:  "Manage the groups of this server",
	adminapi.ScopeClaimsRead:   "See the claims that are defined on this server",
	adminapi.ScopeClaimsWrite:  "Manage the claims that are defined on this server",
	adminapi.ScopeClientsRead:  "See all applications of this server",
	adminapi.ScopeClientsWrite: "Manage the applications of this server",
	adminapi.ScopeEventsRead:   "See all events of this server",
	adminapi.ScopePolicyRead:   "See the policy of this server",
	adminapi.ScopePolicyWrite:  "Change the policy of this server",
	adminapi.ScopeApplyRead:    "Export everything that is configured on this server",
	adminapi.ScopeApplyWrite:   "Configure this server as a whole: applications, groups, claims, policy and roles",
}

// AddAdminAPI adds the scopes of the admin API to a policy, and the API as a resource. A person who wants to change
// something must confirm with a step-up of class admin first; a client that acts for itself cannot.
func AddAdminAPI(p idp.Policy, issuer string) {
	for name, description := range adminScopes {
		scope := idp.Scope{Name: name, Description: description, Machines: true}
		if strings.HasSuffix(name, ":write") {
			scope.ActionClass = "admin"
		}
		p.Scopes[name] = scope
	}
	p.Resources[issuer+adminapi.Path] = idp.Resource{
		URI: issuer + adminapi.Path, Scopes: adminapi.Scopes(), Format: idp.FormatJWT,
	}
}

// AddSCIM adds the scopes of SCIM and its resource. Only clients that act for themselves use them.
func AddSCIM(p idp.Policy, issuer string) {
	p.Scopes[directory.ScopeSCIM] = idp.Scope{
		Name: directory.ScopeSCIM, Description: "Provision the people and groups of this server", Machines: true,
		ActionClass: "admin",
	}
	p.Scopes[directory.ScopeSCIMRead] = idp.Scope{
		Name: directory.ScopeSCIMRead, Description: "See all people and groups of this server", Machines: true,
	}
	p.Resources[issuer+directory.PathSCIM] = idp.Resource{
		URI: issuer + directory.PathSCIM, Scopes: []string{directory.ScopeSCIM, directory.ScopeSCIMRead},
		Format: idp.FormatJWT,
	}
}
