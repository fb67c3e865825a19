package adminapi

// Path is where the API is, below the issuer. The issuer with this path is also the resource that access tokens must be
// for (RFC 8707).
const Path = "/admin/api/v1"

// Scopes of the API. Each :write scope includes its :read. A person's token with a :write scope works for 5 minutes
// after they have confirmed with a passkey.
const (
	ScopeRead  = "stepward:admin:read"  // everything below
	ScopeWrite = "stepward:admin:write" // everything below

	ScopeUsersRead    = "stepward:admin:users:read"
	ScopeUsersWrite   = "stepward:admin:users:write"
	ScopeGroupsRead   = "stepward:admin:groups:read"
	ScopeGroupsWrite  = "stepward:admin:groups:write"
	ScopeClaimsRead   = "stepward:admin:claims:read"
	ScopeClaimsWrite  = "stepward:admin:claims:write"
	ScopeClientsRead  = "stepward:admin:clients:read"
	ScopeClientsWrite = "stepward:admin:clients:write"
	ScopeEventsRead   = "stepward:admin:events:read"
	ScopePolicyRead   = "stepward:admin:policy:read"
	ScopePolicyWrite  = "stepward:admin:policy:write"

	// Applying and exporting a whole state concerns everything, so these are as powerful as ScopeWrite and ScopeRead.
	ScopeApplyRead  = "stepward:admin:apply:read"
	ScopeApplyWrite = "stepward:admin:apply:write"
)

// Scopes returns all scopes of the API.
func Scopes() []string {
	return []string{
		ScopeRead, ScopeWrite, ScopeUsersRead, ScopeUsersWrite, ScopeGroupsRead, ScopeGroupsWrite, ScopeClaimsRead,
		ScopeClaimsWrite, ScopeClientsRead, ScopeClientsWrite, ScopeEventsRead, ScopePolicyRead,
		ScopePolicyWrite, ScopeApplyRead, ScopeApplyWrite,
	}
}
