package admin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// openPolicy returns a house with the operations on the policy, below the settings of a file.
func openPolicy(t *testing.T, file string) *house {
	t.Helper()
	h := open(t)
	path := filepath.Join(t.TempDir(), "stepward.yaml")
	h.must(os.WriteFile(path, []byte(file), 0o600))
	settings, err := config.Load(config.Sources{File: path})
	h.must(err)
	h.Operations = admin.New(admin.Config{DB: h.db, Issuer: "https://id.example.com", Policy: settings.Policy, Settings: settings})
	return h
}

func sections(pairs ...string) config.Document {
	d := config.Document{}
	for i := 0; i+1 < len(pairs); i += 2 {
		d[pairs[i]] = []byte(pairs[i+1])
	}
	return d
}

// wrong checks that a change is refused with this sentence.
func (h *house) wrong(err error, want string) {
	h.Helper()
	if faults, ok := errors.AsType[directory.Faults](err); !ok || !strings.Contains(faults.Error(), want) {
		h.Errorf("%v, want a fault with %q", err, want)
	}
}

const payments = `{"payments": {"description": "make a payment", "window": "5m"}}`

func TestAPolicyIsChangedInVersions(t *testing.T) {
	h := openPolicy(t, "")
	state, err := h.Policy.Change(h.ctx, h.as(directory.RoleAdmin), 0, sections("action-classes", payments, "product-name", `"Acme"`,
		"scopes", `{"payouts": {"description": "Pay", "action-class": "payments"}}`))
	h.must(err)
	want := "action-classes: added payments\nscopes: added payouts\nproduct-name: from Stepward to Acme"
	if got := strings.Join(state.Changes, "\n"); state.Version != 1 || got != want {
		t.Errorf("version %d: %s", state.Version, got)
	}
	_, err = h.Policy.Change(h.ctx, h.as(directory.RoleOwner), 0, sections("product-name", `"Other"`))
	if !errors.Is(err, admin.ErrStale) {
		t.Errorf("a change of a version that is no longer the newest: %v", err)
	}
	state, err = h.Policy.Change(h.ctx, h.as(directory.RoleOwner), 1, sections("product-name", "null", "action-classes",
		`{"payments": {"description": "make a payment", "window": "10m"}}`))
	h.must(err)
	if got := strings.Join(state.Changes, "; "); got != "action-classes: changed payments (window from 5m to 10m); product-name: from Acme to Stepward" || len(state.Stored) != 2 {
		t.Errorf("%s; stored %v", got, state.Stored)
	}
	state, err = h.Policy.Change(h.ctx, admin.Operator(), 2, sections("sign-up", `"closed"`))
	if h.must(err); state.Version != 2 {
		t.Errorf("a change of nothing made version %d", state.Version)
	}
	events, err := h.db.Events(h.ctx, "", 100)
	h.must(err)
	last := events[len(events)-1]
	if last.Kind != idp.EventPolicyChanged || last.ActorID != h.users[directory.RoleOwner].ID || last.Detail["version"] != "2" ||
		!strings.Contains(last.Detail["changes"], "product-name: from Acme to Stepward") {
		t.Errorf("event %+v", last)
	}
	history, err := h.Policy.History(h.ctx, h.as(directory.RoleAuditor), 0, 10)
	if h.must(err); len(history) != 2 || history[0].Number != 2 || history[1].ActorID != h.users[directory.RoleAdmin].ID {
		t.Errorf("history %+v", history)
	}
	former, err := h.Policy.Version(h.ctx, h.as(directory.RoleAuditor), 1)
	h.must(err)
	if stored, err := former.Sections(); err != nil || string(stored["product-name"]) != `"Acme"` {
		t.Errorf("version 1 is %s (%v)", stored, err)
	}
	back, err := h.Policy.Back(h.ctx, h.as(directory.RoleAuditor), 1)
	h.must(err)
	state, err = h.Policy.Change(h.ctx, h.as(directory.RoleOwner), 2, back)
	h.must(err)
	want = "action-classes: changed payments (window from 10m to 5m)\nproduct-name: from Stepward to Acme"
	if got := strings.Join(state.Changes, "\n"); got != want || len(back) != 2 {
		t.Errorf("back to version 1 with %d sections: %s", len(back), got)
	}
	whole, err := h.Policy.Whole(h.ctx, h.as(directory.RoleAuditor), sections("product-name", `"Acme"`))
	if h.must(err); len(whole) != 2 || string(whole["scopes"]) != "null" || string(whole["action-classes"]) != "null" {
		t.Errorf("to the whole: %s", whole)
	}
	if _, err := h.Policy.Back(h.ctx, admin.Operator(), 9); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("back to a version that never was: %v", err)
	}
}

