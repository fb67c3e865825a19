package login

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A change to the facts of a request by a third-party client, "openid email", in a browser where no user is signed in.
type change func(*Facts)

func prompt(values ...string) change {
	return func(f *Facts) { f.Interaction.Request.Prompt = values }
}

// signedIn adds an authentication of that age by a synced passkey to alice's session; it was made in another interaction.
func signedIn(age time.Duration, more ...func(*idp.Authentication)) change {
	return func(f *Facts) {
		if f.Session == nil {
			f.Session = &idp.Session{ID: "sid", UserID: "alice", SeenAt: noon}
		}
		a := idp.Authentication{ID: "a", UserID: "alice", Interaction: "before", At: noon.Add(-age), UserVerified: true, BackupEligible: true}
		for _, m := range more {
			m(&a)
		}
		if len(a.ActionClasses) > 0 && a.ClientID == "" {
			a.ClientID = f.Interaction.Request.ClientID
		}
		f.Session.AddAuthentication(a)
	}
}

func here(a *idp.Authentication)     { a.Interaction = "this" }
func hardware(a *idp.Authentication) { a.BackupEligible, a.HardwareBound = false, true }
func stepUpFor(classes ...string) func(*idp.Authentication) {
	return func(a *idp.Authentication) { a.Purpose, a.ActionClasses = idp.PurposeStepUp, classes }
}

func of(client string) func(*idp.Authentication) {
	return func(a *idp.Authentication) { a.ClientID = client }
}

func byFirstParty(a *idp.Authentication) { a.FirstParty = true }

func need(r idp.Requirement) change { return func(f *Facts) { f.Interaction.Requirement = r } }
func maxAge(seconds int) change {
	return need(idp.Requirement{MaxAge: new(time.Duration(seconds) * time.Second), Fresh: seconds == 0})
}

func class(name string) change {
	return func(f *Facts) {
		f.Interaction.Requirement.ActionClasses = append(f.Interaction.Requirement.ActionClasses, f.Policy.ActionClasses[name])
	}
}

func keys(k ...idp.Passkey) change {
	return func(f *Facts) { f.Passkeys = append([]idp.Passkey{}, k...) }
}

var (
	synced = idp.Passkey{ID: "synced", Flags: idp.FlagBackupEligible}
	proven = idp.Passkey{ID: "proven", KeyProtection: idp.KeyProtectionHardware, AttestationVerifiedAt: noon}
)

func granted(scopes ...string) change {
	return func(f *Facts) { f.Grant = &idp.Grant{UserID: "alice", ClientID: "app", Scopes: scopes} }
}

func scopes(names ...string) change { return func(f *Facts) { f.Interaction.Request.Scopes = names } }
func firstParty(f *Facts)           { f.Client.FirstParty = true }
func native(redirect string) change {
	return func(f *Facts) { f.Client.Native, f.Interaction.Request.RedirectURI = true, redirect }
}

func local(f *Facts) {
	f.Client, f.Interaction.Request = idp.Client{}, idp.Request{}
	f.Interaction.Local = &idp.Local{ReturnTo: "/account"}
}

func detail(f *Facts) {
	f.Interaction.Request.Details = idp.Details{{Type: "payment", JSON: `{"type":"payment"}`}}
}

func resource(f *Facts) {
	f.Interaction.Request.Resources = []string{"https://login.example.com", "https://api.example.com/v1"} // the first is the provider
	f.Policy.Resources = map[string]idp.Resource{"https://api.example.com/v1": {}}
}

func hinted(user string) change { return func(f *Facts) { f.Interaction.Request.HintedUser = user } }

func saved(by string, set func(*idp.Interaction)) change {
	return func(f *Facts) { f.Interaction.AnsweredBy = by; set(&f.Interaction) }
}
func consented(i *idp.Interaction) { i.Consented = true }
func selected(i *idp.Interaction)  { i.Selected = true }
func signUp(f *Facts)              { f.SignUp = true }
func offered(f *Facts)             { f.Interaction.SignUpOffered = true }
func signedUp(f *Facts)            { f.Interaction.SignedUp = true }
func switched(from string) change {
	return func(f *Facts) { f.Interaction.Switched, f.Interaction.SwitchedFrom = true, from }
}

func gated(groups ...string) change { return func(f *Facts) { f.Client.AllowedGroups = groups } }
func member(group string) change {
	return func(f *Facts) { f.Member.Groups = []directory.Group{{Name: group}} }
}

