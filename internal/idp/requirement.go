package idp

import (
	"slices"
	"time"
)

// A Requirement is what a request asks of an authentication.
type Requirement struct {
	// ACRValues are the acceptable acr values in order of preference; empty: any live authentication.
	ACRValues []string `json:"acr,omitempty"`
	// Essential refuses the request if ACRValues cannot be met, not answering with a weaker acr (OIDC Core §5.5.1.1).
	Essential  bool           `json:"essential,omitempty"`
	MinimumACR string         `json:"minimum,omitempty"` // the client's minimum; it is always essential
	MaxAge     *time.Duration `json:"max_age,omitempty"` // maximum age of the authentication; nil: no limit
	Fresh      bool           `json:"fresh,omitempty"`   // a new ceremony in this interaction (prompt=login, max_age=0)
	// ActionClasses must all be open: opened by the authentication for this client, and within their windows.
	ActionClasses []ActionClass `json:"classes,omitempty"`
	// ClientID is the client that asks, empty for our own pages; FirstParty says that it is one of the house.
	ClientID   string `json:"-"`
	FirstParty bool   `json:"-"`
}

// An ActionClass is a named kind of risky action. A step-up for it opens a window for this class only.
type ActionClass struct {
	Name string `json:"name"`
	// Description completes "… asks you to confirm it's you before you …": "make a payment".
	Description string        `json:"description,omitempty"`
	ACR         string        `json:"acr,omitempty"`
	Window      time.Duration `json:"window"`
	// Shared windows are open for all clients of the house (Client.FirstParty), whichever of them asked for the step-up.
	Shared bool `json:"shared,omitempty"`
}

// opens reports whether the window that an authentication opened for the class is the asking client's.
func (c ActionClass) opens(a HeldAuthentication, r Requirement) bool {
	return slices.Contains(a.OpenClasses(), c.Name) &&
		(a.ClientID == r.ClientID || c.Shared && a.FirstParty && r.FirstParty)
}

// A Scope is a scope that clients may ask for.
type Scope struct {
	Name, Description string // the description is shown on the consent screen: "See your e-mail address"
	ActionClass       string // if set, must be opened by a step-up before the scope is granted
	Machines          bool   // a client may have the scope in its own name although nobody confirms it
}

// StandardScopes are the scopes of OIDC Core §5.4 and §11. All are about a user.
var StandardScopes = []string{"openid", "profile", "email", "address", "phone", "groups", "offline_access"}

// ClaimScopes are the standard scopes that stand for claims about the user (OIDC Core §5.4).
var ClaimScopes = []string{"profile", "email", "address", "phone", "groups"}

// ForMachines reports whether a client may have a scope in its own name: the scope is configured, is not about a user,
// and has no action class, because no person is present to confirm anything, or is meant for machines as well.
func (p Policy) ForMachines(scope string) bool {
	s, known := p.Scopes[scope]
	return known && (s.ActionClass == "" || s.Machines) && !slices.Contains(StandardScopes, scope)
}

// An Alias is an acr name defined by the operator.
type Alias struct {
	ACR    string
	MaxAge time.Duration // zero: no limit of its own
}

// Decay is how long an acr lasts: after its ceremony, and while the session is idle.
type Decay struct{ Absolute, Idle time.Duration }

// Policy holds the operator's rules. A value never changes: another version of the policy is another value.
type Policy struct {
	Scopes        map[string]Scope
	ActionClasses map[string]ActionClass
	Aliases       map[string]Alias
	Decay         map[string]Decay // by standard acr
	Resources     map[string]Resource
	DetailTypes   map[string]DetailType
	// Version is the version of the policy in the store; 0: none is stored.
	Version int64
	// Development: the issuer is http on this machine, and so may be what clients want to be told at.
	Development bool
}

// DefaultDecay follows NIST SP 800-63B-4 §2.2.3 and §2.3.3: AAL2 24 h and 1 h idle, AAL3 12 h and 15 min idle.
func DefaultDecay() map[string]Decay {
	return map[string]Decay{
		ACRPhishingResistant:         {Absolute: 24 * time.Hour, Idle: time.Hour},
		ACRPhishingResistantHardware: {Absolute: 12 * time.Hour, Idle: 15 * time.Minute},
	}
}

// Resolve returns the standard acr behind a value and the maximum age that an alias sets (0: any); false if the value
// is unknown.
func (p Policy) Resolve(value string) (acr string, maxAge time.Duration, known bool) {
	if value == ACRPhishingResistant || value == ACRPhishingResistantHardware {
		return value, 0, true
	}
	alias, ok := p.Aliases[value]
	return alias.ACR, alias.MaxAge, ok
}

// Satisfies reports whether the authentication, in a session last seen at seenAt, satisfies an acr value now. Ages are
// compared exactly, without leeway.
func (p Policy) Satisfies(a HeldAuthentication, seenAt time.Time, value string, now time.Time) bool {
	acr, maxAge, known := p.Resolve(value)
	if !known || !slices.Contains(a.ACRs(), acr) {
		return false
	}
	age, idle := now.Sub(a.AuthTime()), max(a.LongestIdle, now.Sub(seenAt))
	decay := p.Decay[acr]
	return (decay.Absolute == 0 || age <= decay.Absolute) &&
		(decay.Idle == 0 || idle <= decay.Idle) &&
		(maxAge == 0 || age <= maxAge)
}

