package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
)

func TestAUserNeedsTheStrictestOfTheirRules(t *testing.T) {
	var policy directory.PasskeyPolicy
	for _, rule := range []string{
		"everyone minimum=2", "role:admin kind=device-bound", "group:finance minimum=3", "group:vault proven",
	} {
		r, err := directory.ParsePasskeyRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		policy = append(policy, r)
	}
	for _, row := range []struct {
		role   directory.Role
		groups []string
		want   directory.PasskeyNeed
	}{
		{"", nil, directory.PasskeyNeed{Minimum: 2}},
		{directory.RoleSupport, []string{"sales"}, directory.PasskeyNeed{Minimum: 2}},
		{directory.RoleAdmin, nil, directory.PasskeyNeed{Minimum: 2, DeviceBound: true}},
		{directory.RoleOwner, nil, directory.PasskeyNeed{Minimum: 2, DeviceBound: true}},
		{"", []string{"vault", "Finance"}, directory.PasskeyNeed{Minimum: 3, Proven: true}},
	} {
		if diff := cmp.Diff(row.want, policy.For(row.role, row.groups)); diff != "" {
			t.Errorf("%q in %v: %s", row.role, row.groups, diff)
		}
	}
	if n := directory.PasskeyPolicy(nil).For(directory.RoleOwner, nil).Least(); n != 1 {
		t.Errorf("without rules %d passkeys are needed", n)
	}
	if !policy.OfGroups() || !policy.Proven() || policy[:2].OfGroups() || policy[:3].Proven() {
		t.Error("the policy does not say what its rules are about")
	}
}

func TestAPasskeyRuleIsReadOrSaysWhatIsWrong(t *testing.T) {
	for _, bad := range []string{
		"", "everyone", "minimum=2", "role: minimum=2", "role:none minimum=2", "role:boss minimum=2", "group: minimum=2",
		"everyone minimum=0", "everyone minimum=6", "everyone minimum", "everyone kind=synced", "everyone proven=yes",
	} {
		if r, err := directory.ParsePasskeyRule(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, r)
		}
	}
}
