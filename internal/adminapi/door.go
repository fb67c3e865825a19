package adminapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/repeat"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/pkg/adminapi"
)

// By is the party that makes a request, and the scopes of its token. Every input of an operation embeds it.
type By struct {
	actor  admin.Actor
	scopes []string
}

// Resolve is how huma hands a request to its input.
func (b *By) Resolve(ctx huma.Context) []error {
	c, ok := ctx.(*call)
	if !ok {
		return []error{errors.New("no caller")}
	}
	b.actor, b.scopes = c.actor, c.scopes
	return nil
}

// needs returns a problem unless the token has a scope that an operation needs only for some inputs. Without these
// checks, a token for a part of the API would lead to all of it: to a role for a user, or a scope of the API for a
// client.
func (b *By) needs(scope, what string) error {
	if slices.ContainsFunc(scopesFor(scope), func(s string) bool { return slices.Contains(b.scopes, s) }) {
		return nil
	}
	return problem(http.StatusForbidden, "insufficient_scope", what+" needs the scope "+scope)
}

// humaContext is embedded under a name that does not hide its method Context.
type humaContext = huma.Context

// A call is a request that passed the door.
type call struct {
	humaContext
	actor  admin.Actor
	scopes []string
	body   []byte
}

func (c *call) BodyReader() io.Reader           { return bytes.NewReader(c.body) }
func (c *call) SetReadDeadline(time.Time) error { return nil } // the body has been read

// Handle is huma's way to add an operation to the mux.
func (a *API) Handle(op *huma.Operation, handle func(huma.Context)) {
	scope := op.Security[0][security][0]
	a.mux.HandleFunc(op.Method+" "+adminapi.Path+op.Path, func(w http.ResponseWriter, r *http.Request) {
		oauth.NoStore(w)
		caller, bad := a.admit(w, r, scope)
		if bad != nil {
			a.door.Challenge(w.Header(), r, scope, *bad)
			write(w, r, refused(bad))
			return
		}
		actor, scopes := caller.Actor, caller.Scopes
		body, unread := read(r)
		if unread != nil {
			write(w, r, unread)
			return
		}
		answer := func(w http.ResponseWriter) {
			handle(&call{humago.NewContext(op, r, challenger{w, r, a, scope}), actor, scopes, body})
		}
		key := r.Header.Get(repeat.Header)
		if key == "" || r.Method != http.MethodPost {
			answer(w)
			return
		}
		bad, err := a.repeats.Once(w, r, repeat.Request{Key: key, Actor: actor, Body: body}, answer)
		switch {
		case err != nil:
			write(w, r, failure(r.Context(), err))
		case bad != nil:
			write(w, r, refused(bad))
		}
	})
}

// ServeHTTP of huma.Adapter is that of API.
var _ huma.Adapter = (*API)(nil)

// read reads the body of a request, whose type must be JSON.
func read(r *http.Request) ([]byte, *failed) {
	body, err := io.ReadAll(r.Body)
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, problem(http.StatusRequestEntityTooLarge, "too_large",
			fmt.Sprintf("the body is longer than %d bytes", big.Limit))
	}
	if err != nil {
		return nil, problem(http.StatusBadRequest, "invalid_request", "the body ended early")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(body) > 0 && (err != nil || media != mediaJSON) {
		return nil, problem(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be application/json")
	}
	return body, nil
}

// refused returns the problem for a refusal of the door.
func refused(bad *bearer.Refusal) *failed {
	f := problem(bad.Status, bad.Code, bad.Detail)
	if bad.RetryAfter > 0 {
		f.header = http.Header{"Retry-After": {strconv.Itoa(int(bad.RetryAfter.Seconds()))}}
	}
	return f
}

// A challenger adds the challenge to answers of operations that refuse for want of a step-up.
type challenger struct {
	http.ResponseWriter
	r     *http.Request
	api   *API
	scope string
}

// WriteHeader implements http.ResponseWriter.
func (c challenger) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		c.api.door.Challenge(c.Header(), c.r, c.scope, bearer.Refusal{
			Status: status, Code: bearer.CodeStepUp, Detail: "confirm with a passkey first",
		})
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the ResponseWriter.
func (c challenger) Unwrap() http.ResponseWriter { return c.ResponseWriter }