var allowed = granted("openid", "email")

func TestDecide(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	voluntary := need(idp.Requirement{ACRValues: []string{"phrh"}})
	essential := need(idp.Requirement{ACRValues: []string{"phrh"}, Essential: true})
	minimum := need(idp.Requirement{MinimumACR: "phrh"})
	with := func(c ...change) []change { return c }
	for _, tc := range []struct {
		name  string
		facts []change
		want  string // kind, then the check, then the OAuth error
	}{
		// OIDC Core §3.1.2.3: the OP authenticates the End-User.
		{"no user is signed in", with(), "sign-in no_session"},
		{"a user is, and has allowed this before", with(signedIn(hour), allowed), "finish"},
		{"the session has decayed altogether", with(signedIn(25*hour), allowed), "step-up live"},
		{"an authentication without user verification is none", with(signedIn(0, func(a *idp.Authentication) { a.UserVerified = false }), allowed), "step-up live"},

		// A client for groups: who is in none of them is told so before any step-up, which could not help.
		{"a client for groups: nobody is signed in", with(gated("dev")), "sign-in no_session"},
		{"a client for groups: in none of them", with(gated("dev"), signedIn(hour), member("other"), allowed), "deny allowed_groups"},
		{"a client for groups: in none, and too old", with(gated("dev"), signedIn(25*hour), allowed), "deny allowed_groups"},
		{"a client for groups: a member", with(gated("ops", "dev"), signedIn(hour), member("dev"), allowed), "finish"},
		{"a client for groups: the hinted user comes first", with(gated("dev"), hinted("bob"), signedIn(hour)), "sign-in hint_mismatch"},
		{"none: in none of the groups", with(prompt("none"), gated("dev"), signedIn(hour), allowed), "refuse allowed_groups access_denied"},

		// OIDC Core §3.1.2.1, prompt=none: "MUST NOT display any authentication or consent user interface pages".
		{"none: no user is signed in", with(prompt("none")), "refuse no_session login_required"},
		{"none: the session has decayed", with(prompt("none"), signedIn(25*hour), allowed), "refuse live login_required"},
		{"none: signed in and allowed", with(prompt("none"), signedIn(hour), allowed), "finish"},
		{"none: not allowed yet", with(prompt("none"), signedIn(hour)), "refuse scopes consent_required"},
		{"none: a scope is new", with(prompt("none"), signedIn(hour), granted("openid")), "refuse scopes consent_required"},
		{"none: a first-party client needs no consent", with(prompt("none"), signedIn(hour), firstParty), "finish"},
		{"none: older than max_age", with(prompt("none"), maxAge(60), signedIn(hour), allowed), "refuse max_age login_required"},
		{"none: max_age=0 can never be silent", with(prompt("none"), maxAge(0), signedIn(0), allowed), "refuse fresh login_required"},
		{"none: an essential acr is missing", with(prompt("none"), essential, signedIn(hour), allowed), "refuse acr login_required"},
		{"none: an essential acr that no passkey reaches", with(prompt("none"), essential, signedIn(hour), allowed, keys(synced)), "refuse acr unmet_authentication_requirements"},
		{"none: a voluntary acr is answered with what there is", with(prompt("none"), voluntary, signedIn(hour), allowed), "finish"},
		{"none: the client's minimum is missing", with(prompt("none"), minimum, signedIn(hour), allowed), "refuse minimum_acr login_required"},
		{"none: an action class is closed", with(prompt("none"), class("payments"), signedIn(0), allowed), "refuse action_class login_required"},
		{"none: an action class is open", with(prompt("none"), class("payments"), signedIn(0, stepUpFor("payments")), allowed), "finish"},
		// "If this parameter contains none with any other value, an error is returned."
		{"none with login", with(prompt("none", "login"), need(idp.Requirement{Fresh: true}), signedIn(0), allowed), "refuse fresh login_required"},
		{"none with consent", with(prompt("none", "consent"), signedIn(0), allowed), "refuse prompt_consent consent_required"},
		{"none with select_account", with(prompt("none", "select_account"), signedIn(0), allowed), "refuse select_account account_selection_required"},
		{"none with create", with(prompt("none", "create"), signUp), "refuse prompt_create interaction_required"},

		// prompt=login: "SHOULD prompt the End-User for reauthentication".
		{"login: a session is not enough", with(prompt("login"), need(idp.Requirement{Fresh: true}), signedIn(0), allowed), "step-up fresh"},
		{"login: a ceremony in this interaction is", with(prompt("login"), need(idp.Requirement{Fresh: true}), signedIn(hour), signedIn(0, here), allowed), "finish"},
		{"login: the sign-in itself is one", with(prompt("login"), need(idp.Requirement{Fresh: true}), signedIn(minute, here), allowed), "finish"},
		{"login consent: one after the other", with(prompt("login", "consent"), need(idp.Requirement{Fresh: true}), signedIn(0), allowed), "step-up fresh"},
		{"login consent: then the other", with(prompt("login", "consent"), need(idp.Requirement{Fresh: true}), signedIn(0, here), allowed), "consent prompt_consent"},

		// prompt=consent: "SHOULD prompt the End-User for consent before returning information to the Client".
		{"consent: also where it was remembered", with(prompt("consent"), signedIn(hour), allowed), "consent prompt_consent"},
		{"consent: also for a first-party client", with(prompt("consent"), signedIn(hour), firstParty), "consent prompt_consent"},
		{"consent: once", with(prompt("consent"), signedIn(hour), allowed, saved("alice", consented)), "finish"},
		{"consent: by the one who is signed in now", with(prompt("consent"), signedIn(hour), allowed, saved("bob", consented)), "consent prompt_consent"},

		// prompt=select_account: "SHOULD prompt the End-User to select a user account".
		{"select_account: a choice", with(prompt("select_account"), signedIn(hour), allowed), "select-account select_account"},
		{"select_account: made", with(prompt("select_account"), signedIn(hour), allowed, saved("alice", selected)), "finish"},
		{"select_account: made by another user", with(prompt("select_account"), signedIn(hour), allowed, saved("bob", selected)), "select-account select_account"},
		{"select_account: no account to choose", with(prompt("select_account")), "sign-in no_session"},
		{"select_account: signing in here was the choice", with(prompt("select_account"), signedIn(0, here), allowed), "finish"},
		{"select_account login: the choice comes first", with(prompt("select_account", "login"), need(idp.Requirement{Fresh: true}), signedIn(0), allowed), "select-account select_account"},
		{"select_account login: then the proof", with(prompt("select_account", "login"), need(idp.Requirement{Fresh: true}), signedIn(0), allowed, saved("alice", selected)), "step-up fresh"},

		// Initiating User Registration via OpenID Connect 1.0 §4.
		{"create: the account creation comes instead of the login", with(prompt("create"), signUp), "create-account prompt_create"},
		{"create: also where a user is signed in", with(prompt("create"), signUp, signedIn(0), allowed), "create-account prompt_create"},
		{"create: the new account signs in", with(prompt("create"), signUp, signedUp), "sign-in no_session"},
		{"create: and goes on", with(prompt("create"), signUp, signedUp, signedIn(0, here), allowed), "finish"},
		{"create: who comes back without one has an account", with(prompt("create"), signUp, offered), "sign-in no_session"},
		{"create: and goes on with it", with(prompt("create"), signUp, offered, signedIn(hour), allowed), "finish"},
		{"create: another account leads to the login", with(prompt("create"), signUp, switched("")), "sign-in no_session"},
		{"create: who has signed in here has an account", with(prompt("create"), signUp, signedIn(0, here), allowed), "finish"},
		{"create: an unsupported prompt value is an invalid request", with(prompt("create")), "refuse create_unsupported invalid_request"},

		// max_age: "If the elapsed time is greater than this value, the OP MUST attempt to actively re-authenticate".
		{"max_age: not elapsed", with(maxAge(60), signedIn(60*time.Second), allowed), "finish"},
		{"max_age: elapsed by a second", with(maxAge(60), signedIn(61*time.Second), allowed), "step-up max_age"},
		{"max_age: counted from auth_time in whole seconds", with(maxAge(60), signedIn(60*time.Second+time.Millisecond), allowed), "step-up max_age"},
		{"max_age=0 is prompt=login", with(maxAge(0), signedIn(0), allowed), "step-up fresh"},
		{"max_age=0: met by the ceremony it caused", with(maxAge(0), signedIn(2*time.Second, here), allowed), "finish"},
		{"max_age=1: met by the ceremony it caused", with(maxAge(1), signedIn(2*time.Second, here), allowed), "finish"},
		{"max_age: an older authentication cannot be renewed by a newer page", with(maxAge(60), signedIn(hour), signedIn(2*minute), allowed), "step-up max_age"},

		// id_token_hint: "If the End-User identified by the ID Token is already logged in or is logged in as a result of the
		// request […], then the Authorization Server returns a positive response; otherwise, it MUST return an error".
		{"hint: that user is signed in", with(hinted("alice"), signedIn(hour), allowed), "finish"},
		{"hint: silently, too", with(hinted("alice"), prompt("none"), signedIn(hour), allowed), "finish"},
		{"hint: no user is signed in", with(hinted("alice")), "sign-in no_session"},
		{"hint: another user is signed in", with(hinted("bob"), signedIn(hour), allowed), "sign-in hint_mismatch"},
		{"hint: silently that is an error", with(hinted("bob"), prompt("none"), signedIn(hour), allowed), "refuse hint_mismatch login_required"},
		{"hint: another user signed in as a result", with(hinted("bob"), signedIn(0, here), allowed), "refuse other_than_hinted login_required"},
		// login_hint: "its use is left to the OP's discretion": it fills in a field, and proves and demands nothing.
		{"login_hint: of the one who is signed in", with(func(f *Facts) { f.Interaction.Request.LoginHint = "alice@example.com" }, signedIn(hour), allowed), "finish"},
		{"login_hint: another user's", with(func(f *Facts) { f.Interaction.Request.LoginHint = "bob@example.com" }, signedIn(hour), allowed), "finish"},

		// acr_values: "requested as a Voluntary Claim"; §5.5.1.1: if it cannot be provided, the session's current acr.
		{"voluntary acr: met", with(voluntary, signedIn(hour, hardware), allowed), "finish"},
		{"voluntary acr: worth one ceremony", with(voluntary, signedIn(hour), allowed), "step-up acr"},
		{"voluntary acr: if a passkey can do it", with(voluntary, signedIn(hour), allowed, keys(synced, proven)), "step-up acr"},
		{"voluntary acr: if none can, not", with(voluntary, signedIn(hour), allowed, keys(synced)), "finish"},
		{"voluntary acr: after one ceremony no more", with(voluntary, signedIn(0, here), allowed, keys(synced, proven)), "finish"},
		{"voluntary acr: unknown values", with(need(idp.Requirement{ACRValues: []string{"1", "2"}}), signedIn(hour), allowed, keys(proven)), "finish"},
		// §5.5.1.1: an essential acr that cannot be met "MUST treat that outcome as a failed authentication attempt";
		// RFC 9470 §5 and OIDC Unmet Authentication Requirements 1.0 name the error.
		{"essential acr: met", with(essential, signedIn(hour, hardware), allowed), "finish"},
		{"essential acr: a passkey can do it", with(essential, signedIn(hour), allowed, keys(synced, proven)), "step-up acr"},
		{"essential acr: also after a ceremony", with(essential, signedIn(0, here), allowed, keys(synced, proven)), "step-up acr"},
		{"essential acr: no passkey can", with(essential, signedIn(hour), allowed, keys(synced)), "refuse acr unmet_authentication_requirements"},
		{"essential acr: an unknown value", with(need(idp.Requirement{ACRValues: []string{"2"}, Essential: true}), signedIn(hour), allowed, keys(proven)), "refuse acr unmet_authentication_requirements"},
		{"essential acr: who it is comes first", with(essential), "sign-in no_session"},

		// Design §2: the client's minimum, decay, action classes.
		{"minimum: a passkey can do it", with(minimum, signedIn(hour), allowed, keys(synced, proven)), "step-up minimum_acr"},
		{"minimum: is always essential", with(minimum, signedIn(0, here), allowed, keys(synced)), "refuse minimum_acr unmet_authentication_requirements"},
		{"minimum and a wish: the wish may fail, the minimum not", with(need(idp.Requirement{MinimumACR: "phr", ACRValues: []string{"phrh"}}), signedIn(25*hour), allowed, keys(synced)), "step-up live"},
		{"phrh decays to phr", with(essential, signedIn(13*hour, hardware), allowed), "step-up acr"},
		{"which still signs in", with(signedIn(13*hour, hardware), allowed), "finish"},
		{"class: a sign-in never opens the window", with(class("payments"), signedIn(0, here), allowed), "step-up action_class"},
		{"class: its step-up does", with(class("payments"), signedIn(4*minute, stepUpFor("payments")), allowed), "finish"},
		{"class: until the window closes", with(class("payments"), signedIn(5*minute, stepUpFor("payments")), allowed), "step-up action_class"},
		{"class: for the client that asked only", with(class("payments"), signedIn(0, stepUpFor("payments"), of("other")), allowed), "step-up action_class"},
		{"class: no first party shares what is not shared", with(class("payments"), firstParty, signedIn(0, stepUpFor("payments"), of("other"), byFirstParty)), "step-up action_class"},
		{"class: a shared one is for all first-party clients", with(class("shared"), firstParty, signedIn(0, stepUpFor("shared"), of("other"), byFirstParty)), "finish"},
		{"class: a shared one is no stranger's", with(class("shared"), signedIn(0, stepUpFor("shared"), of("other"), byFirstParty), allowed), "step-up action_class"},
		{"class: nor opened by a third-party client for first-party ones", with(class("shared"), firstParty, signedIn(0, stepUpFor("shared"), of("other"))), "step-up action_class"},
		{"class: one of our own pages opens nothing for a client", with(class("payments"), signedIn(0, stepUpFor("payments"), of("-")), allowed), "step-up action_class"},
		{"local: what a client opened opens nothing here", with(local, class("payments"), signedIn(0, stepUpFor("payments"), of("app"))), "step-up action_class"},
		{"class: for that class only", with(class("limits"), signedIn(0, stepUpFor("payments")), allowed), "step-up action_class"},
		{"class: two need one step-up for both", with(class("payments"), class("limits"), signedIn(minute, stepUpFor("payments")), signedIn(0, stepUpFor("limits")), allowed), "step-up action_class"},
		{"class: which is then enough", with(class("payments"), class("limits"), signedIn(0, stepUpFor("payments", "limits")), allowed), "finish"},
		{"class: with an acr that no passkey reaches", with(class("keys"), signedIn(0), allowed, keys(synced)), "refuse action_class unmet_authentication_requirements"},
		{"class with a wish: one step-up for both, then the wish is dropped", with(voluntary, class("payments"), signedIn(0, here, stepUpFor("payments")), allowed), "finish"},
		{"class: an account without passkeys cannot", with(class("payments"), signedIn(0), allowed, keys()), "refuse action_class unmet_authentication_requirements"},

		// OIDC Core §3.1.2.4: consent. Remembered per client, asked for what is new.
		{"consent: for a new resource", with(signedIn(hour), allowed, resource), "consent scopes"},
		{"consent: for a resource that was allowed", with(signedIn(hour), granted("openid", "email", "resource https://api.example.com/v1"), resource), "finish"},
		// RFC 9396 §12: what was agreed to once is that once.
		{"details: shown although all else was allowed", with(signedIn(hour), allowed, detail), "consent authorization_details"},
		{"details: shown for a first-party client", with(signedIn(hour), firstParty, detail), "consent authorization_details"},
		{"details: agreed to in this interaction", with(signedIn(hour), allowed, detail, saved("alice", consented)), "finish"},
		{"details: agreed to by another user", with(signedIn(hour), allowed, detail, saved("bob", consented)), "consent authorization_details"},
		{"details: never silently", with(prompt("none"), signedIn(hour), allowed, detail), "refuse authorization_details consent_required"},
		{"consent: the first time", with(signedIn(hour)), "consent scopes"},
		{"consent: given in this interaction", with(signedIn(hour), saved("alice", consented)), "finish"},
		{"consent: given by another user", with(signedIn(hour), saved("bob", consented)), "consent scopes"},
		{"consent: for a new scope", with(signedIn(hour), granted("openid")), "consent scopes"},
		{"consent: more was allowed than is asked for", with(signedIn(hour), granted("openid", "email", "profile")), "finish"},
		{"consent: a client without scopes is asked about once", with(scopes(), signedIn(hour)), "consent scopes"},
		{"consent: and no more", with(scopes(), signedIn(hour), granted()), "finish"},
		{"consent: not for a first-party client", with(signedIn(hour), firstParty), "finish"},
		{"consent: after the proof", with(maxAge(60), signedIn(hour)), "step-up max_age"},
		// RFC 8252 §8.6.
		{"native: a private-use scheme may be anybody's", with(native("com.example.app:/cb"), signedIn(hour), allowed), "consent native_client"},
		{"native: a loopback port, too", with(native("http://127.0.0.1:5000/cb"), signedIn(hour), firstParty), "consent native_client"},
		{"native: never silently", with(native("com.example.app:/cb"), prompt("none"), signedIn(hour), allowed), "refuse native_client interaction_required"},
		{"native: a claimed https address is the app's", with(native("https://app.example.com/cb"), signedIn(hour), allowed), "finish"},
		{"native: a ceremony here was a look", with(native("com.example.app:/cb"), signedIn(0, here), allowed), "finish"},
		{"native: so was the consent page", with(native("com.example.app:/cb"), signedIn(hour), allowed, saved("alice", consented)), "finish"},

		// "Use another account."
		{"switched: the present session does not count", with(switched("sid"), signedIn(0), allowed), "sign-in switched"},
		{"switched: not even if it began in this interaction", with(switched("sid"), signedIn(0, here), allowed), "sign-in switched"},
		{"switched: another does", with(switched("former"), signedIn(0, here), allowed), "finish"},

		// Pages of our own.
		{"local: no user is signed in", with(local), "sign-in no_session"},
		{"local: no consent, ever", with(local, signedIn(hour)), "finish"},
		{"local: a class", with(local, class("payments"), signedIn(0)), "step-up action_class"},
		{"local: an open class", with(local, class("payments"), signedIn(0, stepUpFor("payments"))), "finish"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := facts(tc.facts...)
			step := Decide(f)
			got := strings.TrimSpace(strings.Join([]string{string(step.Kind), step.Check, step.Error}, " "))
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if (step.Kind == Refuse) != (step.Error != "") || (step.Kind == Finish) != (step.Assurance.AuthenticationID != "") {
				t.Errorf("a refusal has an error, an end has an assurance: %+v", step)
			}
			explained(t, f, step)
			if again := Decide(f); cmp.Diff(step, again) != "" {
				t.Error("the same facts gave another step")
			}
		})
	}
}

