package scim

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"

	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store/managed"
)

const (
	pageSize = 100 // resources in a response, unless count says otherwise
	maxPage  = 200
	// maxFound is how many resources a filter may select, and maxListed how many a list with startIndex may have: to
	// count and skip more would read too much. A list with cursor (RFC 9865) has no end.
	maxFound  = 1000
	maxListed = 100_000
)

// A query is what a list was asked for (RFC 7644 §3.4.2).
type query struct {
	filter     *resource.Filter
	start      int // from 1
	count      int
	cursored   bool
	after      string // the ID of the last resource of the page before
	projection resource.Projection
}

func queryOf(k resource.Kind, q url.Values) (out query, err error) {
	out = query{start: 1, count: pageSize}
	if text := q.Get("filter"); text != "" {
		if out.filter, err = resource.ParseFilter(k, text); err != nil {
			return out, err
		}
	}
	for name, to := range map[string]*int{"startIndex": &out.start, "count": &out.count} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil {
				return out, resource.Bad("invalidValue", "%s must be a number", name)
			}
		}
	}
	out.start, out.count = max(out.start, 1), min(max(out.count, 0), maxPage)
	if out.cursored = q.Has("cursor"); out.cursored {
		id, err := base64.RawURLEncoding.DecodeString(q.Get("cursor"))
		if out.after = string(id); err != nil || len(id) > 256 {
			return out, resource.Bad("invalidCursor", "the cursor is none of this list")
		}
		out.count = max(out.count, 1)
	}
	out.projection, err = k.Projection(q)
	return out, err
}

// searched reads the body of a search by POST (RFC 7644 §3.4.3) as the parameters of one by GET.
func searched(body []byte) (url.Values, error) {
	doc, err := resource.Object(body)
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	for _, name := range []string{"filter", "startIndex", "count", "cursor", "attributes", "excludedAttributes"} {
		value, ok := resource.Member(doc, name)
		switch v := value.(type) {
		case string:
			q.Set(name, v)
		case float64:
			q.Set(name, strconv.FormatFloat(v, 'f', -1, 64))
		case []any:
			for _, item := range v {
				if s, isText := item.(string); isText {
					q.Add(name, s)
				}
			}
		default:
			if ok && v != nil {
				return nil, resource.Bad("invalidValue", "%s has the wrong type", name)
			}
		}
	}
	return q, nil
}

// A list is where resources of a kind come from.
type list[T any] struct {
	kind resource.Kind
	id   func(T) string
	page func(context.Context, managed.Page) ([]T, error)
	find func(context.Context, []managed.Key, int) ([]T, error)
	size func(context.Context, int) (int, error)
	// documents returns the resources in the form that filters and responses have.
	documents func(context.Context, []T, resource.Projection) ([]resource.Document, error)
}

// A listResponse is the response to a query.
type listResponse struct {
	Schemas    []string            `json:"schemas"`
	Total      *int                `json:"totalResults,omitempty"`
	StartIndex int                 `json:"startIndex,omitempty"`
	PerPage    int                 `json:"itemsPerPage"`
	Next       string              `json:"nextCursor,omitempty"`
	Resources  []resource.Document `json:"Resources"`
}

// answer answers a query.
func (l list[T]) answer(ctx context.Context, q query, clientID string) (*answer, error) {
	out := listResponse{Schemas: []string{resource.MessageList}, Resources: []resource.Document{}}
	var err error
	switch {
	case q.filter != nil:
		err = l.filtered(ctx, q, clientID, &out)
	case q.cursored:
		err = l.cursored(ctx, q, &out)
	default:
		err = l.indexed(ctx, q, &out)
	}
	out.PerPage = len(out.Resources)
	return &answer{doc: out}, err
}

// filtered finds resources by index, and looks at each of them.
func (l list[T]) filtered(ctx context.Context, q query, clientID string, out *listResponse) error {
	keys, ok := keysOf(q.filter, l.kind, clientID)
	if !ok {
		return resource.Bad("tooMany", "this filter would read all %s: compare id, externalId, %s with eq", l.kind.Path[1:],
			map[string]string{"User": "userName or emails", "Group": "displayName or members"}[l.kind.Name])
	}
	var found []T
	var err error
	if len(keys) > 0 {
		if found, err = l.find(ctx, keys, maxFound+1); err != nil {
			return err
		}
	}
	if len(found) > maxFound {
		return resource.Bad("tooMany", "the filter selects more than %d %s", maxFound, l.kind.Path[1:])
	}
	docs, err := l.documents(ctx, found, resource.Projection{})
	if err != nil {
		return err
	}
	docs = slices.DeleteFunc(docs, func(doc resource.Document) bool { return !q.filter.Matches(doc) })
	total := len(docs)
	out.Total, out.StartIndex = &total, q.start
	from := min(q.start-1, total)
	for _, doc := range docs[from:min(from+q.count, total)] {
		out.Resources = append(out.Resources, q.projection.Of(doc))
	}
	return nil
}

// indexed lists all resources from startIndex on.
func (l list[T]) indexed(ctx context.Context, q query, out *listResponse) error {
	total, err := l.size(ctx, maxListed+1)
	if err != nil {
		return err
	}
	if total > maxListed {
		return resource.Bad("tooMany", "there are more than %d %s: list them with cursor (RFC 9865)", maxListed,
			l.kind.Path[1:])
	}
	out.Total, out.StartIndex = &total, q.start
	if q.count == 0 || q.start > total {
		return nil
	}
	found, err := l.page(ctx, managed.Page{Offset: q.start - 1, Limit: q.count})
	if err != nil {
		return err
	}
	return l.put(ctx, found, q, out)
}

// cursored lists all resources after the page before.
func (l list[T]) cursored(ctx context.Context, q query, out *listResponse) error {
	found, err := l.page(ctx, managed.Page{After: q.after, Limit: q.count})
	if err != nil {
		return err
	}
	if len(found) == q.count {
		out.Next = base64.RawURLEncoding.EncodeToString([]byte(l.id(found[len(found)-1])))
	}
	return l.put(ctx, found, q, out)
}

func (l list[T]) put(ctx context.Context, found []T, q query, out *listResponse) error {
	docs, err := l.documents(ctx, found, q.projection)
	for _, doc := range docs {
		out.Resources = append(out.Resources, q.projection.Of(doc))
	}
	return err
}
