package scim

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/scim/resource"
)

func stale() *resource.Failure {
	return &resource.Failure{Status: http.StatusPreconditionFailed, Detail: "it has changed since you read it"}
}

func taken(detail string) *resource.Failure {
	return &resource.Failure{Status: http.StatusConflict, Type: "uniqueness", Detail: detail}
}

// failure returns the response for an error of an operation.
func failure(ctx context.Context, err error) *resource.Failure {
	if f, ok := errors.AsType[*resource.Failure](err); ok {
		return f
	}
	if denied, ok := errors.AsType[*admin.Denied](err); ok {
		return &resource.Failure{Status: http.StatusForbidden, Detail: denied.Text}
	}
	if faults, ok := errors.AsType[directory.Faults](err); ok {
		return faulty(faults)
	}
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return &resource.Failure{Status: http.StatusNotFound, Detail: "there is no such resource"}
	case errors.Is(err, admin.ErrStale):
		return stale()
	case errors.Is(err, idp.ErrConflict):
		return &resource.Failure{Status: http.StatusConflict, Detail: "somebody else changes it at the same time; try again"}
	}
	broken := oauth.Broken(ctx, "SCIM", err)
	f := &resource.Failure{Status: broken.Status, Detail: broken.Description}
	if f.Status == http.StatusServiceUnavailable {
		f.RetryAfter = 5 * time.Second
	}
	return f
}

// attributeOf are the attributes that a fault of an operation is about.
var attributeOf = map[string]string{"email": "emails", "name": "displayName", "members": "members"}

func faulty(faults directory.Faults) *resource.Failure {
	f := &resource.Failure{Status: http.StatusBadRequest, Type: "invalidValue"}
	var lines []string
	for _, fault := range faults {
		field := attributeOf[fault.Field]
		if strings.HasPrefix(fault.Text, "belongs to another") {
			f.Status, f.Type = http.StatusConflict, "uniqueness"
		}
		lines = append(lines, strings.TrimSpace(field+" "+fault.Text))
	}
	f.Detail = strings.Join(lines, "; ")
	return f
}
