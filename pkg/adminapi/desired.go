package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// A Desired is the state that a file describes (docs/apply.md). What a part leaves out is left as it is.
type Desired struct {
	Clients []DesiredClient            `json:"clients,omitempty" maxItems:"20000" doc:"Applications. A member that is left out has its default."`
	Groups  []DesiredGroup             `json:"groups,omitempty" maxItems:"20000" doc:"Groups, without their members."`
	Claims  []DesiredClaim             `json:"claims,omitempty" maxItems:"200" doc:"Claims of your own."`
	Policy  map[string]json.RawMessage `json:"policy,omitempty" doc:"Sections of the policy, in the form of the settings file (docs/configuration.md). null: the default."`
	Roles   map[string]string          `json:"roles,omitempty" doc:"Roles at the provider, by e-mail address: owner, admin, support, auditor or none. A user who is not there yet gets the role when they are, with the next apply."`
}

// A DesiredClient is a client as a file describes it. ID is required.
type DesiredClient struct {
	Client
	Disabled *bool           `json:"disabled,omitempty" doc:"Left out: whether it is disabled is not for the file to say."`
	Secrets  []DesiredSecret `json:"secrets,omitempty" maxItems:"5" doc:"All secrets of the client. Left out: they are managed by hand."`
}

// A DesiredSecret is a secret of a client, by reference.
type DesiredSecret struct {
	Name      string     `json:"name,omitempty" maxLength:"200" doc:"For people."`
	Value     string     `json:"value" maxLength:"4096" doc:"env:NAME or file:/path, read where the command runs; at least 32 characters. In a request to the API: sha256: and its hash in base64url."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Left out: never."`
}

// A DesiredGroup is a group as a file describes it.
type DesiredGroup struct {
	Name        string      `json:"name" maxLength:"400"`
	Description string      `json:"description,omitempty" maxLength:"2000"`
	Within      []string    `json:"within,omitempty" maxItems:"50" doc:"Names of the groups that it is in."`
	Claims      ClaimValues `json:"claims,omitempty" doc:"Values that its members inherit."`
}

// A DesiredClaim is a claim as a file describes it.
type DesiredClaim struct {
	Name        string   `json:"name" maxLength:"100"`
	Type        string   `json:"type,omitempty" enum:"string,number,boolean,list" default:"string"`
	Scope       string   `json:"scope,omitempty" maxLength:"128" default:"profile" doc:"The scope that releases it."`
	Description string   `json:"description,omitempty" maxLength:"2000"`
	SeenBy      []string `json:"seen_by,omitempty" maxItems:"3" enum:"user,admin,scim" doc:"Left out: everyone."`
	EditedBy    []string `json:"edited_by,omitempty" maxItems:"3" enum:"user,admin,scim" doc:"Left out: admin and scim."`
}

// Actions of a PlannedChange.
const (
	ActionAdd    = "add"
	ActionChange = "change"
	ActionRemove = "remove"
	ActionAdopt  = "adopt" // nothing changes but that the file manages it from now on
	ActionLeave  = "leave" // it is no longer in the file, and would be removed with prune
	ActionWait   = "wait"  // nothing can be done yet
)

// A Plan is what applying a state changes.
type Plan struct {
	Digest  string          `json:"digest" doc:"Names this plan: apply it with expect, and nothing else will happen."`
	Applied bool            `json:"applied"`
	Changes []PlannedChange `json:"changes"`
}

// A PlannedChange is one thing of a plan.
type PlannedChange struct {
	Action string        `json:"action" enum:"add,change,remove,adopt,leave,wait"`
	Kind   string        `json:"kind" enum:"client,group,claim,role,policy"`
	Name   string        `json:"name"`
	Fields []FieldChange `json:"fields,omitempty"`
	Text   string        `json:"text" doc:"In words, on one line."`
}

// A FieldChange is a member that changes: a list by what is added and removed, everything else from one value to
// another.
type FieldChange struct {
	Name    string          `json:"name"`
	Added   []string        `json:"added,omitempty"`
	Removed []string        `json:"removed,omitempty"`
	From    json.RawMessage `json:"from,omitempty"`
	To      json.RawMessage `json:"to,omitempty"`
}

// Drift reports whether applying the plan changes anything.
func (p Plan) Drift() bool {
	for _, c := range p.Changes {
		if c.Action != ActionLeave && c.Action != ActionWait {
			return true
		}
	}
	return false
}

// ApplyOptions say how a state is applied.
type ApplyOptions struct {
	Source string // the name under which the objects are managed: that of the file
	Hash   string // of the file, for the events
	DryRun bool   // plan only
	Prune  bool   // remove what this source managed and no longer names
	Expect string // the Digest of a plan; fails with the code "stale" if there is another one by now
}

// Apply makes a state so: all of it or nothing.
func (a *API) Apply(ctx context.Context, state Desired, o ApplyOptions) (p Plan, err error) {
	query := url.Values{"source": {o.Source}}
	for name, value := range map[string]string{"hash": o.Hash, "expect": o.Expect} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"dry_run": o.DryRun, "prune": o.Prune} {
		if on {
			query.Set(name, "true")
		}
	}
	_, err = a.do(ctx, call{method: http.MethodPost, path: PathApply, query: query, in: state, out: &p})
	return p, err
}

// PathApply is the path of Apply, below [Path].
const PathApply = "/apply"

// Export returns the state of the server. Its secrets are references that nothing stands behind yet.
func (a *API) Export(ctx context.Context) (state Desired, err error) {
	state, _, err = get[Desired](ctx, a, "/export")
	return state, err
}
