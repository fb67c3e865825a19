package resource

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A Failure is an error response (RFC 7644 §3.12).
type Failure struct {
	Status     int
	Type       string // scimType; empty: none
	Detail     string
	RetryAfter time.Duration
}

func (f *Failure) Error() string { return f.Detail }

// MarshalJSON implements json.Marshaler: the status is a string there.
func (f *Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Schemas []string `json:"schemas"`
		Status  string   `json:"status"`
		Type    string   `json:"scimType,omitempty"`
		Detail  string   `json:"detail,omitempty"`
	}{[]string{MessageError}, strconv.Itoa(f.Status), f.Type, f.Detail})
}

// Bad returns the failure of a request with a scimType.
func Bad(scimType, format string, args ...any) *Failure {
	return &Failure{Status: http.StatusBadRequest, Type: scimType, Detail: fmt.Sprintf(format, args...)}
}
