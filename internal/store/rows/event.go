package rows

import (
	"maps"
	"strconv"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

// JournalColumns are the columns of the journal, which has a row for each event. The event of a sign-in or step-up and
// its authentication share a row, with the ID and time of the authentication.
const JournalColumns = `at, flags, id, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent,
	request_id, detail, interaction, classes, policy`

// Reported matches the rows of the journal that have an event: flagSilent is not set.
const Reported = `(flags & 128 = 0)`

// The flags of a journal row. They are stored: never change a value.
const (
	flagUserVerified   = 1 << 0
	flagBackupEligible = 1 << 1
	flagBackedUp       = 1 << 2
	flagHardwareBound  = 1 << 3
	flagSignIn         = 1 << 4 // the row has an authentication of this purpose
	flagStepUp         = 1 << 5
	flagRegister       = 1 << 6
	flagSilent         = 1 << 7 // the row has an authentication and no event
	flagPurpose        = 1 << 8 // the event's detail is the purpose and nothing else
)

func purposeFlag(p idp.Purpose) int64 {
	switch p {
	case idp.PurposeSignIn:
		return flagSignIn
	case idp.PurposeStepUp:
		return flagStepUp
	case idp.PurposeRegister:
		return flagRegister
	}
	return 0
}

// Journal returns the values of JournalColumns for an event, and for the authentication that it reports; nil: none.
func Journal(e idp.Event, a *idp.Authentication) []any {
	var flags int64
	var interaction, classes string
	if a != nil {
		flags, interaction, classes = authenticationFlags(*a), a.Interaction, strings.Join(a.ActionClasses, " ")
		e.ID, e.At = a.ID, a.At
		if e.Kind == "" {
			flags |= flagSilent
		}
	}
	detail, purpose := Brief(e.Detail), idp.Purpose(e.Detail["purpose"])
	if len(e.Detail) == 1 && purpose != "" && flags&purposeFlag(purpose) != 0 {
		detail, flags = "", flags|flagPurpose
	}
	return []any{
		Millis(e.At), flags, PackID(e.ID), string(e.Kind), PackID(e.UserID), PackID(e.ActorID), PackID(e.ClientID),
		PackID(e.SessionID), PackID(e.PasskeyID), e.Address, e.Agent, e.RequestID, detail, interaction, classes,
		version(e.Policy),
	}
}

// version returns what stands in the column policy.
func version(policy int64) string {
	if policy == 0 {
		return ""
	}
	return strconv.FormatInt(policy, 10)
}

func authenticationFlags(a idp.Authentication) int64 {
	flags := purposeFlag(a.Purpose)
	set := func(flag int64, is bool) {
		if is {
			flags |= flag
		}
	}
	set(flagUserVerified, a.UserVerified)
	set(flagBackupEligible, a.BackupEligible)
	set(flagBackedUp, a.BackedUp)
	set(flagHardwareBound, a.HardwareBound)
	return flags
}

// A scanner is a row, as pgx.CollectableRow is.
type scanner interface{ Scan(dest ...any) error }

// ReadJournal returns the event of a row with JournalColumns.
func ReadJournal(row scanner) (e idp.Event, err error) {
	var flags int64
	var interaction, classes, policy string
	err = row.Scan((*Instant)(&e.At), &flags, Packed{&e.ID}, (*string)(&e.Kind), Packed{&e.UserID}, Packed{&e.ActorID},
		Packed{&e.ClientID}, Packed{&e.SessionID}, Packed{&e.PasskeyID}, &e.Address, &e.Agent, &e.RequestID,
		&Document{&e.Detail}, &interaction, &classes, &policy)
	e.Policy, _ = strconv.ParseInt(policy, 10, 64) // 0 if it is empty
	if flags&flagPurpose != 0 {
		for _, purpose := range []idp.Purpose{idp.PurposeSignIn, idp.PurposeStepUp, idp.PurposeRegister} {
			if flags&purposeFlag(purpose) != 0 {
				e.Detail = map[string]string{"purpose": string(purpose)}
			}
		}
	}
	return e, err
}

// EventColumns are those of the old form, in the table events.
const EventColumns = `id, at, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id,
	detail`

// Event returns the values of EventColumns. The old form has no column for the policy, so it stands in the detail.
func Event(e idp.Event) []any {
	if e.Policy != 0 {
		e.Detail = maps.Clone(e.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["policy"] = version(e.Policy)
	}
	return []any{
		e.ID, Millis(e.At), string(e.Kind), e.UserID, e.ActorID, e.ClientID, e.SessionID, e.PasskeyID, e.Address, e.Agent,
		e.RequestID, Text(e.Detail),
	}
}

// ReadEvent returns the event of a row with EventColumns.
func ReadEvent(row scanner) (e idp.Event, err error) {
	err = row.Scan(&e.ID, (*Instant)(&e.At), (*string)(&e.Kind), &e.UserID, &e.ActorID, &e.ClientID, &e.SessionID,
		&e.PasskeyID, &e.Address, &e.Agent, &e.RequestID, &Document{&e.Detail})
	if policy, known := e.Detail["policy"]; known {
		e.Policy, _ = strconv.ParseInt(policy, 10, 64) // 0 if it is none
		delete(e.Detail, "policy")
	}
	return e, err
}
