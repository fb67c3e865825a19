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

// An Authentication is the immutable record of one finished assertion. What it satisfies is derived from its fields by
// the table of the design, §2, and never stored.
type Authentication struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user"`
	PasskeyID string    `json:"passkey"`
	At        time.Time `json:"at"`
	Purpose   Purpose   `json:"purpose"`
	// Interaction is the one the ceremony was run in.
	Interaction string `json:"interaction"`
	// ActionClasses are the classes of risky action that this ceremony was run for; a sign-in has none.
	ActionClasses []string `json:"classes,omitempty"`
	// ClientID is the client whose request the step-up was for, empty for our own pages; FirstParty says that it is one of
	// the house. Windows are theirs.
	ClientID   string `json:"client,omitempty"`
	FirstParty bool   `json:"first_party,omitempty"`

	UserVerified   bool `json:"uv"`
	BackupEligible bool `json:"be"`
	BackedUp       bool `json:"bs"`
	// HardwareBound is Passkey.HardwareBound at that time.
	HardwareBound bool `json:"hw"`
}

// ACRs returns the standard acr values this assertion satisfied when it was made, strongest first; nil without user
// verification.
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

// AMR returns the authentication methods (RFC 8176, and pop of EAP ACR Values 1.0). It never says pin, fpt or face,
// which WebAuthn does not tell, and hwk only with proof.
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

// AuthTime is the auth_time claim: At in whole seconds (OIDC Core §2). Ages are counted from it, so that the client,
// which sees nothing finer, comes to the same answer.
func (a Authentication) AuthTime() time.Time { return a.At.Truncate(time.Second) }

// An Assurance is what one issued token says about the authentication it was derived from.
type Assurance struct {
	AuthenticationID string    `json:"authentication"`
	ACR              string    `json:"acr,omitempty"` // empty: none
	AMR              []string  `json:"amr"`
	AuthTime         time.Time `json:"auth_time"`
	// ActionClasses whose windows this authentication opened; each ends at AuthTime plus the class's window.
	ActionClasses []string `json:"classes,omitempty"`
}
