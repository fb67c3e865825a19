package e2e

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
)

// changePolicy stores sections of the policy, as an operation on this replica does.
func changePolicy(t *testing.T, d *server.Demo, document string) {
	t.Helper()
	doc, err := config.ReadDocument("policy.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	ops := admin.New(admin.Config{
		DB: d.DB, Settings: d.Config, PolicyChanged: func(ctx context.Context) { _ = d.RenewPolicy(ctx) },
	})
	if _, err := ops.Policy.Change(t.Context(), admin.Operator(), d.PolicyVersion(), doc); err != nil {
		t.Fatal(err)
	}
}

func TestRulesOfPasskeysAndOfRecoveryAreThoseOfThePolicy(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada, grace := newOfficial(t, d, "ada@example.com", directory.RoleOwner), newOfficial(t, d, "grace@example.com", directory.RoleUser)
	complete := func() bool {
		t.Helper()
		at := grace.open("/account/checkup")
		if !strings.Contains(at.body, "Passkeys that count: 1") {
			t.Fatalf("no count on %s", at)
		}
		return !strings.Contains(at.body, "Needed: 3")
	}
	second := func() bool {
		t.Helper()
		id := (&looker{demo: d, chrome: &chrome{t: t}}).user("grace@example.com").ID
		if at := ada.confirm(ada.post("/admin/users/"+id+"/recovery", url.Values{})); !strings.Contains(at.body, "recovery-link") {
			t.Fatalf("no recovery link on %s", at)
		}
		events, err := d.DB.EventsOf(t.Context(), id, 1)
		if err != nil || events[0].Kind != idp.EventRecoveryLinkMade {
			t.Fatalf("last event %+v (%v)", events, err)
		}
		return events[0].Detail["second"] == "true"
	}
	if !complete() || second() {
		t.Fatal("there are rules before there is a policy")
	}
	changePolicy(t, d, "passkey-rules: [everyone minimum=3]\nrecovery-approval: required\n")
	if complete() {
		t.Error("the check-up does not ask for three passkeys")
	}
	if !second() {
		t.Error("the recovery link needs no second admin")
	}
}
