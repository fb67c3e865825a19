package adminapi

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/pkg/adminapi"
)

// A Part says which part of a list to send.
type Part struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"The member next of the page before; missing: the first page."`
}

// place returns the operation's cursor.
func (p Part) place() (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", badCursor()
	}
	return string(text), nil
}

func badCursor() error {
	return problem(http.StatusBadRequest, "invalid_cursor", "the cursor is not one of this list; begin again without it")
}

// A Listed is the answer of an operation that lists.
type Listed[T any] struct{ Body adminapi.Page[T] }

// listed returns a page of things in their wire form. next is the operation's cursor.
func listed[T, W any](things []T, next string, wire func(T) W) *Listed[W] {
	page := adminapi.Page[W]{Items: make([]W, 0, len(things))}
	for _, t := range things {
		page.Items = append(page.Items, wire(t))
	}
	if next != "" {
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	return &Listed[W]{page}
}

// A Versioned is the input of an operation that changes something in the state in which the caller has seen it.
type Versioned struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The ETag of the object as you read it, or * for whatever it is now."`
}

// version returns the version that the caller has seen; zero: any.
func (v Versioned) version() (time.Time, error) {
	switch tag, quoted := strings.CutPrefix(v.IfMatch, `"`); {
	case v.IfMatch == "":
		return time.Time{}, unconditional()
	case v.IfMatch == "*":
		return time.Time{}, nil
	case quoted && strings.HasSuffix(tag, `"`):
		if ms, err := strconv.ParseInt(strings.TrimSuffix(tag, `"`), 36, 64); err == nil && ms > 0 {
			return time.UnixMilli(ms), nil
		}
	}
	// Any other tag is one of no version of ours (RFC 9110 §13.1.1).
	return time.Time{}, problem(http.StatusPreconditionFailed, "stale", "it has changed since you read it; read it again")
}

// unconditional is the answer to a change without If-Match.
func unconditional() error {
	return problem(http.StatusPreconditionRequired, "precondition_required",
		"send If-Match with the ETag that you read, or with * to change whatever is there now")
}

// etag returns the ETag of an object's version.
func etag(updated time.Time) string { return `"` + strconv.FormatInt(updated.UnixMilli(), 36) + `"` }

// An Empty is an answer without a body.
type Empty struct{}
