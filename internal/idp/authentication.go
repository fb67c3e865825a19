package idp

import "time"

// EAP ACR Values 1.0.
const (
	ACRPhishingResistant         = "phr"
	ACRPhishingResistantHardware = "phrh"
)

// Purpose says what a ceremony was run for.
type Purpose string

const (
	PurposeSignIn   Purpose = "sign-in"
	PurposeStepUp   Purpose = "step-up"
	PurposeRegister Purpose = "register"
)

// An Authentication is the immutable record of one finished assertion. The acr values it satisfies are derived from its
// fields (docs/design.md, "Assurance is derived, never stored").
type Authentication struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user"`
	PasskeyID string    `json:"passkey"`
	At        time.Time `json:"at"`
	Purpose   Purpose   `json:"purpose"`
	// Interaction is the ID of the interaction that the ceremony belonged to.
	Interaction string `json:"interaction"`
	// ActionClasses are the action classes that this ceremony confirmed; none for a sign-in.
	ActionClasses []string `json:"classes,omitempty"`
	// ClientID is the client whose request the step-up was for, empty for our own pages; FirstParty says that it is one of
	// the house. Windows are theirs.
	ClientID   string `json:"client,omitempty"`
	FirstParty bool   `json:"first_party,omitempty"`

	UserVerified   bool `json:"uv"`
	BackupEligible bool `json:"be"`
	BackedUp       bool `json:"bs"`
	// HardwareBound is the value of Passkey.HardwareBound when the assertion was made.
	HardwareBound bool `json:"hw"`
}

// ACRs returns the standard acr values that this assertion satisfied when it was made, strongest first. Without user
// verification it returns nil.
func (a Authentication) ACRs() []string {
	switch {
	case !a.UserVerified:
		return nil
	case a.HardwareBound && !a.BackupEligible:
		return []string{ACRPhishingResistantHardware, ACRPhishingResistant}
	default:
		return []string{ACRPhishingResistant}
	}
}

// AMR returns the authentication methods (RFC 8176, and pop of EAP ACR Values 1.0). It never contains pin, fpt or face,
// because WebAuthn does not report them, and contains hwk only if attestation proved it.
func (a Authentication) AMR() []string {
	switch {
	case !a.UserVerified:
		return []string{"pop", "user"}
	case a.BackupEligible:
		return []string{"pop", "swk", "user", "mfa"}
	case a.HardwareBound:
		return []string{"pop", "hwk", "user", "mfa"}
	default:
		return []string{"pop", "user", "mfa"}
	}
}

// AuthTime is the auth_time claim: At in whole seconds (OIDC Core §2). Ages are counted from it, so a client that
// computes an age from auth_time gets the same answer.
func (a Authentication) AuthTime() time.Time { return a.At.Truncate(time.Second) }

// An Assurance is what an issued token says about the one authentication it was derived from.
type Assurance struct {
	AuthenticationID string    `json:"authentication"`
	PasskeyID        string    `json:"passkey,omitempty"` // empty in older codes and families
	ACR              string    `json:"acr,omitempty"`     // empty: none
	AMR              []string  `json:"amr"`
	AuthTime         time.Time `json:"auth_time"`
	// ActionClasses are the classes that this authentication opened; each window ends at AuthTime plus its length.
	ActionClasses []string `json:"classes,omitempty"`
}
