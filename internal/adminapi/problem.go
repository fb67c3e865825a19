package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/file"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A failed is a problem on its way to the caller, with the headers that belong to it.
type failed struct {
	adminapi.Problem
	header http.Header
}

// GetStatus, GetHeaders and ContentType are what huma asks of an error.
func (f *failed) GetStatus() int          { return f.Status }
func (f *failed) GetHeaders() http.Header { return f.header }

// ContentType is described at GetStatus.
func (f *failed) ContentType(string) string { return mediaProblem }

const mediaProblem = "application/problem+json"

// problem returns the error of a status and a code.
func problem(status int, code, detail string) *failed {
	f := &failed{}
	f.Type, f.Title = "urn:stepward:error:"+code, http.StatusText(status)
	f.Status, f.Code, f.Detail = status, code, detail
	return f
}

// takeOver makes huma's own errors ours. Its hooks are variables of that package, which only this package uses.
var takeOver = sync.OnceFunc(func() {
	file.Strict()
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		code := map[int]string{
			0: "problem", http.StatusUnprocessableEntity: "faults", http.StatusBadRequest: "invalid_request",
			http.StatusUnsupportedMediaType: "unsupported_media_type", http.StatusRequestEntityTooLarge: "too_large",
		}[status]
		if code == "" {
			code = strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
		}
		f := problem(status, code, "")
		for _, err := range errs {
			if own, ok := errors.AsType[*failed](err); ok {
				return own
			}
			f.Faults = append(f.Faults, faultOf(err)) // without the value: it may be secret, and the caller knows it
		}
		if len(f.Faults) == 0 {
			f.Detail = detail
		}
		return f
	}
})

func faultOf(err error) adminapi.Fault {
	detail, ok := errors.AsType[*huma.ErrorDetail](err)
	if !ok {
		return adminapi.Fault{Text: err.Error()}
	}
	field := strings.TrimPrefix(strings.TrimPrefix(detail.Location, "body"), ".")
	return adminapi.Fault{Field: field, Text: detail.Message}
}

// failure returns the problem to send for an error of an operation.
func failure(ctx context.Context, err error) *failed {
	if own, ok := errors.AsType[*failed](err); ok {
		return own
	}
	if faults, ok := errors.AsType[directory.Faults](err); ok {
		f := problem(http.StatusUnprocessableEntity, "faults", "")
		for _, fault := range faults {
			f.Faults = append(f.Faults, adminapi.Fault(fault))
		}
		return f
	}
	if denied, ok := errors.AsType[*admin.Denied](err); ok {
		return refusal(denied)
	}
	for _, known := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{idp.ErrNotFound, http.StatusNotFound, "not_found", "there is no such object"},
		{admin.ErrStale, http.StatusPreconditionFailed, "stale", "it has changed since you read it; read it again"},
		{admin.ErrAlready, http.StatusConflict, "already", "it is so already"},
		{admin.ErrNotDisabled, http.StatusConflict, "not_disabled", "this user is not disabled"},
		{admin.ErrHasPasskey, http.StatusConflict, "has_passkey", "this user already has a passkey"},
		{admin.ErrNoPasskey, http.StatusConflict, "no_passkey", "this user has no passkey yet: invite them"},
		{admin.ErrDisabled, http.StatusConflict, "disabled", "this user is disabled"},
		{idp.ErrConflict, http.StatusConflict, "conflict", "somebody else has changed it at the same time; try again"},
		{idp.ErrClosed, http.StatusConflict, "closed", "this account was recovered a short time ago; try again tomorrow"},
	} {
		if errors.Is(err, known.err) {
			return problem(known.status, known.code, known.detail)
		}
	}
	if inside, ok := ctx.Value(insideKey{}).(*error); ok {
		*inside = err
	}
	bad := oauth.Broken(ctx, "admin API", err)
	f := problem(bad.Status, bad.Code, bad.Description)
	if bad.Status == http.StatusServiceUnavailable {
		f.header = http.Header{"Retry-After": {"5"}}
	}
	return f
}

// refusal returns the problem for a rule that an operation keeps.
func refusal(denied *admin.Denied) *failed {
	switch denied.Rule {
	case "step_up":
		return problem(http.StatusUnauthorized, bearer.CodeStepUp, denied.Text)
	case "last_owner":
		return problem(http.StatusConflict, denied.Rule, denied.Text)
	}
	return problem(http.StatusForbidden, "denied_"+denied.Rule, denied.Text)
}

// write sends a problem outside of huma.
func write(w http.ResponseWriter, r *http.Request, f *failed) {
	for name, values := range f.header {
		w.Header()[name] = slices.Clone(values)
	}
	f.RequestID = web.RequestID(r.Context())
	w.Header().Set("Content-Type", mediaProblem)
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f.Problem)
}