func facts(changes ...change) Facts {
	f := Facts{
		Interaction: idp.Interaction{ID: "this", Request: idp.Request{ClientID: "app", RedirectURI: "https://app.example.com/cb", Scopes: []string{"openid", "email"}}},
		Client:      idp.Client{ID: "app", Name: "App"},
		Policy: idp.Policy{Decay: idp.DefaultDecay(), ActionClasses: map[string]idp.ActionClass{
			"payments": {Name: "payments", Window: 5 * time.Minute}, "limits": {Name: "limits", Window: 5 * time.Minute},
			"shared": {Name: "shared", Window: 5 * time.Minute, Shared: true},
			"keys":   {Name: "keys", ACR: "phrh", Window: 5 * time.Minute},
		}},
		Now: noon,
	}
	for _, c := range changes {
		c(&f)
	}
	return f
}

func TestAStepUpIsForPasskeysThatReachTheRequirement(t *testing.T) {
	for _, tc := range []struct {
		name  string
		facts []change
		want  []string
	}{
		{"all, if any will do", []change{maxAge(0), keys(synced, proven)}, []string{"synced", "proven"}},
		{"those that reach an essential acr", []change{need(idp.Requirement{ACRValues: []string{"phrh"}, Essential: true}), keys(synced, proven)}, []string{"proven"}},
		{"those that reach a wish", []change{need(idp.Requirement{ACRValues: []string{"phrh"}}), keys(synced, proven)}, []string{"proven"}},
		{"those that reach the class", []change{class("keys"), keys(synced, proven)}, []string{"proven"}},
		{"without the wish, if nothing reaches it", []change{need(idp.Requirement{ACRValues: []string{"phrh"}, Fresh: true}), keys(synced)}, []string{"synced"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := Decide(facts(slices.Concat([]change{signedIn(time.Hour), allowed}, tc.facts)...))
			var got []string
			for _, k := range step.Passkeys {
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || step.Kind != StepUp {
				t.Errorf("%s %s, -want +got:\n%s", step.Kind, step.Check, diff)
			}
		})
	}
}

func TestConsentAsksForWhatIsNew(t *testing.T) {
	step := Decide(facts(signedIn(time.Hour), scopes("openid", "email", "phone"), granted("openid")))
	if diff := cmp.Diff([]string{"email", "phone"}, step.Scopes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
