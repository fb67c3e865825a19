package login

import (
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// Facts are all that [Decide] looks at.
type Facts struct {
	Interaction idp.Interaction
	Session     *idp.Session // nil: nobody is signed in here
	Client      idp.Client   // zero for an interaction of our own
	// Grant and Passkeys cost a look-up that most requests do not need. Decide answers without them as if there were no
	// grant and as if some passkey could do; whoever gets a step For StepUp or Consent looks them up and asks again.
	Grant    *idp.Grant    // nil: none known
	Passkeys []idp.Passkey // of the session's user; nil: not looked up
	Policy   idp.Policy
	SignUp   bool // whether people may create accounts
	Now      time.Time
}

// Kind says which way an interaction goes next.
type Kind string

const (
	Finish        Kind = "finish"
	SignIn        Kind = "sign-in"
	StepUp        Kind = "step-up"
	Consent       Kind = "consent"
	SelectAccount Kind = "select-account"
	CreateAccount Kind = "create-account"
	Refuse        Kind = "refuse"
)

// A Step is what an interaction needs next.
type Step struct {
	Kind Kind
	// For is Kind, except that a refusal says here which step would have helped if the request allowed pages.
	For   Kind
	Check string // the check that decided, for the record and the page; empty on Finish
	// Error and Description are the OAuth error of a refusal.
	Error, Description string
	Assurance          idp.Assurance // Finish: what tokens will claim
	Passkeys           []idp.Passkey // StepUp, once they were looked up: those that can do it
	Scopes             []string      // Consent: what is new to ask for
}

// OAuth errors an interaction can end with (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6, OIDC Unmet Authentication
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

// A check is one demand that may still be open, the step that meets it, and the error that names it to a client which
// allows no page (prompt=none, OIDC Core §3.1.2.1) or for which there is no such step (Refuse).
type check struct {
	name  string
	step  Kind
	error string
	why   string // error_description
	open  func(question) bool
}

// checks stand in the order in which a person meets them: first who they are, then how well they proved it, then what
// they allow. The first that is open decides; those after no_session have a session.
var checks = []check{
	{"create_unsupported", Refuse, errInvalidRequest, "prompt=create is not supported", question.createUnsupported},
	{"prompt_create", CreateAccount, errInteraction, "creating an account needs the person", question.create},
	{"no_session", SignIn, errLoginRequired, "nobody is signed in", question.noSession},
	{"switched", SignIn, errLoginRequired, "another account was asked for", question.switched},
	{"other_than_hinted", Refuse, errLoginRequired, "another user than the one of id_token_hint signed in", question.otherThanHinted},
	{"hint_mismatch", SignIn, errLoginRequired, "the user of id_token_hint is not signed in", question.hintMismatch},
	{"select_account", SelectAccount, errSelectionRequired, "an account has to be selected", question.selectAccount},

	{string(idp.CheckLive), StepUp, errLoginRequired, "the last sign-in is too long ago", unmet(idp.CheckLive)},
	{string(idp.CheckFresh), StepUp, errLoginRequired, "a new sign-in was asked for", unmet(idp.CheckFresh)},
	{string(idp.CheckMaxAge), StepUp, errLoginRequired, "the last sign-in is older than max_age", unmet(idp.CheckMaxAge)},
	{string(idp.CheckMinimumACR), StepUp, errLoginRequired, "the client's minimum acr is not met", unmet(idp.CheckMinimumACR)},
	{string(idp.CheckActionClass), StepUp, errLoginRequired, "a requested scope needs a new confirmation", unmet(idp.CheckActionClass)},
	{string(idp.CheckACR), StepUp, errLoginRequired, "the requested acr is not met", unmet(idp.CheckACR)},

	{"prompt_consent", Consent, errConsentRequired, "consent was asked for", question.promptConsent},
	{"authorization_details", Consent, errConsentRequired, "authorization_details are allowed one request at a time", question.details},
	{"scopes", Consent, errConsentRequired, "the user has not allowed these scopes", question.scopes},
	{"native_client", Consent, errInteraction, "this client cannot be identified without the person", question.nativeClient},
}

// Decide says what an interaction needs next, or that it can end. It is pure: the same facts give the same step.
func Decide(f Facts) Step {
	q := ask(f)
	i := slices.IndexFunc(checks, func(c check) bool { return c.open(q) })
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
			return refuse(errUnmet, "no passkey of this user can meet the requirement")
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

// A question is the facts and what follows from them.
type question struct {
	Facts
	here      bool          // an authentication of the session was made in this interaction
	capable   []idp.Passkey // of Facts.Passkeys: those a step-up may use
	assurance idp.Assurance
	unmet     idp.Check // the first demand on an authentication that the session does not meet
	missing   []string  // scopes and resources the user has not allowed this client
}

func ask(f Facts) question {
	q := question{Facts: f}
	need := f.Interaction.Requirement
	need.ClientID, need.FirstParty = f.Interaction.Request.ClientID, f.Client.FirstParty
	if f.Session != nil {
		q.here = slices.ContainsFunc(f.Session.Authentications, func(a idp.HeldAuthentication) bool {
			return a.Interaction == f.Interaction.ID
		})
	}
	// Voluntary acr values are a wish (OIDC Core §5.5.1.1): one ceremony is worth trying for them, if a page may be shown
	// and a passkey could do it. After that the answer is what there is, and the token says so.
	relaxed := q.here || f.Interaction.Request.Prompts("none")
	q.capable = reaching(f.Policy, f.Passkeys, need)
	if len(q.capable) == 0 && !need.Essential {
		floor := need
		floor.ACRValues = nil
		q.capable = reaching(f.Policy, f.Passkeys, floor)
		relaxed = relaxed || f.Passkeys != nil
	}
	q.assurance, q.unmet = f.Policy.Choose(f.Session, f.Interaction.ID, need, relaxed, f.Now)
	for _, scope := range f.Policy.GrantEntries(f.Interaction.Request) {
		if f.Grant == nil || !slices.Contains(f.Grant.Scopes, scope) {
			q.missing = append(q.missing, scope)
		}
	}
	return q
}

func reaching(p idp.Policy, keys []idp.Passkey, need idp.Requirement) []idp.Passkey {
	return slices.DeleteFunc(slices.Clone(keys), func(k idp.Passkey) bool { return !p.Reaches(k, need) })
}

// answered reports whether what the screens saved was said by the user who is signed in now.
func (q question) answered() bool { return q.Interaction.AnsweredBy == q.Session.UserID }

// wantsAccount: prompt=create asks for the sign-up page instead of the login, once (Initiating User Registration via
// OpenID Connect 1.0 §4). Whoever returns from it, signs in here or asks for another account has answered.
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

// otherThanHinted: the request got its chance and brought somebody else; then the answer MUST be an error (OIDC Core §3.1.2.1).
func (q question) otherThanHinted() bool { return q.here && q.hintMismatch() }

func (q question) selectAccount() bool {
	i := q.Interaction
	return i.Request.Prompts("select_account") && !q.here && !(i.Selected && q.answered())
}

func unmet(c idp.Check) func(question) bool {
	return func(q question) bool { return q.unmet == c }
}

// consented reports whether nothing is left to consent to: allowed in this interaction, or a page of our own.
func (q question) consented() bool {
	return q.Interaction.Local != nil || q.Interaction.Consented && q.answered()
}

func (q question) promptConsent() bool {
	return q.Interaction.Request.Prompts("consent") && !q.consented()
}

func (q question) scopes() bool {
	return !q.Client.FirstParty && !q.consented() && (q.Grant == nil || len(q.missing) > 0)
}

// details: what a person allowed once is that, and not the next of its kind: such a request is shown each time, whoever
// asks (RFC 9396 §12).
func (q question) details() bool {
	return len(q.Interaction.Request.Details) > 0 && !q.consented()
}

// nativeClient: whoever listens on a private-use scheme or a loopback port can claim to be the client, so a person has
// to see the request before it is answered (RFC 8252 §8.6). A ceremony in this interaction is such a look.
func (q question) nativeClient() bool {
	assured := strings.HasPrefix(q.Interaction.Request.RedirectURI, "https://")
	return q.Client.Native && !assured && !q.here && !q.consented()
}
