package idp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	policy = Policy{
		ActionClasses: map[string]ActionClass{
			"payments": {Name: "payments", ACR: ACRPhishingResistant, Window: 5 * time.Minute},
			"keys":     {Name: "keys", ACR: ACRPhishingResistantHardware, Window: 5 * time.Minute},
		},
		Scopes: map[string]Scope{
			"openid": {Name: "openid"}, "pay": {Name: "pay", ActionClass: "payments"}, "refund": {Name: "refund", ActionClass: "payments"},
			"rotate": {Name: "rotate", ActionClass: "keys"}, "lost": {Name: "lost", ActionClass: "nowhere"},
		},
		Aliases: map[string]Alias{"urn:gold": {ACR: ACRPhishingResistantHardware, MaxAge: 5 * time.Minute}, "urn:silver": {ACR: ACRPhishingResistant}},
		Decay:   DefaultDecay(),
	}
)

// held returns an authentication of this age, by a synced passkey unless changed.
func held(id string, age time.Duration, change ...func(*HeldAuthentication)) HeldAuthentication {
	a := HeldAuthentication{Authentication: Authentication{ID: id, UserID: "u", Interaction: "before", At: noon.Add(-age), UserVerified: true, BackupEligible: true}}
	for _, c := range change {
		c(&a)
	}
	return a
}

func hardware(a *HeldAuthentication)   { a.BackupEligible, a.HardwareBound = false, true }
func unverified(a *HeldAuthentication) { a.UserVerified = false }
func here(a *HeldAuthentication)       { a.Interaction = "this" }
func idle(d time.Duration) func(*HeldAuthentication) {
	return func(a *HeldAuthentication) { a.LongestIdle = d }
}

func opened(classes ...string) func(*HeldAuthentication) {
	return func(a *HeldAuthentication) { a.ActionClasses = classes }
}

func age(d time.Duration) *time.Duration { return &d }

