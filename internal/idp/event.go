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
	// Detail is small, flat and free of secrets.
	Detail map[string]string
}

// EventKind names what happened, as noun.verb.
type EventKind string

const (
	EventUserCreated       EventKind = "user.created"
	EventUserInvited       EventKind = "user.invited"
	EventUserChanged       EventKind = "user.changed"
	EventUserDisabled      EventKind = "user.disabled"
	EventUserRemoved       EventKind = "user.removed"
	EventUserEnabled       EventKind = "user.enabled"
	EventEmailVerified     EventKind = "email.verified"
	EventPasskeyAdded      EventKind = "passkey.added"
	EventPasskeyRenamed    EventKind = "passkey.renamed"
	EventPasskeyRemoved    EventKind = "passkey.removed"
	EventPasskeyRegressed  EventKind = "passkey.counter_regressed"
	EventPasskeyRefused    EventKind = "passkey.refused"
	EventPasskeyKept       EventKind = "passkey.kept"
	EventCodesMade         EventKind = "recovery.codes_made"
	EventRecoveryAsked     EventKind = "recovery.asked"
	EventRecoveryRefused   EventKind = "recovery.refused"
	EventRecoveryOpened    EventKind = "recovery.opened"
	EventRecoveryLinkMade  EventKind = "recovery.link_made"
	EventRecovered         EventKind = "recovery.finished"
	EventSignedIn          EventKind = "session.signed_in"
	EventSteppedUp         EventKind = "session.stepped_up"
	EventSignedOut         EventKind = "session.signed_out"
	EventWindowClosed      EventKind = "session.window_closed"
	EventSessionRevoked    EventKind = "session.revoked"
	EventOfflineEnded      EventKind = "access.offline_ended"
	EventLogoutGivenUp     EventKind = "logout.given_up"
	EventConsentGranted    EventKind = "consent.granted"
	EventConsentRevoked    EventKind = "consent.revoked"
	EventTokensIssued      EventKind = "tokens.issued"
	EventTokensExchanged   EventKind = "tokens.exchanged"
	EventTokensRevoked     EventKind = "tokens.revoked"
	EventCodeReused        EventKind = "code.reused"
	EventRefreshReused     EventKind = "refresh.reused"
	EventClientAdded       EventKind = "client.added"
	EventClientChanged     EventKind = "client.changed"
	EventClientDisabled    EventKind = "client.disabled"
	EventClientEnabled     EventKind = "client.enabled"
	EventClientRemoved     EventKind = "client.removed"
	EventClientAuthRefused EventKind = "client.auth_refused"
	EventKeyAdded          EventKind = "key.added"
	EventKeyRetired        EventKind = "key.retired"
)

// NewEvent returns an event of this kind that happens now.
func NewEvent(kind EventKind, userID string, now time.Time) Event {
	return Event{ID: NewID(), At: now, Kind: kind, UserID: userID}
}

// LogValue implements slog.LogValuer.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", string(e.Kind)), slog.String("user", e.UserID), slog.String("client", e.ClientID))
}
