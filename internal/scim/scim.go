// Package scim serves SCIM 2.0 (RFC 7643, RFC 7644) at /scim/v2: a directory provisions people and groups. It holds no
// rules of administration: it reads the request, calls an operation of package admin, and answers.
//
//	request ─▶ door: token, scope, limit ─▶ route ─▶ clean, filter or patch ─▶ operation of admin ─▶ document ─▶ answer
//
// What a directory says of a user is kept as a document beside the account, and what the account has of it (name,
// address, profile) wins where the two differ: users may change that themselves. Filters and lists read a bounded
// number of rows, by an index; what no index finds is refused.
package scim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/admin/sync"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/token"
)

// Config configures a Server.
type Config struct {
	Issuer     string
	DB         *store.DB
	Operations *admin.Operations
	Policy     idp.Policy
	Ephemeral  ephemeral.Store
	// Mails: there is a mail server, so new people get their invitation by e-mail.
	Mails bool
	// Accept checks an access token for a resource (provider.Provider.Accept).
	Accept func(ctx context.Context, call *oauth.Call, token, resource string) (token.Accepted, error)
	// Authenticate accepts the secret of a client instead of a token (provider.Provider.Authenticate).
	Authenticate func(ctx context.Context, call *oauth.Call) (idp.Client, error)
	// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
	Nonce func(now time.Time) string
	// MTLS: there is an origin that asks for client certificates.
	MTLS bool
}

// Server is the http.Handler of everything below /scim/v2, and of its metadata. It is safe for concurrent use.
type Server struct {
	cfg     Config
	door    bearer.Door
	mux     *http.ServeMux
	sync    sync.Sync
	records *managed.Records
}

// Prefix is the path below which everything belongs to SCIM.
const Prefix = directory.PathSCIM + "/"

// PathMetadata is where the metadata of SCIM as a protected resource is (RFC 9728 §3.1).
const PathMetadata = oauth.PathResource + directory.PathSCIM

const media = "application/scim+json"

// A request is one that has passed the door.
type request struct {
	*http.Request
	actor admin.Actor
	body  []byte
}

// An answer is what a handler sends: a document, nothing, or what is there under another name.
type answer struct {
	status   int
	doc      any
	etag     string
	location string
}

type handler func(ctx context.Context, r *request) (*answer, error)

// New returns the server.
func New(cfg Config) (*Server, error) {
	if cfg.DB == nil || cfg.Operations == nil || cfg.Ephemeral == nil || cfg.Accept == nil || cfg.Nonce == nil {
		return nil, errors.New("SCIM needs a store, operations, an ephemeral store, Accept and Nonce")
	}
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), records: managed.New(cfg.DB),
		sync: sync.Sync{DB: cfg.DB, Operations: cfg.Operations},
	}
	s.door = bearer.Door{
		Issuer: cfg.Issuer, Path: directory.PathSCIM, Name: "Stepward SCIM", Channel: admin.ChannelSCIM, Policy: cfg.Policy,
		Ephemeral: cfg.Ephemeral, Accept: cfg.Accept, Authenticate: cfg.Authenticate, Nonce: cfg.Nonce, Enough: enough,
		Machines: true, MTLS: cfg.MTLS,
		Scopes:   []string{directory.ScopeSCIM, directory.ScopeSCIMRead},
		Requests: limit.SCIM, Refused: limit.SCIMRefused,
	}
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.method+" "+directory.PathSCIM+r.path, s.handle(r.scope, r.handle))
	}
	s.mux.HandleFunc("GET "+PathMetadata, s.metadata)
	s.mux.HandleFunc("/", s.nowhere)
	return s, nil
}

// enough returns the scopes of which one is enough where this one is needed.
func enough(scope string) []string {
	if scope == directory.ScopeSCIMRead {
		return []string{directory.ScopeSCIM, directory.ScopeSCIMRead}
	}
	return []string{scope}
}

// users, groups and discovery have the handlers.
type (
	users     struct{ *Server }
	groups    struct{ *Server }
	discovery struct{ *Server }
)

// A route is one row of the table of who may do what.
type route struct {
	method, path string
	scope        string // that allows it
	handle       handler
}