func TestChoosePicksTheNewestAuthenticationThatMeetsEveryDemand(t *testing.T) {
	payments, keys := policy.ActionClasses["payments"], policy.ActionClasses["keys"]
	const second, minute, hour = time.Second, time.Minute, time.Hour
	type auths = []HeldAuthentication
	for _, tc := range []struct {
		name    string
		auths   auths
		need    Requirement
		relaxed bool
		want    string // "id acr" or "!check"
	}{
		{"no authentication", nil, Requirement{}, false, "!live"},
		{"without demands any live authentication is enough", auths{held("a", 23*hour)}, Requirement{}, false, "a phr"},
		{"the newest of several is chosen", auths{held("a", 3*hour), held("b", hour)}, Requirement{}, false, "b phr"},
		{"without user verification nothing counts", auths{held("a", 0, unverified)}, Requirement{}, false, "!live"},

		{"phr lasts 24 hours to the second", auths{held("a", 24*hour)}, Requirement{}, false, "a phr"},
		{"phr ends after 24 hours", auths{held("a", 24*hour+second)}, Requirement{}, false, "!live"},
		{"phr survives an idle hour", auths{held("a", 2*hour, idle(hour))}, Requirement{}, false, "a phr"},
		{"phr ends after an idle hour, even if activity resumes", auths{held("a", 2*hour, idle(hour+1))}, Requirement{}, false, "!live"},
		{"phrh lasts 12 hours", auths{held("a", 12*hour, hardware)}, Requirement{}, false, "a phrh"},
		{"after 12 hours phrh becomes phr", auths{held("a", 12*hour+second, hardware)}, Requirement{}, false, "a phr"},
		{"after 24 hours phrh ends", auths{held("a", 24*hour+second, hardware)}, Requirement{}, false, "!live"},
		{"phrh survives 15 idle minutes", auths{held("a", hour, hardware, idle(15*minute))}, Requirement{}, false, "a phrh"},
		{"after 15 idle minutes phrh becomes phr", auths{held("a", hour, hardware, idle(15*minute+1))}, Requirement{}, false, "a phr"},

		{"fresh needs an authentication of this interaction", auths{held("a", 0)}, Requirement{Fresh: true}, false, "!fresh"},
		{"only one of this interaction is fresh", auths{held("a", minute, here), held("b", second)}, Requirement{Fresh: true}, false, "a phr"},
		{"max_age=0 is met by the ceremony of this interaction", auths{held("a", 20*second, here)}, Requirement{Fresh: true, MaxAge: age(0)}, false, "a phr"},
		{"max_age=1 too, even on a slow connection", auths{held("a", 3*second, here)}, Requirement{MaxAge: age(second)}, false, "a phr"},
		{"max_age is met at exactly that age", auths{held("a", 60*second)}, Requirement{MaxAge: age(minute)}, false, "a phr"},
		{"max_age is missed a second later", auths{held("a", 61*second)}, Requirement{MaxAge: age(minute)}, false, "!max_age"},
		{"ages count from auth_time, in whole seconds", auths{held("a", 60*second-time.Millisecond)}, Requirement{MaxAge: age(minute - second)}, false, "!max_age"},

		{"the minimum is met", auths{held("a", hour, hardware)}, Requirement{MinimumACR: "phrh"}, false, "a phrh"},
		{"an older authentication may meet the minimum", auths{held("a", hour, hardware), held("b", 0)}, Requirement{MinimumACR: "phrh"}, false, "a phrh"},
		{"the minimum is missed", auths{held("a", 0)}, Requirement{MinimumACR: "phrh"}, false, "!minimum_acr"},
		{"relaxed does not apply to the minimum", auths{held("a", 0)}, Requirement{MinimumACR: "phrh"}, true, "!minimum_acr"},
		{"an unknown minimum is never met", auths{held("a", 0, hardware)}, Requirement{MinimumACR: "urn:what"}, false, "!minimum_acr"},
		{"a minimum may be an alias", auths{held("a", 5*minute, hardware)}, Requirement{MinimumACR: "urn:gold"}, false, "a phrh"},
		{"the age limit of the alias counts", auths{held("a", 5*minute+second, hardware)}, Requirement{MinimumACR: "urn:gold"}, false, "!minimum_acr"},

		{"a sign-in opens no window", auths{held("a", 0, here)}, Requirement{ActionClasses: []ActionClass{payments}}, false, "!action_class"},
		{"a step-up for the class opens it", auths{held("a", 0, opened("payments"))}, Requirement{ActionClasses: []ActionClass{payments}}, false, "a phr"},
		{"a step-up for another class does not", auths{held("a", 0, hardware, opened("payments"))}, Requirement{ActionClasses: []ActionClass{keys}}, false, "!action_class"},
		{"the window is open until it ends", auths{held("a", 5*minute-second, opened("payments"))}, Requirement{ActionClasses: []ActionClass{payments}}, false, "a phr"},
		{"the window ends at exactly that second", auths{held("a", 5*minute, opened("payments"))}, Requirement{ActionClasses: []ActionClass{payments}}, false, "!action_class"},
		{"the window also ends in the same interaction", auths{held("a", 5*minute, here, opened("payments"))}, Requirement{ActionClasses: []ActionClass{payments}}, false, "!action_class"},
		{"a class may require an acr", auths{held("a", 0, opened("keys"))}, Requirement{ActionClasses: []ActionClass{keys}}, false, "!action_class"},
		{
			"two classes need one authentication for both",
			auths{held("a", 0, hardware, opened("keys")), held("b", 0, hardware, opened("payments"))},
			Requirement{ActionClasses: []ActionClass{payments, keys}},
			false, "!action_class",
		},
		{"one authentication may open both", auths{held("a", 0, hardware, opened("keys", "payments"))}, Requirement{ActionClasses: []ActionClass{payments, keys}}, false, "a phrh"},
		{
			"the token of a step-up describes the step-up, not a later sign-in",
			auths{held("a", minute, opened("payments")), held("b", 0)},
			Requirement{ActionClasses: []ActionClass{payments}},
			false, "a phr",
		},

		{"acr is the first requested value that is met", auths{held("a", 0, hardware)}, Requirement{ACRValues: []string{"phr", "phrh"}}, false, "a phr"},
		{"an unmet preferred value is skipped", auths{held("a", 0)}, Requirement{ACRValues: []string{"phrh", "phr"}}, false, "a phr"},
		{"acr is the alias that was requested", auths{held("a", 0, hardware)}, Requirement{ACRValues: []string{"urn:gold"}}, false, "a urn:gold"},
		{
			"an older authentication that meets the values beats a newer one that does not",
			auths{held("a", hour, hardware), held("b", 0)},
			Requirement{ACRValues: []string{"phrh"}},
			false, "a phrh",
		},
		{"an unmet voluntary value asks for a step-up", auths{held("a", 0)}, Requirement{ACRValues: []string{"phrh"}}, false, "!acr"},
		{"relaxed ignores voluntary values", auths{held("a", 0)}, Requirement{ACRValues: []string{"phrh"}}, true, "a phr"},
		{"relaxed does not ignore essential values", auths{held("a", 0)}, Requirement{ACRValues: []string{"phrh"}, Essential: true}, true, "!acr"},
		{"an unknown value is never met", auths{held("a", 0, hardware)}, Requirement{ACRValues: []string{"0"}, Essential: true}, true, "!acr"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &Session{UserID: "u", SeenAt: noon, Authentications: tc.auths}
			got, check := policy.Choose(s, "this", tc.need, tc.relaxed, noon)
			answer := got.AuthenticationID + " " + got.ACR
			if check != "" {
				answer = "!" + string(check)
			}
			if answer != tc.want {
				t.Errorf("got %q, want %q", answer, tc.want)
			}
		})
	}
}

