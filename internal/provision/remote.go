package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/outbound"
)

const (
	maxReply   = 1 << 20 // bytes
	maxRemote  = 500     // bytes of an ID at an application
	longestAsk = 24 * time.Hour
	media      = "application/scim+json"
)

// A remote is the SCIM server of an application (RFC 7644).
type remote struct {
	out   *outbound.Client
	base  string
	token string
	took  bool // it has taken something since the value was made
}

// A refusal is an answer of an application that is no success. It says nothing of what the application wrote but the
// keyword of RFC 7644 §3.12: an answer may repeat what was sent.
type refusal struct {
	status int
	kind   string
	after  time.Duration // Retry-After; zero: none
	whole  bool          // it is about the application, whatever the status
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("answered %d %s", r.status, r.kind))
}

// concerns reports whether an error is about one user, and not about the application as a whole.
func concerns(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return errors.Is(err, errAnswer)
	}
	return !r.whole && r.status >= 400 && r.status < 500 && !slices.Contains([]int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusRequestTimeout,
	}, r.status)
}

func refusedWith(err error, statuses ...int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(statuses, r.status)
}

// errAnswer means that a success cannot be understood.
var errAnswer = errors.New("answered with something that is no SCIM resource")

// keywords are the error types of RFC 7644 §3.12.
var keywords = []string{
	"invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue",
	"invalidVers", "sensitive",
}

// call makes a request; body is nil or a document, answer nil or what the answer is read into.
func (r *remote) call(ctx context.Context, method, path string, body, answer any) error {
	header := http.Header{"Authorization": {"Bearer " + r.token}, "Accept": {media + ", application/json"}}
	request := outbound.Request{Method: method, Address: r.base + path, Header: header, Limit: maxReply}
	if body != nil {
		header.Set("Content-Type", media)
		request.Body = []byte(marshal(body))
	}
	reply, err := r.out.Call(ctx, request)
	if err != nil {
		return err
	}
	if reply.Status < 200 || reply.Status > 299 {
		return refusalOf(reply)
	}
	r.took = r.took || method != http.MethodGet
	if answer != nil && json.Unmarshal(reply.Body, answer) != nil {
		return errAnswer
	}
	return nil
}

func refusalOf(reply outbound.Reply) error {
	out := &refusal{status: reply.Status}
	var said struct {
		Type string `json:"scimType"`
	}
	if json.Unmarshal(reply.Body, &said) == nil && slices.Contains(keywords, said.Type) {
		out.kind = said.Type
	}
	after := reply.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds > 0 {
		out.after = time.Duration(min(seconds, int(longestAsk/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		out.after = min(max(time.Until(at), 0), longestAsk)
	}
	return out
}

// usable reports whether an ID of an application can be in a path. A hostile one would lead elsewhere on that server.
func usable(id string) bool {
	return id != "" && id != "." && id != ".." && len(id) <= maxRemote && utf8.ValidString(id) &&
		!strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// at returns the path of a resource.
func at(kind, id string) string { return kind + "/" + url.PathEscape(id) }

type resource struct {
	ID         string `json:"id"`
	UserName   string `json:"userName"`
	ExternalID string `json:"externalId"`
	Name       string `json:"displayName"`
}

// create adds a resource and returns its ID.
func (r *remote) create(ctx context.Context, kind string, doc object) (string, error) {
	var made resource
	err := r.call(ctx, http.MethodPost, kind, doc, &made)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.status == http.StatusNotFound {
		refused.whole = true // there is no such collection: the address is wrong
	}
	if err != nil {
		return "", err
	}
	if !usable(made.ID) {
		return "", errAnswer
	}
	return made.ID, nil
}

// find returns the ID of the one resource whose attribute has this value; "" if there is none, or more than one. fits
// looks at what was found: an application that ignores filters would have us take any account.
func (r *remote) find(
	ctx context.Context, kind, filter string, fits func(resource) bool,
) (string, error) {
	var list struct {
		Resources []resource `json:"Resources"`
	}
	err := r.call(ctx, http.MethodGet, kind+"?"+url.Values{"filter": {filter}}.Encode(), nil, &list)
	if err != nil {
		return "", err
	}
	id := ""
	for _, found := range list.Resources {
		switch {
		case !fits(found) || !usable(found.ID):
		case id != "":
			return "", nil
		default:
			id = found.ID
		}
	}
	return id, nil
}

// equals returns the filter for an attribute with this value (RFC 7644 §3.4.2.2: the value is JSON).
func equals(attribute, value string) string { return attribute + " eq " + marshal(value) }

// change sends what differs as a PATCH (RFC 7644 §3.5.2), or all as a PUT where that is not supported.
func (r *remote) change(ctx context.Context, path string, set object, gone []string, whole object) error {
	var operations []any
	for _, name := range gone {
		operations = append(operations, object{"op": "remove", "path": name})
	}
	if len(set) > 0 {
		operations = append(operations, object{"op": "replace", "value": set})
	}
	err := r.patch(ctx, path, operations...)
	if refusedWith(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
		err = r.call(ctx, http.MethodPut, path, whole, nil)
	}
	return err
}

func (r *remote) patch(ctx context.Context, path string, operations ...any) error {
	return r.call(ctx, http.MethodPatch, path, object{"schemas": []string{patchSchema}, "Operations": operations}, nil)
}

// remove deletes a resource; one that is not there is no error.
func (r *remote) remove(ctx context.Context, path string) error {
	err := r.call(ctx, http.MethodDelete, path, nil, nil)
	if refusedWith(err, http.StatusNotFound, http.StatusGone) {
		err = nil
	}
	return err
}
