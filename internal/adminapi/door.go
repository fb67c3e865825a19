package adminapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/pkg/adminapi"
)

// class is the action class that a person must have confirmed to change something.
const class = "admin"

// codeStepUp is the error of RFC 9470 §3.
const codeStepUp = "insufficient_user_authentication"

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
		actor, scopes, bad := a.admit(w, r, scope)
		if bad != nil {
			a.refuse(w, r, scope, bad)
			return
		}
		body, bad := read(r)
		if bad != nil {
			write(w, r, bad)
			return
		}
		answer := func(w http.ResponseWriter) {
			handle(&call{humago.NewContext(op, r, challenger{w, r, a, scope}), actor, scopes, body})
		}
		if key := r.Header.Get(headerRepeat); key != "" && r.Method == http.MethodPost {
			a.once(w, r, repeated{key: key, actor: actor, body: body}, answer)
			return
		}
		answer(w)
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

// admit checks the access token of a request, and returns who makes it and the scopes of the token.
func (a *API) admit(w http.ResponseWriter, r *http.Request, scope string) (admin.Actor, []string, *failed) {
	refuse := func(bad *failed) (admin.Actor, []string, *failed) { return admin.Actor{}, nil, bad }
	c := &oauth.Call{Sender: oauth.SenderOf(r)}
	c.Sender.Path = r.URL.EscapedPath() // as the DPoP proof has it
	if len(c.Sender.Proofs) > 0 {
		w.Header().Set("DPoP-Nonce", a.cfg.Nonce(time.Now()))
	}
	text, bad := bearer(r)
	if bad != nil {
		return refuse(bad)
	}
	t, err := a.cfg.Accept(r.Context(), c, text, a.cfg.Issuer+adminapi.Path)
	if err != nil {
		return refuse(a.unaccepted(r, oauth.ErrorOf(r.Context(), "accept token", err)))
	}
	web.Note(r.Context(), slog.String("client", t.Client.ID))
	who := "client:" + t.Client.ID
	if t.User.ID != "" {
		who = "user:" + t.User.ID
	}
	over, err := limit.Exceeded(r.Context(), a.cfg.Ephemeral, limit.AdminAPI.Of(who))
	if err != nil {
		return refuse(failure(r.Context(), err))
	}
	if over {
		return refuse(tooMany(limit.AdminAPI))
	}
	if !slices.ContainsFunc(scopesFor(scope), func(s string) bool { return slices.Contains(t.Scopes, s) }) {
		return refuse(lacks(t, scope))
	}
	actor := admin.Actor{
		Channel: admin.ChannelAPI, UserID: t.User.ID, ClientID: t.Client.ID, SessionID: t.SessionID,
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()), RequestID: web.RequestID(r.Context()),
	}
	switch {
	case t.User.ID == "":
		actor.Role = machineRole(scope)
	case slices.Contains(t.Assurance.ActionClasses, class):
		actor.ConfirmedAt = t.Assurance.AuthTime
	}
	return actor, t.Scopes, nil
}

// machineRole is the role in which a client acts that acts for itself: its scopes say what it may, and no client is an
// owner.
func machineRole(scope string) directory.Role {
	if strings.HasSuffix(scope, ":read") {
		return directory.RoleAuditor
	}
	return directory.RoleAdmin
}

// bearer returns the access token of the Authorization header, the only place for it.
func bearer(r *http.Request) (string, *failed) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", problem(http.StatusBadRequest, "invalid_request", "the Authorization header is repeated")
	}
	scheme, text, _ := strings.Cut(strings.Join(values, ""), " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || text == "" {
		return "", problem(http.StatusUnauthorized, codeMissing, "an access token is required")
	}
	return text, nil
}

// codeMissing is the code without a token. The challenge then names no error (RFC 6750 §3.1).
const codeMissing = "token_required"

