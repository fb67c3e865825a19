package adminapi

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// A NewProvisioning says how people are sent to a client over SCIM 2.0 (RFC 7644). Groups are names.
type NewProvisioning struct {
	BaseURL    string            `json:"base_url" maxLength:"2048" doc:"Of SCIM there, without /Users."`
	Token      string            `json:"token,omitempty" maxLength:"8192" doc:"Bearer token that the application made. Missing: the one from before. Another base_url needs it again."`
	Groups     []string          `json:"groups,omitempty" maxItems:"100" doc:"Send only their members. Missing: all who may use the client."`
	SendGroups []string          `json:"send_groups,omitempty" maxItems:"100" doc:"Send these groups themselves."`
	Attributes []string          `json:"attributes,omitempty" maxItems:"20" doc:"Of a user, besides userName, externalId and active. Missing: displayName, name and emails."`
	Claims     map[string]string `json:"claims,omitempty" doc:"Claims that admins defined, by the attribute that each is sent as."`
	Delete     bool              `json:"delete,omitempty" doc:"Accounts of those who leave are deleted, not disabled."`
}

// A Provisioning is how people are sent to a client, and how far that is.
type Provisioning struct {
	ClientID     string            `json:"client_id"`
	BaseURL      string            `json:"base_url"`
	Groups       []string          `json:"groups"`
	SendGroups   []string          `json:"send_groups"`
	Attributes   []string          `json:"attributes"`
	Claims       map[string]string `json:"claims,omitempty"`
	Delete       bool              `json:"delete"`
	PausedAt     *time.Time        `json:"paused_at,omitempty"`
	PausedBy     string            `json:"paused_by,omitempty" doc:"admin, or failures: it has failed for three days."`
	Failures     int               `json:"failures" doc:"In a row."`
	LastSuccess  *time.Time        `json:"last_success,omitempty"`
	LastError    string            `json:"last_error,omitempty"`
	LastErrorAt  *time.Time        `json:"last_error_at,omitempty"`
	Accounts     int               `json:"accounts" doc:"There, counted to 100,000."`
	Disabled     int               `json:"disabled_accounts"`
	GroupsThere  int               `json:"groups_there"`
	Waiting      int               `json:"waiting"`
	Refused      int               `json:"refused" doc:"Of those who wait: the client has refused them."`
	RefusedError string            `json:"refused_error,omitempty"`
}

// A Provisioned is a client that people are sent to, in a list. Provisioning says more of one.
type Provisioned struct {
	ClientID    string     `json:"client_id"`
	BaseURL     string     `json:"base_url"`
	PausedAt    *time.Time `json:"paused_at,omitempty"`
	PausedBy    string     `json:"paused_by,omitempty"`
	Failures    int        `json:"failures" doc:"In a row."`
	LastSuccess *time.Time `json:"last_success,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	LastErrorAt *time.Time `json:"last_error_at,omitempty"`
}

// A ProvisioningPreview is what would be sent now. Counts and actions are create, update, disable and delete.
type ProvisioningPreview struct {
	Counts map[string]int       `json:"counts"`
	People []ProvisioningPerson `json:"people" doc:"The first 100."`
	More   bool                 `json:"more" doc:"There are more users than were looked at."`
}

// A ProvisioningPerson is a user of a preview.
type ProvisioningPerson struct {
	UserID string `json:"user_id"`
	Email  string `json:"email"`
	Action string `json:"action"`
}

// Provisioned returns the clients that people are sent to, by ID.
func (c Clients) Provisioned(ctx context.Context) iter.Seq2[Provisioned, error] {
	return pages[Provisioned](ctx, c.api, "/provisioning", nil)
}

// Provisioning returns how people are sent to a client.
func (c Clients) Provisioning(ctx context.Context, id string) (Provisioning, ETag, error) {
	return get[Provisioning](ctx, c.api, path("clients", id, "provisioning"))
}

// SetProvisioning has people sent to a client, or changes how. An empty tag changes whatever is there.
func (c Clients) SetProvisioning(ctx context.Context, id string, tag ETag, in NewProvisioning) (Provisioning, error) {
	v, _, err := send[Provisioning](ctx, c.api, http.MethodPut, path("clients", id, "provisioning"), tag, in)
	return v, err
}

// RemoveProvisioning ends that. The accounts there stay.
func (c Clients) RemoveProvisioning(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodDelete, path("clients", id, "provisioning"), nil)
}

// PauseProvisioning sends nothing until ResumeProvisioning, and SyncProvisioning sends everything again.
func (c Clients) PauseProvisioning(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodPost, path("clients", id, "provisioning", "pause"), nil)
}

// ResumeProvisioning is described at PauseProvisioning.
func (c Clients) ResumeProvisioning(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodPost, path("clients", id, "provisioning", "resume"), nil)
}

// SyncProvisioning is described at PauseProvisioning.
func (c Clients) SyncProvisioning(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodPost, path("clients", id, "provisioning", "sync"), nil)
}

// PreviewProvisioning says what would be sent now.
func (c Clients) PreviewProvisioning(ctx context.Context, id string) (ProvisioningPreview, error) {
	v, _, err := get[ProvisioningPreview](ctx, c.api, path("clients", id, "provisioning", "preview"))
	return v, err
}
