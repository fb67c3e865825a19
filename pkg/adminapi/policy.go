package adminapi

import (
	"encoding/json"
	"time"
)

// A Policy is what the server demands and offers. The lists say what counts, in full; Sections are what it is written
// as, and what changes.
type Policy struct {
	Version   int64           `json:"version" doc:"0: nothing was ever stored."`
	Sections  []PolicySection `json:"sections"`
	Stored    Sections        `json:"stored" doc:"What the store has, also of locked sections, where it does not count."`
	ChangedAt *time.Time      `json:"changed_at,omitempty"`
	ActorID   string          `json:"actor_id,omitempty" doc:"The user who made this version; missing: the operator, or a client."`
	Changes   []string        `json:"changes,omitempty" doc:"What this version changed, in words."`

	Scopes        []PolicyScope    `json:"scopes"`
	ActionClasses []ActionClass    `json:"action_classes"`
	Resources     []PolicyResource `json:"resources"`
	DetailTypes   []string         `json:"authorization_details_types"`
	ACRAliases    []ACRAlias       `json:"acr_aliases"`
	ACRDecay      []ACRDecay       `json:"acr_decay"`
}

// A PolicyScope is a scope that clients may ask for.
type PolicyScope struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ActionClass string `json:"action_class,omitempty" doc:"Must be opened by a step-up before the scope is granted."`
	Machines    bool   `json:"machines" doc:"A client may have it in its own name."`
}

// An ActionClass is a named kind of risky action.
type ActionClass struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ACR         string `json:"acr,omitempty"`
	Window      int64  `json:"window" doc:"In seconds."`
	Shared      bool   `json:"shared,omitempty"`
}

// A PolicyResource is an API that clients may request tokens for (RFC 8707).
type PolicyResource struct {
	URI           string   `json:"uri"`
	Description   string   `json:"description,omitempty"`
	Scopes        []string `json:"scopes"`
	ActionClasses []string `json:"action_classes"`
	AccessFormat  string   `json:"access_token_format,omitempty"`
	AccessTTL     int64    `json:"access_token_ttl,omitempty" doc:"In seconds."`
}

// An ACRAlias is an acr name that the operator defined.
type ACRAlias struct {
	Name   string `json:"name"`
	ACR    string `json:"acr"`
	MaxAge int64  `json:"max_age,omitempty" doc:"In seconds."`
}

// ACRDecay is how long an acr lasts.
type ACRDecay struct {
	ACR      string `json:"acr"`
	Absolute int64  `json:"absolute" doc:"In seconds, after the ceremony."`
	Idle     int64  `json:"idle" doc:"In seconds, while the session is idle."`
}

// A PolicySection is a section of the policy as it counts.
type PolicySection struct {
	Key    string          `json:"key" doc:"See docs/configuration.md."`
	Value  json.RawMessage `json:"value" doc:"In the form of the settings file; null: nothing is set."`
	Source string          `json:"source" doc:"Where it comes from: default, the stored policy, or what set it at the start."`
	Locked bool            `json:"locked" doc:"It was set at the start of the server, and can only be changed there."`

	ManagedBy string `json:"managed_by,omitempty" doc:"The file that manages it (stepward apply), so that it is changed only there; missing: none."`
}

// Sections are sections of the policy by key, in the form that they have in the settings file. In a change, null gives
// a section its default back.
type Sections map[string]json.RawMessage

// A PolicyChange changes sections of the policy.
type PolicyChange struct {
	Sections Sections `json:"sections"`
}

// A PolicyVersion is a version of the policy that is kept.
type PolicyVersion struct {
	Version   int64     `json:"version"`
	ChangedAt time.Time `json:"changed_at"`
	ActorID   string    `json:"actor_id,omitempty"`
	Changes   []string  `json:"changes"`
	Stored    Sections  `json:"stored,omitempty" doc:"Missing in the list."`
}
