package adminapi

import (
	"encoding/json"
	"time"
)

// A Group is a set of users, and of groups whose members are its members as well.
type Group struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	ManagedBy   string    `json:"managed_by,omitempty" doc:"The file that manages it (stepward apply), so that it is changed only there; missing: none."`
}

// A NewGroup is a group to create.
type NewGroup struct {
	Name        string `json:"name" maxLength:"400" doc:"Applications see it and admit people by it."`
	Description string `json:"description,omitempty" maxLength:"2000"`
}

// A GroupChange changes a group. Nil fields stay as they are.
type GroupChange struct {
	Name        *string `json:"name,omitempty" maxLength:"400"`
	Description *string `json:"description,omitempty" maxLength:"2000"`
}

// Nesting is the groups directly around a group.
type Nesting struct {
	Parents  []Group `json:"parents" doc:"The groups that it is in."`
	Children []Group `json:"children" doc:"The groups that are in it."`
}

// UserIDs are users to put into a group: all or none.
type UserIDs struct {
	UserIDs []string `json:"user_ids" minItems:"1" maxItems:"1000"`
}

// A Claim is a claim that an admin defined.
type Claim struct {
	Name        string     `json:"name" maxLength:"100"`
	Type        string     `json:"type" enum:"string,number,boolean,list"`
	Scope       string     `json:"scope" maxLength:"128" doc:"The scope that releases it."`
	Description string     `json:"description,omitempty" maxLength:"2000"`
	SeenBy      []string   `json:"seen_by" maxItems:"3" enum:"user,admin,scim"`
	EditedBy    []string   `json:"edited_by" maxItems:"3" enum:"user,admin,scim"`
	CreatedAt   *time.Time `json:"created_at,omitempty" readOnly:"true"`
	UpdatedAt   *time.Time `json:"updated_at,omitempty" readOnly:"true"`
}

// ClaimValues are values by the name of the claim. In a change, null removes a value, and claims that are not named
// stay.
type ClaimValues map[string]json.RawMessage
