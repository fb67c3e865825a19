package e2e

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
	bob := newOfficial(t, d, "bob@example.com", directory.RoleAdmin)
	id := (&looker{demo: d, chrome: &chrome{t: t}}).user("grace@example.com").ID
	waits := func(p official, want ...string) {
		t.Helper()
		at := p.open("/admin/users/" + id)
		for _, s := range []string{"recovery-approval", "recovery-approve", "Another admin then has to approve it", "approved their recovery link"} {
			if strings.Contains(at.body, s) != slices.Contains(want, s) {
				t.Errorf("%q on the page: %t", s, strings.Contains(at.body, s))
			}
		}
	}
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
		at := ada.confirm(ada.post("/admin/users/"+id+"/recovery", url.Values{}))
		if !strings.Contains(at.body, "recovery-link") {
			t.Fatalf("no recovery link on %s", at)
		}
		events, err := d.DB.EventsOf(t.Context(), id, 1)
		if err != nil || events[0].Kind != idp.EventRecoveryLinkMade {
			t.Fatalf("last event %+v (%v)", events, err)
		}
		needed := events[0].Detail["second"] == "true"
		if says := strings.Contains(at.body, "/recover/approve/"+id); says != needed {
			t.Errorf("the page of the link says where it is approved: %t, needed %t", says, needed)
		}
		return needed
	}
	waits(ada)
	if at := ada.open("/admin/users/" + id); strings.Contains(at.body, "user-lacks") {
		t.Errorf("lacks passkeys without rules: %s", at)
	}
	if !complete() || second() {
		t.Fatal("there are rules before there is a policy")
	}
	changePolicy(t, d, "passkey-rules: [everyone minimum=3]\nrecovery-approval: required\n")
	for _, path := range []string{"/admin/users?q=grace", "/admin/users/" + id} {
		if at := ada.open(path); strings.Count(at.body, `data-test="user-lacks"`) != 1 || !strings.Contains(at.body, "2") {
			t.Errorf("%s does not say that grace lacks passkeys: %s", path, at)
		}
	}
	if complete() {
		t.Error("the check-up does not ask for three passkeys")
	}
	if !second() {
		t.Error("the recovery link needs no second admin")
	}
	waits(ada, "recovery-approval", "Another admin then has to approve it")
	waits(bob, "recovery-approval", "recovery-approve", "Another admin then has to approve it")
	for p, want := range map[official]bool{ada: false, bob: true} {
		if at := p.open("/admin"); strings.Contains(at.body, "/recover/approve/"+id) != want {
			t.Errorf("the first page asks for an approval: %t", !want)
		}
	}
	bob.confirm(bob.open("/recover/approve/" + id))
	if at := bob.post("/recover/approve/"+id, url.Values{}); !strings.Contains(at.body, "The link works now") {
		t.Errorf("not approved: %s", at)
	}
	waits(bob, "recovery-approval", "Another admin then has to approve it", "approved their recovery link")
}

// changes are what a page of the console says would change.
func changes(at page) (list []string) {
	for _, m := range regexp.MustCompile(`(?s)data-test="policy-change">(.*?)</li>`).FindAllStringSubmatch(at.body, -1) {
		list = append(list, html.UnescapeString(m[1]))
	}
	return list
}

var (
	faultOn    = regexp.MustCompile(`(?s)class="fault"[^>]*>.*?</svg> <span>(.*?)</span></p>|data-test="fault">(.*?)</p>`)
	tagsInside = regexp.MustCompile(`<[^>]*>`)
	upperCase  = regexp.MustCompile(`(?:^|: )[A-Z]`)
)

// faultsOn returns the faults on an English page, one a line, as operations report them but for quotation marks.
func faultsOn(at page) string {
	var list []string
	for _, m := range faultOn.FindAllStringSubmatch(at.body, -1) {
		said := html.UnescapeString(tagsInside.ReplaceAllString(m[1]+m[2], ""))
		list = append(list, upperCase.ReplaceAllStringFunc(said, strings.ToLower))
	}
	return strings.Join(list, "\n")
}