func TestChooseAnswersEverythingFromOneAuthentication(t *testing.T) {
	s := &Session{SeenAt: noon, Authentications: []HeldAuthentication{
		held("a", time.Minute+time.Millisecond, hardware, opened("payments")), held("b", time.Second),
	}}
	got, check := policy.Choose(s, "this", Requirement{ACRValues: []string{"phrh"}}, false, noon)
	want := Assurance{
		AuthenticationID: "a", ACR: "phrh", AMR: []string{"pop", "hwk", "user", "mfa"},
		AuthTime: noon.Add(-61 * time.Second), ActionClasses: []string{"payments"},
	}
	if diff := cmp.Diff(want, got); diff != "" || check != "" {
		t.Errorf("check %q, -want +got:\n%s", check, diff)
	}
}

func TestChooseWithoutSessionOrInteractionFindsNothing(t *testing.T) {
	if _, check := policy.Choose(nil, "this", Requirement{}, false, noon); check != CheckLive {
		t.Errorf("nil session: %q, want live", check)
	}
	nowhere := held("a", time.Hour, func(a *HeldAuthentication) { a.Interaction = "" })
	s := &Session{SeenAt: noon, Authentications: []HeldAuthentication{nowhere}}
	if _, check := policy.Choose(s, "", Requirement{Fresh: true}, false, noon); check != CheckFresh {
		t.Errorf("no interaction: %q, want fresh", check)
	}
}

func TestCurrentIdleTimeCounts(t *testing.T) {
	s := &Session{SeenAt: noon.Add(-16 * time.Minute), Authentications: []HeldAuthentication{held("a", time.Hour, hardware)}}
	got, _ := policy.Choose(s, "this", Requirement{}, false, noon)
	s.Touch(noon)
	after, _ := policy.Choose(s, "this", Requirement{}, false, noon)
	if got.ACR != "phr" || after.ACR != "phr" {
		t.Errorf("before Touch %q, after it %q, want phr", got.ACR, after.ACR)
	}
}

func TestOnlyProvenHardwareReachesPhrh(t *testing.T) {
	synced := Passkey{Flags: FlagBackupEligible, KeyProtection: KeyProtectionHardware, AttestationVerifiedAt: noon}
	claimed := Passkey{Attachment: "cross-platform", Transports: []string{"usb"}, AAGUID: []byte("a known model...")}
	proven := Passkey{KeyProtection: KeyProtectionHardware, AttestationVerifiedAt: noon}
	payments, keys := policy.ActionClasses["payments"], policy.ActionClasses["keys"]
	for _, tc := range []struct {
		name string
		need Requirement
		want [3]bool // synced, claimed, proven
	}{
		{"no demand", Requirement{}, [3]bool{true, true, true}},
		{"phr", Requirement{ACRValues: []string{"phr"}}, [3]bool{true, true, true}},
		{"phrh", Requirement{ACRValues: []string{"phrh"}}, [3]bool{false, false, true}},
		{"either", Requirement{ACRValues: []string{"phrh", "phr"}}, [3]bool{true, true, true}},
		{"minimum", Requirement{MinimumACR: "phrh", ACRValues: []string{"phr"}}, [3]bool{false, false, true}},
		{"alias", Requirement{ACRValues: []string{"urn:gold"}}, [3]bool{false, false, true}},
		{"class of phr", Requirement{ActionClasses: []ActionClass{payments}}, [3]bool{true, true, true}},
		{"class of phrh", Requirement{ActionClasses: []ActionClass{payments, keys}}, [3]bool{false, false, true}},
		{"unknown value", Requirement{ACRValues: []string{"2"}}, [3]bool{}},
		{"unknown minimum", Requirement{MinimumACR: "2"}, [3]bool{}},
	} {
		got := [3]bool{policy.Reaches(synced, tc.need), policy.Reaches(claimed, tc.need), policy.Reaches(proven, tc.need)}
		if got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestScopesNameTheirActionClassesOnce(t *testing.T) {
	var got []string
	for _, c := range policy.ActionClassesOf(Access{Scopes: []string{"openid", "pay", "lost", "rotate", "refund", "unknown"}}) {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff([]string{"payments", "keys"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
