package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/managed"
)

// makeRole gives a user of the demo a role, as an operator does.
func (l *looker) makeRole(email string, role directory.Role) {
	l.t.Helper()
	ops := admin.New(admin.Config{DB: l.demo.DB, Ephemeral: l.demo.Ephemeral, Policy: l.demo.Config.Policy})
	if _, err := ops.Users.Change(l.t.Context(), admin.Operator(), l.user(email).ID, admin.UserChange{Role: &role}); err != nil {
		l.t.Fatal(err)
	}
}

// asOwner signs an owner up and in, as the tests of the console's pages begin, and returns the issuer.
func (l *looker) asOwner(email string) (issuer string) {
	l.t.Helper()
	l.plug(device{synced: true})
	l.signInAs(l.demo, email)
	l.makeRole(email, directory.RoleOwner)
	return l.demo.Config.Issuer.String()
}

func TestThePagesOfTheConsole(t *testing.T) { eachLanguage(t, thePagesOfTheConsole) }

func thePagesOfTheConsole(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")
	l.open(issuer + "/admin")
	l.look("console-norole", "error")
	l.makeRole("ada@example.com", directory.RoleOwner)
	l.open(issuer + "/admin")
	l.look("console-home", "admin")
	l.open(issuer + "/admin/clients")
	l.look("console-clients", "admin")
	l.follow("client-new")
	l.look("console-choose", "admin")
	l.follow("recipe-grafana")
	l.look("console-client-new", "admin")
	l.fill("client-address", "grafana example")
	l.follow("client-save")
	l.at("stepup")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the address")
	l.run(`document.querySelectorAll("details.more").forEach((e) => e.open = true); 0`)
	l.look("console-client-wrong", "admin")
	l.fill("client-address", "https://grafana.example.com")
	l.follow("client-save")
	l.look("console-client-added", "admin")
	l.follow("client-open")
	l.look("console-client", "admin")
	l.fill("secret-name", "production, spring")
	l.follow("secret-add")
	l.look("console-client-secret", "admin")
	l.follow("client-open")
	if n := l.eval(`String(document.querySelectorAll("[data-test=secret]").length)`); n != "2" {
		t.Errorf("the application has %s secrets", n)
	}
	l.follow("client-edit")
	l.run(`document.querySelectorAll("details.more").forEach((e) => e.open = true); 0`)
	l.look("console-client-edit", "admin")
	l.follow("client-save")
	l.look("console-client-changed", "admin")
	l.follow("client-disable")
	l.look("console-client-disabled", "admin")

	l.open(issuer + "/admin/groups")
	l.look("console-groups-none", "admin")
	l.follow("group-new")
	l.fill("group-name", "a, b")
	l.follow("group-save")
	l.look("console-group-wrong", "admin")
	l.fill("group-name", "engineering")
	l.fill("group-description", "Builds and runs everything")
	l.follow("group-save")
	l.fill("member-email", "nobody@example.com")
	l.follow("member-add")
	l.look("console-group-nobody", "admin")
	l.fill("member-email", "ada@example.com")
	l.follow("member-add")
	l.look("console-group", "admin")
	l.open(issuer + "/admin/groups")
	l.look("console-groups", "admin")

	l.open(issuer + "/admin/users")
	l.look("console-users", "admin")
	l.follow("user-invite")
	l.look("console-invite", "admin")
	l.fill("user-email", "grace@example.com")
	l.fill("user-groups", "engineering")
	l.click("user-mailed")
	l.follow("user-save")
	l.look("console-invited", "admin")
	l.follow("user-open")
	l.look("console-user-new", "admin")
	l.managed(l.user("ada@example.com").ID)
	l.look("console-user", "admin")
	l.open(issuer + "/admin/events")
	l.look("console-events", "admin")
	l.open(issuer + "/admin/events?topic=clients&user=nobody@example.com")
	l.look("console-events-none", "admin")

	l.open(issuer + "/admin/explain")
	l.look("console-explain", "admin")
	l.fill("explain-link", l.request("scope", "openid payouts", "acr_values", "phrh"))
	l.fill("explain-user", "ada@example.com")
	l.follow("explain")
	l.look("console-explain-stepup", "admin")
	l.open(issuer + "/admin/explain?client=acme-bank&user=ada@example.com")
	l.look("console-explain-usual", "admin")
}

