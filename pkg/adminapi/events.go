package adminapi

import "time"

// An Event is an audit record.
type Event struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Kind      string            `json:"kind" doc:"See docs/events.md."`
	UserID    string            `json:"user_id,omitempty" doc:"The affected user."`
	ActorID   string            `json:"actor_id,omitempty" doc:"The acting user, if another."`
	ClientID  string            `json:"client_id,omitempty"`
	SessionID string            `json:"session_id,omitempty"`
	PasskeyID string            `json:"passkey_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	Agent     string            `json:"agent,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// A Policy is what the server's settings demand and offer. It is read-only here.
type Policy struct {
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

// A Version says which program answers.
type Version struct {
	Version string `json:"version"`
	API     string `json:"api" doc:"The version of this API: its path."`
}

// A Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next is the cursor of the following page; empty: this is the last one. A page can be short, or empty, and still
	// have a next one: a search looks at a bounded number of rows in each request.
	Next string `json:"next,omitempty" doc:"The cursor of the following page; missing: this is the last one. A page of a search can be empty and still have a next one."`
}