func TestThePolicyIsChangedInTheConsole(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "help-url", "https://example.com/help")
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	at := ada.open("/admin/policy")
	if !strings.Contains(at.body, "Locked: it is set in") || !strings.Contains(at.body, "--help-url") || strings.Count(at.body, "policy-edit-") != 8 {
		t.Errorf("the policy: %.3000s", at.body)
	}
	if at := ada.open("/admin/policy/edit?of=look"); strings.Contains(at.body, `name="help-url"`) || !strings.Contains(at.body, "policy-locked") {
		t.Errorf("the form offers a locked section: %s", at)
	}

	form := url.Values{"version": {"0"}, "scopes": {"scopes:\r\n  mine:\r\n    description: Mine\r\n    action-class: none\r\n"}}
	at = ada.confirm(ada.post("/admin/policy/edit?of=scopes", form))
	if at.status != http.StatusUnprocessableEntity || !strings.Contains(faultsOn(at), `line 4: scopes.mine.action-class "none" is not among action-classes`) {
		t.Errorf("an unknown class: %s with %q", at, faultsOn(at))
	}
	for text, want := range map[string]string{
		"scopes:\n  mine:\n    text: x\n":                          `line 3: scopes.mine.text is not known here`,
		"scopes:\n  - one\n":                                       "line 2: scopes is a list and must be entries",
		"scopes:\n  mine: {description: Mine\n":                    "is not YAML",
		"sign-up: open\n":                                          "sign-up is another section",
		"nonsense: open\n":                                         "line 1: nonsense is not a setting",
		"scopes:\n  stepward:x: {description: X}\n":                "line 2: scopes.stepward:x is reserved",
		"scopes:\n  mine: {description: Mine, action-class: zz}\n": "line 2: scopes.mine.action-class",
	} {
		form.Set("scopes", text)
		if at := ada.post("/admin/policy/edit?of=scopes", form); at.status != http.StatusUnprocessableEntity || !strings.Contains(faultsOn(at), want) {
			t.Errorf("%q: %s with %q, want %q", text, at, faultsOn(at), want)
		}
	}
	form.Set("scopes", "# nothing yet\n")
	if at := ada.post("/admin/policy/edit?of=scopes", form); !strings.Contains(at.body, "Nothing would change") || d.PolicyVersion() != 0 {
		t.Errorf("nothing: %s", at)
	}
	form.Set("scopes", "scopes:\n  mine: {description: Mine}\n")
	at = ada.post("/admin/policy/edit?of=scopes", form)
	if got := changes(at); !slices.Equal(got, []string{"scopes: added mine"}) || d.PolicyVersion() != 0 {
		t.Fatalf("before it is saved: %v on %s, version %d", got, at, d.PolicyVersion())
	}
	checked := at
	at = ada.submit(checked, "policy-save", nil)
	if !strings.Contains(at.body, "Saved. It counts everywhere") || d.PolicyVersion() != 1 {
		t.Errorf("saved: %s, version %d", at, d.PolicyVersion())
	}
	if at := ada.submit(checked, "policy-save", nil); at.status != http.StatusConflict || d.PolicyVersion() != 1 {
		t.Errorf("saved again: %s, version %d", at, d.PolicyVersion())
	}
	if at := ada.post("/admin/policy/edit?of=scopes", form); at.status != http.StatusConflict {
		t.Errorf("the form of a former version: %s", at)
	}

	form = url.Values{
		"version": {"1"}, "product-name": {"Acme <b>"}, "accent": {"#1A6B5A"}, "logo-url": {""}, "help-url": {"https://evil.example"},
	}
	at = ada.post("/admin/policy/edit?of=look", form)
	if got := changes(at); len(got) != 2 || got[0] != "product-name: from Stepward to Acme <b>" {
		t.Fatalf("the looks: %v on %s %s", got, at, faultsOn(at))
	}
	if at = ada.submit(at, "policy-save", nil); !strings.Contains(at.body, "Acme &lt;b&gt;") || d.PolicyVersion() != 2 {
		t.Errorf("the page after it: %s", at)
	}
	form = url.Values{"version": {"2"}, "accent": {"green"}, "product-name": {"Acme <b>"}}
	if at := ada.post("/admin/policy/edit?of=look", form); !strings.Contains(faultsOn(at), "green") {
		t.Errorf("a wrong colour: %s with %q", at, faultsOn(at))
	}

	at = ada.open("/admin/policy/history")
	if !strings.Contains(at.body, "ada@example.com") && !strings.Contains(at.body, "Ada") || strings.Count(at.body, "policy-back") != 1 {
		t.Errorf("history: %.3000s", at.body)
	}
	at = ada.open("/admin/policy/back?version=1")
	if got := changes(at); len(got) != 2 || !strings.Contains(got[0], "to Stepward") || d.PolicyVersion() != 2 {
		t.Fatalf("back: %v on %s", got, at)
	}
	if at = ada.submit(at, "policy-save", nil); d.PolicyVersion() != 3 || strings.Contains(at.body, "Acme") {
		t.Errorf("after going back: %s", at)
	}
	if at := ada.open("/admin/policy/back?version=9"); at.status != http.StatusNotFound {
		t.Errorf("back to nowhere: %s", at)
	}
}