// Reaches reports whether using the passkey now could satisfy the requirement's acr values and classes.
func (p Policy) Reaches(k Passkey, r Requirement) bool {
	if k.Suspended() {
		return false
	}
	can := func(value string) bool {
		acr, _, known := p.Resolve(value)
		return known && slices.Contains(k.ACRs(), acr)
	}
	if r.MinimumACR != "" && !can(r.MinimumACR) {
		return false
	}
	for _, class := range r.ActionClasses {
		if class.ACR != "" && !can(class.ACR) {
			return false
		}
	}
	return len(r.ACRValues) == 0 || slices.ContainsFunc(r.ACRValues, can)
}

// Check names one part of a requirement. The first check that no authentication of the session passes is the reason for
// a step-up, shown in the log record and on the page.
type Check string

const (
	CheckLive        Check = "live"         // an authentication that still satisfies phr
	CheckFresh       Check = "fresh"        // prompt=login, max_age=0
	CheckMaxAge      Check = "max_age"      //
	CheckMinimumACR  Check = "minimum_acr"  // the client's minimum
	CheckActionClass Check = "action_class" //
	CheckACR         Check = "acr"          // acr_values or the acr claim
)

// Choose returns what a token may claim about the newest authentication of the session that meets the requirement in
// this interaction. If none does, it returns the first check that left no candidate. A nil session meets nothing.
//
// An authentication made in this interaction meets any MaxAge: the request asks the provider to "attempt to actively
// re-authenticate" (OIDC Core §3.1.2.1), which it did. Checking the age again would prompt a slow reader of the consent
// page twice, and with max_age=1 on a slow connection forever. The token carries auth_time either way.
//
// Voluntary acr values (not Essential) are preferences: with relaxed set they are not checked, and the result has the
// strongest acr available.
func (p Policy) Choose(s *Session, interaction string, r Requirement, relaxed bool, now time.Time) (Assurance, Check) {
	return p.Weigh(s, interaction, r, relaxed, now, nil)
}

// Weigh is Choose. Into lacks, if it is not nil, it writes the first check that each authentication fails, by ID.
func (p Policy) Weigh(
	s *Session, interaction string, r Requirement, relaxed bool, now time.Time, lacks map[string]Check,
) (Assurance, Check) {
	if s == nil {
		return Assurance{}, CheckLive
	}
	candidates := slices.Clone(s.Authentications)
	here := func(a HeldAuthentication) bool { return interaction != "" && a.Interaction == interaction }
	satisfies := func(value string) func(HeldAuthentication) bool {
		return func(a HeldAuthentication) bool { return p.Satisfies(a, s.SeenAt, value, now) }
	}
	keep := func(check Check, ok func(HeldAuthentication) bool) bool {
		candidates = slices.DeleteFunc(candidates, func(a HeldAuthentication) bool {
			met := ok(a)
			if !met && lacks != nil {
				lacks[a.ID] = check
			}
			return !met
		})
		return len(candidates) > 0
	}
	if !keep(CheckLive, satisfies(ACRPhishingResistant)) { // phrh implies phr, and there is nothing weaker
		return Assurance{}, CheckLive
	}
	if r.Fresh && !keep(CheckFresh, here) {
		return Assurance{}, CheckFresh
	}
	if r.MaxAge != nil && !keep(CheckMaxAge, func(a HeldAuthentication) bool {
		return here(a) || now.Sub(a.AuthTime()) <= *r.MaxAge
	}) {
		return Assurance{}, CheckMaxAge
	}
	if r.MinimumACR != "" && !keep(CheckMinimumACR, satisfies(r.MinimumACR)) {
		return Assurance{}, CheckMinimumACR
	}
	for _, class := range r.ActionClasses {
		if !keep(CheckActionClass, func(a HeldAuthentication) bool {
			return class.opens(a, r) && now.Sub(a.AuthTime()) < class.Window &&
				(class.ACR == "" || p.Satisfies(a, s.SeenAt, class.ACR, now))
		}) {
			return Assurance{}, CheckActionClass
		}
	}
	if len(r.ACRValues) > 0 && (r.Essential || !relaxed) && !keep(CheckACR, func(a HeldAuthentication) bool {
		return slices.ContainsFunc(r.ACRValues, func(v string) bool { return p.Satisfies(a, s.SeenAt, v, now) })
	}) {
		return Assurance{}, CheckACR
	}
	best := candidates[len(candidates)-1]
	return Assurance{
		AuthenticationID: best.ID,
		PasskeyID:        best.PasskeyID,
		ACR:              p.answer(best, s.SeenAt, r.ACRValues, now),
		AMR:              best.AMR(),
		AuthTime:         best.AuthTime(),
		ActionClasses:    p.openedFor(best, r),
	}, ""
}

// openedFor returns the classes whose windows an authentication opened for the client that asks.
func (p Policy) openedFor(a HeldAuthentication, r Requirement) []string {
	var classes []string
	for _, name := range a.OpenClasses() {
		class := p.ActionClasses[name]
		class.Name = name
		if class.opens(a, r) {
			classes = append(classes, name)
		}
	}
	return classes
}

// answer is the acr claim: the first asked-for value that is satisfied, else the strongest standard one.
func (p Policy) answer(a HeldAuthentication, seenAt time.Time, asked []string, now time.Time) string {
	for _, value := range append(slices.Clone(asked), ACRPhishingResistantHardware, ACRPhishingResistant) {
		if p.Satisfies(a, seenAt, value, now) {
			return value
		}
	}
	return ""
}
