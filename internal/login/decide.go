package login

import (
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// Facts is the complete input of [Decide].
type Facts struct {
	Interaction idp.Interaction
	Session     *idp.Session // nil: not signed in
	Client      idp.Client   // zero for an interaction of our own
	// Grant and Passkeys need a look-up that most requests can do without. Without them, Decide assumes that there is no
	// grant and that some passkey is strong enough. If the step is For StepUp or Consent, the caller looks them up and
	// calls Decide again.
	Grant    *idp.Grant    // nil: none known
	Passkeys []idp.Passkey // of the session's user; nil: not looked up
	// Member has the groups of the session's user; without it, they are in none. It is looked up if the step is For Deny.
	Member directory.Membership
	Policy idp.Policy
	SignUp bool // whether people may create accounts
	Now    time.Time
}

// Kind is the kind of an interaction's next step.
type Kind string

const (
	Finish        Kind = "finish"
	SignIn        Kind = "sign-in"
	StepUp        Kind = "step-up"
	Consent       Kind = "consent"
	SelectAccount Kind = "select-account"
	CreateAccount Kind = "create-account"
	Deny          Kind = "deny" // the user may not use the client, but another account may
	Refuse        Kind = "refuse"
)

// A Step is what an interaction needs next.
type Step struct {
	Kind Kind
	// For is Kind, except for a refusal: there it is the step that would have helped if the request allowed pages.
	For   Kind
	Check string // the deciding check, for the log and the page; empty on Finish
	// Error and Description are the OAuth error of a refusal.
	Error, Description string
	Assurance          idp.Assurance // Finish: the claims of the tokens
	Passkeys           []idp.Passkey // StepUp, after the look-up: those that satisfy the requirement
	Scopes             []string      // Consent: new scopes
}

// The OAuth errors an interaction can end with (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, OIDC Unmet Authentication
// Requirements 1.0).
const (
	errAccessDenied      = "access_denied"
	errInvalidRequest    = "invalid_request"
	errLoginRequired     = "login_required"
	errInteraction       = "interaction_required"
	errConsentRequired   = "consent_required"
	errSelectionRequired = "account_selection_required"
	errUnmet             = "unmet_authentication_requirements"
)

// A check is one condition of a request, the step that satisfies it, and the error for a client that allows no page
// (prompt=none, OIDC Core §3.1.2.1) or if there is no such step (Refuse).
type check struct {
	name  string
	step  Kind
	error string
	why   string // error_description
	open  func(question) bool
}

// checks are in the order in which a person meets them: who they are, how well they proved it, what they allow. The
// first one that is not satisfied decides. Those after no_session have a session.
var checks = []check{
	{"create_unsupported", Refuse, errInvalidRequest, "prompt=create is not supported", question.createUnsupported},
	{"prompt_create", CreateAccount, errInteraction, "creating an account needs user interaction", question.create},
	{"no_session", SignIn, errLoginRequired, "the user is not signed in", question.noSession},
	{"switched", SignIn, errLoginRequired, "the user chose another account", question.switched},
	{"other_than_hinted", Refuse, errLoginRequired, "the user is not that of id_token_hint", question.otherThanHinted},
	{"hint_mismatch", SignIn, errLoginRequired, "the user of id_token_hint is not signed in", question.hintMismatch},
	{"select_account", SelectAccount, errSelectionRequired, "the user must select an account", question.selectAccount},

	{"allowed_groups", Deny, errAccessDenied, "the user may not use this client", question.outsider},

	{string(idp.CheckLive), StepUp, errLoginRequired, "the last sign-in is too old", unmet(idp.CheckLive)},
	{string(idp.CheckFresh), StepUp, errLoginRequired, "a new sign-in is required", unmet(idp.CheckFresh)},
	{string(idp.CheckMaxAge), StepUp, errLoginRequired, "the last sign-in is older than max_age", unmet(idp.CheckMaxAge)},
	{string(idp.CheckMinimumACR), StepUp, errLoginRequired, "below the client's minimum acr", unmet(idp.CheckMinimumACR)},
	{string(idp.CheckActionClass), StepUp, errLoginRequired, "a scope needs confirmation", unmet(idp.CheckActionClass)},
	{string(idp.CheckACR), StepUp, errLoginRequired, "the requested acr is not satisfied", unmet(idp.CheckACR)},

	{"prompt_consent", Consent, errConsentRequired, "consent is required", question.promptConsent},
	{"authorization_details", Consent, errConsentRequired, "authorization_details need consent", question.details},
	{"scopes", Consent, errConsentRequired, "the user has not allowed these scopes", question.scopes},
	{"native_client", Consent, errInteraction, "this client requires user interaction", question.nativeClient},
}

// Decide returns the next step of an interaction, which may be its end. It is pure: the same facts give the same step.
func Decide(f Facts) Step {
	q := ask(f)
	return decide(f, q, deciding(q))
}

// deciding returns the index of the check that decides; -1 if all are satisfied.
func deciding(q question) int {
	return slices.IndexFunc(checks, func(c check) bool { return c.open(q) })
}

func decide(f Facts, q question, i int) Step {
	if i < 0 {
		return Step{Kind: Finish, For: Finish, Assurance: q.assurance}
	}
	c := checks[i]
	step := Step{Kind: c.step, For: c.step, Check: c.name}
	refuse := func(code, why string) Step {
		return Step{Kind: Refuse, For: c.step, Check: c.name, Error: code, Description: why}
	}
	if c.step == StepUp && f.Passkeys != nil {
		if step.Passkeys = q.capable; len(step.Passkeys) == 0 {
			return refuse(errUnmet, "no passkey of this user satisfies the requirement")
		}
	}
	if c.step == Refuse || f.Interaction.Request.Prompts("none") {
		return refuse(c.error, c.why)
	}
	if c.step == Consent {
		step.Scopes = q.missing
	}
	return step
}

// A question is the facts and conclusions from them.
type question struct {
	Facts
	here      bool          // an authentication of the session was made in this interaction
	capable   []idp.Passkey // of Facts.Passkeys: usable for the step-up
	assurance idp.Assurance
	unmet     idp.Check // the first requirement that the session does not satisfy
	missing   []string  // scopes and resources without consent
	need      idp.Requirement
	relaxed   bool // voluntary acr values are not checked
}

func ask(f Facts) question {
	q := question{Facts: f}
	need := f.Interaction.Requirement
	need.ClientID, need.FirstParty = f.Interaction.Request.Holder(), f.Client.FirstParty && f.Interaction.Request.Try == ""
	if f.Session != nil {
		q.here = slices.ContainsFunc(f.Session.Authentications, func(a idp.HeldAuthentication) bool {
			return a.Interaction == f.Interaction.ID
		})
	}
	// Voluntary acr values (OIDC Core §5.5.1.1) are worth one ceremony, if a page may be shown and a passkey could
	// satisfy them. After that, the token states what was reached.
	relaxed := q.here || f.Interaction.Request.Prompts("none")
	q.capable = filterCapable(f.Policy, f.Passkeys, need)
	if len(q.capable) == 0 && !need.Essential {
		floor := need
		floor.ACRValues = nil
		q.capable = filterCapable(f.Policy, f.Passkeys, floor)
		relaxed = relaxed || f.Passkeys != nil
	}
	q.need, q.relaxed = need, relaxed
	q.assurance, q.unmet = f.Policy.Choose(f.Session, f.Interaction.ID, need, relaxed, f.Now)
	for _, scope := range f.Policy.GrantEntries(f.Interaction.Request) {
		if f.Grant == nil || !slices.Contains(f.Grant.Scopes, scope) {
			q.missing = append(q.missing, scope)
		}
	}
	return q
}

func filterCapable(p idp.Policy, keys []idp.Passkey, need idp.Requirement) []idp.Passkey {
	return slices.DeleteFunc(slices.Clone(keys), func(k idp.Passkey) bool { return !p.Reaches(k, need) })
}

// answered reports whether the saved answers come from the user who is signed in now.
func (q question) answered() bool { return q.Interaction.AnsweredBy == q.Session.UserID }

// wantsAccount reports whether prompt=create still asks for the sign-up page. It is shown once instead of the login
// (Initiating User Registration via OpenID Connect 1.0 §4): returning from it, signing in or choosing another account
// is an answer.
func (q question) wantsAccount() bool {
	i := q.Interaction
	return i.Request.Prompts("create") && !i.SignUpOffered && !i.SignedUp && !i.Switched && !q.here
}

func (q question) createUnsupported() bool { return q.wantsAccount() && !q.SignUp }

func (q question) create() bool { return q.wantsAccount() }

func (q question) noSession() bool { return q.Session == nil }

func (q question) switched() bool { return q.Session.ID == q.Interaction.SwitchedFrom }

func (q question) hintMismatch() bool {
	hinted := q.Interaction.Request.HintedUser
	return hinted != "" && hinted != q.Session.UserID
}

// otherThanHinted: the user signed in in this interaction, but as somebody else. Then the response MUST be an error
// (OIDC Core §3.1.2.1).
func (q question) otherThanHinted() bool { return q.here && q.hintMismatch() }

func (q question) selectAccount() bool {
	i := q.Interaction
	return i.Request.Prompts("select_account") && !q.here && !(i.Selected && q.answered())
}

// outsider: a step-up could not help a user who is in none of the client's groups, so this comes first.
func (q question) outsider() bool { return !q.Member.Admitted(q.Client.AllowedGroups) }

func unmet(c idp.Check) func(question) bool {
	return func(q question) bool { return q.unmet == c }
}

// consented reports whether no consent is needed: it was given in this interaction, or the page is our own.
func (q question) consented() bool {
	return q.Interaction.Local != nil || q.Interaction.Consented && q.answered()
}

func (q question) promptConsent() bool {
	return q.Interaction.Request.Prompts("consent") && !q.consented()
}

func (q question) scopes() bool {
	return !q.Client.FirstParty && !q.consented() && (q.Grant == nil || len(q.missing) > 0)
}

// details: consent covers only the request it was given for, so such a request is always shown, for any client (RFC
// 9396 §12).
func (q question) details() bool {
	return len(q.Interaction.Request.Details) > 0 && !q.consented()
}

// nativeClient: any program that listens on a private-use scheme or a loopback port can claim to be the client, so a
// loadPerson must see the request before it is answered (RFC 8252 §8.6). A ceremony in this interaction is enough.
func (q question) nativeClient() bool {
	assured := strings.HasPrefix(q.Interaction.Request.RedirectURI, "https://")
	return q.Client.Native && !assured && !q.here && !q.consented()
}
