package desired_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/pkg/adminapi"
)

// house is the operations over a real store.
type house struct {
	*testing.T
	ctx context.Context
	db  *store.DB
	ops *admin.Operations
}

func open(t *testing.T, db *store.DB) *house {
	t.Helper()
	settings, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	return &house{t, t.Context(), db, operations(db, settings)}
}

func operations(db *store.DB, settings *config.Config) *admin.Operations {
	return admin.New(admin.Config{DB: db, Issuer: "https://id.example.com", Policy: settings.Policy, Settings: settings})
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// read returns the state of a JSON text, whose single quotes are double ones.
func (h *house) read(text string) desired.State {
	h.Helper()
	var in adminapi.Desired
	h.must(json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &in))
	state, err := wire.DesiredOf(in)
	h.must(err)
	return state
}

var byFile = admin.Actor{Channel: admin.ChannelApply, File: "f11e"}

func (h *house) apply(text string, edit ...func(*desired.Options)) (adminapi.Plan, error) {
	h.Helper()
	o := desired.Options{Source: "stepward.yaml"}
	for _, f := range edit {
		f(&o)
	}
	return desired.Apply(h.ctx, h.ops, byFile, h.read(text), o)
}

// applied applies a state and compares the plan's lines.
func (h *house) applied(text string, edit func(*desired.Options), want ...string) adminapi.Plan {
	h.Helper()
	if edit == nil {
		edit = func(*desired.Options) {}
	}
	plan, err := h.apply(text, edit)
	h.must(err)
	lines := []string{}
	for _, c := range plan.Changes {
		lines = append(lines, c.Text)
	}
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		h.Errorf("plan (-want +got):\n%s", diff)
	}
	return plan
}

