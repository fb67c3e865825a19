package idp

import (
	"encoding/json"
	"slices"
	"time"
)

// InteractionBucket is where interactions are kept in the ephemeral store. Package login and the protocol packages meet there.
const InteractionBucket = "interaction"

// InteractionTTL is how long a person may take over one interaction.
const InteractionTTL = 30 * time.Minute

// An Interaction is one authorization request on its way through the screens, bound to one browser; or, with no client,
// a page of our own that asks for a step-up.
type Interaction struct {
	ID string `json:"id"`
	// Browser is the Secret.Hash of the browser cookie that may see this interaction; empty until the first page is shown,
	// which happens only when the request came without the cookie (a cross-site POST).
	Browser string `json:"browser,omitempty"`
	// Ceremony and Challenge belong to the sign-in that the page offers; the ceremony itself is stored on its own and
	// taken once.
	Ceremony  string `json:"ceremony,omitempty"`
	Challenge []byte `json:"challenge,omitempty"`

	Request     Request     `json:"request"`
	Requirement Requirement `json:"requirement"`
	Local       *Local      `json:"local,omitempty"`

	CreatedAt time.Time `json:"created"`
	ExpiresAt time.Time `json:"expires"`

	// What the screens have saved so far. Consented and Selected count only for the user AnsweredBy: someone else may sign
	// in to this browser before the interaction ends.
	AnsweredBy string `json:"by,omitempty"`
	Consented  bool   `json:"consented,omitempty"` // allowed in this interaction
	Selected   bool   `json:"selected,omitempty"`  // account chosen in this interaction
	SignedUp   bool   `json:"signed_up,omitempty"` // account created in this interaction
	// SignUpOffered: the sign-up page was shown. Who comes back from it without an account has one already.
	SignUpOffered bool `json:"signup_offered,omitempty"`
	Switched      bool `json:"switched,omitempty"` // "use another account", or "I have one" where one was to be created
	// SwitchedFrom is the sid that is not to be used here any more.
	SwitchedFrom string `json:"switched_from,omitempty"`
}

// Local is the other end of an interaction that one of our own pages began.
type Local struct {
	ReturnTo string `json:"return_to"` // path and query on our own origin
	Reason   string `json:"reason"`    // completes "Confirm it's you to …"
}

// Request is a validated authorization request (OIDC Core §3.1.2.1).
type Request struct {
	ClientID      string   `json:"client_id,omitempty"`
	RedirectURI   string   `json:"redirect_uri,omitempty"`
	ResponseMode  string   `json:"response_mode,omitempty"`
	ResponseAlg   string   `json:"response_alg,omitempty"` // of a signed answer (JARM); empty: it is not to be signed
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	CodeChallenge string   `json:"code_challenge,omitempty"` // S256
	Scopes        []string `json:"scopes,omitempty"`
	Prompt        []string `json:"prompt,omitempty"`
	LoginHint     string   `json:"login_hint,omitempty"`
	// HintedUser is the user of a verified id_token_hint; empty: none was sent.
	HintedUser string          `json:"hinted_user,omitempty"`
	UILocales  []string        `json:"ui_locales,omitempty"`
	Claims     json.RawMessage `json:"claims,omitempty"`
	// ClaimScopes are those of Scopes that only the claims parameter implies: consent covers them, tokens do not carry them.
	ClaimScopes []string `json:"claim_scopes,omitempty"`
	Resources   []string `json:"resources,omitempty"`             // RFC 8707
	Details     Details  `json:"authorization_details,omitempty"` // RFC 9396
	// DPoPKey is the thumbprint of the key that has to be proven when the code is exchanged (RFC 9449 §10); empty: any.
	DPoPKey string `json:"dpop_jkt,omitempty"`
	// Pushed is the Secret.Hash of the reference by which the request came in (RFC 9126); empty if it was not pushed.
	Pushed string `json:"pushed,omitempty"`
	// Device is the Secret.Hash of the device code that the interaction will answer (RFC 8628). There is no redirect URI then.
	Device string `json:"device,omitempty"`
}

// Prompts reports whether the request carries a prompt value.
func (r Request) Prompts(value string) bool { return slices.Contains(r.Prompt, value) }

// NewInteraction returns an interaction that lives InteractionTTL.
func NewInteraction(r Request, need Requirement, now time.Time) Interaction {
	return Interaction{ID: string(NewSecret()), Request: r, Requirement: need, CreatedAt: now, ExpiresAt: now.Add(InteractionTTL)}
}

// An Outcome is how an interaction ended: with an assurance for tokens, or refused with an OAuth error.
type Outcome struct {
	UserID    string
	SessionID string
	Assurance Assurance
	Scopes    []string // what was allowed of what was asked
	// Granted: it was allowed by a grant, now or before. If the user takes that back before the tokens are fetched, there are none.
	Granted bool
	// Error and Description are an OAuth error response (RFC 6749 §4.1.2.1); empty on success.
	Error       string
	Description string
}
