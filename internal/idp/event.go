package idp

import (
	"log/slog"
	"time"
)

// An Event is an audit record for the operator and the user, written in the same transaction as the change it records.
type Event struct {
	ID        string
	At        time.Time
	Kind      EventKind
	UserID    string // the affected user; empty: unknown
	ActorID   string // the acting user, if another
	ClientID  string
	SessionID string
	PasskeyID string
	Address   string
	Agent     string
	RequestID string
	Policy    int64 // the version of the policy under which it happened; 0: none was stored
	// Detail is small, flat and free of secrets.
	Detail map[string]string
}

// EventKind names what happened, as noun.verb. docs/events.md is generated from the comments.
type EventKind string

const (
	EventUserCreated       EventKind = "user.created"              // an account was created
	EventUserInvited       EventKind = "user.invited"              // an invitation was made for a user
	EventUserChanged       EventKind = "user.changed"              // profile, address or role changed: detail fields
	EventUserDisabled      EventKind = "user.disabled"             // an account was disabled
	EventUserRemoved       EventKind = "user.removed"              // an account was removed
	EventUserEnabled       EventKind = "user.enabled"              // a disabled account was enabled
	EventEmailVerified     EventKind = "email.verified"            // the address of an account was confirmed
	EventEmailAdded        EventKind = "email.added"               // a user added a confirmed address
	EventEmailRemoved      EventKind = "email.removed"             // a user removed an address
	EventEmailChanged      EventKind = "email.changed"             // a user made another address the primary one
	EventEmailUndone       EventKind = "email.change_undone"       // the former address undid that
	EventNoticesChanged    EventKind = "notices.changed"           // a user chose which e-mails they get
	EventDeletionAsked     EventKind = "deletion.asked"            // a user asked that their account be deleted
	EventDeletionStopped   EventKind = "deletion.stopped"          // they changed their mind
	EventPasskeyAdded      EventKind = "passkey.added"             // a passkey was added
	EventPasskeyRenamed    EventKind = "passkey.renamed"           // a passkey was renamed
	EventPasskeyRemoved    EventKind = "passkey.removed"           // a passkey was removed
	EventPasskeyRegressed  EventKind = "passkey.counter_regressed" // the signature counter did not grow: detail accepted
	EventPasskeyRefused    EventKind = "passkey.refused"           // an assertion was rejected: detail reason
	EventPasskeyKept       EventKind = "passkey.kept"              // a passkey from before a recovery was taken off hold
	EventPasskeyOffered    EventKind = "passkey.offered"           // a code for a passkey on another device was made
	EventOfferOpened       EventKind = "passkey.offer_opened"      // another device used that code: detail refused
	EventOfferRefused      EventKind = "passkey.offer_refused"     // the passkey of another device was refused
	EventCodesMade         EventKind = "recovery.codes_made"       // recovery codes were made
	EventRecoveryAsked     EventKind = "recovery.asked"            // a recovery was begun
	EventRecoveryRefused   EventKind = "recovery.refused"          // a recovery failed: detail reason
	EventRecoveryHeld      EventKind = "recovery.held"             // a recovery by e-mail began to wait: detail until
	EventRecoveryReminded  EventKind = "recovery.reminded"         // its owner was told again, half-way through the wait
	EventRecoveryStopped   EventKind = "recovery.stopped"          // a waiting recovery was stopped: detail way
	EventRecoveryOpened    EventKind = "recovery.opened"           // a recovery may register a passkey
	EventRecoveryLinkMade  EventKind = "recovery.link_made"        // the operator made a recovery link
	EventRecoveryApproved  EventKind = "recovery.link_approved"    // a second admin approved a recovery link
	EventRecovered         EventKind = "recovery.finished"         // an account was recovered
	EventSignedIn          EventKind = "session.signed_in"         // a person signed in
	EventSteppedUp         EventKind = "session.stepped_up"        // a person confirmed in a session: detail class
	EventSignedOut         EventKind = "session.signed_out"        // a session was ended by its browser
	EventWindowClosed      EventKind = "session.window_closed"     // a user closed the window of an action class
	EventSessionRevoked    EventKind = "session.revoked"           // a session was ended from the account page
	EventOfflineEnded      EventKind = "access.offline_ended"      // a user ended the offline access of applications
	EventLogoutGivenUp     EventKind = "logout.given_up"           // an application could not be told that a session ended
	EventConsentGranted    EventKind = "consent.granted"           // a user allowed an application something
	EventConsentRevoked    EventKind = "consent.revoked"           // a user removed the access of an application
	EventTokensIssued      EventKind = "tokens.issued"             // an application got its first tokens of a family
	EventTokensExchanged   EventKind = "tokens.exchanged"          // an API exchanged a token (RFC 8693)
	EventTokensRevoked     EventKind = "tokens.revoked"            // an application revoked tokens (RFC 7009)
	EventCodeReused        EventKind = "code.reused"               // a code was used twice; its tokens ended
	EventRefreshReused     EventKind = "refresh.reused"            // a refresh token was used twice; its tokens ended
	EventClientAdded       EventKind = "client.added"              // a client was registered
	EventClientChanged     EventKind = "client.changed"            // a client was changed: detail fields
	EventClientDisabled    EventKind = "client.disabled"           // a client was disabled
	EventClientEnabled     EventKind = "client.enabled"            // a disabled client was enabled
	EventClientRemoved     EventKind = "client.removed"            // a client was removed
	EventClientAuthRefused EventKind = "client.auth_refused"       // client authentication failed
	EventClientRefused     EventKind = "client.refused_user"       // a user in none of a client's groups was turned away
	EventClientTried       EventKind = "client.tried"              // an admin tried a sign-in to a client: detail outcome
	EventGroupCreated      EventKind = "group.created"             // a group was created: detail group, name
	EventGroupChanged      EventKind = "group.changed"             // a group was changed: detail group, fields
	EventGroupRemoved      EventKind = "group.removed"             // a group was removed: detail group, name
	EventGroupMembers      EventKind = "group.members_changed"     // a user joined or left groups: detail added, removed
	EventGroupNested       EventKind = "group.nesting_changed"     // a group joined or left another: group, parent, change
	EventClaimDefined      EventKind = "claim.defined"             // a claim was defined or changed: detail claim
	EventClaimRemoved      EventKind = "claim.removed"             // a claim was removed with its values: detail claim
	EventClaimsSet         EventKind = "claims.set"                // claim values of a user or group: detail claims, group
	EventPolicyChanged     EventKind = "policy.changed"            // the policy was changed: detail version, changes
	EventKeyAdded          EventKind = "key.added"                 // a signing key was made
	EventKeyRetired        EventKind = "key.retired"               // a signing key was retired
	EventKeyWithdrawn      EventKind = "key.withdrawn"             // a signing key was withdrawn
	EventOperatorKey       EventKind = "key.operator_changed"      // the operator's key was changed
	EventRestored          EventKind = "store.restored"            // a backup was restored: detail made, sessions
	EventProvisionChanged  EventKind = "provisioning.changed"      // people are sent to an application: detail change
	EventProvisionPaused   EventKind = "provisioning.paused"       // that was paused: detail by, last_error
	EventProvisionResumed  EventKind = "provisioning.resumed"      // that goes on: detail all
	EventMovedIn           EventKind = "store.moved_in"            // another provider moved in: detail imported, counts
)

// NewEvent returns an event of this kind that happens now. Its ID contains that time, because events are listed and
// deleted by ID.
func NewEvent(kind EventKind, userID string, now time.Time) Event {
	return Event{ID: NewIDAt(now), At: now, Kind: kind, UserID: userID}
}

// LogValue implements slog.LogValuer.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", string(e.Kind)), slog.String("user", e.UserID), slog.String("client", e.ClientID))
}