func TestOnlyAdminsChangeThePolicy(t *testing.T) {
	h := openPolicy(t, "")
	change := func(by admin.Actor) error {
		_, err := h.Policy.Change(h.ctx, by, 0, sections("sign-up", `"closed"`))
		return err
	}
	for _, role := range directory.Roles {
		rule := "role"
		if role == directory.RoleOwner || role == directory.RoleAdmin {
			rule = ""
		}
		h.denied("change as "+role.Name(), change(h.as(role)), rule)
	}
	tired := h.as(directory.RoleOwner)
	tired.ConfirmedAt = time.Now().Add(-admin.ConfirmFor - time.Minute)
	h.denied("change without a step-up", change(tired), "step_up")
	_, err := h.Policy.Get(h.ctx, h.as(directory.RoleAuditor))
	h.denied("read as auditor", err, "")
	_, err = h.Policy.Get(h.ctx, h.as(directory.RoleUser))
	h.denied("read as user", err, "role")
}

// Otherwise an admin could change the rule that binds them, make a link, and change it back.
func TestOnlyAnOwnerLetsAdminsActWithoutASecondOne(t *testing.T) {
	h := openPolicy(t, "")
	change := func(by admin.Actor, expected int64, value string) error {
		_, err := h.Policy.Change(h.ctx, by, expected, sections("recovery-approval", value))
		return err
	}
	h.must(change(h.as(directory.RoleAdmin), 0, `"required"`))
	h.denied("optional, by an admin", change(h.as(directory.RoleAdmin), 1, `"optional"`), "owner")
	h.denied("the default, by an admin", change(h.as(directory.RoleAdmin), 1, `null`), "owner")
	robot := admin.Actor{Channel: admin.ChannelAPI, ClientID: "robot", Role: directory.RoleAdmin}
	h.denied("the default, by a client", change(robot, 1, `null`), "owner")
	h.must(change(h.as(directory.RoleOwner), 1, `null`))
}

func TestGoingBackLeavesWhatIsLockedNow(t *testing.T) {
	h := openPolicy(t, "")
	_, err := h.Policy.Change(h.ctx, admin.Operator(), 0, sections("accent", `"#1a6b5a"`))
	h.must(err)
	_, err = h.Policy.Change(h.ctx, admin.Operator(), 1, sections("accent", `"#000000"`, "product-name", `"Acme"`))
	h.must(err)
	path := filepath.Join(t.TempDir(), "stepward.yaml")
	h.must(os.WriteFile(path, []byte("accent: '#000000'\n"), 0o600))
	settings, err := config.Load(config.Sources{File: path})
	h.must(err)
	ops := admin.New(admin.Config{DB: h.db, Policy: settings.Policy, Settings: settings})
	back, err := ops.Policy.Back(h.ctx, admin.Operator(), 1)
	if h.must(err); len(back) != 1 || string(back["product-name"]) != "null" {
		t.Errorf("back: %s", back)
	}
	_, err = ops.Policy.Change(h.ctx, admin.Operator(), 2, back)
	h.must(err)
}

