// Package adminapi serves the JSON API for administration at /admin/api/v1. It holds no rules: it checks the access
// token, reads the request, calls an operation of package admin, and answers.
//
//	request ─▶ door: token, scope, limit ─▶ repeat: Idempotency-Key ─▶ huma: schema ─▶ operation of admin ─▶ answer
//
// The OpenAPI document is generated from the Go types of the handlers (docs/decisions), which package pkg/adminapi
// shares with its callers.
package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/repeat"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Config configures an API.
type Config struct {
	Issuer     string
	Operations *admin.Operations
	Policy     idp.Policy
	Ephemeral  ephemeral.Store
	Version    string // of the program
	Explain    explain.Service
	// Provisioning sends people to clients over SCIM.
	Provisioning *provision.Service
	Hardware     bool // attestations are verified against metadata, so phrh can be reached
	// Accept checks an access token for a resource (provider.Provider.Accept).
	Accept func(ctx context.Context, call *oauth.Call, token, resource string) (token.Accepted, error)
	// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
	Nonce func(now time.Time) string
	// MTLS: there is an origin that asks for client certificates.
	MTLS bool
	// Key encrypts answers that are kept for a repeated request: 32 random bytes shared by all replicas.
	Key []byte
}

// API is the http.Handler of everything below /admin/api/, and of its metadata. It is safe for concurrent use.
type API struct {
	cfg     Config
	door    bearer.Door
	admit   func(w http.ResponseWriter, r *http.Request, scope string) (bearer.Caller, *bearer.Refusal)
	mux     *http.ServeMux
	repeats *repeat.Answers
	marks   *declared.Marks
}

// PathMetadata is where the metadata of the API as a protected resource is (RFC 9728 §3.1).
const PathMetadata = oauth.PathResource + adminapi.Path

// Prefix is the path below which everything belongs to the API.
const Prefix = "/admin/api/"

const pathDocument = adminapi.Path + "/openapi.json"

// New returns the API.
func New(cfg Config) (*API, error) {
	if cfg.Operations == nil || cfg.Provisioning == nil || cfg.Ephemeral == nil || cfg.Accept == nil ||
		cfg.Nonce == nil || len(cfg.Key) < 32 {
		return nil, errors.New("the admin API needs operations, a store, Accept, Nonce and a key of 32 bytes")
	}
	a := &API{
		cfg: cfg, mux: http.NewServeMux(),
		door: bearer.Door{
			Issuer: cfg.Issuer, Path: adminapi.Path, Name: "Stepward admin API", Channel: admin.ChannelAPI, Policy: cfg.Policy,
			Ephemeral: cfg.Ephemeral, Accept: cfg.Accept, Nonce: cfg.Nonce, Scopes: adminapi.Scopes(), Enough: scopesFor,
			MTLS: cfg.MTLS, Requests: limit.AdminAPI, Refused: limit.AdminAPIRefused,
		},
		repeats: repeat.New(cfg.Ephemeral, cfg.Key),
		marks:   declared.New(cfg.Operations.DB()),
	}
	a.admit = a.door.Admit
	api := a.operations()
	// Marshalling it would take a fifth of a start.
	document := sync.OnceValue(func() []byte {
		text, err := json.Marshal(api.OpenAPI())
		if err != nil {
			panic(fmt.Sprintf("the OpenAPI document: %v", err)) // the same in each process, so a test sees it
		}
		return text
	})
	metadata, err := json.Marshal(a.door.Metadata()) // RFC 9728
	if err != nil {
		return nil, fmt.Errorf("describe the resource: %w", err)
	}
	a.mux.HandleFunc("GET "+pathDocument, publish(document))
	a.mux.HandleFunc("GET "+PathMetadata, publish(func() []byte { return metadata }))
	a.mux.HandleFunc("/", a.nowhere)
	return a, nil
}