func (s *Server) routes() []route {
	const read, write = directory.ScopeSCIMRead, directory.ScopeSCIM
	people, teams, about := users{s}, groups{s}, discovery{s}
	return []route{
		{"GET", "/Users", read, people.listUsers},
		{"POST", "/Users/.search", read, people.searchUsers},
		{"POST", "/Users", write, people.createUser},
		{"GET", "/Users/{id}", read, people.getUser},
		{"PUT", "/Users/{id}", write, people.replaceUser},
		{"PATCH", "/Users/{id}", write, people.patchUser},
		{"DELETE", "/Users/{id}", write, people.deleteUser},
		{"GET", "/Groups", read, teams.listGroups},
		{"POST", "/Groups/.search", read, teams.searchGroups},
		{"POST", "/Groups", write, teams.createGroup},
		{"GET", "/Groups/{id}", read, teams.getGroup},
		{"PUT", "/Groups/{id}", write, teams.replaceGroup},
		{"PATCH", "/Groups/{id}", write, teams.patchGroup},
		{"DELETE", "/Groups/{id}", write, teams.deleteGroup},
		{"GET", "/ServiceProviderConfig", read, about.providerConfig},
		{"GET", "/ResourceTypes", read, about.resourceTypes},
		{"GET", "/ResourceTypes/{name}", read, about.resourceType},
		{"GET", "/Schemas", read, about.schemas},
		{"GET", "/Schemas/{id}", read, about.schema},
		{"POST", "/Bulk", write, unsupported},
		{"POST", "/.search", read, unsupported},
		{"GET", "/Me", read, unsupported},
	}
}

// unsupported answers what RFC 7644 leaves to the provider: bulk, a search over all kinds, and Me.
func unsupported(context.Context, *request) (*answer, error) {
	return nil, &resource.Failure{Status: http.StatusNotImplemented, Detail: "this is not supported"}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// handle returns the handler of a route behind the door.
func (s *Server) handle(scope string, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		oauth.NoStore(w)
		caller, refused := s.door.Admit(w, r, scope)
		if refused != nil {
			s.door.Challenge(w.Header(), r, scope, *refused)
			fail(w, &resource.Failure{Status: refused.Status, Detail: refused.Detail, RetryAfter: refused.RetryAfter})
			return
		}
		body, err := read(r)
		var a *answer
		if err == nil {
			a, err = h(r.Context(), &request{r, caller.Actor, body})
		}
		if err != nil {
			fail(w, failure(r.Context(), err))
			return
		}
		a.send(w, r)
	}
}

// read reads the body of a request, whose type must be JSON.
func read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if _, big := errors.AsType[*http.MaxBytesError](err); big {
		return nil, &resource.Failure{Status: http.StatusRequestEntityTooLarge, Detail: "the body is too long; split it"}
	}
	if err != nil {
		return nil, resource.Bad("invalidSyntax", "the body ended early")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(body) > 0 && (err != nil || kind != media && kind != "application/json") {
		return nil, &resource.Failure{Status: http.StatusUnsupportedMediaType, Detail: "the body must be " + media}
	}
	return body, nil
}

func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if a.etag != "" {
		h.Set("ETag", a.etag)
	}
	if a.location != "" {
		h.Set("Content-Location", a.location)
		if a.status == http.StatusCreated {
			h.Set("Location", a.location)
		}
	}
	if r.Method == http.MethodGet && a.etag != "" && slices.Contains(tags(r.Header.Get("If-None-Match")), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if a.doc == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write(w, a.status, a.doc)
}

func write(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", media)
	if status != 0 {
		w.WriteHeader(status)
	}
	_ = json.NewEncoder(w).Encode(doc)
}

func fail(w http.ResponseWriter, f *resource.Failure) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	write(w, f.Status, f)
}

// nowhere answers requests that no route matches. It says so to everybody: the paths are public.
func (s *Server) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		fail(w, &resource.Failure{Status: http.StatusMethodNotAllowed, Detail: "this method is not allowed here"})
		return
	}
	fail(w, &resource.Failure{Status: http.StatusNotFound, Detail: "there is nothing at this path"})
}

func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_ = json.NewEncoder(w).Encode(s.door.Metadata())
}

// Versions of resources (RFC 7644 §3.14).

// etag returns the ETag of a resource that was changed at this time.
func etag(updated time.Time) string { return `W/"` + strconv.FormatInt(updated.UnixMilli(), 36) + `"` }

func tags(header string) (list []string) {
	for tag := range strings.SplitSeq(header, ",") {
		list = append(list, strings.TrimSpace(tag))
	}
	return list
}

// version returns the version that If-Match demands; zero: any. Weak tags count as well, because ours are.
func (r *request) version(updated time.Time) (time.Time, error) {
	sent := r.Header.Get("If-Match")
	if sent == "" || sent == "*" {
		return time.Time{}, nil
	}
	for _, tag := range tags(sent) {
		if tag == etag(updated) || "W/"+tag == etag(updated) {
			return updated, nil
		}
	}
	return time.Time{}, admin.ErrStale
}
