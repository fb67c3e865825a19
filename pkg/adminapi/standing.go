package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Standing is what counts for a user: also what groups around their groups give them.
type Standing struct {
	Groups []string    `json:"groups" doc:"Names of all groups that they are in, directly or through another group."`
	Claims ClaimValues `json:"claims" doc:"Values of claims, their own or inherited."`
}

// A WaitingRecovery is a recovery link that needs the approval of a second admin.
type WaitingRecovery struct {
	MadeBy     string    `json:"made_by,omitempty" doc:"E-mail address; missing: the operator, or a client."`
	ApprovedBy string    `json:"approved_by,omitempty" doc:"E-mail address; missing: it waits."`
	Until      time.Time `json:"until"`
	ApproveAt  string    `json:"approve_at" doc:"The page where another admin approves it."`
}

// A Finding is a setting or a client that can never work.
type Finding struct {
	Code     string `json:"code" doc:"A stable word; docs/admin.md has them."`
	ClientID string `json:"client_id,omitempty"`
	Text     string `json:"text" doc:"In English."`
	Remedy   string `json:"remedy"`
}

// Findings are everything that was found.
type Findings struct {
	Findings []Finding `json:"findings"`
}

// Lint finds what can never work in the policy and the clients.
func (a *API) Lint(ctx context.Context) ([]Finding, error) {
	v, _, err := get[Findings](ctx, a, "/lint")
	return v.Findings, err
}

// Find returns the user with this e-mail address or ID. A *Problem with the code not_found: there is none.
func (u Users) Find(ctx context.Context, name string) (User, error) {
	return found[User](ctx, u.api, call{path: "/users", query: url.Values{"find": {name}}})
}

// Standing returns the groups and the values of claims that count for a user.
func (u Users) Standing(ctx context.Context, id string) (Standing, error) {
	v, _, err := get[Standing](ctx, u.api, path("users", id, "standing"))
	return v, err
}

// WaitingRecovery returns a user's recovery link that needs an approval. A *Problem with the code not_found: there is
// none.
func (u Users) WaitingRecovery(ctx context.Context, id string) (WaitingRecovery, error) {
	v, _, err := get[WaitingRecovery](ctx, u.api, path("users", id, "recovery-link"))
	return v, err
}

// Find returns the group with this name or ID. A *Problem with the code not_found: there is none.
func (g Groups) Find(ctx context.Context, name string) (Group, error) {
	return found[Group](ctx, g.api, call{path: "/groups", query: url.Values{"name": {name}}})
}

// Nesting returns the groups directly around a group.
func (g Groups) Nesting(ctx context.Context, id string) (Nesting, error) {
	v, _, err := get[Nesting](ctx, g.api, path("groups", id, "nesting"))
	return v, err
}

// Claims returns the values that a group gives its members.
func (g Groups) Claims(ctx context.Context, id string) (ClaimValues, error) {
	v, _, err := get[ClaimValues](ctx, g.api, path("groups", id, "claims"))
	return v, err
}

// SetClaims changes the values that a group gives its members.
func (g Groups) SetClaims(ctx context.Context, id string, values ClaimValues) error {
	return tell(ctx, g.api, http.MethodPatch, path("groups", id, "claims"), values)
}

// ExpireSecret sets when a secret stops working; nil: never.
func (c Clients) ExpireSecret(ctx context.Context, id, secretID string, at *time.Time) (Secret, error) {
	v, _, err := send[Secret](ctx, c.api, http.MethodPatch, path("clients", id, "secrets", secretID), "", SecretChange{at})
	return v, err
}

// PolicyTag is the ETag of a version of the policy.
func PolicyTag(version int64) ETag { return ETag(`"` + strconv.FormatInt(version, 10) + `"`) }

// Check returns what Change would change, in words.
func (p Policies) Check(ctx context.Context, sections Sections) ([]string, error) {
	var v Policy
	_, err := p.api.do(ctx, call{
		method: http.MethodPatch, path: "/policy", query: url.Values{"dry_run": {"true"}}, tag: Any,
		in: PolicyChange{sections}, out: &v,
	})
	return v.Changes, err
}

// found returns the one object of a list.
func found[T any](ctx context.Context, a *API, c call) (v T, err error) {
	var page Page[T]
	c.method, c.out = http.MethodGet, &page
	if _, err := a.do(ctx, c); err != nil {
		return v, err
	}
	if len(page.Items) == 0 {
		status := http.StatusNotFound
		return v, &Problem{
			Type: "urn:stepward:error:not_found", Title: http.StatusText(status), Status: status, Code: "not_found",
			Detail: "there is no such object",
		}
	}
	return page.Items[0], nil
}