// wrong checks that a state is refused with exactly these faults, and that nothing changed.
func (h *house) wrong(text string, want ...string) {
	h.Helper()
	before := h.content()
	_, err := h.apply(text, prune)
	faults, ok := errors.AsType[directory.Faults](err)
	if !ok {
		h.Errorf("no faults: %v", err)
		return
	}
	lines := strings.Split(faults.Error(), "\n")
	slices.Sort(lines)
	slices.Sort(want)
	if diff := cmp.Diff(want, lines); diff != "" {
		h.Errorf("faults (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, h.content()); diff != "" {
		h.Errorf("something changed:\n%s", diff)
	}
}

// content is everything that a file describes, and the number of events.
func (h *house) content() string {
	h.Helper()
	state, err := desired.Export(h.ctx, h.ops, admin.Operator())
	h.must(err)
	text, err := json.MarshalIndent(wire.Desired(state, wire.Hashed), "", " ")
	h.must(err)
	events, err := h.db.Events(h.ctx, "", 10000)
	h.must(err)
	return fmt.Sprintf("%s\n%d events", text, len(events))
}

func prune(o *desired.Options)  { o.Prune = true }
func dryRun(o *desired.Options) { o.DryRun = true }

// user adds a user who can sign in.
func (h *house) user(email string, role directory.Role) idp.User {
	h.Helper()
	u, err := h.ops.Users.Create(h.ctx, admin.Operator(), admin.NewUser{Email: email, Role: role})
	h.must(err)
	h.must(h.db.AddPasskey(h.ctx, idp.Passkey{
		ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(email), PublicKey: []byte{1}, CreatedAt: time.Now(),
	}))
	return u
}

var (
	first  = "sha256:" + idp.Secret("first").Hash()
	second = "sha256:" + idp.Secret("second").Hash()
)

const grafana = `{'client_id': 'grafana', 'client_name': 'Grafana', 'redirect_uris': ['https://grafana.example/cb'],
	'scopes': ['openid', 'payouts'], 'allowed_groups': ['engineering'], 'secrets': [{'name': 'main', 'value': 'SECRET'}]}`

var whole = strings.ReplaceAll(`{
	'claims': [{'name': 'department'}],
	'groups': [{'name': 'engineering', 'within': ['staff'], 'claims': {'department': 'R&D'}}, {'name': 'staff', 'description': 'All'}],
	'clients': [`+grafana+`],
	'roles': {'ada@example.com': 'admin', 'new@example.com': 'support'},
	'policy': {'scopes': {'payouts': {'description': 'Pay'}}, 'product-name': 'Acme'}
}`, "SECRET", first)

func TestAStateIsAppliedOnceAndThenNothingIsLeftToDo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		ada := h.user("ada@example.com", directory.RoleUser)
		lines := []string{
			"+ claim department", "+ group engineering", "+ group staff", "+ client grafana",
			"~ role ada@example.com: role from \"none\" to \"admin\"; from now on managed by stepward.yaml",
			"! role new@example.com: support: there is no user with this address yet",
			"~ policy product-name: from Stepward to Acme; from now on managed by stepward.yaml",
			"~ policy scopes: added payouts; from now on managed by stepward.yaml",
		}
		before := h.content()
		dry := h.applied(whole, dryRun, lines...)
		if got := h.content(); got != before || dry.Applied || !dry.Drift() {
			t.Errorf("a dry run changed something: %s", cmp.Diff(before, got))
		}
		if plan := h.applied(whole, nil, lines...); !plan.Applied || plan.Digest != dry.Digest {
			t.Errorf("%+v, planned %+v", plan, dry)
		}
		after := h.content()
		waits := "! role new@example.com: support: there is no user with this address yet"
		if plan := h.applied(whole, nil, waits); plan.Applied || plan.Drift() {
			t.Errorf("again: %+v", plan)
		}
		if got := h.content(); got != after {
			t.Errorf("the second time changed something: %s", cmp.Diff(after, got))
		}
		u, err := db.UserByID(h.ctx, ada.ID)
		if h.must(err); u.Role != directory.RoleAdmin {
			t.Errorf("role %q", u.Role)
		}
		events, err := db.Events(h.ctx, "", 100)
		h.must(err)
		kinds := map[idp.EventKind]int{}
		for _, e := range events {
			if e.Detail["by"] == "apply" && e.Detail["file"] == "f11e" {
				kinds[e.Kind]++
			}
		}
		if diff := cmp.Diff(map[idp.EventKind]int{
			idp.EventClaimDefined: 1, idp.EventGroupCreated: 2, idp.EventGroupNested: 1, idp.EventClaimsSet: 1,
			idp.EventClientAdded: 1, idp.EventUserChanged: 1, idp.EventPolicyChanged: 1,
		}, kinds); diff != "" {
			t.Errorf("events: %s", diff)
		}
		h.user("new@example.com", directory.RoleUser)
		h.applied(whole, nil, `~ role new@example.com: role from "none" to "support"; from now on managed by stepward.yaml`)
	})
}

func TestWhatDiffersIsSaidAndMended(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		_, err := h.apply(whole)
		h.must(err)
		c, err := db.StoredClient(h.ctx, "grafana")
		h.must(err)
		c.RedirectURIs, c.Name = []string{"https://other.example/cb"}, "Grafana 2" // past every door
		h.must(db.PutClient(h.ctx, c))
		changed := strings.NewReplacer("R&D", "Research", "'All'", "''", "'within': ['staff'], ", "",
			"'name': 'main'", "'name': 'spring'", "'Pay'", "'Payouts'").Replace(whole)
		h.applied(changed, nil,
			`~ group engineering: within - staff; claims.department from "R&D" to "Research"`,
			`~ group staff: description from "All" to ""`,
			`~ client grafana: client_name from "Grafana 2" to "Grafana"; redirect_uris + https://grafana.example/cb - https://other.example/cb; secrets + spring - main`,
			"! role ada@example.com: admin: there is no user with this address yet",
			"! role new@example.com: support: there is no user with this address yet",
			"~ policy scopes: changed payouts (description from Pay to Payouts)",
		)
		c, err = db.StoredClient(h.ctx, "grafana")
		h.must(err)
		if _, ok := c.MatchSecret("first", time.Now()); !ok || len(c.Secrets) != 1 || c.Secrets[0].Name != "spring" {
			t.Errorf("secrets %+v", c.Secrets)
		}
		rotated := strings.ReplaceAll(changed, first, second)
		_, err = h.apply(rotated)
		h.must(err)
		c, err = db.StoredClient(h.ctx, "grafana")
		h.must(err)
		if _, ok := c.MatchSecret("first", time.Now()); ok || len(c.Secrets) != 1 {
			t.Errorf("after a rotation the old secret is good: %+v", c.Secrets)
		}
	})
}

