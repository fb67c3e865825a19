package idp

import (
	"encoding/json"
	"slices"
	"time"
)

// InteractionBucket is the bucket of interactions in the ephemeral store. Package login and the protocol packages share
// it.
const InteractionBucket = "interaction"

// InteractionTTL is how long a person may take for one interaction.
const InteractionTTL = 30 * time.Minute

// An Interaction is one authorization request on its way through the screens, bound to one browser. Without a client it
// is a step-up that one of our own pages requires.
type Interaction struct {
	ID string `json:"id"`
	// Browser is the Secret.Hash of the cookie of the browser that owns this interaction. It is empty until the first
	// page is shown, and only if the request came without the cookie (a cross-site POST).
	Browser string `json:"browser,omitempty"`
	// Ceremony and Challenge belong to the sign-in offered on the page. The ceremony itself is stored separately and
	// taken once.
	Ceremony  string `json:"ceremony,omitempty"`
	Challenge []byte `json:"challenge,omitempty"`

	Request     Request     `json:"request"`
	Requirement Requirement `json:"requirement"`
	Policy      int64       `json:"policy,omitempty"` // the version that states Requirement
	Local       *Local      `json:"local,omitempty"`

	CreatedAt time.Time `json:"created"`
	ExpiresAt time.Time `json:"expires"`

	// What the screens have saved so far. Consented and Selected count only for the user AnsweredBy, because another
	// user may sign in to this browser before the interaction ends.
	AnsweredBy string `json:"by,omitempty"`
	Consented  bool   `json:"consented,omitempty"` // allowed in this interaction
	Selected   bool   `json:"selected,omitempty"`  // account chosen in this interaction
	SignedUp   bool   `json:"signed_up,omitempty"` // account created in this interaction
	// SignUpOffered: the sign-up page was shown. A user who returns from it without a new account already has one.
	SignUpOffered bool `json:"signup_offered,omitempty"`
	Switched      bool `json:"switched,omitempty"` // chose another account, or chose to sign in instead of signing up
	// SwitchedFrom is the sid of the session that this interaction must no longer use.
	SwitchedFrom string `json:"switched_from,omitempty"`
}

// Local is set if one of our own pages began the interaction.
type Local struct {
	ReturnTo string `json:"return_to"` // path and query on our own origin
	Reason   string `json:"reason"`    // completes "Confirm it's you to …"
}

// Request is a validated authorization request (OIDC Core §3.1.2.1).
type Request struct {
	ClientID      string   `json:"client_id,omitempty"`
	RedirectURI   string   `json:"redirect_uri,omitempty"`
	ResponseMode  string   `json:"response_mode,omitempty"`
	ResponseAlg   string   `json:"response_alg,omitempty"` // signs the response (JARM); empty: unsigned
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	CodeChallenge string   `json:"code_challenge,omitempty"` // S256
	Scopes        []string `json:"scopes,omitempty"`
	Prompt        []string `json:"prompt,omitempty"`
	LoginHint     string   `json:"login_hint,omitempty"`
	// HintedUser is the user of a verified id_token_hint; empty: no hint.
	HintedUser string          `json:"hinted_user,omitempty"`
	UILocales  []string        `json:"ui_locales,omitempty"`
	Claims     json.RawMessage `json:"claims,omitempty"`
	// ClaimScopes are the Scopes that only the claims parameter implies. Consent covers them; tokens do not carry them.
	ClaimScopes []string `json:"claim_scopes,omitempty"`
	Resources   []string `json:"resources,omitempty"`             // RFC 8707
	Details     Details  `json:"authorization_details,omitempty"` // RFC 9396
	// DPoPKey is the thumbprint of the key that the code exchange must prove (RFC 9449 §10); empty: any.
	DPoPKey string `json:"dpop_jkt,omitempty"`
	// Pushed is the Secret.Hash of the request_uri of a pushed request (RFC 9126); empty: not pushed.
	Pushed string `json:"pushed,omitempty"`
	// Device is the Secret.Hash of the device code that the interaction answers (RFC 8628). RedirectURI is empty then.
	Device string `json:"device,omitempty"`
	// Try is the ID of an admin's try of this client (package tryout): the client gets no answer, and nothing is kept.
	Try string `json:"try,omitempty"`
}

// Holder returns the client that the windows of a step-up for this request belong to. A try has its own, which no
// client can use.
func (r Request) Holder() string {
	if r.Try != "" {
		return "try " + r.Try
	}
	return r.ClientID
}

// Prompts reports whether the prompt parameter contains a value.
func (r Request) Prompts(value string) bool { return slices.Contains(r.Prompt, value) }

// NewInteraction returns an interaction that expires after InteractionTTL.
func NewInteraction(r Request, need Requirement, now time.Time) Interaction {
	return Interaction{
		ID: string(NewSecret()), Request: r, Requirement: need, CreatedAt: now, ExpiresAt: now.Add(InteractionTTL),
	}
}

// An Outcome is the end of an interaction: an assurance for tokens, or an OAuth error.
type Outcome struct {
	UserID    string
	SessionID string
	Assurance Assurance
	Scopes    []string // the requested scopes that were allowed
	// Granted means that a grant, new or old, allowed it. If the user revokes the grant before the exchange, no tokens
	// are issued.
	Granted bool
	// Error and Description are an OAuth error response (RFC 6749 §4.1.2.1); empty on success.
	Error       string
	Description string
}
