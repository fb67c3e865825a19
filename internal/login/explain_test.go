package login

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

// explained checks that the explanation of facts says what was decided, by the check that decided.
func explained(t *testing.T, f Facts, step Step) {
	t.Helper()
	e := explain(f)
	if diff := cmp.Diff(step, e.Step); diff != "" {
		t.Errorf("the explanation decides otherwise: %s", diff)
	}
	decided := ""
	for i, v := range e.Verdicts {
		if v.Check != checks[i].name {
			t.Errorf("verdict %d is about %s, not %s", i, v.Check, checks[i].name)
		}
		if (v.Result == NotReached) != (decided != "") {
			t.Errorf("%s is %s after %q decided", v.Check, v.Result, decided)
		}
		if v.Result == Decided {
			decided = v.Check
		}
	}
	if decided != step.Check {
		t.Errorf("%q decided, the explanation says %q", step.Check, decided)
	}
}

func TestAnExplanationSaysWhatEachAuthenticationLacks(t *testing.T) {
	key := func(a *idp.Authentication) { a.ID = "key"; hardware(a) }
	f := facts(signedIn(2*time.Hour), signedIn(time.Minute, key), signedIn(time.Second, func(a *idp.Authentication) { a.ID = "new" }),
		need(idp.Requirement{MinimumACR: "phrh", ActionClasses: []idp.ActionClass{{Name: "payments", Window: time.Minute}}}))
	got := map[string]idp.Check{}
	for _, w := range explain(f).Weighed {
		got[w.ID] = w.Lacks
	}
	want := map[string]idp.Check{"a": idp.CheckMinimumACR, "key": idp.CheckActionClass, "new": idp.CheckMinimumACR}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASupposedSessionIsASignInOfNow(t *testing.T) {
	for _, k := range []idp.Passkey{
		{ID: "synced", UserID: "alice", Flags: idp.FlagUserPresent | idp.FlagUserVerified | idp.FlagBackupEligible},
		{ID: "bound", UserID: "alice", Flags: idp.FlagUserPresent | idp.FlagUserVerified},
	} {
		f := facts(allowed)
		f.Session = Supposed(k, noon)
		step := Decide(f)
		if step.Kind != Finish || !slices.Equal(k.ACRs()[:1], []string{step.Assurance.ACR}) || step.Assurance.PasskeyID != k.ID {
			t.Errorf("%s: %+v", k.ID, step)
		}
	}
}
