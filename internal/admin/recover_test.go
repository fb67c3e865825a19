package admin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/recoveries"
)

func TestASecondAdminApprovesARecoveryLink(t *testing.T) {
	h := open(t)
	target := h.user("target@example.org", directory.RoleUser)
	maker, second := h.as(directory.RoleAdmin), h.as(directory.RoleSupport)
	made, err := h.Users.OrderRecovery(h.ctx, maker, target.ID, recovery.Order{TTL: time.Hour, PIN: true, Second: true})
	h.must(err)
	if len(made.PIN.Reveal()) != 8 {
		t.Errorf("PIN %q", made.PIN.Reveal())
	}
	if err := h.Users.ApproveRecovery(h.ctx, maker, target.ID); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("its maker approves it: %v", err)
	}
	late := second
	late.ConfirmedAt = time.Time{}
	h.denied("without a step-up", h.Users.ApproveRecovery(h.ctx, late, target.ID), "step_up")
	h.denied("an auditor", h.Users.ApproveRecovery(h.ctx, h.as(directory.RoleAuditor), target.ID), "role")
	h.denied("at the command line", h.Users.ApproveRecovery(h.ctx, admin.Operator(), target.ID), "role")
	state := func(by admin.Actor) recovery.Approval {
		t.Helper()
		a, err := recovery.ApprovalOf(h.ctx, h.db, target.ID, by.UserID, time.Now())
		h.must(err)
		return a
	}
	due := func(by admin.Actor) int {
		t.Helper()
		list, err := recovery.ToApprove(h.ctx, h.db, by.UserID, time.Now())
		h.must(err)
		return len(list)
	}
	auditor := h.as(directory.RoleAuditor)
	for name, c := range map[string]struct {
		by  admin.Actor
		may bool
	}{"its maker": {maker, false}, "another admin": {second, true}, "an auditor": {auditor, false}, "the operator": {admin.Operator(), false}} {
		if a := state(c.by); a.May != c.may || a.ApprovedBy != "" || a.Maker != h.users[directory.RoleAdmin].Email || !a.Until.Equal(made.Until.Truncate(time.Millisecond)) {
			t.Errorf("%s sees %+v", name, a)
		}
		if n := due(c.by); n != map[bool]int{true: 1}[c.may] {
			t.Errorf("%s has %d to approve", name, n)
		}
	}
	h.must(h.Users.ApproveRecovery(h.ctx, second, target.ID))
	if a := state(auditor); a.May || a.ApprovedBy != h.users[directory.RoleSupport].Email || due(second) != 0 {
		t.Errorf("approved: %+v", a)
	}
	_, err = h.Users.OrderRecovery(h.ctx, maker, target.ID, recovery.Order{TTL: time.Hour})
	h.must(err)
	if _, err := recovery.ApprovalOf(h.ctx, h.db, target.ID, second.UserID, time.Now()); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("a link that needs no second admin: %v", err)
	}
	owner := h.users[directory.RoleOwner]
	_, err = h.Users.OrderRecovery(h.ctx, h.as(directory.RoleOwner), owner.ID, recovery.Order{TTL: time.Hour})
	h.denied("an owner for themselves", err, "higher_role")
}

func TestWithTheSettingEveryLinkOfAnAdminNeedsASecondOne(t *testing.T) {
	for setting, want := range map[bool][]bool{false: {false, false}, true: {true, false}} {
		h := open(t, func(c *admin.Config) { c.ApproveRecovery = setting })
		target := h.user("target@example.org", directory.RoleUser)
		for i, by := range []admin.Actor{h.as(directory.RoleAdmin), admin.Operator()} {
			_, err := h.Users.OrderRecovery(h.ctx, by, target.ID, recovery.Order{TTL: time.Hour})
			h.must(err)
			link, err := recoveries.New(h.db).LinkOf(h.ctx, target.ID, time.Now())
			h.must(err)
			if link.Second != want[i] {
				t.Errorf("setting %t, by %s: needs a second admin %t", setting, by.Channel, link.Second)
			}
		}
	}
}