// The page says what the sign-in pages do, for the same request in the same browser.
func TestTheConsoleExplainsWhatHappens(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAuditor)
	request := func(more ...string) string {
		return (&looker{demo: d}).request(more...)
	}
	explained := func(link, user string, more ...string) (step, check string, at page) {
		t.Helper()
		q := url.Values{"link": {link}, "user": {user}}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		at = ada.open("/admin/explain?" + q.Encode())
		found := regexp.MustCompile(`data-test="verdict" data-step="([a-z-]*)" data-check="([a-z_]*)"`).FindStringSubmatch(at.body)
		if found == nil {
			t.Fatalf("no verdict on %s:\n%.3000s", at, at.body)
		}
		return found[1], found[2], at
	}
	pages := map[string]string{"consent": "consent", "step-up": "stepup", "sign-in": "login", "select-account": "login"}
	for name, link := range map[string]string{
		"a new application": request(), "acr": request("acr_values", "phrh"), "max_age": request("max_age", "0"), "prompt": request("prompt", "login"),
		"a class": request("scope", "openid payouts"), "accounts": request("prompt", "select_account"), "consent": request("prompt", "consent"),
	} {
		step, check, _ := explained(link, "ada@example.com")
		if at := ada.open(link); at.name != pages[step] {
			t.Errorf("%s: explained as %s (%s), but the browser is on %s", name, step, check, at)
		}
	}
	if step, check, _ := explained(request(), ""); step != "sign-in" || check != "no_session" {
		t.Errorf("nobody: %s %s", step, check)
	}
	if step, check, _ := explained(request(), "ada@example.com", "session", "none"); step != "sign-in" || check != "no_session" {
		t.Errorf("signed out: %s %s", step, check)
	}
	for link, text := range map[string]string{
		request("redirect_uri", "https://evil.example/cb"): "redirect_uri is not registered for the client",
		request("client_id", "ghost"):                      "client unknown",
		request("code_challenge", ""):                      "code_challenge is missing",
		request("scope", "openid phone"):                   "invalid_scope",
		request("prompt", "none"):                          "consent_required",
	} {
		if _, _, at := explained(link, "ada@example.com"); !strings.Contains(at.body, text) {
			t.Errorf("%s: the page does not say %q:\n%.2500s", link, text, at.body)
		}
	}
	if at := ada.open("/admin/explain?link=" + url.QueryEscape("https://elsewhere.example/?x=y")); !strings.Contains(at.body, `data-test="error"`) {
		t.Error("a link to something else is explained")
	}
	ada.stopAt = d.AppURL
	ada.through(ada.open(request()))
	ada.stopAt = ""
	if step, _, at := explained(request(), "ada@example.com"); step != "finish" || !strings.Contains(at.body, "auth_time") {
		t.Errorf("allowed: %s", step)
	}
	before, err := d.DB.EventsOf(t.Context(), (&looker{demo: d, chrome: &chrome{t: t}}).user("ada@example.com").ID, 100)
	if err != nil {
		t.Fatal(err)
	}
	explained(request(), "ada@example.com")
	if after, _ := d.DB.EventsOf(t.Context(), before[0].UserID, 100); len(after) != len(before) {
		t.Error("an explanation leaves an event")
	}
}