func TestOnlyWhatAFileManagedIsPruned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		h.user("root@example.com", directory.RoleOwner)
		h.user("ada@example.com", directory.RoleUser)
		_, err := h.ops.Groups.Create(h.ctx, admin.Operator(), admin.GroupInput{Name: "mine"})
		h.must(err)
		_, err = h.ops.Claims.Define(h.ctx, admin.Operator(), directory.Claim{Name: "mine", Type: "string", Scope: "profile"})
		h.must(err)
		_, err = h.apply(whole)
		h.must(err)
		other := func(o *desired.Options) { o.Source, o.Prune = "other.yaml", true }
		h.applied(`{'groups': [{'name': 'mine'}]}`, other, "= group mine: from now on managed by other.yaml")
		left := []string{
			"- client grafana: no longer in stepward.yaml (only with --prune)",
			"- group engineering: no longer in stepward.yaml (only with --prune)",
			"- group staff: no longer in stepward.yaml (only with --prune)",
			"- claim department: no longer in stepward.yaml (only with --prune)",
			"- role ada@example.com: no longer in stepward.yaml (only with --prune)",
			"- policy product-name: no longer in stepward.yaml (only with --prune)",
			"- policy scopes: no longer in stepward.yaml (only with --prune)",
		}
		before := h.content()
		if plan := h.applied(`{}`, nil, left...); plan.Drift() || plan.Applied {
			t.Errorf("%+v", plan)
		}
		if got := h.content(); got != before {
			t.Errorf("without prune: %s", cmp.Diff(before, got))
		}
		h.denied(h.ops.Clients.Remove(h.ctx, admin.Operator(), "grafana")) // it is still the file's
		for i, line := range left {
			left[i], _, _ = strings.Cut(line, ":")
		}
		h.applied(`{}`, prune, left...)
		h.applied(`{}`, prune)
		state, err := desired.Export(h.ctx, h.ops, admin.Operator())
		h.must(err)
		if len(state.Clients) != 0 || len(state.Groups) != 1 || len(state.Claims) != 1 || len(state.Policy) != 0 ||
			len(state.Roles) != 1 || state.Roles["root@example.com"] != directory.RoleOwner {
			t.Errorf("left: %+v", state)
		}
	})
}

func TestWhatOneFileManagesIsNotAnothers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		_, err := h.apply(`{'groups': [{'name': 'staff'}]}`)
		h.must(err)
		_, err = h.apply(`{'groups': [{'name': 'staff', 'description': 'theirs'}]}`, func(o *desired.Options) { o.Source = "other.yaml" })
		if err == nil || !strings.Contains(err.Error(), "groups[0] is managed by stepward.yaml") {
			t.Errorf("%v", err)
		}
	})
}

func TestAFileTakesAClientOverAndKeepsWhatItSaidOfItsSoftware(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		was := idp.Client{
			ID: "app", Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, Dynamic: true,
			IDTokenAlg: idp.RS256, RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode},
			Scopes: []string{"openid"}, CreatedAt: at, UpdatedAt: at, UsedAt: at,
			Software: idp.Software{SoftwareID: "4NRB1", SoftwareVersion: "2.1", SoftwareStatement: "e.y.J"},
		}
		h.must(registrations.Register(h.ctx, db, was, "", at))
		state := `{'clients': [{'client_id': 'app', 'client_name': 'App', 'token_endpoint_auth_method': 'none',
			'redirect_uris': ['https://app.example/cb'], 'grant_types': ['authorization_code'], 'scopes': ['openid']}]}`
		h.applied(state, nil, "~ client app: dynamic from true to nothing; from now on managed by stepward.yaml")
		h.applied(state, nil)
		is, err := db.StoredClient(h.ctx, "app")
		h.must(err)
		if is.Dynamic || is.Software != was.Software {
			t.Errorf("dynamic %v, software %+v", is.Dynamic, is.Software)
		}
	})
}

func TestTheLastOwnerStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		root := h.user("root@example.com", directory.RoleOwner)
		_, err := h.apply(`{'roles': {'root@example.com': 'owner'}}`)
		h.must(err)
		h.wrong(`{}`, "roles this is the last owner who can sign in; make another user an owner first")
		h.wrong(`{'roles': {'root@example.com': 'admin'}}`,
			"roles.root@example.com this is the last owner who can sign in; make another user an owner first")
		h.user("ada@example.com", directory.RoleUser)
		h.applied(`{'roles': {'ada@example.com': 'owner', 'root@example.com': 'none'}}`, nil,
			`~ role ada@example.com: role from "none" to "owner"; from now on managed by stepward.yaml`,
			`~ role root@example.com: role from "owner" to "none"`)
		role := directory.RoleOwner
		_, err = h.ops.Users.Change(h.ctx, admin.Operator(), root.ID, admin.UserChange{Role: &role})
		h.denied(err)
	})
}

// denied checks that an operation is refused because a file manages its object.
func (h *house) denied(err error) {
	h.Helper()
	d, ok := errors.AsType[*admin.Denied](err)
	if !ok || d.Rule != "managed" || !strings.Contains(d.Text, "stepward.yaml") {
		h.Errorf("%v", err)
	}
}

func TestOtherDoorsDoNotChangeWhatAFileManages(t *testing.T) {
	h := open(t, storetest.Open(t))
	ada := h.user("ada@example.com", directory.RoleUser)
	_, err := h.apply(whole)
	h.must(err)
	op := admin.Operator()
	c, err := h.ops.Clients.Get(h.ctx, op, "grafana")
	h.must(err)
	_, err = h.ops.Clients.Change(h.ctx, op, c.ID, c, time.Time{})
	h.denied(err)
	h.denied(h.ops.Clients.Remove(h.ctx, op, c.ID))
	_, _, err = h.ops.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{}, time.Time{})
	h.denied(err)
	_, err = h.ops.Clients.ExpireSecret(h.ctx, op, c.ID, c.Secrets[0].ID, time.Now(), time.Time{})
	h.denied(err)
	h.denied(h.ops.Clients.RemoveSecret(h.ctx, op, c.ID, c.Secrets[0].ID, time.Time{}))
	g, err := h.ops.Groups.Find(h.ctx, op, "engineering")
	h.must(err)
	staff, err := h.ops.Groups.Find(h.ctx, op, "staff")
	h.must(err)
	_, err = h.ops.Groups.Change(h.ctx, op, g.ID, admin.GroupInput{Name: "engineering", Description: "x"}, time.Time{})
	h.denied(err)
	h.denied(h.ops.Groups.Remove(h.ctx, op, g.ID))
	h.denied(h.ops.Groups.Unnest(h.ctx, op, g.ID, staff.ID))
	h.denied(h.ops.Groups.Nest(h.ctx, op, g.ID, staff.ID))
	h.denied(h.ops.Claims.SetGroup(h.ctx, op, g.ID, map[string]json.RawMessage{"department": []byte(`"x"`)}))
	_, err = h.ops.Claims.Define(h.ctx, op, directory.Claim{Name: "department", Type: "number", Scope: "profile"})
	h.denied(err)
	h.denied(h.ops.Claims.Remove(h.ctx, op, "department"))
	role := directory.RoleUser
	_, err = h.ops.Users.Change(h.ctx, op, ada.ID, admin.UserChange{Role: &role})
	h.denied(err)
	_, err = h.ops.Policy.Change(h.ctx, op, 1, config.Document{"product-name": []byte(`"Other"`)})
	h.denied(err)

	// Members, names and emergencies are not in the file.
	h.must(h.ops.Groups.AddMembers(h.ctx, op, g.ID, ada.ID))
	name := "Ada"
	_, err = h.ops.Users.Change(h.ctx, op, ada.ID, admin.UserChange{Name: &name})
	h.must(err)
	h.must(h.ops.Clients.Disable(h.ctx, op, "grafana"))
	_, err = h.ops.Policy.Change(h.ctx, op, 1, config.Document{"accent": []byte(`"#000000"`)})
	h.must(err)
	h.applied(whole, nil, "! role new@example.com: support: there is no user with this address yet")
	if c, err = h.ops.Clients.Get(h.ctx, op, "grafana"); err != nil || c.DisabledAt.IsZero() {
		t.Errorf("apply enabled a client that somebody disabled: %v", err)
	}
	if n, err := desired.Release(h.ctx, h.ops, byFile, "stepward.yaml"); err != nil || n != 8 {
		t.Errorf("%d released: %v", n, err)
	}
	h.must(h.ops.Clients.Remove(h.ctx, op, "grafana"))
}

func TestAllFaultsAreReportedAndNothingChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		_, err := h.apply(`{'groups': [{'name': 'old', 'within': ['older']}, {'name': 'older'}]}`)
		h.must(err)
		h.wrong(`{'groups': [{'name': 'a', 'within': ['b']}, {'name': 'b', 'within': ['a']}, {'name': 'c', 'within': ['x']}],
			'claims': [{'name': 'sub'}],
			'clients': [{'client_id': 'ok', 'client_name': 'OK', 'token_endpoint_auth_method': 'none', 'redirect_uris': ['https://a.example/cb']},
				{'client_id': 'bad', 'client_name': 'Bad', 'redirect_uris': ['http://b.example/cb'], 'allowed_groups': ['nobody']}],
			'policy': {'scopes': {'x': {'action-class': 'none'}}}}`,
			`groups[0].within is a cycle: a group cannot be in itself, directly or through others`,
			`groups[1].within is a cycle: a group cannot be in itself, directly or through others`,
			`groups[2].within there is no group "x"`,
			`claims[0].name is reserved: the protocol gives it a meaning`,
			`clients[1].redirect_uris "http://b.example/cb" is http on a host that is not this machine; use https`,
			`clients[1].token_endpoint_auth_method client_secret_basic needs a secret`,
			`clients[1].allowed_groups there is no group "nobody"`,
			`policy.scopes.x.action-class "none" is not among action-classes`,
			`policy.scopes.x.description is missing; describe what the application may do with it`,
		)
		h.wrong(`{'groups': [{'name': 'a', 'within': ['b']}, {'name': 'b', 'within': ['c']}, {'name': 'c', 'within': ['old']}]}`,
			"groups[0].within is a chain of 5 groups; it can have 4")
		h.wrong(`{'groups': [{'name': 'Staff'}, {'name': 'staff'}], 'claims': [{'name': 'x'}, {'name': 'x'}],
			'clients': [{'client_id': 'a', 'client_name': 'A'}, {'client_id': 'a', 'client_name': 'B'}],
			'roles': {'a@b.c': 'owner', 'A@B.C': 'none', 'x': 'none'}}`,
			`clients[1].client_id "a" is in clients[0] already`, `groups[1].name "staff" is in groups[0] already`,
			`claims[1].name "x" is in claims[0] already`, "roles.a@b.c is the same address as A@B.C",
			`roles.x "x" is not an e-mail address`)
	})
}

func TestAFaultInTheLastElementUndoesAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		var clients []string
		for i := range 50 {
			clients = append(clients, fmt.Sprintf(`{'client_id': 'c%02d', 'client_name': 'C', 'token_endpoint_auth_method': 'none',
				'redirect_uris': ['https://c.example/cb']}`, i))
		}
		good := strings.Join(clients, ",")
		h.wrong(`{'groups': [{'name': 'g'}], 'clients': [`+good+`, {'client_id': 'z', 'client_name': 'Z', 'token_endpoint_auth_method': 'none',
			'redirect_uris': ['http://z.example/cb']}]}`,
			`clients[50].redirect_uris "http://z.example/cb" is http on a host that is not this machine; use https`)
		if plan, err := h.apply(`{'groups': [{'name': 'g'}], 'clients': [` + good + `]}`); err != nil || len(plan.Changes) != 51 {
			t.Errorf("%d changes, %v", len(plan.Changes), err)
		}
	})
}

func TestAPolicyAndWhatUsesItChangeTogether(t *testing.T) {
	h := open(t, storetest.Open(t))
	state := func(scope string) string {
		return strings.ReplaceAll(`{'policy': {'scopes': {'S': {'description': 'x'}}}, 'claims': [{'name': 'c', 'scope': 'S'}],
			'clients': [{'client_id': 'a', 'client_name': 'A', 'token_endpoint_auth_method': 'none',
				'redirect_uris': ['https://a.example/cb'], 'scopes': ['openid', 'S']}]}`, "S", scope)
	}
	_, err := h.apply(state("one"))
	h.must(err)
	h.applied(state("two"), nil, `~ claim c: scope from "one" to "two"`, "~ client a: scopes + two - one",
		"~ policy scopes: added two; removed one")
	_, err = h.ops.Clients.Get(h.ctx, admin.Operator(), "a")
	h.must(err)
}

func TestAChangeBetweenPlanAndApplyIsNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		_, err := h.apply(whole)
		h.must(err)
		next := strings.ReplaceAll(whole, "'Grafana'", "'Graphs'")
		plan, err := h.apply(next, dryRun)
		h.must(err)
		expect := func(o *desired.Options) { o.Expect = plan.Digest }
		c, err := db.StoredClient(h.ctx, "grafana")
		h.must(err)
		c.UpdatedAt = c.UpdatedAt.Add(time.Second)
		h.must(db.PutClient(h.ctx, c))
		before := h.content()
		if _, err := h.apply(next, expect); !errors.Is(err, admin.ErrStale) {
			t.Errorf("%v", err)
		}
		if got := h.content(); got != before {
			t.Errorf("something changed: %s", cmp.Diff(before, got))
		}
		plan, err = h.apply(next, dryRun)
		h.must(err)
		if plan, err := h.apply(next, expect); err != nil || !plan.Applied {
			t.Errorf("%+v %v", plan, err)
		}
	})
}

// Clients are checked over the network after the plan is made. Whatever happens meanwhile, the plan that was shown is
// the one that is applied, or none.
func TestAChangeWhileAClientIsCheckedIsNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		_, err := h.apply(whole)
		h.must(err)
		settings, err := config.Load(config.Sources{})
		h.must(err)
		meanwhile := func() {
			c, err := db.StoredClient(h.ctx, "grafana")
			h.must(err)
			c.UpdatedAt = c.UpdatedAt.Add(time.Second)
			h.must(db.PutClient(h.ctx, c))
		}
		h.ops = admin.New(admin.Config{
			DB: db, Issuer: "https://id.example.com", Policy: settings.Policy, Settings: settings,
			CheckClient: func(context.Context, idp.Client) directory.Faults { meanwhile(); return nil },
		})
		before := h.content()
		next := strings.ReplaceAll(whole, "'Grafana'", "'Graphs'")
		if _, err := h.apply(next); !errors.Is(err, admin.ErrStale) {
			t.Errorf("%v", err)
		}
		if got := h.content(); got != before {
			t.Errorf("something changed: %s", cmp.Diff(before, got))
		}
		meanwhile = func() {}
		if plan, err := h.apply(next); err != nil || !plan.Applied {
			t.Errorf("%+v %v", plan, err)
		}
	})
}