func TestSectionsOfTheSettingsAreLocked(t *testing.T) {
	h := openPolicy(t, "acr-aliases:\n  urn:example:gold: {acr: phrh}\nsign-up: closed\n")
	_, err := h.Policy.Change(h.ctx, admin.Operator(), 0, sections("acr-aliases", `{"a": {"acr": "phr"}}`, "sign-up", "null"))
	h.wrong(err, "acr-aliases is locked: it is set in ")
	h.wrong(err, "stepward.yaml:1 and can only be changed there")
	h.wrong(err, "sign-up is locked")
	state, err := h.Policy.Get(h.ctx, admin.Operator())
	h.must(err)
	for _, s := range state.Sections {
		if locked := s.Key == "acr-aliases" || s.Key == "sign-up"; s.Locked != locked || locked && !strings.Contains(s.Source, "stepward.yaml:") {
			t.Errorf("%+v", s)
		}
	}
}

func TestABadPolicyIsRefused(t *testing.T) {
	h := openPolicy(t, "")
	_, err := h.Policy.Change(h.ctx, admin.Operator(), 0, sections(
		"scopes", `{"payouts": {"description": "Pay"}, "reports": {"description": "Read"}}`,
		"acr-aliases", `{"gold": {"acr": "phrh"}}`))
	h.must(err)
	now := time.Now()
	h.must(h.db.PutClient(h.ctx, idp.Client{
		ID: "grafana", Name: "Grafana", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, RedirectURIs: []string{"https://grafana.example.com/cb"},
		GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid", "reports"}, MinimumACR: "gold", CreatedAt: now, UpdatedAt: now,
	}))
	_, err = h.Claims.Define(h.ctx, admin.Operator(), directory.Claim{
		Name: "team", Type: directory.ClaimString, Scope: "profile", SeenBy: []directory.Party{"admin"}, EditedBy: []directory.Party{"admin"},
	})
	h.must(err)
	for _, c := range []struct {
		what string
		doc  config.Document
		want string
	}{
		{"an unknown key", sections("scope", "{}"), "scope is not a section of the policy"},
		{"an unknown member", sections("scopes", `{"a": {"text": "A"}}`), "scopes.a.text"},
		{"a scope that a client uses is gone", sections("scopes", `{"payouts": {"description": "Pay"}}`), `client grafana scope "reports"`},
		{"an acr name that a client uses is gone", sections("acr-aliases", "null"), "client grafana"},
		{"an alias to nothing", sections("acr-aliases", `{"gold": {"acr": "nothing"}}`), `"nothing" is not phr or phrh`},
		{"a window longer than decay", sections("action-classes", `{"pay": {"description": "pay", "window": "2h"}}`, "acr-decay", `{"phr": {"absolute": "1h", "idle": "10m"}}`), "2h is longer than phr lasts"},
		{"no JSON", sections("scopes", "{"), "is not JSON"},
		{"too much", sections("product-name", `"`+strings.Repeat("x", config.MaxDocument)+`"`), "KiB"},
		{"sign-up without mail", sections("sign-up", `"open"`), "smtp-url"},
	} {
		_, err := h.Policy.Change(h.ctx, admin.Operator(), 1, c.doc)
		if faults, ok := errors.AsType[directory.Faults](err); !ok || !strings.Contains(faults.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if _, err := h.Policy.Check(h.ctx, admin.Operator(), c.doc); err == nil {
			t.Errorf("%s passes the check", c.what)
		}
	}
	changes, err := h.Policy.Check(h.ctx, admin.Operator(), sections("scopes", `{"reports": {"description": "Read"}}`))
	if h.must(err); strings.Join(changes, "") != "scopes: removed payouts" {
		t.Errorf("%v", changes)
	}
	if v, err := h.Policy.History(context.Background(), admin.Operator(), 0, 10); err != nil || len(v) != 1 {
		t.Errorf("there are %d versions (%v)", len(v), err)
	}
}
