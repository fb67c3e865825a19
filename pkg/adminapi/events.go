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
