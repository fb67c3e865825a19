// Package bearer is the door of the APIs that this server has itself (admin API, SCIM): it checks the access token of a
// request and returns who makes it, or why not and with which challenge.
//
//	request ─▶ one token in the header ─▶ valid for this API ─▶ limit ─▶ scope ─▶ Caller
//	                                            └── Refusal ─▶ Challenge
package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// class is the action class that a person must have confirmed to change something.
const class = "admin"

// Codes of refusals that callers treat differently.
const (
	// CodeStepUp is the error of RFC 9470 §3.
	CodeStepUp = "insufficient_user_authentication"
	// CodeMissing is the code without a token. The challenge then names no error (RFC 6750 §3.1).
	CodeMissing = "token_required"
)

// A Door is that of one API. It is safe for concurrent use.
type Door struct {
	Issuer    string
	Path      string // of the API; the issuer and it are the resource that tokens are for
	Name      string // of the API, for its metadata
	Channel   admin.Channel
	Policy    idp.Policy
	Ephemeral ephemeral.Store
	// Accept checks an access token for a resource (provider.Provider.Accept).
	Accept func(ctx context.Context, call *oauth.Call, token, resource string) (token.Accepted, error)
	// Authenticate accepts the secret of a client instead of a token, for directories that get none (Okta); nil: never.
	Authenticate func(ctx context.Context, call *oauth.Call) (idp.Client, error)
	// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
	Nonce func(now time.Time) string
	// Scopes are all scopes of the API. Enough returns those of which one is enough where this one is needed.
	Scopes []string
	Enough func(scope string) []string
	// Machines: only clients that act for themselves may enter.
	Machines bool
	// MTLS: there is an origin that asks for client certificates.
	MTLS bool
	// Requests limits the requests of a client or person, Refused the tokens of a network that are not accepted.
	Requests, Refused limit.Limit
}

// A Caller is the party that makes a request, and the scopes of its token.
type Caller struct {
	Actor  admin.Actor
	Scopes []string
}

// A Refusal is why a request does not enter.
type Refusal struct {
	Status       int
	Code, Detail string
	RetryAfter   time.Duration // zero: not said
}

// Resource is the URI of the API.
func (d *Door) Resource() string { return d.Issuer + d.Path }

// PathMetadata is where the metadata of the API as a protected resource is (RFC 9728 §3.1).
func (d *Door) PathMetadata() string { return oauth.PathResource + d.Path }

// Admit checks the access token of a request for something that needs a scope.
func (d *Door) Admit(w http.ResponseWriter, r *http.Request, scope string) (Caller, *Refusal) {
	c := &oauth.Call{Sender: oauth.SenderOf(r)}
	c.Sender.Path = r.URL.EscapedPath() // as the DPoP proof has it
	if len(c.Sender.Proofs) > 0 {
		w.Header().Set("DPoP-Nonce", d.Nonce(time.Now()))
	}
	t, bad := d.accept(r, c)
	if bad != nil {
		return Caller{}, bad
	}
	web.Note(r.Context(), slog.String("client", t.Client.ID))
	who := "client:" + t.Client.ID
	if t.User.ID != "" {
		who = "user:" + t.User.ID
	}
	over, err := limit.Exceeded(r.Context(), d.Ephemeral, d.Requests.Of(who))
	switch {
	case err != nil:
		return Caller{}, broken(r.Context(), err)
	case over:
		return Caller{}, tooMany(d.Requests)
	case !d.allows(t.Scopes, scope):
		return Caller{}, d.lacks(t, scope)
	case d.Machines && t.User.ID != "":
		return Caller{}, &Refusal{
			Status: http.StatusForbidden, Code: "machines_only", Detail: "only clients that act for themselves may do this",
		}
	}
	actor := admin.Actor{
		Channel: d.Channel, UserID: t.User.ID, ClientID: t.Client.ID, SessionID: t.SessionID,
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()), RequestID: web.RequestID(r.Context()),
	}
	switch {
	case t.User.ID == "":
		actor.Role = machineRole(scope)
	case slices.Contains(t.Assurance.ActionClasses, class):
		actor.ConfirmedAt = t.Assurance.AuthTime
	}
	return Caller{actor, t.Scopes}, nil
}

// accept returns what the request presents: an access token, or the secret of a client.
func (d *Door) accept(r *http.Request, c *oauth.Call) (token.Accepted, *Refusal) {
	if id, secret, basic := r.BasicAuth(); basic && d.Authenticate != nil && len(r.Header.Values("Authorization")) == 1 {
		c.Credentials = oauth.Credentials{ClientID: id, Secret: secret, Basic: true}
		client, err := d.Authenticate(r.Context(), c)
		if err == nil && (client.Policy == idp.PolicyFAPI2 || client.DPoPBound ||
			!slices.Contains(client.GrantTypes, idp.GrantClientCredentials)) {
			err = oauth.InvalidClient()
		}
		if err != nil {
			return token.Accepted{}, d.unaccepted(r, oauth.ErrorOf(r.Context(), "authenticate client", err))
		}
		return token.Accepted{Client: client, Scopes: client.Scopes}, nil
	}
	text, bad := presented(r)
	if bad != nil {
		return token.Accepted{}, bad
	}
	t, err := d.Accept(r.Context(), c, text, d.Resource())
	if err != nil {
		return t, d.unaccepted(r, oauth.ErrorOf(r.Context(), "accept token", err))
	}
	return t, nil
}

