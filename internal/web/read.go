package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// ReadJSON decodes the body of a request into v: one JSON value without unknown members and nothing after it. It
// returns a *[Problem]: 415 for another content type, 413 above the limit of the chain, 400 for everything else.
func ReadJSON(r *http.Request, v any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &Problem{
			Status: http.StatusUnsupportedMediaType, Words: "problem.json", Err: err,
		}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			return nil
		}
	}
	return Malformed(err)
}

// ReadForm parses the form of a POST for r.PostFormValue. PostFormValue could parse it too, but drops the error of a
// body that is too large. It returns a *[Problem] like ReadJSON.
func ReadForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return Malformed(err)
	}
	return nil
}

// Malformed returns the *[Problem] for a body that could not be read: 413 above the limit of the chain, or 400.
func Malformed(err error) error {
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big)
	}
	return &Problem{
		Status: http.StatusBadRequest, Code: "invalid_request", Words: "problem.unread", Err: err,
	}
}

// Event returns an event caused by the request r now.
func Event(r *http.Request, kind idp.EventKind, userID string) idp.Event {
	e := idp.NewEvent(kind, userID, time.Now())
	e.Address, e.Agent, e.RequestID = ClientAddress(r), Agent(r.UserAgent()), RequestID(r.Context())
	e.Policy = PolicyVersion(r.Context())
	return e
}