// An admin connects the first application within a minute: in so many clicks and one typed address.
func TestTheFirstApplicationIsConnectedInFourClicks(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.asOwner("ada@example.com")
	if err := l.demo.DB.RemoveClient(t.Context(), "acme-bank"); err != nil {
		t.Fatal(err)
	}
	clicks := 0
	click := func(hook string) {
		t.Helper()
		clicks++
		l.follow(hook)
	}
	l.open(issuer + "/admin")
	click("guide-client")
	click("recipe-go")
	l.fill("client-address", "http://localhost:3000")
	click("client-save")
	click("passkey-stepup")
	id, secret, snippet := l.text("client-id"), l.text("client-secret"), l.text("snippet")
	if clicks != 4 || !strings.Contains(snippet, id) || !strings.Contains(snippet, secret) || !strings.Contains(snippet, issuer) {
		t.Errorf("%d clicks, then:\n%s", clicks, snippet)
	}
	c, err := l.demo.DB.Client(t.Context(), id)
	if err != nil || len(c.RedirectURIs) != 1 || c.RedirectURIs[0] != "http://localhost:3000/callback" {
		t.Fatalf("registered %+v: %v", c, err)
	}
	response, err := http.PostForm(issuer+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": c.RedirectURIs, "client_id": {id}, "client_secret": {secret},
		"code_verifier": {strings.Repeat("v", 43)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "invalid_grant" {
		t.Errorf("the secret is not accepted: %+v, %v", answer, err)
	}
	l.do(chromedp.Navigate(issuer + "/admin"))
	if done := l.eval(`String(document.querySelectorAll("[data-test=guide] .tag.on").length)`); done != "2" { // and mail, in the demo
		t.Errorf("%s steps of the guide are done", done)
	}
}

// An official is a person with a role, signed in, over HTTP.
type official struct{ *person }

// newOfficial signs a person with a role up and in.
func newOfficial(t *testing.T, d *server.Demo, email string, role directory.Role) official {
	t.Helper()
	p := official{newPerson(t, d.Config.Issuer.String(), "")}
	p.signUp(p.open("/account"), email)
	l := &looker{demo: d, chrome: &chrome{t: t}}
	l.makeRole(email, role)
	if at := p.ceremony(p.open("/admin")); at.name != "admin" && role.Reads() {
		t.Fatalf("%s cannot open the console: %s", email, at)
	}
	return p
}

// post sends a form of the console.
func (p official) post(path string, form url.Values) page {
	p.t.Helper()
	return p.read(p.http.PostForm(p.issuer+path, form))
}

// confirm goes through the step-up, if one is asked for.
func (p official) confirm(at page) page {
	p.t.Helper()
	if at.name == "stepup" {
		at = p.ceremony(at)
	}
	return at
}

// confirmOnly confirms, and returns where the browser would go then.
func (p official) confirmOnly(at page) string {
	p.t.Helper()
	p.stopAt = p.issuer + "/admin/resume/"
	at = p.ceremony(at)
	p.stopAt = ""
	if !strings.HasPrefix(at.url.Path, "/admin/resume/") {
		p.t.Fatalf("the confirmation leads to %s", at)
	}
	return at.url.Path
}

func TestAChangeInTheConsoleWaitsForItsSendersConfirmation(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada, eve := newOfficial(t, d, "ada@example.com", directory.RoleAdmin), newOfficial(t, d, "eve@example.com", directory.RoleAdmin)
	disabled := func() bool {
		t.Helper()
		c, err := d.DB.StoredClient(t.Context(), "acme-bank")
		if err != nil {
			t.Fatal(err)
		}
		return !c.DisabledAt.IsZero()
	}
	at := ada.post("/admin/clients/disable", url.Values{"id": {"acme-bank"}})
	if at.name != "stepup" || disabled() {
		t.Fatalf("without a confirmation: %s, disabled: %v", at, disabled())
	}
	next := ada.confirmOnly(at)
	if at := eve.confirm(eve.open(next)); at.status != http.StatusGone || disabled() {
		t.Errorf("another admin sends the form of the first: %s, disabled: %v", at, disabled())
	}

	at = ada.post("/admin/clients/disable", url.Values{"id": {"acme-bank"}}) // within the window: at once
	if at.name != "admin" || !disabled() {
		t.Errorf("confirmed: %s, disabled: %v", at, disabled())
	}
	grace := newOfficial(t, d, "grace@example.com", directory.RoleAdmin)
	next = grace.confirmOnly(grace.post("/admin/clients/enable", url.Values{"id": {"acme-bank"}}))
	if at := grace.open(next); at.name != "admin" || disabled() {
		t.Errorf("the kept form: %s, disabled: %v", at, disabled())
	}
	if at := grace.open(next); at.status != http.StatusGone {
		t.Errorf("the kept form, twice: %s", at)
	}

	request, _ := http.NewRequest(http.MethodPost, d.Config.Issuer.String()+"/admin/clients/disable", strings.NewReader("id=acme-bank"))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://evil.example")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	if at := grace.read(grace.http.Do(request)); at.status != http.StatusForbidden || disabled() {
		t.Errorf("from another site: %s, disabled: %v", at, disabled())
	}
}

func TestTheConsoleIsForRolesAndChangesAreForAdmins(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	nobody := newOfficial(t, d, "nobody@example.com", directory.RoleUser)
	if at := nobody.open("/admin/clients"); at.status != http.StatusForbidden || !strings.Contains(at.body, "Only for admins") {
		t.Errorf("without a role: %s", at)
	}
	for _, role := range []directory.Role{directory.RoleAuditor, directory.RoleSupport} {
		p := newOfficial(t, d, role.Name()+"@example.com", role)
		at := p.open("/admin/clients/show?id=acme-bank")
		if at.status != http.StatusOK || strings.Contains(at.body, "client-disable") {
			t.Errorf("%s: %s, or it offers a change", role.Name(), at)
		}
		for path, form := range map[string]url.Values{
			"/admin/clients/disable": {"id": {"acme-bank"}}, "/admin/clients/remove": {"id": {"acme-bank"}},
			"/admin/clients/new": {"client_name": {"X"}, "redirect_uris": {"https://x.example/cb"}, "token_endpoint_auth_method": {"none"}, "policy": {"standard"}},
		} {
			if at := p.confirm(p.post(path, form)); at.status != http.StatusForbidden {
				t.Errorf("%s, %s: %s", role.Name(), path, at)
			}
		}
	}
	all, err := d.DB.Clients(t.Context())
	if err != nil || len(all) != 1 || !all[0].DisabledAt.IsZero() {
		t.Errorf("changed: %+v, %v", all, err)
	}
}

func TestAClientsFormShowsEveryFaultAtItsField(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	c, err := d.DB.StoredClient(t.Context(), "acme-bank")
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"version": {c.UpdatedAt.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")}, "client_name": {"\u200b"}, "redirect_uris": {"https://ok.example/cb\nhttp://bank.example/cb\nhttps://*.example/cb"},
		"allowed_groups": {"ghosts"}, "scopes": {"openid"}, "token_endpoint_auth_method": {"client_secret"}, "policy": {"standard"},
		"default_max_age": {"soon"}, "acr": {"none"}, "client_uri": {"ftp://x"}, "grants": {"refresh_token"}, "access_token_format": {"jwt"},
	}
	at := ada.confirm(ada.post("/admin/clients/edit?id=acme-bank", form))
	for _, field := range []string{"default_max_age"} { // it cannot be read, so that the rest is not looked at yet
		if at.status != http.StatusUnprocessableEntity || !strings.Contains(at.body, `id="about-`+field+`"><p class="fault"`) {
			t.Errorf("%s: no fault at %s", at, field)
		}
	}
	form.Set("default_max_age", "8h")
	at = ada.post("/admin/clients/edit?id=acme-bank", form)
	for _, field := range []string{"client_name", "redirect_uris", "allowed_groups", "acr", "client_uri"} {
		if !strings.Contains(at.body, `id="about-`+field+`"><p class="fault"`) {
			t.Errorf("%s: no fault at %s", at, field)
		}
	}
	form.Set("client_name", `"><script>alert(1)</script>`)
	for _, name := range []string{"allowed_groups", "acr", "client_uri"} {
		form.Del(name)
	}
	form.Set("redirect_uris", "https://ok.example/cb")
	if at := ada.post("/admin/clients/edit?id=acme-bank", form); at.status != http.StatusOK || strings.Contains(at.body, "<script>alert") {
		t.Errorf("a good form: %s", at)
	}
	if at := ada.post("/admin/clients/edit?id=acme-bank", form); at.status != http.StatusConflict {
		t.Errorf("a form that is older than the last change: %s", at)
	}
}

// managed stores that a directory manages a user.
func (l *looker) managed(userID string) {
	l.t.Helper()
	var b store.Batch
	managed.PutUser(&b, userID, directory.Managed{ClientID: "Entra ID", UserName: "ada"})
	if err := l.demo.DB.RunBatch(l.t.Context(), "manage user", &b); err != nil {
		l.t.Fatal(err)
	}
	l.open(l.demo.Config.Issuer.String() + "/admin/users/" + userID)
	if said := l.text("user-managed"); !strings.Contains(said, "Entra ID") {
		l.t.Errorf("the page says of the directory: %q", said)
	}
}