// unaccepted returns the problem for a token that was not accepted, and limits how many a network presents.
func (a *API) unaccepted(r *http.Request, bad *oauth.Error) *failed {
	f := problem(bad.Status, bad.Code, bad.Description)
	if bad.Status != http.StatusUnauthorized {
		if bad.Status == http.StatusServiceUnavailable {
			f.header = http.Header{"Retry-After": {"5"}}
		}
		return f
	}
	if bad.Code == "use_dpop_nonce" { // how every conversation with DPoP begins
		return f
	}
	over, err := limit.Exceeded(r.Context(), a.cfg.Ephemeral, limit.AdminAPIRefused.Of(web.ClientNetwork(r)))
	if err != nil {
		return failure(r.Context(), err)
	}
	if over {
		return tooMany(limit.AdminAPIRefused)
	}
	return f
}

func tooMany(l limit.Limit) *failed {
	f := problem(http.StatusTooManyRequests, "too_many_requests", "too many requests; try again later")
	f.header = http.Header{"Retry-After": {strconv.Itoa(int(l.Window.Seconds()))}}
	return f
}

// lacks returns the problem for a token without the scope. If a person lacks it because their confirmation is too old,
// a step-up brings it back; if the client may not have it, nothing does.
func lacks(t token.Accepted, scope string) *failed {
	allowed := slices.ContainsFunc(scopesFor(scope), func(s string) bool { return slices.Contains(t.Client.Scopes, s) })
	if t.User.ID != "" && allowed && strings.HasSuffix(scope, ":write") {
		return problem(http.StatusUnauthorized, codeStepUp, "confirm with a passkey first: request the scope again")
	}
	return problem(http.StatusForbidden, "insufficient_scope", "the access token lacks the scope "+scope)
}

// refuse sends a problem of the door with its challenge.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, scope string, f *failed) {
	a.challenge(w.Header(), r, scope, f.Status, f.Code, f.Detail)
	write(w, r, f)
}

// challenge says how to get a token that is accepted (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1). The
// scheme of the request comes first, with the reason.
func (a *API) challenge(h http.Header, r *http.Request, scope string, status int, code, detail string) {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return
	}
	if status == http.StatusForbidden && code != "insufficient_scope" { // another token would not help
		return
	}
	reason := `, resource_metadata="` + a.cfg.Issuer + PathMetadata + `"`
	if code != codeMissing {
		reason += `, error="` + code + `", error_description="` + oauth.Describable(detail) + `"`
	}
	switch code {
	case "insufficient_scope", codeMissing:
		reason += `, scope="` + scope + `"`
	case codeStepUp:
		reason += `, scope="` + scope + `", acr_values="` + a.cfg.Policy.ActionClasses[class].ACR + `", max_age="` +
			strconv.Itoa(int(admin.ConfirmFor.Seconds())) + `"`
	}
	algorithms := `, algs="` + strings.Join(dpop.Algorithms, " ") + `"`
	if oauth.SenderOf(r).Scheme == "dpop" {
		h.Add("WWW-Authenticate", `DPoP realm="`+a.cfg.Issuer+`"`+reason+algorithms)
		return
	}
	h.Add("WWW-Authenticate", `Bearer realm="`+a.cfg.Issuer+`"`+reason)
	if status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `DPoP realm="`+a.cfg.Issuer+`"`+algorithms)
	}
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
		c.api.challenge(c.Header(), c.r, c.scope, status, codeStepUp, "confirm with a passkey first")
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the ResponseWriter.
func (c challenger) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// resource is the metadata of the API as a protected resource (RFC 9728 §2).
func (a *API) resource() map[string]any {
	return map[string]any{
		"resource":                                   a.cfg.Issuer + adminapi.Path,
		"resource_name":                              "Stepward admin API",
		"authorization_servers":                      []string{a.cfg.Issuer},
		"scopes_supported":                           adminapi.Scopes(),
		"bearer_methods_supported":                   []string{"header"},
		"dpop_signing_alg_values_supported":          dpop.Algorithms,
		"dpop_bound_access_tokens_required":          false, // for all tokens; a bound token needs its proof
		"tls_client_certificate_bound_access_tokens": a.cfg.MTLS,
	}
}
