package rows

import (
	"slices"

	"github.com/stepward/stepward/internal/idp"
)

// aboutUser are the events after which a user may have to be sent to applications anew (package provisioning).
var aboutUser = []idp.EventKind{
	idp.EventUserCreated, idp.EventUserInvited, idp.EventUserChanged, idp.EventUserDisabled, idp.EventUserRemoved,
	idp.EventUserEnabled, idp.EventEmailVerified, idp.EventEmailChanged, idp.EventEmailUndone, idp.EventDeletionAsked,
	idp.EventDeletionStopped, idp.EventGroupMembers, idp.EventClaimsSet,
}

// aboutAll are the events after which everybody may have to be sent, and aboutClient those to one client.
var (
	aboutAll = []idp.EventKind{
		idp.EventGroupChanged, idp.EventGroupRemoved, idp.EventGroupNested, idp.EventClaimDefined, idp.EventClaimRemoved,
		idp.EventRestored, idp.EventMovedIn,
	}
	aboutClient = []idp.EventKind{idp.EventClientChanged, idp.EventClientEnabled}
)

// Mark adds the statements that note what events mean for the applications that people are sent to over SCIM. They
// belong to the transaction of the events, write nothing where there is no such application, and come in the order of
// the IDs, so that two transactions do not wait for each other.
func Mark(ev []idp.Event, do func(sql string, args ...any)) {
	var users, clients []string
	all, anew := false, false
	for _, e := range ev {
		switch {
		case slices.Contains(aboutUser, e.Kind) && e.UserID != "":
			users = append(users, e.UserID)
		case slices.Contains(aboutAll, e.Kind), e.Kind == idp.EventClaimsSet: // values of a group
			all, anew = true, anew || e.Kind == idp.EventRestored
		case slices.Contains(aboutClient, e.Kind):
			clients = append(clients, e.ClientID)
		}
	}
	if anew { // applications may have got newer things than the backup says
		do(`UPDATE provision_users SET digest = '' WHERE client_id > ''`)
	}
	if all {
		do(`UPDATE provision_targets SET wanted = wanted + 1 WHERE client_id > ''`)
	}
	for _, id := range sorted(clients) {
		do(`UPDATE provision_targets SET wanted = wanted + 1 WHERE client_id = $1`, id)
	}
	for _, id := range sorted(users) {
		at := ev[len(ev)-1].At.UnixMilli()
		do(`INSERT INTO provision_outbox (client_id, user_id, created_at, next_at, version, attempts, last_error)
			SELECT client_id, $1, $2, $2, 1, 0, '' FROM provision_targets WHERE client_id > ''
			ON CONFLICT (client_id, user_id) DO UPDATE SET version = provision_outbox.version + 1,
				next_at = excluded.next_at, attempts = 0, last_error = '',
				created_at = CASE WHEN provision_outbox.attempts = 0 THEN provision_outbox.created_at
					ELSE excluded.created_at END`, id, at)
	}
}

// sorted returns the IDs in order, each once.
func sorted(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}
