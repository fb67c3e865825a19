package adminapi

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Users are the operations on users.
type Users struct{ api *API }

// Search returns users whose e-mail address or name contains the text, or who have it as ID; "" finds all.
func (u Users) Search(ctx context.Context, text string) iter.Seq2[User, error] {
	query := url.Values{"limit": {"200"}}
	if text != "" {
		query.Set("q", text)
	}
	return pages[User](ctx, u.api, "/users", query)
}

// Get returns a user.
func (u Users) Get(ctx context.Context, id string) (User, ETag, error) {
	return get[User](ctx, u.api, path("users", id))
}

// Create adds a user, who is invited later.
func (u Users) Create(ctx context.Context, in NewUser) (User, error) {
	v, _, err := send[User](ctx, u.api, http.MethodPost, "/users", "", in)
	return v, err
}

// Invite adds a user, or finds the one who has no passkey yet, and makes a link for them.
func (u Users) Invite(ctx context.Context, in NewInvitation) (Invitation, error) {
	v, _, err := send[Invitation](ctx, u.api, http.MethodPost, "/users/invitations", "", in)
	return v, err
}

// Change changes a user.
func (u Users) Change(ctx context.Context, id string, tag ETag, in UserChange) (User, ETag, error) {
	return send[User](ctx, u.api, http.MethodPatch, path("users", id), tag, in)
}

// Remove removes a user and everything about them, and says how many sessions that ended.
func (u Users) Remove(ctx context.Context, id string) (Ended, error) {
	v, _, err := send[Ended](ctx, u.api, http.MethodDelete, path("users", id), "", nil)
	return v, err
}

// Disable disables a user: their sessions and tokens end.
func (u Users) Disable(ctx context.Context, id string) (Ended, error) {
	v, _, err := send[Ended](ctx, u.api, http.MethodPost, path("users", id, "disable"), "", nil)
	return v, err
}

// Enable enables a disabled user.
func (u Users) Enable(ctx context.Context, id string) (User, error) {
	v, _, err := send[User](ctx, u.api, http.MethodPost, path("users", id, "enable"), "", nil)
	return v, err
}

// RecoveryLink makes a link for a user who lost all passkeys. It gives the account away.
func (u Users) RecoveryLink(ctx context.Context, id string, in RecoveryLinkOrder) (RecoveryLink, error) {
	v, _, err := send[RecoveryLink](ctx, u.api, http.MethodPost, path("users", id, "recovery-link"), "", in)
	return v, err
}

// Passkeys returns the passkeys of a user, without keys.
func (u Users) Passkeys(ctx context.Context, id string) iter.Seq2[Passkey, error] {
	return pages[Passkey](ctx, u.api, path("users", id, "passkeys"), nil)
}

// Sessions returns the sessions of a user.
func (u Users) Sessions(ctx context.Context, id string) iter.Seq2[Session, error] {
	return pages[Session](ctx, u.api, path("users", id, "sessions"), nil)
}

// SignOut ends all sessions of a user and their tokens.
func (u Users) SignOut(ctx context.Context, id string) (Ended, error) {
	v, _, err := send[Ended](ctx, u.api, http.MethodDelete, path("users", id, "sessions"), "", nil)
	return v, err
}

// EndSession ends one session of a user and its tokens.
func (u Users) EndSession(ctx context.Context, id, session string) error {
	return tell(ctx, u.api, http.MethodDelete, path("users", id, "sessions", session), nil)
}

// Applications returns what a user allowed each client.
func (u Users) Applications(ctx context.Context, id string) iter.Seq2[Application, error] {
	return pages[Application](ctx, u.api, path("users", id, "applications"), nil)
}

// RevokeApplication takes back what a user allowed a client.
func (u Users) RevokeApplication(ctx context.Context, id, clientID string) error {
	return tell(ctx, u.api, http.MethodDelete, path("users", id, "applications", clientID), nil)
}

