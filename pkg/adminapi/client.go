package adminapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials are those of a client that acts for itself (client_credentials).
type Credentials struct {
	ClientID, Secret string
	// Scopes to ask for; empty: all that the client has.
	Scopes []string
}

// An API is a connection to a server. It is safe for concurrent use.
type API struct {
	Users   Users
	Groups  Groups
	Claims  Claims
	Clients Clients
	Events  Events
	Policy  Policies
	base    string
	http    *http.Client
	tag     ETag // of If
}

// New returns the API of the server with this issuer, for a client that acts for itself. It gets access tokens as it
// needs them.
func New(issuer string, c Credentials) (*API, error) {
	if c.ClientID == "" || c.Secret == "" {
		return nil, errors.New("adminapi: client ID and secret are needed")
	}
	issuer = strings.TrimSuffix(issuer, "/")
	tokens := clientcredentials.Config{
		ClientID: c.ClientID, ClientSecret: c.Secret, TokenURL: issuer + "/oauth2/token", Scopes: c.Scopes,
		EndpointParams: url.Values{"resource": {issuer + Path}},
	}
	return With(issuer, tokens.Client(context.Background())), nil
}

// With returns the API over an HTTP client that adds access tokens for the resource issuer + Path, such as one for a
// person, or one that makes DPoP proofs.
func With(issuer string, h *http.Client) *API {
	return connect(&API{base: strings.TrimSuffix(issuer, "/") + Path, http: h})
}

// If returns the API for one change that is made only if the object still has this version: removing, enabling or
// disabling it, or changing its members, values or secrets.
//
//	err := api.If(tag).Clients.Remove(ctx, id)
func (a *API) If(tag ETag) *API { return connect(&API{base: a.base, http: a.http, tag: tag}) }

func connect(a *API) *API {
	a.Users, a.Groups, a.Claims, a.Clients, a.Events = Users{a}, Groups{a}, Claims{a}, Clients{a}, Events{a}
	a.Policy = Policies{a}
	return a
}

// Version returns which program answers.
func (a *API) Version(ctx context.Context) (v Version, err error) {
	_, err = a.do(ctx, call{method: http.MethodGet, path: "/version", out: &v})
	return v, err
}

// An ETag names the version of an object that a change is based on. If the object has changed since, the change fails
// with the code "stale".
type ETag string

// Any changes an object whatever its version is.
const Any ETag = "*"

// A call is one request.
type call struct {
	method, path string
	query        url.Values
	tag          ETag
	in, out      any
}

// Tries and pause of a request whose answer was lost.
const (
	tries = 3
	pause = 500 * time.Millisecond
)

// do makes a request. One that creates something has a key by which the server knows it again, and one that only reads
// changes nothing, so both are repeated if the answer was lost.
func (a *API) do(ctx context.Context, c call) (ETag, error) {
	var body []byte
	if c.in != nil {
		var err error
		if body, err = json.Marshal(c.in); err != nil {
			return "", fmt.Errorf("adminapi: %w", err)
		}
	}
	key := ""
	if c.method == http.MethodPost {
		key = rand.Text()
	}
	repeats := c.method == http.MethodGet || key != ""
	for try := 1; ; try++ {
		tag, err := a.once(ctx, c, body, key)
		if err == nil || !repeats || !lost(err) || try == tries {
			return tag, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(pause * time.Duration(try)):
		}
	}
}

// lost reports whether it is unknown what became of a request, or the server asks to try again.
func lost(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		_, refused := errors.AsType[*oauth2.RetrieveError](err)
		return !refused
	}
	return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusBadGateway || p.Code == "in_progress"
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 20

func (a *API) once(ctx context.Context, c call, body []byte, key string) (ETag, error) {
	address := a.base + c.path
	if len(c.query) > 0 {
		address += "?" + c.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, c.method, address, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("adminapi: %w", err)
	}
	r.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	if c.tag == "" && c.method != http.MethodGet {
		c.tag = a.tag
	}
	if c.tag != "" {
		r.Header.Set("If-Match", string(c.tag))
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return "", fmt.Errorf("adminapi: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("adminapi: read answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return "", problemOf(resp, text)
	}
	if c.out != nil {
		if err := json.Unmarshal(text, c.out); err != nil {
			return "", fmt.Errorf("adminapi: read answer: %w", err)
		}
	}
	return ETag(resp.Header.Get("ETag")), nil
}

// problemOf returns the problem of an answer, also of one that comes from a proxy.
func problemOf(resp *http.Response, text []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(text, p) != nil || p.Code == "" {
		p = &Problem{Code: "unknown", Detail: "the answer is not one of Stepward"}
	}
	p.Status, p.Title = resp.StatusCode, http.StatusText(resp.StatusCode)
	return p
}

// pages returns an iterator over a list, which fetches a page when it needs one.
func pages[T any](ctx context.Context, a *API, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		at := url.Values{}
		for name, values := range query {
			at[name] = values
		}
		for {
			var page Page[T]
			if _, err := a.do(ctx, call{method: http.MethodGet, path: path, query: at, out: &page}); err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			at.Set("cursor", page.Next)
		}
	}
}

// path joins the parts of a path, each escaped.
func path(parts ...string) (p string) {
	for _, part := range parts {
		p += "/" + url.PathEscape(part)
	}
	return p
}

// get, send and remove are the calls that most methods make.
func get[T any](ctx context.Context, a *API, at string) (v T, tag ETag, err error) {
	tag, err = a.do(ctx, call{method: http.MethodGet, path: at, out: &v})
	return v, tag, err
}

func send[T any](ctx context.Context, a *API, method, at string, tag ETag, in any) (v T, is ETag, err error) {
	is, err = a.do(ctx, call{method: method, path: at, tag: tag, in: in, out: &v})
	return v, is, err
}

func tell(ctx context.Context, a *API, method, at string, in any) error {
	_, err := a.do(ctx, call{method: method, path: at, in: in})
	return err
}