func TestOnlyAdminsChangeThePolicyInTheConsole(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	save := url.Values{"version": {"0"}, "document": {`{"product-name": "Evil"}`}}
	nobody := newOfficial(t, d, "nobody@example.com", directory.RoleUser)
	for _, path := range []string{"/admin/policy", "/admin/policy/edit?of=look", "/admin/policy/history", "/admin/policy/back?version=1"} {
		if at := nobody.open(path); at.status != http.StatusForbidden {
			t.Errorf("%s without a role: %s", path, at)
		}
	}
	for _, role := range []directory.Role{directory.RoleAuditor, directory.RoleSupport} {
		p := newOfficial(t, d, role.Name()+"@example.com", role)
		if at := p.open("/admin/policy"); at.status != http.StatusOK || strings.Contains(at.body, "policy-edit-") {
			t.Errorf("%s: %s, or it offers a change", role.Name(), at)
		}
		if at := p.confirm(p.post("/admin/policy/save", save)); at.status != http.StatusForbidden || d.PolicyVersion() != 0 {
			t.Errorf("%s saves: %s, version %d", role.Name(), at, d.PolicyVersion())
		}
	}
	ada, olga := newOfficial(t, d, "ada@example.com", directory.RoleAdmin), newOfficial(t, d, "olga@example.com", directory.RoleOwner)
	at := ada.post("/admin/policy/save", url.Values{"version": {"0"}, "document": {`{"recovery-approval": "required"}`}})
	if at.name != "stepup" || d.PolicyVersion() != 0 {
		t.Fatalf("without a confirmation: %s, version %d", at, d.PolicyVersion())
	}
	ada.confirm(at)
	back := url.Values{"version": {"1"}, "document": {`{"recovery-approval": null}`}}
	if at := ada.post("/admin/policy/save", back); at.status != http.StatusForbidden || !strings.Contains(at.body, "Only an owner") || d.PolicyVersion() != 1 {
		t.Errorf("an admin takes back the second admin: %s, version %d", at, d.PolicyVersion())
	}
	if olga.confirm(olga.post("/admin/policy/save", back)); d.PolicyVersion() != 2 {
		t.Errorf("an owner does not: version %d", d.PolicyVersion())
	}
	for _, document := range []string{"", "[]", `{"scopes": `, "null"} {
		if at := olga.post("/admin/policy/save", url.Values{"version": {"2"}, "document": {document}}); at.status >= 500 || d.PolicyVersion() != 2 {
			t.Errorf("document %q: %s", document, at)
		}
	}
}

func TestAPolicyChangedInTheConsoleCountsAtTheOtherReplica(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, production(t))
	ada := official{newPerson(t, s.issuer, "")}
	ada.signUp(ada.open("/account"), "ada@example.com")
	ops := admin.New(admin.Config{DB: s.replicas[0].DB, Ephemeral: s.replicas[0].Ephemeral, Policy: s.replicas[0].Config.Policy})
	u, err := ops.Users.Find(t.Context(), admin.Operator(), "ada@example.com")
	role := directory.RoleOwner
	if err == nil {
		_, err = ops.Users.Change(t.Context(), admin.Operator(), u.ID, admin.UserChange{Role: &role})
	}
	if err != nil {
		t.Fatal(err)
	}
	ada.ceremony(ada.open("/admin"))
	at := ada.confirm(ada.post("/admin/policy/edit?of=look", url.Values{"version": {"0"}, "product-name": {"Acme"}}))
	begin := time.Now()
	ada.submit(at, "policy-save", nil)
	for _, r := range s.replicas {
		for r.PolicyVersion() != 1 {
			if time.Since(begin) > 2*time.Minute { // 5 seconds, on a machine that has nothing else to do
				t.Fatal("a replica does not follow")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Logf("both replicas follow after %v", time.Since(begin))
	for range s.replicas {
		if at := ada.open("/account/signed-out"); !strings.Contains(at.body, "Acme") {
			t.Errorf("the name is not on the page: %s", at)
		}
	}
}

func TestThePagesOfThePolicy(t *testing.T) { eachLanguage(t, thePagesOfThePolicy) }

func thePagesOfThePolicy(t *testing.T, l *looker) {
	issuer := l.asOwner("ada@example.com")
	l.open(issuer + "/admin/policy/history")
	l.look("policy-history-none", "admin")
	l.open(issuer + "/admin/policy")
	l.look("policy", "admin")
	l.follow("policy-edit-classes")
	l.look("policy-edit-code", "admin")
	l.fill("policy-action-classes", "action-classes:\n  pay: {description: pay}")
	l.follow("policy-check")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the window")
	l.look("policy-edit-wrong", "admin")
	l.fill("policy-action-classes", "action-classes:\n  pay: {description: make a payment, window: 5m}")
	l.follow("policy-check")
	l.look("policy-check", "admin")
	l.follow("policy-save")
	l.look("policy-saved", "admin")
	l.follow("policy-edit-people")
	l.look("policy-edit-people", "admin")
	l.fill("policy-recovery-hold", "72h")
	l.follow("policy-check")
	l.follow("policy-save")
	l.open(issuer + "/admin/policy/edit?of=passkeys")
	l.look("policy-edit-passkeys", "admin")
	l.open(issuer + "/admin/policy/history")
	l.look("policy-history", "admin")
	l.follow("policy-back")
	l.look("policy-back", "admin")
}