// operations adds all operations.
func (a *API) operations() huma.API {
	takeOver()
	api := huma.NewAPI(a.describe(), a)
	a.users(api)
	a.people(api)
	a.groups(api)
	a.claims(api)
	a.clients(api)
	a.provisioning(api)
	a.events(api)
	a.policy(api)
	a.explain(api)
	a.desired(api)
	a.standing(api)
	return api
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Undeclared hides how long a body claims to be, so that the API says itself that one is too long, when it reads it.
func Undeclared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			r.ContentLength = -1
		}
		next.ServeHTTP(w, r)
	})
}

func publish(document func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(document())
	}
}

// describe returns the general part of the OpenAPI document, and how bodies are read.
func (a *API) describe() huma.Config {
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	scopes := map[string]string{}
	for _, name := range adminapi.Scopes() {
		scopes[name] = a.cfg.Policy.Scopes[name].Description
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Stepward admin API", Version: "1",
				Description: "Users, groups, claims, clients, events and the policy of a Stepward server. " +
					"Errors are problem documents (RFC 9457) with a stable code.",
			},
			Servers: []*huma.Server{{URL: a.cfg.Issuer + adminapi.Path}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{security: {
					Type: "oauth2", Description: "Access tokens of this server for the resource " + a.cfg.Issuer + adminapi.Path,
					Flows: &huma.OAuthFlows{
						ClientCredentials: &huma.OAuthFlow{TokenURL: a.cfg.Issuer + oauth.PathToken, Scopes: scopes},
						AuthorizationCode: &huma.OAuthFlow{
							AuthorizationURL: a.cfg.Issuer + oauth.PathAuthorize, TokenURL: a.cfg.Issuer + oauth.PathToken, Scopes: scopes,
						},
					},
				}},
			},
		},
		Formats:                      map[string]huma.Format{mediaJSON: strict, "json": strict},
		DefaultFormat:                mediaJSON,
		RejectUnknownQueryParameters: true,
	}
}

const (
	mediaJSON = "application/json"
	security  = "stepward"
)

// unmarshal reads a body: one JSON object, without repeated members.
func unmarshal(data []byte, v any) error {
	if err := oauth.StrictObject(data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// nowhere answers requests that no operation matches.
func (a *API) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		write(w, r, problem(http.StatusMethodNotAllowed, "method_not_allowed", "this method is not allowed here"))
		return
	}
	write(w, r, problem(http.StatusNotFound, "not_found", "there is nothing at this path; see "+pathDocument))
}

// An operation is what all operations have in common in the document.
type operation struct {
	id, method, path string
	summary          string
	tag              string
	scope            string // the narrowest scope that allows it
	status           int    // of success; 0: 200, or 204 without a body
	versioned        bool   // needs If-Match
}

// register adds an operation to the API and its document.
func register[I, O any](api huma.API, op operation, handle func(context.Context, *I) (*O, error)) {
	errs := []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}
	if _, ok := any(new(I)).(condition); ok || op.versioned {
		errs = append(errs, http.StatusPreconditionFailed)
	}
	if op.versioned {
		errs = append(errs, http.StatusPreconditionRequired)
	}
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Tags: []string{op.tag},
		DefaultStatus: op.status, Errors: errs, Security: []map[string][]string{{security: {op.scope}}},
	}
	if op.method == http.MethodPost {
		described.Parameters = append(described.Parameters, &huma.Param{
			Name: repeat.Header, In: "header",
			Schema:      &huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(repeat.MaxKey)},
			Description: "Makes the request safe to repeat for 24 hours: a repeated one gets the first one's answer.",
		})
	}
	huma.Register(api, described, func(ctx context.Context, in *I) (out *O, err error) {
		if err = api.Adapter().(*API).allowed(ctx, in); err == nil {
			out, err = handle(ctx, in)
		}
		if err != nil {
			return nil, failure(ctx, err)
		}
		return out, nil
	})
}

// scopesFor returns the scopes of which one is enough for an operation that needs this one.
func scopesFor(scope string) []string {
	enough := []string{scope, adminapi.ScopeWrite}
	if own, ok := strings.CutSuffix(scope, ":read"); ok {
		enough = append(enough, adminapi.ScopeRead, own+":write")
	}
	slices.Sort(enough)
	return slices.Compact(enough)
}
