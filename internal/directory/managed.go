package directory

import "time"

// SCIM: where directories provision people and groups (RFC 7644), and the scopes for it.
const (
	PathSCIM      = "/scim/v2"
	ScopeSCIM     = "stepward:scim"
	ScopeSCIMRead = "stepward:scim:read"
)

// Managed says that a directory manages a user or a group over SCIM.
type Managed struct {
	ClientID   string // the client that the directory acts as
	ExternalID string // the directory's own ID; only the client that gave it sees it (RFC 7643 §3.1)
	// UserName is the directory's name for a user, and Attributes what it said of them, as JSON.
	UserName   string
	Attributes string
	RemovedAt  time.Time // when the directory deleted a user, who is disabled since; zero: it did not
	// DisabledAt is that of a user whom the directory has disabled. It enables nobody whom somebody else disabled.
	DisabledAt time.Time
}

// By reports whether a directory manages it, that has not deleted it.
func (m Managed) By() bool { return m.ClientID != "" && m.RemovedAt.IsZero() }

// UserNameKey is the spelling by which two user names are the same.
func (m Managed) UserNameKey() string { return GroupKey(m.UserName) }