// Groups returns the names of the groups that a user was put into.
func (u Users) Groups(ctx context.Context, id string) ([]string, error) {
	v, _, err := get[GroupNames](ctx, u.api, path("users", id, "groups"))
	return v.Groups, err
}

// SetGroups puts a user into exactly these groups.
func (u Users) SetGroups(ctx context.Context, id string, names ...string) error {
	return tell(ctx, u.api, http.MethodPut, path("users", id, "groups"), GroupNames{Groups: append([]string{}, names...)})
}

// SetClaims changes the values of a user's claims.
func (u Users) SetClaims(ctx context.Context, id string, values ClaimValues) error {
	return tell(ctx, u.api, http.MethodPatch, path("users", id, "claims"), values)
}

// Events returns the events about a user, newest first.
func (u Users) Events(ctx context.Context, id string) iter.Seq2[Event, error] {
	return pages[Event](ctx, u.api, path("users", id, "events"), url.Values{"limit": {"200"}})
}

// Groups are the operations on groups.
type Groups struct{ api *API }

// All returns all groups by name.
func (g Groups) All(ctx context.Context) iter.Seq2[Group, error] {
	return pages[Group](ctx, g.api, "/groups", url.Values{"limit": {"200"}})
}

// Get returns a group.
func (g Groups) Get(ctx context.Context, id string) (Group, ETag, error) {
	return get[Group](ctx, g.api, path("groups", id))
}

// Create adds a group.
func (g Groups) Create(ctx context.Context, in NewGroup) (Group, error) {
	v, _, err := send[Group](ctx, g.api, http.MethodPost, "/groups", "", in)
	return v, err
}

// Change changes a group.
func (g Groups) Change(ctx context.Context, id string, tag ETag, in GroupChange) (Group, ETag, error) {
	return send[Group](ctx, g.api, http.MethodPatch, path("groups", id), tag, in)
}

// Remove removes a group.
func (g Groups) Remove(ctx context.Context, id string) error {
	return tell(ctx, g.api, http.MethodDelete, path("groups", id), nil)
}

// Members returns the direct members of a group.
func (g Groups) Members(ctx context.Context, id string) iter.Seq2[User, error] {
	return pages[User](ctx, g.api, path("groups", id, "members"), url.Values{"limit": {"200"}})
}

// AddMembers puts users into a group: all or none.
func (g Groups) AddMembers(ctx context.Context, id string, userIDs ...string) error {
	return tell(ctx, g.api, http.MethodPost, path("groups", id, "members"), UserIDs{userIDs})
}

// RemoveMember takes a user out of a group.
func (g Groups) RemoveMember(ctx context.Context, id, userID string) error {
	return tell(ctx, g.api, http.MethodDelete, path("groups", id, "members", userID), nil)
}

// Nest puts a group into another one; Unnest takes it out.
func (g Groups) Nest(ctx context.Context, id, parentID string) error {
	return tell(ctx, g.api, http.MethodPut, path("groups", id, "parents", parentID), nil)
}

// Unnest is described at Nest.
func (g Groups) Unnest(ctx context.Context, id, parentID string) error {
	return tell(ctx, g.api, http.MethodDelete, path("groups", id, "parents", parentID), nil)
}

// Claims are the operations on claims that admins define.
type Claims struct{ api *API }

// All returns all claims by name.
func (c Claims) All(ctx context.Context) iter.Seq2[Claim, error] {
	return pages[Claim](ctx, c.api, "/claims", nil)
}

// Define defines a claim, or changes its definition.
func (c Claims) Define(ctx context.Context, in Claim) (Claim, error) {
	v, _, err := send[Claim](ctx, c.api, http.MethodPut, path("claims", in.Name), "", in)
	return v, err
}

// Remove removes a claim with all its values.
func (c Claims) Remove(ctx context.Context, name string) error {
	return tell(ctx, c.api, http.MethodDelete, path("claims", name), nil)
}

// Clients are the operations on clients.
type Clients struct{ api *API }

