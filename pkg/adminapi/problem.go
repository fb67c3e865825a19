package adminapi

import "strings"

// A Problem is an error response of the API (RFC 9457), and the error that the Client returns for it.
type Problem struct {
	// Type identifies the kind of problem: urn:stepward:error: and Code.
	Type   string `json:"type" format:"uri" doc:"Identifies the kind of problem: urn:stepward:error: and its code."`
	Title  string `json:"title" doc:"The HTTP status in words."`
	Status int    `json:"status" minimum:"400" maximum:"599" doc:"The HTTP status."`
	// Code is a stable word: faults, stale, precondition_required, insufficient_scope, and so on.
	Code      string  `json:"code" doc:"A stable word for scripts."`
	Detail    string  `json:"detail,omitempty" doc:"What is wrong, for people."`
	RequestID string  `json:"request_id,omitempty" doc:"Names the request in the log of the server."`
	Faults    []Fault `json:"faults,omitempty" doc:"What is wrong with each field."`
}

// A Fault is one thing that is wrong with the input.
type Fault struct {
	Field string `json:"field,omitempty" doc:"The field, as in the JSON of the request; missing: the whole."`
	Text  string `json:"text" doc:"What is wrong with it, without its name."`
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Title)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, f := range p.Faults {
		b.WriteString("; " + strings.TrimSpace(f.Field+" "+f.Text))
	}
	return b.String()
}
