package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/directory"
)

func TestAUserNeedsTheStrictestOfTheirRules(t *testing.T) {
	const first, second = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	one, two := uuid.MustParse(first), uuid.MustParse(second)
	var policy directory.PasskeyPolicy
	for _, rule := range []string{
		"everyone minimum=2", "role:admin kind=device-bound", "group:finance minimum=3", "group:vault proven",
		"group:lab allowed=" + first + " allowed=" + second, "group:dock allowed=" + second + " forbidden=" + first,
		"group:port allowed=" + first + " forbidden=" + first + " forbidden=" + second,
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
		{"", []string{"lab"}, directory.PasskeyNeed{Minimum: 2, Allowed: []uuid.UUID{one, two}}},
		{"", []string{"lab", "dock"}, directory.PasskeyNeed{Minimum: 2, Allowed: []uuid.UUID{two}, Forbidden: []uuid.UUID{one}}},
		{"", []string{"dock", "port"}, directory.PasskeyNeed{Minimum: 2, Allowed: []uuid.UUID{}, Forbidden: []uuid.UUID{one, two}}},
	} {
		if diff := cmp.Diff(row.want, policy.For(row.role, row.groups)); diff != "" {
			t.Errorf("%q in %v: %s", row.role, row.groups, diff)
		}
	}
	if n := directory.PasskeyPolicy(nil).For(directory.RoleOwner, nil).Least(); n != 1 {
		t.Errorf("without rules %d passkeys are needed", n)
	}
	if !policy.OfGroups() || !policy.Proven() || policy[:2].OfGroups() || policy[:3].Proven() || !policy[4:5].Proven() {
		t.Error("the policy does not say what its rules are about")
	}
}

func TestAPasskeyRuleIsReadOrSaysWhatIsWrong(t *testing.T) {
	for _, bad := range []string{
		"", "everyone", "minimum=2", "role: minimum=2", "role:none minimum=2", "role:boss minimum=2", "group: minimum=2",
		"everyone minimum=0", "everyone minimum=6", "everyone minimum", "everyone kind=synced", "everyone proven=yes",
		"everyone allowed", "everyone allowed=YubiKey", "everyone forbidden={a25342c0-3cdc-4414-8e46-f4807fca511c}",
	} {
		if r, err := directory.ParsePasskeyRule(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, r)
		}
	}
}