// Search returns clients whose ID, name or redirect URI contains the text; "" finds all.
func (c Clients) Search(ctx context.Context, text string) iter.Seq2[Client, error] {
	query := url.Values{"limit": {"200"}}
	if text != "" {
		query.Set("q", text)
	}
	return pages[Client](ctx, c.api, "/clients", query)
}

// Get returns a client.
func (c Clients) Get(ctx context.Context, id string) (Client, ETag, error) {
	return get[Client](ctx, c.api, path("clients", id))
}

// Create registers a client. The answer has its secret, which is shown once.
func (c Clients) Create(ctx context.Context, in Client) (MadeClient, error) {
	v, _, err := send[MadeClient](ctx, c.api, http.MethodPost, "/clients", "", in)
	return v, err
}

// Replace replaces the metadata of a client.
func (c Clients) Replace(ctx context.Context, tag ETag, in Client) (Client, ETag, error) {
	return send[Client](ctx, c.api, http.MethodPut, path("clients", in.ID), tag, in)
}

// Remove removes a client; its tokens end.
func (c Clients) Remove(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodDelete, path("clients", id), nil)
}

// Disable disables a client, and Enable enables it again.
func (c Clients) Disable(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodPost, path("clients", id, "disable"), nil)
}

// Enable is described at Disable.
func (c Clients) Enable(ctx context.Context, id string) error {
	return tell(ctx, c.api, http.MethodPost, path("clients", id, "enable"), nil)
}

// AddSecret gives a client another secret, which is shown once. The others stay valid.
func (c Clients) AddSecret(ctx context.Context, id string, in NewSecret) (MadeSecret, error) {
	v, _, err := send[MadeSecret](ctx, c.api, http.MethodPost, path("clients", id, "secrets"), "", in)
	return v, err
}

// RemoveSecret ends a secret at once.
func (c Clients) RemoveSecret(ctx context.Context, id, secretID string) error {
	return tell(ctx, c.api, http.MethodDelete, path("clients", id, "secrets", secretID), nil)
}

// Events are the operations on events.
type Events struct{ api *API }

// An EventFilter selects events. Its zero value selects all of them.
type EventFilter struct {
	Kinds                     []string
	UserID, ClientID, ActorID string
	From, Until               time.Time
}

// Search returns events, newest first.
func (e Events) Search(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	query := url.Values{"limit": {"200"}, "kind": f.Kinds}
	for name, value := range map[string]string{"user_id": f.UserID, "client_id": f.ClientID, "actor_id": f.ActorID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"from": f.From, "until": f.Until} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return pages[Event](ctx, e.api, "/events", query)
}

// Policies are the operations on the policy.
type Policies struct{ api *API }

// Get returns the policy as it counts.
func (p Policies) Get(ctx context.Context) (Policy, ETag, error) {
	return get[Policy](ctx, p.api, "/policy")
}

// Change replaces sections of the policy; null gives one its default back, and those that are not named stay. It counts
// on every replica within 5 seconds.
func (p Policies) Change(ctx context.Context, tag ETag, sections Sections) (Policy, ETag, error) {
	return send[Policy](ctx, p.api, http.MethodPatch, "/policy", tag, PolicyChange{sections})
}

// Replace replaces everything that is stored: sections that are not named get their defaults back.
func (p Policies) Replace(ctx context.Context, tag ETag, sections Sections) (Policy, ETag, error) {
	return send[Policy](ctx, p.api, http.MethodPut, "/policy", tag, PolicyChange{sections})
}

// History returns the versions that are kept, newest first.
func (p Policies) History(ctx context.Context) iter.Seq2[PolicyVersion, error] {
	return pages[PolicyVersion](ctx, p.api, "/policy/versions", url.Values{"limit": {"200"}})
}

// Version returns a version that is kept, with what it stored, for Replace.
func (p Policies) Version(ctx context.Context, number int64) (PolicyVersion, error) {
	v, _, err := get[PolicyVersion](ctx, p.api, path("policy", "versions", strconv.FormatInt(number, 10)))
	return v, err
}