func TestWhatIsExportedIsWhatIsThere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		h.user("ada@example.com", directory.RoleUser)
		_, err := h.apply(whole)
		h.must(err)
		h.must(h.ops.Clients.Disable(h.ctx, admin.Operator(), "grafana"))
		exported, err := desired.Export(h.ctx, h.ops, admin.Operator())
		h.must(err)
		text, err := json.Marshal(wire.Desired(exported, wire.Hashed))
		h.must(err)
		again := strings.ReplaceAll(string(text), "'", "\\u0027")
		h.applied(again, nil)

		other := open(t, storetest.Open(t))
		other.user("ada@example.com", directory.RoleUser)
		if plan, err := other.apply(again); err != nil || !plan.Applied {
			t.Fatal(plan, err)
		}
		copied, err := desired.Export(other.ctx, other.ops, admin.Operator())
		h.must(err)
		same, err := json.Marshal(wire.Desired(copied, wire.Hashed))
		h.must(err)
		if diff := cmp.Diff(string(text), string(same)); diff != "" {
			t.Errorf("the copy differs: %s", diff)
		}
		other.applied(again, nil)
	})
}

// A process that is killed before its transaction ends leaves nothing.
func TestAKilledApplyLeavesNothing(t *testing.T) {
	if where := os.Getenv("STEPWARD_TEST_KILLED"); where != "" {
		dieInTheMiddle(t, where)
		return
	}
	for name, place := range map[string]func(*testing.T) (string, store.Config){
		"sqlite": func(t *testing.T) (string, store.Config) {
			dir := t.TempDir()
			return dir, store.Config{Dir: dir}
		},
		"postgres": func(t *testing.T) (string, store.Config) {
			url := storetest.PostgresURL(t)
			return url, store.Config{URL: url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			where, cfg := place(t)
			opened := func() *store.DB {
				db, err := store.Open(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			db := opened()
			if err := errors.Join(db.Migrate(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestAKilledApplyLeavesNothing$")
			cmd.Env = append(os.Environ(), "STEPWARD_TEST_KILLED="+where)
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), "about to die") || err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v: %s", err, out)
			}
			db = opened()
			defer db.Close()
			h := open(t, db)
			state, err := desired.Export(h.ctx, h.ops, admin.Operator())
			h.must(err)
			events, err := db.Events(h.ctx, "", 10)
			if h.must(err); len(state.Groups)+len(state.Clients)+len(state.Claims)+len(events) > 0 {
				t.Errorf("left: %+v, %d events", state, len(events))
			}
			h.applied(`{'groups': [{'name': 'g'}]}`, nil, "+ group g") // nobody holds a lock
		})
	}
}

func dieInTheMiddle(t *testing.T, where string) {
	cfg := store.Config{Dir: where}
	if strings.HasPrefix(where, "postgres") {
		cfg = store.Config{URL: where}
	}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t, t.Context(), db, admin.New(admin.Config{
		DB: db, Policy: settings.Policy, Settings: settings,
		CheckClient: func(ctx context.Context, _ idp.Client) directory.Faults { // between the plan and its application
			err := db.Transact(ctx, "apply a state", nil, func(tx *store.DB) error {
				ops, err := operations(db, settings).Within(ctx, tx, nil)
				if err != nil {
					return err
				}
				_, err = ops.Groups.Create(ctx, byFile, admin.GroupInput{Name: "g"})
				if err == nil {
					fmt.Println("about to die")
					self, _ := os.FindProcess(os.Getpid())
					err = errors.Join(self.Kill(), errors.New("alive"))
					time.Sleep(time.Minute)
				}
				return err
			})
			return directory.Faults{{Text: err.Error()}}
		},
	})}
	_, err = h.apply(`{'clients': [{'client_id': 'a', 'client_name': 'A', 'token_endpoint_auth_method': 'none',
		'redirect_uris': ['https://a.example/cb']}]}`)
	t.Fatal(err)
}