func (d *Door) allows(scopes []string, needed string) bool {
	return slices.ContainsFunc(d.Enough(needed), func(s string) bool { return slices.Contains(scopes, s) })
}

// Reads reports whether a scope only allows reading.
func Reads(scope string) bool { return strings.HasSuffix(scope, ":read") }

// machineRole is the role in which a client acts that acts for itself: its scopes say what it may, and no client is an
// owner.
func machineRole(scope string) directory.Role {
	if Reads(scope) {
		return directory.RoleAuditor
	}
	return directory.RoleAdmin
}

// presented returns the access token of the Authorization header, the only place for it.
func presented(r *http.Request) (string, *Refusal) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", &Refusal{
			Status: http.StatusBadRequest, Code: "invalid_request", Detail: "the Authorization header is repeated",
		}
	}
	scheme, text, _ := strings.Cut(strings.Join(values, ""), " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || text == "" {
		return "", &Refusal{Status: http.StatusUnauthorized, Code: CodeMissing, Detail: "an access token is required"}
	}
	return text, nil
}

// unaccepted returns the refusal of a token that was not accepted, and limits how many a network presents.
func (d *Door) unaccepted(r *http.Request, bad *oauth.Error) *Refusal {
	f := refusal(bad)
	if bad.Status != http.StatusUnauthorized || bad.Code == "use_dpop_nonce" { // how every conversation with DPoP begins
		return f
	}
	over, err := limit.Exceeded(r.Context(), d.Ephemeral, d.Refused.Of(web.ClientNetwork(r)))
	if err != nil {
		return broken(r.Context(), err)
	}
	if over {
		return tooMany(d.Refused)
	}
	return f
}

func refusal(bad *oauth.Error) *Refusal {
	f := &Refusal{Status: bad.Status, Code: bad.Code, Detail: bad.Description}
	if bad.Status == http.StatusServiceUnavailable {
		f.RetryAfter = 5 * time.Second
	}
	return f
}

func broken(ctx context.Context, err error) *Refusal {
	return refusal(oauth.Broken(ctx, "count request", err))
}

func tooMany(l limit.Limit) *Refusal {
	return &Refusal{
		Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "too many requests; try again later",
		RetryAfter: l.Window,
	}
}

// lacks returns the refusal of a token without the scope. If a person lacks it because their confirmation is too old, a
// step-up brings it back; if the client may not have it, nothing does.
func (d *Door) lacks(t token.Accepted, scope string) *Refusal {
	if t.User.ID != "" && !Reads(scope) && d.allows(t.Client.Scopes, scope) {
		return &Refusal{
			Status: http.StatusUnauthorized, Code: CodeStepUp,
			Detail: "confirm with a passkey first: request the scope again",
		}
	}
	return &Refusal{
		Status: http.StatusForbidden, Code: "insufficient_scope", Detail: "the access token lacks the scope " + scope,
	}
}

// Challenge says how to get a token that is accepted (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1). The
// scheme of the request comes first, with the reason.
func (d *Door) Challenge(h http.Header, r *http.Request, scope string, f Refusal) {
	if f.Status != http.StatusUnauthorized && f.Status != http.StatusForbidden {
		return
	}
	if f.Status == http.StatusForbidden && f.Code != "insufficient_scope" { // another token would not help
		return
	}
	reason := `, resource_metadata="` + d.Issuer + d.PathMetadata() + `"`
	if f.Code != CodeMissing {
		reason += `, error="` + f.Code + `", error_description="` + oauth.Describable(f.Detail) + `"`
	}
	switch f.Code {
	case "insufficient_scope", CodeMissing:
		reason += `, scope="` + scope + `"`
	case CodeStepUp:
		reason += `, scope="` + scope + `", acr_values="` + d.Policy.ActionClasses[class].ACR + `", max_age="` +
			strconv.Itoa(int(admin.ConfirmFor.Seconds())) + `"`
	}
	algorithms := `, algs="` + strings.Join(dpop.Algorithms, " ") + `"`
	if oauth.SenderOf(r).Scheme == "dpop" {
		h.Add("WWW-Authenticate", `DPoP realm="`+d.Issuer+`"`+reason+algorithms)
		return
	}
	h.Add("WWW-Authenticate", `Bearer realm="`+d.Issuer+`"`+reason)
	if f.Status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `DPoP realm="`+d.Issuer+`"`+algorithms)
	}
}

// Metadata is the metadata of the API as a protected resource (RFC 9728 §2).
func (d *Door) Metadata() map[string]any {
	return map[string]any{
		"resource":                                   d.Resource(),
		"resource_name":                              d.Name,
		"authorization_servers":                      []string{d.Issuer},
		"scopes_supported":                           d.Scopes,
		"bearer_methods_supported":                   []string{"header"},
		"dpop_signing_alg_values_supported":          dpop.Algorithms,
		"dpop_bound_access_tokens_required":          false, // for all tokens; a bound token needs its proof
		"tls_client_certificate_bound_access_tokens": d.MTLS,
	}
}
